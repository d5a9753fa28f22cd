/// The tokens that are found in a text before it is cut: a tree of their bytes.
///
/// Of several that start at one place the longest is taken, and the text is read from left to right, as the
/// Hugging Face tokenizers do. Cost: the length of the text times that of the longest token at worst.
struct LiteralTable: Sendable {
  /// Node × 256 + byte → node; the root is 0.
  private var edges: [Int: Int] = [:]
  /// The token that ends at a node.
  private var ends: [Int: Int] = [:]
  /// Whether any token starts with this byte.
  private var isFirst = [Bool](repeating: false, count: 256)

  /// Adds a token; an empty one is never found, and of two equal ones the later is.
  mutating func insert(_ bytes: some Sequence<UInt8>, token: Int) {
    var node = 0
    for byte in bytes {
      let edge = node << 8 | Int(byte)
      node = edges[edge] ?? edges.count + 1
      edges[edge] = node
      if edge < 256 { isFirst[edge] = true }
    }
    if node > 0 { ends[node] = token }
  }

  /// The longest token at `position` and the place where it ends.
  func match(in bytes: [UInt8], at position: Int) -> (token: Int, end: Int)? {
    guard isFirst[Int(bytes[position])] else { return nil }
    var (node, place) = (0, position)
    var longest: (token: Int, end: Int)?
    while place < bytes.count, let child = edges[node << 8 | Int(bytes[place])] {
      (node, place) = (child, place + 1)
      if let token = ends[node] { longest = (token, place) }
    }
    return longest
  }
}

import Benchmarking
import StreamingAttention

/// Keys and values of tokens: any row at once, from the seed, its place and the token's number alone.
struct TokenRows: Sendable {
  let shape: AttentionShape
  private let generator: SyntheticValues
  // [layer][kvHead]
  private let keys: [[SyntheticValues.Stream]]
  private let values: [[SyntheticValues.Stream]]

  init(shape: AttentionShape, layers: Int, seed: UInt64) {
    self.shape = shape
    let generator = SyntheticValues(seed: seed)
    self.generator = generator
    func streams(_ kind: SyntheticValues.Kind) -> [[SyntheticValues.Stream]] {
      (0..<layers).map { layer in
        (0..<shape.kvHeads).map { generator.stream(kind, layer: layer, head: $0, sequence: 0) }
      }
    }
    keys = streams(.key)
    values = streams(.value)
  }

  /// Writes the key of a token for one KV head, not turned.
  func fillKey(_ row: inout MutableSpan<Float>, layer: Int, kvHead: Int, token: UInt32) {
    generator.fill(&row, of: keys[layer][kvHead], token: Int(token))
  }

  /// Writes the value of a token for one KV head.
  func fillValue(_ row: inout MutableSpan<Float>, layer: Int, kvHead: Int, token: UInt32) {
    generator.fill(&row, of: values[layer][kvHead], token: Int(token))
  }

  func key(layer: Int, kvHead: Int, token: UInt32) -> [Double] {
    var row = [Float](repeating: 0, count: shape.headDimension)
    var span = row.mutableSpan
    fillKey(&span, layer: layer, kvHead: kvHead, token: token)
    return row.map(Double.init)
  }

  func value(layer: Int, kvHead: Int, token: UInt32) -> [Double] {
    var row = [Float](repeating: 0, count: shape.headDimension)
    var span = row.mutableSpan
    fillValue(&span, layer: layer, kvHead: kvHead, token: token)
    return row.map(Double.init)
  }

  /// Writes a query of unit variance that has nothing to do with any key.
  func fillQuery(_ row: inout MutableSpan<Float>, layer: Int, queryHead: Int, number: Int) {
    let stream = generator.stream(.query, layer: layer, head: queryHead, sequence: 0)
    generator.fill(&row, of: stream, token: number)
  }

  /// Keys and values of some tokens as `AttentionEngine.append` takes them, `[token][kvHead][channel]`.
  ///
  /// All workers write them; arrays that are long enough are used again.
  func fill(
    layer: Int, tokens: [UInt32], keys: inout [Float], values: inout [Float], workers: Workers
  ) {
    let (heads, width) = (shape.kvHeads, shape.headDimension)
    let count = tokens.count * heads * width
    func resize(_ rows: inout [Float]) {
      if rows.count != count { rows = [Float](repeating: 0, count: count) }
    }
    resize(&keys)
    resize(&values)
    var keySpan = keys.mutableSpan
    workers.forEachRow(of: &keySpan, rowWidth: width) { row, _, elements in
      fillKey(&elements, layer: layer, kvHead: row % heads, token: tokens[row / heads])
    }
    var valueSpan = values.mutableSpan
    workers.forEachRow(of: &valueSpan, rowWidth: width) { row, _, elements in
      fillValue(&elements, layer: layer, kvHead: row % heads, token: tokens[row / heads])
    }
  }
}

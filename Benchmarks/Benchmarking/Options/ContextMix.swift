/// The live lengths of the sequences of one step.
package struct ContextMix: Sendable, Equatable, CustomStringConvertible {
  /// Runs of equal lengths.
  package var runs: [(length: Int, count: Int)]

  package init(_ length: Int, count: Int = 1) { runs = [(length, count)] }

  /// Reads `131072`, `128K`, or a sum such as `31*1K+128K`; nil for anything else.
  package init?(_ text: String) { self.init(text[...]) }

  init?(_ text: Substring) {
    runs = []
    for term in text.split(separator: "+", omittingEmptySubsequences: false) {
      let factors = term.split(separator: "*", omittingEmptySubsequences: false)
      guard (1...2).contains(factors.count), let length = factors.last.flatMap(Self.length)
      else { return nil }
      let count = factors.count == 2 ? Int(factors[0]) : 1
      guard let count, (1...4096).contains(count) else { return nil }
      runs.append((length, count))
    }
  }

  /// Tokens, `K` and `M` standing for 2^10 and 2^20 of them.
  package static func length(_ text: Substring) -> Int? {
    let (digits, shift) =
      switch text.last {
      case "K", "k": (text.dropLast(), 10)
      case "M", "m": (text.dropLast(), 20)
      default: (text[...], 0)
      }
    guard let number = Int(digits), (1...longest >> shift).contains(number) else { return nil }
    return number << shift
  }

  /// The longest context that may be asked for.
  package static let longest = 1 << 26

  /// The most live tokens of all sequences together.
  package static let mostTokens = 1 << 36

  /// Whether all sequences together are longer than anybody may ask for.
  package var isTooLong: Bool {
    runs.reduce(0) { $0 + Double($1.length) * Double($1.count) } > Double(Self.mostTokens)
  }

  /// The length of every sequence.
  package var lengths: [Int] {
    runs.flatMap { Array(repeating: $0.length, count: $0.count) }
  }

  /// As many of every sequence.
  func repeated(_ count: Int) -> ContextMix {
    var mix = self
    mix.runs = runs.map { ($0.length, $0.count * count) }
    return mix
  }

  /// Every sequence longer by so many tokens.
  func longer(by count: Int) -> ContextMix {
    var mix = self
    mix.runs = runs.map { ($0.length + count, $0.count) }
    return mix
  }

  /// Whether there are several sequences.
  var isMixed: Bool { runs.reduce(0) { $0 + $1.count } > 1 }

  /// The longest one.
  package var largest: Int { runs.reduce(0) { max($0, $1.length) } }

  /// Live tokens of all sequences.
  package var total: Int { runs.reduce(0) { $0 + $1.length * $1.count } }

  /// As it is read.
  package var description: String {
    runs.map { $0.count == 1 ? "\($0.length)" : "\($0.count)*\($0.length)" }
      .joined(separator: "+")
  }

  package static func == (left: ContextMix, right: ContextMix) -> Bool {
    left.description == right.description
  }
}

import KernelTable
import StreamingAttention
import TestSupport

/// One combination of everything that attention depends on; the same case gives the same numbers anywhere.
struct AttentionCase: CustomStringConvertible {
  enum Masking: CaseIterable {
    case causal, full, window, fullWindow, softcap, sinks, everything

    var isCausal: Bool { self != .full && self != .fullWindow }
    var window: Int? {
      switch self {
      case .window: 100
      case .fullWindow: 700
      case .everything: 1000
      default: nil
      }
    }
    var softcap: Float? { self == .softcap || self == .everything ? 3 : nil }
    var hasSinks: Bool { self == .sinks || self == .everything }
  }

  /// One number of a token's key or value, or of a row's query.
  struct Planted {
    enum Part { case key, value, query }
    var part: Part
    /// Token or row.
    var index: Int
    /// Among all heads' channels.
    var channel: Int
    var number: Float
  }

  enum Positions: CaseIterable {
    case none, halves, interleaved, partial, scaled, alibi, rotaryALiBi
  }

  enum Bias: CaseIterable {
    /// One number for each head, row and key, or for each row and key.
    case perHead, shared
  }

  var instructionSet = InstructionSet.baseline
  var keyType = ElementType.float32
  var valueType = ElementType.float32
  var masking = Masking.causal
  var positions = Positions.halves
  var group = 1
  var kvHeads = 2
  var keyWidth = 64
  var valueWidth = 64
  var length = 513
  var base = 0
  var rows = 1
  var bias: Bias?
  var rightWindow: Int?
  var seed: UInt64 = 1
  /// Deviation of the keys, whose mean is 0.
  var keyDeviation = 1.0
  /// Numbers that stand in place of drawn ones.
  var planted: [Planted] = []

  /// Nil for every combination in turn, by the seed: they must not matter but for `dotsPairs`, which the twin follows.
  var chosenTraits: ProcessorTraits?

  var traits: ProcessorTraits {
    chosenTraits
      ?? ProcessorTraits(
        requests: ProcessorTraits.Requests.allCases[Int(seed % 3)], widensPages: seed & 2 != 0,
        dotsPairs: seed & 4 == 0)
  }

  var description: String {
    "\(instructionSet.rawValue) K \(keyType) V \(valueType) \(masking) \(positions) group \(group) × \(kvHeads) "
      + "width \(keyWidth)/\(valueWidth) length \(length) base \(base) rows \(rows) seed \(seed)"
      + (bias.map { " bias \($0)" } ?? "") + (rightWindow.map { " right window \($0)" } ?? "")
  }

  var queryHeads: Int { group * kvHeads }

  func rotary() throws -> RotaryEmbedding? {
    let even = keyWidth / 2 * 2
    switch positions {
    case .none, .alibi: return nil
    case .halves, .rotaryALiBi:
      return try RotaryEmbedding(headDimension: keyWidth, rotaryDimensions: even, pairing: .halves)
    case .interleaved:
      return try RotaryEmbedding(
        headDimension: keyWidth, rotaryDimensions: even, base: 500_000, pairing: .interleaved)
    case .partial:
      return try RotaryEmbedding(
        headDimension: keyWidth, rotaryDimensions: keyWidth / 4 * 2, pairing: .interleaved)
    case .scaled:
      return try RotaryEmbedding(
        headDimension: keyWidth, rotaryDimensions: even, pairing: .halves,
        scaling: .yarn(YaRN(factor: 4, originalContext: 8192)))
    }
  }

  func layer() throws -> LayerAttention {
    var generator = SeededGenerator(seed: seed, stream: 9)
    let hasALiBi = positions == .alibi || positions == .rotaryALiBi
    var layer = LayerAttention(
      queryHeads: queryHeads, mask: masking.isCausal ? .causal : .full, window: masking.window,
      softcap: masking.softcap,
      sinks: masking.hasSinks ? generator.normalFloats(queryHeads, deviation: 2) : nil,
      rotary: try rotary(), alibi: hasALiBi ? try ALiBi(headCount: queryHeads) : nil)
    layer.rightWindow = rightWindow
    return layer
  }

  func shape() throws -> LayerShape {
    LayerShape(
      kvHeads: kvHeads, keyWidth: keyWidth, valueWidth: valueWidth, keyType: keyType,
      valueType: valueType,
      keyPositions: try rotary().map { .rotary(pairs: $0.pairCount, pairing: $0.pairing) } ?? .none,
      retention: masking.window.map { .window($0) } ?? .everything)
  }

  /// Numbers of token or row `index`, whatever else is computed.
  private func numbers(
    _ index: Int, _ count: Int, _ part: Planted.Part, deviation: Double = 1
  ) -> [Float] {
    let stream: UInt64 =
      switch part {
      case .key: 1
      case .value: 2
      case .query: 3
      }
    var generator = SeededGenerator(seed: seed &* 1_000_003 &+ UInt64(index), stream: stream)
    var numbers = generator.normalFloats(count, deviation: deviation)
    for plant in planted where plant.part == part && plant.index == index {
      numbers[plant.channel] = plant.number
    }
    return numbers
  }

  /// Biases of one row over all tokens, `[head or 1][token]`: of deviation 2, a seventh of them −∞.
  ///
  /// Row 1 sees nothing, row 2 nothing of the first page, row 3 nothing of the first leaf, row 4 nothing of the last 600 tokens.
  func biases(row: Int) -> [[Float]] {
    guard let bias else { return [] }
    let hidden =
      switch row % 600 {
      case 1: 0..<length
      case 2: 0..<64
      case 3: 0..<512
      case 4: length - 600..<length
      default: 0..<0
      }
    return (0..<(bias == .perHead ? queryHeads : 1)).map { head in
      var generator = SeededGenerator(
        seed: seed &* 1_000_003 &+ UInt64(row * queryHeads + head), stream: 4)
      return generator.normalFloats(length, deviation: 2).enumerated().map { token, number in
        hidden.contains(token) || (token + row) % 7 == 3 ? -.infinity : number
      }
    }
  }

  func keys(_ tokens: Range<Int>) -> [Float] {
    tokens.flatMap { numbers($0, kvHeads * keyWidth, .key, deviation: keyDeviation) }
  }

  func values(_ tokens: Range<Int>) -> [Float] {
    tokens.flatMap { numbers($0, kvHeads * valueWidth, .value) }
  }

  func queries(_ rows: Range<Int>) -> [Float] {
    rows.flatMap { numbers($0, queryHeads * keyWidth, .query) }
  }
}

/// What the engine makes of some rows of a case.
struct AttentionResult: Equatable {
  /// `[row][queryHead][valueWidth]`.
  var output: [Float]
  /// `[row][queryHead]`.
  var logSumExp: [Float]

  /// The output of one row and query head, numbered `row * queryHeads + head`.
  func output(_ index: Int) -> ArraySlice<Float> {
    let width = output.count / logSumExp.count
    return output[index * width..<(index + 1) * width]
  }

  /// Whether both have the same numbers, and NaN in the same places.
  func isIdentical(to other: AttentionResult) -> Bool {
    let (own, others) = (output + logSumExp, other.output + other.logSumExp)
    return own.count == others.count
      && zip(own, others).allSatisfy { $0 == $1 || ($0.isNaN && $1.isNaN) }
  }

  /// The rows that follow these.
  mutating func append(_ other: AttentionResult) {
    output += other.output
    logSumExp += other.logSumExp
  }
}

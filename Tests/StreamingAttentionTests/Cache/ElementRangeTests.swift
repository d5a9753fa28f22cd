import StreamingAttention
import TestSupport
import Testing

/// What `ElementType` and Cache.md say of numbers beyond a type's range.
@Suite("The range of what a cache holds")
struct ElementRangeTests {
  private static let numbers: [Float] = [65_504, 65_519, 65_520, 1e5, -1e5, 1e38]
  private static let kinds = InstructionSet.allCases.filter(\.isAvailable).flatMap { set in
    ElementType.allCases.map { (set, $0) }
  }

  /// What a row sees of one token with these values, which are its output.
  private func stored(_ set: InstructionSet, _ type: ElementType, filler: Int) throws -> [Float] {
    let width = 64
    let cache = try KVCache(layers: [
      LayerShape(
        kvHeads: 1, keyWidth: width, keyType: .float16, valueType: type, keyPositions: .none)
    ])
    let engine = try AttentionEngine(
      cache: cache, layers: [LayerAttention(queryHeads: 1)], workers: .shared,
      instructionSet: set)
    let sequence = try cache.makeSequence()
    // The token's key is met by the query, those behind it weigh e^−64 as much and have values of 0.
    for first in stride(from: 0, through: filler, by: 64) {
      let count = min(64, filler + 1 - first)
      try engine.begin([StepRequest(sequence, appending: count)])
      var keys = [Float](repeating: 0, count: count * width)
      var values = keys
      if first == 0 {
        keys[0] = 64
        for (channel, number) in Self.numbers.enumerated() { values[channel] = number }
      }
      try engine.append(layer: 0, keys: keys.span, values: values.span)
      engine.commit()
    }
    var query = [Float](repeating: 0, count: width)
    query[0] = 8
    var output = query
    try engine.begin([StepRequest(sequence, appending: 0, querying: 1)])
    var result = output.mutableSpan
    try engine.attend(layer: 0, queries: query.span, into: &result)
    engine.commit()
    return Array(output.prefix(Self.numbers.count))
  }

  @Test(
    "f16, and what goes through it, holds 65,504; from 65,520 on it is infinite", arguments: kinds)
  func range(set: InstructionSet, type: ElementType) throws {
    for filler in [0, 300] {
      let found = try stored(set, type, filler: filler)
      // The weight of the token may be off by a rounding, and so may its value by half a unit of the type.
      let (limit, unit): (Float, Float) =
        switch type {
        case .float32: (.infinity, 0)
        case .bfloat16: (.infinity, 0x1p-8)
        // A page with such numbers has no codes, however old it is.
        case .float16, .int8, .int4: (65_520, 0x1p-11)
        }
      for (number, wanted) in zip(found, Self.numbers) {
        if abs(wanted) < limit {
          #expect(abs(number / wanted - 1) <= unit + 0x1p-22, "\(wanted)")
        } else {
          #expect(number == (wanted < 0 ? -.infinity : .infinity), "\(wanted)")
        }
      }
    }
  }
}

import StreamingAttention
import TestSupport
import Testing

/// The largest ratios that a series of cases has shown, and where.
struct WorstCase: CustomStringConvertible {
  var count = 0
  var worst = AttentionRatios()
  var example: AttentionCase?

  /// Runs a case, which must stay within its bounds.
  mutating func `try`(_ example: AttentionCase) throws {
    let ratios = try example.ratios()
    #expect(ratios.areWithinBounds, "\(example): \(ratios)")
    merge(WorstCase(count: 1, worst: ratios, example: example))
  }

  /// Adds what another series has shown.
  mutating func merge(_ other: WorstCase) {
    count += other.count
    worst.storedKeys = max(worst.storedKeys, other.worst.storedKeys)
    if other.worst.output > worst.output || example == nil {
      worst.output = other.worst.output
      example = other.example
    }
  }

  var description: String {
    "\(count) cases, worst output \(worst.output) × its bound, stored key \(worst.storedKeys) ×; "
      + (example.map { "worst: \($0)" } ?? "none")
  }
}

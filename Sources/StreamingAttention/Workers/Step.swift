import Synchronization

/// The number of a step and how many of its indices nobody has taken yet, in one word.
///
/// Whoever swaps it for a word with fewer has taken the difference. So indices can be taken only while the step is
/// the current one: the caller that began it does not end it before everything taken is done.
struct StepWord: Equatable {
  let rawValue: UInt64

  init(rawValue: UInt64) { self.rawValue = rawValue }

  init(step: UInt32, remaining: Int) {
    rawValue = UInt64(step) << 32 | UInt64(UInt32(remaining))
  }

  var step: UInt32 { UInt32(rawValue >> 32) }
  var remaining: Int { Int(UInt32(truncatingIfNeeded: rawValue)) }

  func taking(_ count: Int) -> StepWord { StepWord(step: step, remaining: remaining - count) }
}

/// What a step does.
@unsafe struct StepTask {
  var body: Workers.Body
  var context: UnsafeMutableRawPointer
  var count: Int
  /// Whether odd workers take the last indices first.
  var hasTwoEnds = false
  /// Alive until the step ends: its caller holds it.
  var cancellation: UnsafeMutablePointer<Atomic<Bool>>?

  var isCancelled: Bool {
    guard let flag = unsafe cancellation else { return false }
    return unsafe flag.pointee.load(ordering: .acquiring)
  }
}

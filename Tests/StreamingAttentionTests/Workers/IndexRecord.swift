import Synchronization

@testable import StreamingAttention

/// A step's body that counts how often each index came, for tests.
///
/// Safe over the C function that `run` takes.
final class IndexRecord: Sendable {
  private let counts: Mutex<[Int]>
  private let pause: @Sendable (_ index: Int, _ worker: Int) -> Void

  init(count: Int, pause: @escaping @Sendable (_ index: Int, _ worker: Int) -> Void = { _, _ in }) {
    counts = Mutex(Array(repeating: 0, count: count))
    self.pause = pause
  }

  /// How often each index has come.
  var timesTaken: [Int] { counts.withLock { $0 } }

  /// Runs a step over all indices.
  func run(
    on workers: Workers, hasTwoEnds: Bool = false, cancellation: CancellationFlag? = nil
  ) -> Bool {
    let count = timesTaken.count
    // SAFETY: `run` returns when the last body has, and `self` is retained by its caller until then.
    let context = unsafe Unmanaged.passUnretained(self).toOpaque()
    return unsafe workers.run(
      count, context: context, hasTwoEnds: hasTwoEnds, cancellation: cancellation
    ) { context, index, worker in
      let record = unsafe Unmanaged<IndexRecord>.fromOpaque(context).takeUnretainedValue()
      record.pause(index, worker)
      record.counts.withLock { $0[index] += 1 }
    }
  }
}

import KernelTable
import StreamingAttention

/// What it costs to share a step out and to wait for its end.
@safe struct ForkJoinProbe {
  /// Each worker's piece of a step, in nanoseconds: so long that a worker who comes late shows.
  static let pieceNanoseconds: UInt64 = 20_000

  /// One piece on one worker; a cache line and more apart.
  @unsafe private struct Context {
    /// How long each worker's longest piece took, `[worker]`.
    var durations: UnsafeMutablePointer<UInt64>
    static let stride = 16
  }

  /// Steps of one piece for each worker: what each took beyond its longest piece, back to back.
  ///
  /// An empty piece would show nothing: the caller takes it before anyone else can. A step in which a worker did
  /// two pieces, since another came too late, costs a whole piece more and is counted: the result.
  static func run(_ workers: Workers, steps: Int, into excess: inout Samples) -> Int {
    var unshared = 0
    let count = unsafe workers.count * Context.stride
    var durations = [UInt64](repeating: 0, count: count)
    unsafe durations.withUnsafeMutableBufferPointer { durations in
      guard let first = durations.baseAddress else { return }
      var context = unsafe Context(durations: first)
      for _ in 0..<steps {
        for index in 0..<count { unsafe first[index] = 0 }
        let start = Stopwatch.now
        // SAFETY: each worker writes its own duration; `run` returns when all pieces have ended.
        _ = unsafe workers.run(workers.count, context: &context) { context, _, worker in
          let context = unsafe context.assumingMemoryBound(to: Context.self)
          let begin = Stopwatch.now
          var now = begin
          while now - begin < ForkJoinProbe.pieceNanoseconds { now = Stopwatch.now }
          let slot = unsafe context.pointee.durations + worker * Context.stride
          unsafe slot.pointee = max(slot.pointee, now - begin)
        }
        let time = Stopwatch.now - start
        var longest: UInt64 = 0
        var idle = 0
        for worker in 0..<workers.count {
          let duration = unsafe first[worker * Context.stride]
          longest = max(longest, duration)
          if duration == 0 { idle += 1 }
        }
        if idle > 0 { unshared += 1 }
        excess.add(time - min(longest, time))
      }
    }
    return unshared
  }

  /// CPU time of the whole process per time that passes, 5 ms after the last step.
  static func idleCPU(milliseconds: Int) -> Double {
    Stopwatch.sleep(milliseconds: 5)
    let (cpu, wall) = (Stopwatch.processCPU, Stopwatch.now)
    Stopwatch.sleep(milliseconds: milliseconds)
    return Double(Stopwatch.processCPU - cpu) / Double(Stopwatch.now - wall)
  }
}

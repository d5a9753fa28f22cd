import KernelTable
import StreamingAttention

/// One run of a probe over all workers.
struct ProbeRun {
  /// Wall-clock time.
  var nanoseconds: UInt64
  /// Arithmetic operations; 0 where the instruction set has none of the kind.
  var operations: Int
}

/// Runs probe kernels over workers and says what they reached.
@safe final class MachineProbe {
  /// Passes of a limit, of which the best counts.
  static let passes = 5

  private static let ways: [Probe] = [.read, .readInFour, .readAhead]

  private let memory: ProbeMemory
  private let kernels: KernelTable
  /// Memory is read with the best instruction set whatever computes: its bandwidth is the machine's.
  private let readKernels = InstructionSet.detected.kernels
  /// The fastest way to read, by number of workers, once found.
  private var fastestReads: [Int: Probe] = [:]

  init(memory: ProbeMemory, instructionSet: InstructionSet) {
    self.memory = memory
    kernels = instructionSet.kernels
  }

  /// Read bandwidth in GB/s of every pass, each over the whole memory.
  ///
  /// The way of reading is the fastest of one stream, four streams and one with prefetching, found with the
  /// first call for that number of workers.
  func readPasses(_ workers: Workers) -> [Double] {
    let probe = fastestReads[workers.count] ?? fastestRead(workers)
    return passes(probe, workers)
  }

  private func fastestRead(_ workers: Workers) -> Probe {
    let speeds = Self.ways.map { way in passes(way, workers).max() ?? 0 }
    let best = speeds.indices.max { speeds[$0] < speeds[$1] } ?? 0
    fastestReads[workers.count] = Self.ways[best]
    return Self.ways[best]
  }

  private func passes(_ probe: Probe, _ workers: Workers) -> [Double] {
    (0..<Self.passes).map { _ in
      let pass = run(probe, workers, pieces: ProbeMemory.passBytes / ProbeMemory.pieceBytes)
      return Double(ProbeMemory.passBytes) / Double(pass.nanoseconds)
    }
  }

  /// Billions of operations per second of every pass; none where the instruction set has no such operation.
  func arithmeticPasses(_ probe: Probe, _ workers: Workers) -> [Double] {
    let warm = run(probe, workers, pieces: workers.count)
    guard warm.operations > 0 else { return [] }
    return (0..<Self.passes).map { _ in
      let pass = run(probe, workers, pieces: 64 * workers.count)
      return Double(pass.operations) / Double(pass.nanoseconds)
    }
  }

  /// What the pieces of one run share.
  @unsafe private struct Context {
    var kernels: KernelTable
    var probe: Probe
    var start: UnsafeRawPointer
    /// One cache line and more for each worker.
    var results: UnsafeMutablePointer<ProbeResult>
    static let resultStride = 16
  }

  private func run(_ probe: Probe, _ workers: Workers, pieces: Int) -> ProbeRun {
    let resultCount = unsafe workers.count * Context.resultStride
    var results = [ProbeResult](repeating: ProbeResult(), count: resultCount)
    let nanoseconds = unsafe results.withUnsafeMutableBufferPointer { results in
      guard let first = results.baseAddress else { return UInt64(0) }
      var context = unsafe Context(
        kernels: Self.ways.contains(probe) ? readKernels : kernels, probe: probe,
        start: memory.start, results: first)
      return Stopwatch.time {
        // SAFETY: a worker writes its own result; pieces lie within the memory; `run` returns when all have ended.
        _ = unsafe workers.run(pieces, context: &context) { context, piece, worker in
          let context = unsafe context.assumingMemoryBound(to: Context.self)
          var task = unsafe ProbeTask(
            probe: context.pointee.probe,
            start: context.pointee.start
              + piece % (ProbeMemory.passBytes / ProbeMemory.pieceBytes) * ProbeMemory.pieceBytes,
            byteCount: ProbeMemory.pieceBytes, iterations: 20_000,
            result: context.pointee.results + worker * Context.resultStride)
          unsafe context.pointee.kernels.probe(&task)
        }
      }
    }
    return ProbeRun(
      nanoseconds: max(nanoseconds, 1), operations: results.reduce(0) { $0 + $1.operations })
  }
}

import StreamingAttention

@testable import Benchmarking

/// Limits that come one after the other, the last one for ever.
final class ScriptedLimits: LimitSource {
  private var reads: [Double]

  init(_ reads: [Double]) { self.reads = reads }

  func sample(_ workers: Workers) -> LimitSample {
    let read = reads.count > 1 ? reads.removeFirst() : reads[0]
    return LimitSample(
      read: read, multiplyAdd: 100 * Double(workers.count), multiplyAddOfOne: 100, bfloatDot: 50)
  }
}

/// Runs of the benchmark on a small machine.
enum RunHarness {
  /// A run over 300 tokens, on a machine with a cache of 1 KiB, and its records.
  static func run(
    _ mode: String?, _ values: [String: String] = [:], argument: String? = nil,
    reads: [Double] = [30],
    flag: CancellationFlag = CancellationFlag(), stopAfter: Int = .max,
    damage: ((FilledCache) -> Void)? = nil, damageOutput: ((inout [Float]) -> Void)? = nil
  ) throws -> (records: [BenchmarkRecord], allPassed: Bool, error: BenchmarkError?) {
    var values = values
    let known = BenchmarkMode.optionNames(of: mode.flatMap(BenchmarkMode.init(rawValue:)))
    for (name, value) in [
      ("--context", "300"), ("--query-heads", "4"), ("--kv-heads", "2"), ("--head-dimension", "64"),
      ("--repeat", "3"), ("--query-length", "20"), ("--attempts", "2"),
    ] where values[name] == nil && known.contains(name) {
      values[name] = value
    }
    let options = try BenchmarkOptions(
      mode: mode, argument: argument, values: values, threads: 2, instructionSet: .detected)
    var records: [BenchmarkRecord] = []
    let run = BenchmarkRun(
      options: options,
      observer: BenchmarkObserver(
        record: { record in
          records.append(record)
          if records.count == stopAfter { flag.cancel() }
        }, progress: { _ in }),
      cancellation: flag)
    run.machine = BenchmarkMachine(
      lastLevelCacheBytes: 1_024, limits: ScriptedLimits(reads), afterFilling: damage,
      afterAttending: damageOutput)
    var failure: BenchmarkError?
    do throws(BenchmarkError) { try run.run() } catch { failure = error }
    return (records, (try? run.checkAnswers()) != nil, failure)
  }
}

import Benchmarking
import Memory
import StreamingAttention

/// The benchmark without the command around it: the same modes and options, one JSON object per line.
///
///     swift run -c release Benchmark decode --context 8K --key-type f16
@main
enum Benchmark {
  static func main() {
    do throws(BenchmarkError) {
      let run = BenchmarkRun(
        options: try options(CommandLine.arguments.dropFirst()),
        observer: BenchmarkObserver(
          record: { (record: BenchmarkRecord) throws(BenchmarkError) in print(record.json) },
          progress: { _ in }),
        cancellation: CancellationFlag())
      try run.run()
      precondition(run.allPassed, "an answer differs from the one that was planted")
    } catch {
      preconditionFailure("\(error)")
    }
  }

  /// Words that stand before the first option, and `--name value` pairs.
  private static func options(
    _ words: ArraySlice<String>
  ) throws(BenchmarkError) -> BenchmarkOptions {
    let plain = words.prefix { !$0.hasPrefix("--") }
    var values: [String: String] = [:]
    var rest = words.dropFirst(plain.count)
    while let name = rest.popFirst() { values[name] = rest.popFirst() ?? "" }
    return try BenchmarkOptions(
      mode: plain.first, argument: plain.dropFirst().first, values: values,
      threads: Topology.current.defaultWorkerCount, instructionSet: .detected)
  }
}

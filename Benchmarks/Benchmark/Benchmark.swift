import Benchmarking
import Glibc
import Memory
import StreamingAttention

/// The benchmark without the command around it: the same modes and options, one JSON object per line.
///
///     swift run -c release Benchmark decode --context 8K --key-type f16
@main
enum Benchmark {
  static func main() {
    StandardStreams.hold()
    do throws(BenchmarkError) {
      let run = BenchmarkRun(
        options: try options(CommandLine.arguments.dropFirst()),
        observer: BenchmarkObserver(
          record: { (record: BenchmarkRecord) throws(BenchmarkError) in print(record.json) },
          progress: { _ in }),
        cancellation: CancellationFlag())
      try run.run()
      try run.checkAnswers()
    } catch {
      end("\(error)", error.exitStatus)
    }
  }

  /// Words that stand before the first option, and `--name value` pairs.
  private static func options(
    _ words: ArraySlice<String>
  ) throws(BenchmarkError) -> BenchmarkOptions {
    let plain = words.prefix { !$0.hasPrefix("--") }
    var values: [String: String] = [:]
    var rest = words.dropFirst(plain.count)
    // Records go to standard output as they are.
    let known = BenchmarkOptions.all.map(\.name).filter {
      !BenchmarkOptions.outputNames.contains($0)
    }
    while let name = rest.popFirst() {
      guard known.contains(name) else {
        throw .option(
          name: "option", received: name, allowed: known.joined(separator: ", "))
      }
      values[name] = rest.popFirst() ?? ""
    }
    return try BenchmarkOptions(
      mode: plain.first, argument: plain.dropFirst().first, values: values,
      threads: Topology.current.defaultWorkerCount, instructionSet: .detected)
  }

  private static func end(_ message: String, _ status: ExitStatus) -> Never {
    let line = Array("Benchmark: \(message)\n".utf8)
    // SAFETY: `write` reads the array's bytes; where standard error is closed there is nobody to tell.
    _ = unsafe line.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
    exit(status.rawValue)
  }
}

import Benchmarking
import Glibc
import Memory
import StreamingAttention
import Stress

extension Command {
  static let stress = Command(
    name: "stress", overview: "Grow and change a cache under load, with known answers all the way.",
    arguments: [("PRESET", "What happens to the cache, one of those below.")],
    choices: ("PRESETS", StressPreset.allCases.map { ($0.rawValue, $0.help) }),
    options: StressOptions.all.map(Option.init),
    run: StressCommand.run)
}

/// `attend stress`.
enum StressCommand {
  @Sendable static func run(_ arguments: Arguments) async throws(CommandFailure) {
    let options = try wrapping { () throws(BenchmarkError) in
      try StressOptions(
        preset: arguments.positionals[0], values: arguments.values,
        threads: Topology.current.defaultWorkerCount, instructionSet: try BenchRun.instructionSet())
    }
    let output = try BenchOutput(arguments)
    let flag = Interrupt.flag
    Interrupt.begin {}
    let run = try wrapping { () throws(BenchmarkError) in
      try StressRun(options, cancellation: flag, progress: { output.progress($0) })
    }
    defer { output.finish() }
    if options.isChild {
      run.report = { line throws(BenchmarkError) in
        do throws(CommandFailure) { try Terminal.write(line) } catch {
          // Who started it is gone, so nobody is there to be told.
          _exit(ExitStatus.inputOutput.rawValue)
        }
      }
    } else {
      run.program = "/proc/self/exe"
      run.ownsProcess = true
    }
    var failure: StressError?
    do throws(StressError) { try run.run() } catch { failure = error }
    if !options.isChild {
      let summary = run.summary
      try output.write(json: summary.json, lines: StressTable.lines(for: summary))
    }
    guard let failure else { return }
    throw conclude(failure, steps: run.figures.steps, replay: run.replay)
  }

  /// How a run ends that did not get to its end; `replay` says how it is done again.
  static func conclude(_ error: StressError, steps: Int, replay: String) -> CommandFailure {
    switch error {
    case .stopped(let error): CommandFailure(error)
    case .process(_, let status):
      CommandFailure(ExitStatus(rawValue: status) ?? .software, "\(error)")
    case .failed(let reason):
      CommandFailure(.software, "a check failed at step \(steps): \(reason); \(replay)")
    }
  }

  private static func wrapping<Value>(
    _ body: () throws(BenchmarkError) -> Value
  ) throws(CommandFailure) -> Value {
    do throws(BenchmarkError) { return try body() } catch { throw CommandFailure(error) }
  }
}

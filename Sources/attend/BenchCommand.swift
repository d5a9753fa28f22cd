import Benchmarking
import Memory
import ModelFiles
import StreamingAttention

extension Command {
  static let bench = Command(
    name: "bench", overview: "Measure attention beside this machine's limits.",
    arguments: [],
    optionalArguments: [
      (
        "MODE",
        "decode, prefill, append, edits, forks, fork-join, limits, model or compare. Default: decode, then prefill "
          + "of 128 rows, at 128K and 256K."
      ),
      (
        "FILE",
        "For model: a GGUF file. For compare: another engine's figures, one JSON object per line."
      ),
    ],
    options: BenchmarkOptions.all.map(Option.init),
    run: BenchRun.run)
}

/// `attend bench`.
enum BenchRun {
  @Sendable static func run(_ arguments: Arguments) async throws(CommandFailure) {
    let words = arguments.positionals
    let options = try wrapping { () throws(BenchmarkError) in
      try BenchmarkOptions(
        mode: words.first, argument: words.dropFirst().first, values: arguments.values,
        threads: Topology.current.defaultWorkerCount,
        instructionSet: try instructionSet())
    }
    let output = try BenchOutput(
      arguments, table: BenchmarkTable(for: options), inputs: inputs(options))
    let flag = Interrupt.flag
    Interrupt.begin {}
    let run = BenchmarkRun(
      options: options,
      observer: BenchmarkObserver(
        record: { (record: BenchmarkRecord) throws(BenchmarkError) in try output.write(record) },
        progress: { output.progress($0) }),
      cancellation: flag)
    defer { output.finish() }
    try wrapping { () throws(BenchmarkError) in
      try run.run()
      try run.checkAnswers()
    }
  }

  /// The files that a run reads: figures, and every part of a model.
  private static func inputs(_ options: BenchmarkOptions) -> [String] {
    let files = [options.argument, options.model].compactMap(\.self)
    guard let model = options.mode == .model ? options.argument : options.model else {
      return files
    }
    // What is no model is said when it is loaded.
    return files + ((try? GGUFFile(path: model))?.tensors.map(\.path) ?? [])
  }

  /// What `ATTEND_ISA` asks for, or the best.
  static func instructionSet() throws(BenchmarkError) -> InstructionSet {
    do throws(AttentionError) {
      return try .selected(by: Terminal.environment("ATTEND_ISA"))
    } catch {
      throw .attention(error)
    }
  }

  private static func wrapping<Value>(
    _ body: () throws(BenchmarkError) -> Value
  ) throws(CommandFailure) -> Value {
    do throws(BenchmarkError) { return try body() } catch { throw CommandFailure(error) }
  }
}

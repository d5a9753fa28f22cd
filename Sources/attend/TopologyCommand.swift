import Memory
import StreamingAttention

extension Command {
  static let topology = Command(
    name: "topology", overview: "Show nodes, CPUs and limits, and what would be used of them.",
    arguments: [], options: [Option("--json", "Print one JSON object.")],
    run: TopologyRun.run)
}

/// `attend topology`.
enum TopologyRun {
  @Sendable static func run(_ arguments: Arguments) async throws(CommandFailure) {
    let report = TopologyReport(
      .current, instructionSet: try ModelOptions.instructionSet().rawValue)
    try Terminal.write(arguments.has("--json") ? report.json : report.text)
  }
}

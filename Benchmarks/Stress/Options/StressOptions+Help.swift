package import Benchmarking
import StreamingAttention

extension StressOptions {
  /// All of them, in the order of the help.
  package static let all: [DriverOption] =
    [
      DriverOption(
        name: "--steps", value: "N",
        help: "Operations after which the run ends. Default: the preset's own number."),
      DriverOption(
        name: "--minutes", value: "M",
        help: "Minutes after which the run ends, in place of --steps."),
      DriverOption(
        name: "--seed", value: "N",
        help: "Seed of everything that is random, 0 to 2^64 - 1. Default: 1."),
      DriverOption(
        name: "--sequences", value: "N",
        help: "The most sequences at once. Default: the preset's own number."),
      DriverOption(
        name: "--context", value: "N",
        help:
          "Tokens of the longest sequence; K is 1024. Default: the preset's own; growth without it goes "
          + "on until memory ends."),
      DriverOption(
        name: "--memory-limit", value: "BYTES",
        help: "Page memory that the cache may commit, such as 512M or 8G. Default: 90 % of what is "
          + "available."),
      DriverOption(
        name: "--shape", value: "MODEL",
        help: "Heads, widths and layers of a model: "
          + AttentionShape.named.map(\.name).joined(separator: ", ")
          + ". Default: two layers with llama-3-8b's heads."),
      DriverOption(name: "--layers", value: "N", help: "Layers, in place of the shape's."),
    ] + DriverOption.heads + [
      DriverOption(
        name: "--key-type", value: "T", help: "How keys are stored: \(typeNames). Default: f16."),
      DriverOption(
        name: "--value-type", value: "T", help: "How values are stored. Default: as keys."),
    ] + DriverOption.fullPrecision(defaultFirst: 0) + [
      DriverOption(
        name: "--position", value: "P", help: "none, rope, alibi or rope+alibi. Default: rope."),
      DriverOption(
        name: "--policy", value: "P",
        help:
          "For evict, what streams keep: \(policyNames). Default: sinks, that is four tokens and "
          + "a window."),
      DriverOption(
        name: "--threads", value: "N", help: "Threads that compute. Default: one for each CPU."),
      DriverOption(
        name: "--kills", value: "N",
        help: "Processes that snapshot kills while they save, 0 or more. Default: 20."),
      DriverOption(
        name: "--folder", value: "FOLDER",
        help:
          "Where snapshot and soak make a folder for their files, which goes with the run. "
          + "Default: TMPDIR or /tmp."),
      DriverOption(
        name: "--child",
        help: "Save into --folder until killed: what snapshot starts, to kill it."),
      DriverOption(
        name: "--json", help: "Print one JSON object in place of the tables."),
      DriverOption(
        name: "--save", value: "FILE",
        help: "Write the object to a file too, after a line about the machine; tools/plot draws it."
      ),
      .note,
    ]

  private static var policyNames: String {
    StressPolicy.allCases.map(\.rawValue).joined(separator: ", ")
  }

  private static var typeNames: String { ElementType.allCases.map(\.name).joined(separator: ", ") }
}

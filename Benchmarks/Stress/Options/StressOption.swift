import Benchmarking
import StreamingAttention

/// One option of `attend stress`.
package struct StressOption: Sendable {
  /// With its dashes.
  package var name: String
  /// What stands for the value in the help; nil for a flag.
  package var value: String?
  package var help: String

  /// All of them, in the order of the help.
  package static let all = [
    StressOption(
      name: "--steps", value: "N",
      help: "Operations after which the run ends. Default: the preset's own number."),
    StressOption(
      name: "--minutes", value: "M", help: "Minutes after which the run ends, in place of --steps."),
    StressOption(
      name: "--seed", value: "N",
      help: "Seed of everything that is random, 0 to 2^64 - 1. Default: 1."),
    StressOption(
      name: "--sequences", value: "N",
      help: "The most sequences at once. Default: the preset's own number."),
    StressOption(
      name: "--context", value: "N",
      help:
        "Tokens of the longest sequence; K is 1024. Default: the preset's own; growth without it goes "
        + "on until memory ends."),
    StressOption(
      name: "--memory-limit", value: "BYTES",
      help: "Page memory that the cache may commit, such as 512M or 8G. Default: 90 % of what is "
        + "available."),
    StressOption(
      name: "--shape", value: "MODEL",
      help: "Heads, widths and layers of a model: "
        + AttentionShape.named.map(\.name).joined(separator: ", ")
        + ". Default: two layers with llama-3-8b's heads."),
    StressOption(name: "--layers", value: "N", help: "Layers, in place of the shape's."),
    StressOption(name: "--kv-heads", value: "N", help: "KV heads, in place of the shape's."),
    StressOption(name: "--query-heads", value: "N", help: "Query heads, in place of the shape's."),
    StressOption(
      name: "--head-dimension", value: "N", help: "Channels of a head, in place of the shape's."),
    StressOption(
      name: "--key-type", value: "T", help: "How keys are stored: \(typeNames). Default: f16."),
    StressOption(
      name: "--value-type", value: "T", help: "How values are stored. Default: as keys."),
    StressOption(
      name: "--position", value: "P", help: "none, rope, alibi or rope+alibi. Default: rope."),
    StressOption(
      name: "--threads", value: "N", help: "Threads that compute. Default: one for each CPU."),
    StressOption(
      name: "--json", value: nil, help: "Print one JSON object in place of the tables."),
    StressOption(
      name: "--save", value: "FILE",
      help: "Write the object to a file too, after a line about the machine; tools/plot draws it."),
    StressOption(
      name: "--note", value: "TEXT", help: "Kept in the file's first line, such as a commit."),
  ]

  private static var typeNames: String { ElementType.allCases.map(\.name).joined(separator: ", ") }
}

/// One option of `attend bench` or `attend stress`, as their help shows it.
package struct DriverOption: Sendable {
  /// With its dashes.
  package var name: String
  /// What stands for the value in the help; nil for a flag.
  package var value: String?
  package var help: String

  package init(name: String, value: String? = nil, help: String) {
    self.name = name
    self.value = value
    self.help = help
  }

  /// Heads and widths in place of a shape's.
  package static let heads = [
    DriverOption(name: "--query-heads", value: "N", help: "Query heads, in place of the shape's."),
    DriverOption(name: "--kv-heads", value: "N", help: "KV heads, in place of the shape's."),
    DriverOption(
      name: "--head-dimension", value: "N", help: "Channels of a head, in place of the shape's."),
  ]

  /// What quantised caches keep in 16 bits, `first` tokens at the beginning unless told otherwise.
  package static func fullPrecision(defaultFirst first: Int) -> [DriverOption] {
    [
      DriverOption(
        name: "--full-precision-first", value: "N",
        help:
          "With int8 or int4: the first N tokens of a sequence stay in 16 bits, in whole pages of 64. "
          + "Default: \(first)."),
      DriverOption(
        name: "--full-precision-last", value: "N",
        help: "With int8 or int4: so do the last N tokens; the two newest pages always do. "
          + "Default: 0."),
    ]
  }

  package static let note = DriverOption(
    name: "--note", value: "TEXT", help: "Kept in the file's first line, such as a commit.")
}

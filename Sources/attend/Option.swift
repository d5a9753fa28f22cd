import Benchmarking

/// One option of a command.
struct Option: Sendable {
  /// With its dashes: `--max-tokens`.
  var name: String
  /// What stands for the value in the help; nil for a flag.
  var value: String?
  var help: String

  /// An option of the benchmark or the stress driver.
  init(_ option: DriverOption) {
    name = option.name
    value = option.value
    help = option.help
  }

  /// An option with a value.
  init(_ name: String, _ value: String, _ help: String) {
    self.name = name
    self.value = value
    self.help = help
  }

  /// A flag.
  init(_ name: String, _ help: String) {
    self.name = name
    self.help = help
  }

  /// `--max-tokens N`.
  var usage: String { value.map { "\(name) \($0)" } ?? name }
}

/// A command line taken apart: positional arguments and the values of options.
struct Arguments: Sendable {
  private(set) var positionals: [String] = []
  /// By option name; empty for a flag.
  private(set) var values: [String: String] = [:]

  /// Takes `words` apart by a command's options; `--name value`, `--name=value`, `--` ends the options.
  init(_ words: [String], for command: Command) throws(CommandFailure) {
    var index = 0
    var optionsEnded = false
    while index < words.count {
      let word = words[index]
      index += 1
      if optionsEnded || word == "-" || !word.hasPrefix("-") {
        positionals.append(word)
        continue
      }
      if word == "--" {
        optionsEnded = true
        continue
      }
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts[0])
      guard let option = command.options.first(where: { $0.name == name }) else {
        throw .usage("unknown option \(name)")
      }
      guard values[name] == nil else { throw .usage("\(name) is given twice") }
      if option.value == nil {
        guard parts.count == 1 else { throw .usage("\(name) takes no value") }
        values[name] = ""
      } else if parts.count == 2 {
        values[name] = String(parts[1])
      } else {
        guard index < words.count else { throw .usage("\(option.usage): the value is missing") }
        values[name] = words[index]
        index += 1
      }
    }
    let wanted = command.arguments.count
    guard positionals.count >= wanted else {
      throw .usage("\(command.arguments.map(\.name).joined(separator: " ")) is missing")
    }
    let most = wanted + command.optionalArguments.count
    guard positionals.count <= most else {
      throw .usage("unexpected argument '\(positionals[most])'")
    }
  }

  /// Whether a flag or option was given.
  func has(_ name: String) -> Bool { values[name] != nil }

  /// The text of an option, if given.
  func text(_ name: String) -> String? { values[name] }

  /// A whole number within a range.
  func integer(_ name: String, in allowed: ClosedRange<Int>) throws(CommandFailure) -> Int? {
    guard let text = values[name] else { return nil }
    guard let value = Int(text), allowed.contains(value) else {
      let bound = allowed.upperBound == .max ? "or more" : "to \(allowed.upperBound)"
      throw .usage("\(name) is '\(text)'; allowed: a whole number, \(allowed.lowerBound) \(bound)")
    }
    return value
  }

  /// A seed: any whole number of 64 bits without sign.
  func seed(_ name: String) throws(CommandFailure) -> UInt64? {
    guard let text = values[name] else { return nil }
    guard let value = UInt64(text) else {
      throw .usage("\(name) is '\(text)'; allowed: a whole number, 0 to \(UInt64.max)")
    }
    return value
  }

  /// A finite number that `isAllowed` accepts.
  func number(_ name: String, _ allowed: String, where isAllowed: (Double) -> Bool)
    throws(CommandFailure) -> Double?
  {
    guard let text = values[name] else { return nil }
    guard let value = Double(text), value.isFinite, isAllowed(value) else {
      throw .usage("\(name) is '\(text)'; allowed: \(allowed)")
    }
    return value
  }

  /// One of some words.
  func choice<Value>(_ name: String, among choices: [(String, Value)]) throws(CommandFailure)
    -> Value?
  {
    guard let text = values[name] else { return nil }
    guard let choice = choices.first(where: { $0.0 == text }) else {
      throw .usage(
        "\(name) is '\(text)'; allowed: \(choices.map(\.0).joined(separator: ", "))")
    }
    return choice.1
  }
}

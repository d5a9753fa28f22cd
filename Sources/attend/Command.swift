/// A subcommand: what it takes and what it does.
struct Command: Sendable {
  var name: String
  /// One line.
  var overview: String
  /// `MODEL`, with what it means.
  var arguments: [(name: String, help: String)]
  /// Arguments that may be left out, in order.
  var optionalArguments: [(name: String, help: String)] = []
  /// More of what an argument may be, under a title of its own.
  var choices: (title: String, rows: [(name: String, help: String)])?
  var options: [Option]
  var run: @Sendable (Arguments) async throws(CommandFailure) -> Void

  static let all: [Command] = [
    .generate, .chat, .logits, .bench, .stress, .topology,
  ]

  /// The help text: overview, usage, arguments, options.
  var help: String {
    let positional =
      arguments.map { " \($0.name)" }.joined() + optionalArguments.map { " [\($0.name)" }.joined()
      + String(repeating: "]", count: optionalArguments.count)
    var lines = ["OVERVIEW: \(overview)", "", "USAGE: attend \(name)\(positional) [options]"]
    let named = arguments + optionalArguments
    if !named.isEmpty {
      lines += ["", "ARGUMENTS:"]
      lines += Self.table(named.map { ($0.name, $0.help) })
    }
    if let choices {
      lines += ["", "\(choices.title):"]
      lines += Self.table(choices.rows.map { ($0.name, $0.help) })
    }
    lines += ["", "OPTIONS:"]
    lines += Self.table(
      (options + [Option("--help", "Show this text.")]).map { ($0.usage, $0.help) })
    return lines.joined(separator: "\n")
  }

  /// The help of `attend` itself.
  static var overallHelp: String {
    var lines = [
      "OVERVIEW: Stream tokens from language models with long-context attention on CPUs.", "",
      "USAGE: attend <subcommand> [options]", "", "SUBCOMMANDS:",
    ]
    lines += table(all.map { ($0.name, $0.overview) })
    lines += ["", "OPTIONS:"]
    lines += table([
      ("--version", "Show the version."), ("--help", "Show this text."),
    ])
    lines += [
      "", "'attend <subcommand> --help' shows the options of a subcommand.",
      "ATTEND_ISA=baseline|avx2|avx512|avx512bf16 asks for a lower instruction set than the CPU's.",
    ]
    return lines.joined(separator: "\n")
  }

  /// Two columns, the second one wrapped at 80 characters.
  private static func table(_ rows: [(String, String)]) -> [String] {
    let indent = 26
    var lines: [String] = []
    for (left, right) in rows {
      var line = "  \(left)"
      if line.count >= indent {
        lines.append(line)
        line = ""
      }
      line += String(repeating: " ", count: indent - line.count)
      for word in right.split(separator: " ") {
        if line.count + word.count > 80, line.count > indent {
          lines.append(trimmed(line))
          line = String(repeating: " ", count: indent)
        }
        line += "\(word) "
      }
      lines.append(trimmed(line))
    }
    return lines
  }

  private static func trimmed(_ line: String) -> String {
    line.hasSuffix(" ") ? String(line.dropLast()) : line
  }
}

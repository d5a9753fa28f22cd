import Dispatch
import Glibc
import Memory

/// The command line: parse, run, print, exit status.
@main
enum Attend {
  static let version = "0.1.0"

  static func main() async {
    StandardStreams.hold()
    guard ProcessMemory.fitsAddressSpace() else {
      Terminal.end(
        .outOfResources,
        saying:
          "attend: too little address space to begin with; raise the limit of the process (ulimit -v)\n"
      )
    }
    // A reader that closes the pipe is reported by write, not by a signal.
    signal(SIGPIPE, SIG_IGN)
    LostPages.report()
    let interrupts = Interrupt.listen()
    defer { interrupts.forEach { $0.cancel() } }
    let words = Array(CommandLine.arguments.dropFirst())
    do throws(CommandFailure) {
      try await run(words)
    } catch {
      Terminal.note("attend: \(Terminal.printable(error.message))")
      if error.status == .usage {
        let known = words.first.flatMap { name in Command.all.first { $0.name == name } }
        let subject = known.map { "attend \($0.name)" } ?? "attend"
        Terminal.note("see '\(subject) --help'")
      }
      let status = error.status == .interrupted ? Interrupt.status : error.status
      exit(status.rawValue)
    }
  }

  private static func run(_ words: [String]) async throws(CommandFailure) {
    guard let first = words.first else { throw .usage("a subcommand is missing") }
    switch first {
    case "--help", "-h", "help":
      try Terminal.write(Command.overallHelp + "\n")
      return
    case "--version":
      try Terminal.write("attend \(version)\n")
      return
    default:
      break
    }
    guard let command = Command.all.first(where: { $0.name == first }) else {
      throw .usage(
        "unknown subcommand '\(first)'; there are "
          + Command.all.map(\.name).joined(separator: ", "))
    }
    let rest = Array(words.dropFirst())
    if rest.prefix(while: { $0 != "--" }).contains(where: { $0 == "--help" || $0 == "-h" }) {
      try Terminal.write(command.help + "\n")
      return
    }
    try await command.run(try Arguments(rest, for: command))
  }
}

import Benchmarking
import Glibc
import Memory

/// Where the records of `attend bench` and `attend stress` go: standard output, as a table or as JSON, and a file if asked.
final class BenchOutput {
  private let isJSON: Bool
  private var table: BenchmarkTable
  private var file: Int32 = -1
  private let path: String
  private var hasProgress = false

  /// Opens the file, if one is asked for.
  ///
  /// - Parameters:
  ///   - arguments: The command line.
  ///   - table: What people see of records.
  ///   - inputs: Files that the run has yet to read, and that must not be replaced.
  /// - Throws: A failure that ends the command, with 64 for a file that the run reads and 74 for one that cannot be written.
  init(
    _ arguments: Arguments, table: BenchmarkTable = BenchmarkTable(), inputs: [String] = []
  ) throws(CommandFailure) {
    self.table = table
    isJSON = arguments.has("--json")
    path = arguments.text("--save") ?? ""
    guard arguments.has("--save") else { return }
    if let input = inputs.first(where: { InputFile.isSame(path, $0) }) {
      throw .usage("--save \(path) would replace \(input), which this run reads")
    }
    file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard file >= 0 else {
      throw CommandFailure(.inputOutput, "\(path): cannot be written: \(systemMessage(errno))")
    }
    let words = CommandLine.arguments.dropFirst().joined(separator: " ")
    let machine = MachineRecord(
      command: "attend \(words)", note: arguments.text("--note"), version: Attend.version)
    try Terminal.write(machine.json + "\n", to: file)
  }

  deinit { if file >= 0 { close(file) } }

  /// Writes a finished record.
  func write(_ record: BenchmarkRecord) throws(BenchmarkError) {
    do throws(CommandFailure) {
      // Names of engines and types may come from a file.
      try write(
        json: record.json, lines: isJSON ? [] : table.lines(for: record).map(Terminal.printable))
    } catch {
      throw .output(error.message)
    }
  }

  /// Writes a finished object, which for people is some lines.
  func write(json: String, lines: [String]) throws(CommandFailure) {
    finish()
    if file >= 0 { try Terminal.write(json + "\n", to: file) }
    try Terminal.write((isJSON ? [json] : lines).joined(separator: "\n") + "\n")
  }

  /// Shows what is being done, where standard error is a terminal.
  func progress(_ text: String) {
    guard Terminal.showsProgress else { return }
    hasProgress = true
    // A line that wraps could not be cleared.
    let line = Terminal.columns.map { String(text.prefix($0 - 1)) } ?? text
    Terminal.noteUnended("\r\u{1B}[K\(line)")
  }

  /// Clears the line of progress.
  func finish() {
    if hasProgress { Terminal.noteUnended("\r\u{1B}[K") }
    hasProgress = false
  }
}

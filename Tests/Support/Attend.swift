import Foundation

/// The built command `attend`, run as a stranger runs it.
package enum Attend {
  /// Beside the test binary, in the same build folder and so of the same configuration.
  package static let path: String = {
    let tests = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return URL(fileURLWithPath: tests ?? "").deletingLastPathComponent().path + "/attend"
  }()

  /// Starts it and hands out the running process.
  package static func start(
    _ arguments: [String], environment: [String: String?] = [:],
    timeLimit: Duration = .seconds(120),
    group: ChildProcess.Group = .shared
  ) throws -> ChildProcess {
    try ChildProcess(
      path: path, arguments: arguments, environment: environment, timeLimit: timeLimit, group: group
    )
  }

  /// Runs it to its end with `input` as the whole of standard input.
  package static func run(
    _ arguments: [String], input: String = "", environment: [String: String?] = [:],
    timeLimit: Duration = .seconds(120)
  ) throws -> Outcome {
    let process = try start(arguments, environment: environment, timeLimit: timeLimit)
    process.write(input)
    process.closeInput()
    return process.wait()
  }
}

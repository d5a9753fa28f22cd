import Glibc
import TestSupport
import Testing

@Suite("Child processes are driven and observed")
struct ChildProcessTests {
  private func shell(_ script: String, timeLimit: Duration = .seconds(30)) throws -> ChildProcess {
    try ChildProcess(
      path: "/bin/sh", arguments: ["-c", script], environment: ["GREETING": "hello", "HOME": nil],
      timeLimit: timeLimit)
  }

  @Test("both outputs, the environment and the exit status come back")
  func streams() throws {
    let process = try shell("read line; echo \"$GREETING $line${HOME-.}\"; echo oops >&2; exit 65")
    #expect(process.write("world\n"))
    let outcome = process.wait()
    #expect(outcome.text == "hello world.\n")
    #expect(outcome.errorLines == ["oops"])
    #expect(outcome.exitStatus == 65)
    #expect(outcome.signal == nil)
  }

  @Test("more output than a pipe holds is collected whole")
  func longOutput() throws {
    let outcome = try shell("head -c 1000000 /dev/zero").wait()
    #expect(outcome.output.count == 1_000_000)
  }

  @Test("a signal arrives while the child runs")
  func signals() throws {
    let process = try shell(
      "trap 'echo caught; exit 130' INT; echo ready; while :; do sleep 0.01; done")
    #expect(process.waitForOutput { $0.contains(UInt8(ascii: "\n")) })
    process.send(SIGINT)
    let outcome = process.wait()
    #expect(outcome.text == "ready\ncaught\n")
    #expect(outcome.exitStatus == 130)
  }

  @Test("waiting for output ends with the output")
  func outputThatNeverComes() throws {
    let process = try shell("echo a")
    #expect(!process.waitForOutput { $0.count > 2 })
    #expect(process.wait().text == "a\n")
  }

  @Test("a child that hangs is killed, and the outcome says so")
  func timeLimit() throws {
    let outcome = try shell("exec sleep 30", timeLimit: .milliseconds(200)).wait()
    #expect(outcome.timedOut)
    #expect(outcome.signal == SIGKILL)
  }

  @Test("peak memory is the child's own, and not its parent's")
  func peakMemory() throws {
    // Touched, so that this process is larger than the child.
    let ballast = [UInt8](repeating: 1, count: 300 << 20)
    let outcome = try shell("dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null; sleep 0.1")
      .wait()
    #expect(ballast[1 << 20] == 1)
    // The shell itself; dd is its child, and counts for itself.
    #expect(outcome.peakResidentBytes > 0)
    #expect(outcome.peakResidentBytes < 16 << 20)
  }

  @Test("a program that is not there is an error")
  func missing() {
    #expect(throws: ChildProcess.LaunchError.cannotStart(path: "/nowhere", errno: ENOENT)) {
      try ChildProcess(path: "/nowhere", arguments: [])
    }
  }

  @Test("children that start at the same time do not hold each other's pipes")
  func manyAtOnce() async throws {
    try await withThrowingTaskGroup(of: Outcome.self) { group in
      for number in 0..<16 {
        group.addTask { try shell("echo \(number)").wait() }
      }
      var lines: Set<String> = []
      for try await outcome in group { lines.insert(outcome.text) }
      #expect(lines == Set((0..<16).map { "\($0)\n" }))
    }
  }
}

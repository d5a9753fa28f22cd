import Foundation
import TestSupport
import Testing

@Suite("--session")
struct SessionFileTests {
  let folder: TemporaryFolder
  var path: String { folder.path + "/talk" }

  init() throws { folder = try TemporaryFolder() }

  private func generate(_ options: [String]) throws -> Outcome {
    try Attend.run(["generate", try Models.smolLM2()] + options)
  }

  @Test("generate goes on in another process as one long answer would")
  func generate() throws {
    let prompt = ["--prompt", "The planets of the solar system are"]
    let whole = try generate(prompt + ["--max-tokens", "24"])
    let first = try generate(prompt + ["--max-tokens", "10", "--session", path])
    #expect(first.exitStatus == 0 && first.errorLines.count == 1, "\(first.errorText)")
    let second = try generate(["--max-tokens", "14", "--session", path])
    #expect(second.exitStatus == 0, "\(second.errorText)")
    #expect(first.text.dropLast() + second.text == whole.text)
    // The last token of the first answer is all that was left to read.
    #expect(second.errorLines.count == 2 && second.errorText.contains(" MiB restored in "))
    #expect(second.errorLines.last?.hasPrefix("1 prompt tokens") == true)
    let third = try generate(["--prompt", " And", "--max-tokens", "2", "--session", path])
    #expect(third.exitStatus == 0 && third.errorText.contains("\n2 prompt tokens"))
    #expect(try folder.names().count == 2)
  }

  @Test("a quantised cache goes on too, and not as one of another kind")
  func quantized() throws {
    // Some hundred tokens: all but the newest pages are in codes.
    let planets = Array(repeating: "The planets of the solar system are", count: 40)
    let prompt = ["--prompt", planets.joined(separator: " and ")]
    let types = ["--key-type", "int8", "--value-type", "int4"]
    let whole = try generate(prompt + types + ["--max-tokens", "20"])
    let first = try generate(prompt + types + ["--max-tokens", "8", "--session", path])
    #expect(first.exitStatus == 0, "\(first.errorText)")
    for (options, reason) in [
      ([], "key type is int8, the cache's is f16"),
      (["--key-type", "int8", "--value-type", "int8"], "value type is int4"),
      (types + ["--full-precision-first", "0"], "first tokens in full precision is 4"),
      (types + ["--full-precision-last", "9"], "last tokens in full precision is 0"),
    ] {
      let other = try generate(options + ["--max-tokens", "1", "--session", path])
      #expect(other.exitStatus == 65 && other.errorText.contains(reason), "\(other.errorText)")
    }
    let second = try generate(types + ["--max-tokens", "12", "--session", path])
    #expect(second.exitStatus == 0, "\(second.errorText)")
    #expect(first.text.dropLast() + second.text == whole.text)
  }

  @Test("chat goes on in another process as one conversation would")
  func chat() throws {
    let model = try Models.smolLM2()
    let lines = ["What is the capital of France?", "And of Italy?"]
    let options = ["chat", model, "--max-tokens", "40"]
    let whole = try Attend.run(options, input: lines.joined(separator: "\n") + "\n")
    try #require(whole.exitStatus == 0)
    let turns = try lines.map {
      try Attend.run(options + ["--session", path], input: $0 + "\n")
    }
    #expect(turns.allSatisfy { $0.exitStatus == 0 })
    #expect(turns[0].text + turns[1].text == whole.text)
    let system = try Attend.run(
      options + ["--session", path, "--system", "Be brief."], input: "Why?\n")
    #expect(system.exitStatus == 64 && system.output.isEmpty)
  }

  @Test("an interrupt leaves the last complete session")
  func interrupt() throws {
    _ = try generate(["--prompt", "One, two,", "--max-tokens", "4", "--session", path])
    let before = try Data(contentsOf: URL(fileURLWithPath: path))
    let process = try Attend.start([
      "generate", try Models.smolLM2(), "--max-tokens", "4000", "--session", path,
    ])
    #expect(process.waitForOutput { $0.count > 20 })
    process.send(SIGINT)
    #expect(process.wait().exitStatus == 130)
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
    #expect(try generate(["--max-tokens", "2", "--session", path]).exitStatus == 0)
  }

  @Test(
    "an interrupt does not wait for another process that has locked the session's folder",
    arguments: ["generate", "chat"], [SIGINT, SIGTERM])
  func locked(command: String, signal: Int32) throws {
    let process = try Attend.start(
      [command, try Models.smolLM2(), "--max-tokens", "300", "--session", path]
        + (command == "generate" ? ["--prompt", "Count: 1, 2, 3, 4,"] : []))
    process.write("Write a long story about a parrot.\n")
    #expect(process.waitForOutput { $0.count > 4 })
    let lock = unsafe open(folder.path, O_RDONLY | O_CLOEXEC)
    defer { close(lock) }
    #expect(flock(lock, LOCK_EX) == 0)
    // The figures are written just before the session is saved.
    let deadline = ContinuousClock.now + .seconds(60)
    while !String(decoding: process.errorOutputSoFar, as: UTF8.self).contains("answer tokens"),
      ContinuousClock.now < deadline
    { usleep(10_000) }
    Thread.sleep(forTimeInterval: 0.5)
    let sent = ContinuousClock.now
    process.send(signal)
    let outcome = process.wait()
    #expect(ContinuousClock.now - sent < .seconds(1))
    #expect(outcome.exitStatus == (signal == SIGTERM ? 143 : 130))
    let word = signal == SIGTERM ? "terminated" : "interrupted"
    #expect(outcome.errorLines.last == "attend: \(word)", "\(outcome.errorText)")
    #expect(outcome.text.hasSuffix("\n") && outcome.errorLines.count == 2)
    #expect(try folder.names().isEmpty)
  }

  @Test("an empty file is a session that has yet to begin", arguments: ["generate", "chat"])
  func empty(command: String) throws {
    try folder.write("", to: "talk")
    let options = [command, try Models.smolLM2(), "--max-tokens", "2", "--session", path]
    let prompt = command == "generate" ? ["--prompt", "One, two,"] : []
    let first = try Attend.run(options + prompt, input: "Hi\n")
    #expect(first.exitStatus == 0 && first.errorLines.count == 1, "\(first.errorText)")
    let second = try Attend.run(options + prompt, input: "Hi\n")
    #expect(second.exitStatus == 0, "\(second.errorText)")
    #expect(second.errorText.contains(" MiB restored in "))
  }

  @Test(
    "a turn that another process has saved meanwhile is not replaced", arguments: [false, true])
  func concurrent(hasBegun: Bool) throws {
    let prompt = ["--prompt", "Count: 1, 2, 3, 4,", "--session", path]
    if hasBegun { _ = try generate(prompt + ["--max-tokens", "4"]) }
    let process = try Attend.start(
      ["generate", try Models.smolLM2(), "--max-tokens", "400"] + prompt)
    #expect(process.waitForOutput { $0.count > 4 })
    process.send(SIGSTOP)
    let other = try generate(prompt + ["--max-tokens", "2"])
    #expect(other.exitStatus == 0, "\(other.errorText)")
    let saved = try Data(contentsOf: URL(fileURLWithPath: path))
    process.send(SIGCONT)
    let outcome = process.wait()
    #expect(outcome.exitStatus == 74)
    #expect(outcome.text.hasSuffix("\n") && outcome.errorText.contains(" answer tokens, "))
    #expect(
      outcome.errorLines.last?.hasPrefix("attend: \(path): another process has saved") == true,
      "\(outcome.errorText)")
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == saved)
    #expect(try generate(["--max-tokens", "2", "--session", path]).exitStatus == 0)
  }

  @Test(
    "a place that cannot be written ends the command before an answer",
    arguments: ["generate", "chat"])
  func unwritable(command: String) throws {
    let place = "/proc/talk"
    let process = try Attend.start(
      [command, try Models.smolLM2(), "--session", place]
        + (command == "generate" ? ["--prompt", "One, two,"] : []))
    // Before chat is told anything, too.
    let outcome = process.wait()
    #expect(outcome.exitStatus == 74 && outcome.output.isEmpty)
    #expect(
      outcome.errorLines == ["attend: \(place): cannot be written: No such file or directory"])
  }

  @Test("chat sees before an answer that another process has gone on")
  func chatAndOther() throws {
    let process = try Attend.start([
      "chat", try Models.smolLM2(), "--max-tokens", "4", "--session", path,
    ])
    process.write("Hi\n")
    let deadline = ContinuousClock.now + .seconds(60)
    while try !folder.names().contains("talk"), ContinuousClock.now < deadline { usleep(10_000) }
    #expect(try generate(["--max-tokens", "1", "--session", path]).exitStatus == 0)
    let saved = try Data(contentsOf: URL(fileURLWithPath: path))
    let answer = process.outputSoFar
    process.write("Go on.\n")
    let outcome = process.wait()
    #expect(outcome.exitStatus == 74 && outcome.output == answer, "\(outcome.errorText)")
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == saved)
  }

  @Test("with dynamic scaling, another maximum context is refused by its name")
  func otherContext() throws {
    func run(_ context: String) throws -> Outcome {
      try generate([
        "--rope-scaling", "dynamic", "--rope-factor", "4", "--maximum-context", context,
        "--prompt", "One, two,", "--max-tokens", "2", "--session", path,
      ])
    }
    #expect(try run("16384").exitStatus == 0)
    let other = try run("20000")
    #expect(other.exitStatus == 65 && other.output.isEmpty)
    #expect(
      other.errorText.contains("with a maximum context of 16384, not 20000")
        && other.errorText.contains("(--maximum-context, --rope-scaling)"), "\(other.errorText)")
    #expect(try run("16384").exitStatus == 0)
  }

  @Test("goes on with more threads than files may be open")
  func descriptors() throws {
    let options = ["--max-tokens", "1", "--session", path]
    _ = try generate(["--prompt", "One"] + options)
    let command = [Attend.path, "generate", try Models.smolLM2(), "--threads", "200"] + options
    let process = try ChildProcess(
      path: "/bin/bash", arguments: ["-c", "ulimit -n 64; exec \"$0\" \"$@\""] + command)
    process.closeInput()
    let outcome = process.wait()
    #expect(outcome.exitStatus == 0, "\(outcome.errorText)")
  }

  @Test("what cannot be used or written says so, by its status too")
  func failures() throws {
    let text = try folder.write("not a session", to: "text")
    let prompt = ["--prompt", "One", "--max-tokens", "1", "--session"]
    let other = try generate(prompt + [text])
    #expect(other.exitStatus == 65 && other.errorText.contains("is no snapshot"))
    #expect(try String(contentsOfFile: text, encoding: .utf8) == "not a session")
    let nowhere = try generate(prompt + [folder.path + "/no/where"])
    #expect(nowhere.exitStatus == 66 && nowhere.output.isEmpty)
    #expect(try generate(["--session", path]).exitStatus == 64)
    #expect(try generate(prompt + [""]).exitStatus == 64)
    // A disk that is full after 64 KiB.
    let command = [Attend.path, "generate", try Models.smolLM2()] + prompt + [path]
    let full = try ChildProcess(
      path: "/bin/bash",
      arguments: ["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""] + command)
    full.closeInput()
    let outcome = full.wait()
    #expect(outcome.exitStatus == 74 && outcome.errorText.contains("cannot be written"))
    #expect(try folder.names() == ["text"])
    // Cut short.
    _ = try generate(prompt + [path])
    let handle = try #require(FileHandle(forWritingAtPath: path))
    try handle.truncate(atOffset: 100)
    let damaged = try generate(prompt + [path])
    #expect(damaged.exitStatus == 65 && damaged.errorText.contains("damaged"))
    let chat = try Attend.run(["chat", try Models.smolLM2(), "--session", text], input: "Hi\n")
    #expect(chat.exitStatus == 65)
  }
}

import Foundation
import TestSupport
import Testing

@Suite("attend stress")
struct StressTests {
  private static let small = [
    "--layers", "1", "--query-heads", "4", "--kv-heads", "2", "--head-dimension", "64",
  ]

  private func object(_ outcome: Outcome) throws -> [String: Any] {
    try #require(outcome.exitStatus == 0, "\(outcome.errorText)")
    #expect(outcome.text.split(separator: "\n").count == 1)
    return try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.text.utf8)) as? [String: Any])
  }

  @Test("help names every preset and option")
  func help() throws {
    let outcome = try Attend.run(["stress", "--help"])
    #expect(outcome.exitStatus == 0)
    for word in [
      "growth", "mixed", "fork-storm", "shift-storm", "evict", "ragged", "faults", "snapshot",
      "soak", "--kills", "--folder", "--child", "--steps",
      "--minutes", "--seed", "--sequences", "--context",
      "--memory-limit", "--shape", "--layers", "--kv-heads", "--query-heads", "--head-dimension",
      "--key-type", "--value-type", "--full-precision-first", "--position", "--threads", "--json",
      "--save", "--note",
    ] {
      #expect(outcome.text.contains(word), "\(word)")
    }
  }

  @Test(
    "wrong command lines are 64 and say what is allowed",
    arguments: [
      ([], "PRESET"), (["sprint"], "growth"), (["growth", "--context", "1"], "4096"),
      (["growth", "--memory-limit", "much"], "8G"), (["growth", "--key-type", "f8"], "bf16"),
      (["ragged", "--steps", "1", "--minutes", "1"], "--minutes"), (["growth", "9"], "unexpected"),
      (["growth", "--kills", "3"], "snapshot"), (["snapshot", "--child"], "--folder"),
      (["growth", "--position", "spiral"], "rope"), (["growth", "--seed", "one"], "0 to"),
    ])
  func usage(words: [String], hint: String) throws {
    try UsageTests.expectRefusal(of: ["stress"] + words, saying: hint)
  }

  @Test("growth reports latency and memory of every context, and a file that can be drawn")
  func growth() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/growth.jsonl"
    let outcome = try Attend.run(
      ["stress", "growth", "--context", "8K", "--json", "--save", path, "--note", "abc"]
        + Self.small)
    let object = try object(outcome)
    #expect(object["checksFailed"] as? Int == 0 && object["tokensAppended"] as? Int == 8192)
    for name in ["appendMicroseconds", "decodeMilliseconds"] {
      let contexts = try #require(object[name] as? [String: [String: Double]])
      #expect(Set(contexts.keys) == ["1024", "2048", "4096", "8192"])
      #expect(contexts.values.allSatisfy { ($0["p50"] ?? 0) > 0 && ($0["p99"] ?? 0) > 0 })
    }
    #expect(object["committedBytesAfterDrop"] as? Int == 0)
    #expect((object["peakResidentBytes"] as? Int ?? 0) > 4 << 20)
    let saved = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    #expect(saved.count == 2 && saved[0].contains("abc"))
    #expect(saved[1] + "\n" == outcome.text)
  }

  @Test("ragged prints a table, and nothing else where there is no terminal")
  func ragged() throws {
    let outcome = try Attend.run(
      ["stress", "ragged", "--steps", "100", "--context", "500"] + Self.small)
    #expect(outcome.exitStatus == 0 && outcome.errorOutput.isEmpty)
    for word in ["ragged", "seed 1", "100 steps", "decode p50", "all right", "0.0 MiB committed"] {
      #expect(outcome.text.contains(word), "\(word) in \(outcome.text)")
    }
  }

  @Test("snapshot kills twenty processes while they save, and leaves nothing behind")
  func snapshot() throws {
    let folder = try TemporaryFolder()
    let outcome = try Attend.run(
      ["stress", "snapshot", "--steps", "100", "--context", "600", "--json"] + Self.small,
      environment: ["TMPDIR": folder.path])
    let object = try object(outcome)
    #expect(object["checksFailed"] as? Int == 0 && object["kills"] as? Int == 20)
    #expect((object["snapshots"] as? Int ?? 0) > 5 && (object["restorations"] as? Int ?? 0) > 2)
    let speed = try #require(object["snapshotSpeed"] as? [String: Double])
    #expect(speed.count == 8 && speed.values.allSatisfy { $0 > 0 })
    #expect(try folder.names().isEmpty)
  }

  @Test("a folder that cannot be written ends the run with 74", arguments: ["snapshot", "soak"])
  func unwritable(preset: String) throws {
    let outcome = try Attend.run(
      ["stress", preset, "--steps", "50", "--context", "300", "--folder", "/proc/nowhere"]
        + Self.small)
    #expect(outcome.exitStatus == 74, "\(outcome.errorText)")
  }

  @Test("what stands in the folder of snapshot is left alone, and nothing is added")
  func foreignFiles() throws {
    let folder = try TemporaryFolder()
    let names = ["cache", "children", "disk", "speed"]
    for name in names { try folder.write("a letter", to: name) }
    let words = ["stress", "snapshot", "--steps", "20", "--kills", "3", "--context", "300"]
    let outcome = try Attend.run(words + ["--folder", folder.path] + Self.small)
    #expect(outcome.exitStatus == 0, "\(outcome.errorText)")
    #expect(try folder.names() == names)
    for name in names {
      let text = try String(contentsOfFile: "\(folder.path)/\(name)", encoding: .utf8)
      #expect(text == "a letter")
    }
    // What is to be killed works in the folder itself.
    let child = try Attend.run(
      ["stress", "snapshot", "--child", "--steps", "4", "--folder", folder.path] + Self.small)
    #expect(child.exitStatus == 64 && child.errorText.contains("children"), "\(child.errorText)")
    #expect(try folder.names() == names)
  }

  @Test("an interrupt does not wait for a folder that another process has locked")
  func locked() throws {
    let folder = try TemporaryFolder()
    let process = try Attend.start(
      [
        "stress", "snapshot", "--minutes", "10", "--kills", "0", "--context", "300", "--folder",
        folder.path,
      ] + Self.small)
    let deadline = ContinuousClock.now + .seconds(60)
    while try folder.names().isEmpty, ContinuousClock.now < deadline { usleep(10_000) }
    let own = try #require(try folder.names().first)
    let lock = unsafe open("\(folder.path)/\(own)", O_RDONLY | O_CLOEXEC)
    defer { close(lock) }
    #expect(flock(lock, LOCK_EX) == 0)
    Thread.sleep(forTimeInterval: 1)
    let sent = ContinuousClock.now
    process.send(SIGINT)
    let outcome = process.wait()
    #expect(ContinuousClock.now - sent < .seconds(1))
    #expect(outcome.exitStatus == 130 && outcome.errorLines == ["attend: interrupted"])
    #expect(try folder.names().isEmpty)
  }

  @Test(
    "the process gives back what it has taken",
    arguments: ["growth", "fork-storm", "mixed", "soak", "snapshot", "ragged"])
  func resident(preset: String) throws {
    let ends = ["growth": ["--context", "64K"], "soak": ["--steps", "6000"]]
    let end = ends[preset] ?? ["--steps", "3000"]
    let outcome = try Attend.run(["stress", preset, "--json"] + end + Self.small)
    let object = try object(outcome)
    let start = try #require(object["residentBytesAtStart"] as? Int)
    let after = try #require(object["residentBytesAfterDrop"] as? Int)
    let samples = try #require(object["sampleBytes"] as? Int)
    #expect(after - start - samples <= 16 << 20)
    #expect(
      try #require(object["residentBytes"] as? Int) <= object["peakResidentBytes"] as? Int ?? 0)
  }

  @Test(
    "the process gives back what many sequences or wide heads have taken",
    arguments: [
      ["--sequences", "64"], small + ["--sequences", "300"],
      ["--layers", "1", "--head-dimension", "1024"],
    ])
  func residentOfLargeSteps(words: [String]) throws {
    let object = try object(
      try Attend.run(["stress", "growth", "--context", "1K", "--json"] + words))
    let start = try #require(object["residentBytesAtStart"] as? Int)
    let after = try #require(object["residentBytesAfterDrop"] as? Int)
    // The cache's tables are small here, so that they need not be left out.
    #expect(after - start <= 16 << 20, "\(words)")
  }

  @Test("an interrupt ends with what was done so far and 130")
  func interrupt() throws {
    let process = try Attend.start(["stress", "ragged", "--minutes", "10", "--json"] + Self.small)
    Thread.sleep(forTimeInterval: 1.5)
    process.send(SIGINT)
    let outcome = process.wait()
    #expect(outcome.exitStatus == 130, "\(outcome.errorText)")
    #expect(outcome.errorLines == ["attend: interrupted"])
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.text.utf8)) as? [String: Any])
    #expect((object["steps"] as? Int ?? 0) > 0 && object["checksFailed"] as? Int == 0)
  }

  @Test(
    "a signal lets the run remove its folder", arguments: ["snapshot", "soak"], [SIGINT, SIGTERM])
  func signals(preset: String, signal: Int32) throws {
    let folder = try TemporaryFolder()
    let process = try Attend.start(
      ["stress", preset, "--minutes", "10", "--context", "600"] + Self.small,
      environment: ["TMPDIR": folder.path])
    let deadline = ContinuousClock.now + .seconds(60)
    while try folder.names().isEmpty, ContinuousClock.now < deadline { usleep(10_000) }
    #expect(try folder.names().count == 1)
    process.send(signal)
    let outcome = process.wait()
    #expect(outcome.exitStatus == (signal == SIGTERM ? 143 : 130), "\(outcome.errorText)")
    #expect(try folder.names().isEmpty)
  }

  /// Processes whose command line names a folder.
  private func processes(of folder: TemporaryFolder) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { Int($0) != nil }.filter {
      let words = FileManager.default.contents(atPath: "/proc/\($0)/cmdline") ?? Data()
      return String(decoding: words, as: UTF8.self).contains(folder.path)
    }
  }

  @Test("an interrupt from the terminal reaches the whole group, and is no failed check")
  func groupInterrupt() throws {
    for pause in [0.6, 0.9, 1.2, 1.3] {
      let folder = try TemporaryFolder()
      let process = try Attend.start(
        [
          "stress", "snapshot", "--steps", "1", "--kills", "100000", "--context", "300", "--json",
        ] + Self.small, environment: ["TMPDIR": folder.path], group: .own)
      Thread.sleep(forTimeInterval: pause)
      process.sendToGroup(SIGINT)
      let outcome = process.wait()
      #expect(outcome.exitStatus == 130, "\(outcome.errorText)")
      #expect(outcome.errorLines == ["attend: interrupted"])
      let object = try #require(
        try JSONSerialization.jsonObject(with: Data(outcome.text.utf8)) as? [String: Any])
      #expect(object["checksFailed"] as? Int == 0)
      #expect(try folder.names().isEmpty && processes(of: folder).isEmpty)
    }
  }

  @Test("processes that are to be killed end where the one that started them is gone")
  func orphans() throws {
    let folder = try TemporaryFolder()
    let process = try Attend.start(
      ["stress", "snapshot", "--steps", "1", "--kills", "100000", "--context", "300"] + Self.small,
      environment: ["TMPDIR": folder.path])
    Thread.sleep(forTimeInterval: 1)
    process.send(SIGKILL)
    let outcome = process.wait()
    #expect(outcome.signal == SIGKILL && outcome.errorOutput.isEmpty, "\(outcome.errorText)")
    for _ in 0..<500 where try !processes(of: folder).isEmpty { usleep(10_000) }
    #expect(try processes(of: folder).isEmpty)
  }

  @Test("memory that ends in a process that is to be killed ends neither it nor the run")
  func memoryOfChildren() throws {
    let outcome = try Attend.run(
      [
        "stress", "snapshot", "--steps", "5", "--kills", "60", "--sequences", "64", "--context",
        "1K", "--memory-limit", "4M", "--json",
      ] + Self.small)
    let object = try object(outcome)
    #expect(object["kills"] as? Int == 60 && object["checksFailed"] as? Int == 0)
  }

  @Test("memory that ends growth is an end like another; where nothing fits it is 71")
  func memory() throws {
    let grown = try object(
      try Attend.run(
        ["stress", "growth", "--memory-limit", "16M", "--json"] + Self.small))
    #expect(grown["refusals"] as? Int == 1 && grown["checksFailed"] as? Int == 0)
    #expect((grown["context"] as? Int ?? 0) > 8192)
    #expect((grown["peakCommittedBytes"] as? Int ?? .max) <= 16 << 20)
    let refused = try Attend.run(["stress", "growth", "--memory-limit", "1K"] + Self.small)
    #expect(refused.exitStatus == 71)
    #expect(refused.errorText.contains("1024"), "\(refused.errorText)")
  }
}

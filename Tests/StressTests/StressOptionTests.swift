import Benchmarking
import Foundation
import StreamingAttention
import Testing

@testable import Stress

@Suite("Options and summaries of attend stress")
struct StressOptionTests {
  private func options(
    _ preset: String, _ values: [String: String] = [:]
  ) throws(BenchmarkError) -> StressOptions {
    try StressOptions(preset: preset, values: values, threads: 3, instructionSet: .detected)
  }

  @Test("presets have defaults of their own; shapes bring their layers")
  func defaults() throws {
    let growth = try options("growth")
    #expect(growth.context == nil && growth.sequences == 1 && growth.steps == nil)
    #expect(growth.layers == 2 && growth.threads == 3 && growth.types.name == "f16")
    let ragged = try options("ragged", ["--shape": "smollm2-135m", "--key-type": "f32"])
    #expect(ragged.layers == 30 && ragged.shape.kvHeads == 3 && ragged.types.name == "f32")
    #expect(try options("ragged", ["--minutes": "2"]).steps == nil)
    #expect(try options("growth", ["--shape": "llama-3-8b", "--layers": "4"]).layers == 4)
  }

  @Test(
    "sizes are bytes or have a unit",
    arguments: [
      ("1", 1), ("10k", 10 << 10), ("512M", 512 << 20), ("8G", 8 << 30), ("2T", 2 << 40),
      ("0", nil),
      ("-1G", nil), ("G", nil), ("", nil), ("9999999999G", nil), ("1.5G", nil),
    ] as [(String, Int?)])
  func sizes(text: String, bytes: Int?) {
    #expect(ValueReader.byteCount(text) == bytes)
  }

  @Test(
    "what is not allowed is refused by name",
    arguments: [
      ("sprint", [:], "PRESET"), ("growth", ["--context": "8"], "--context"),
      ("growth", ["--memory-limit": "0"], "--memory-limit"),
      ("growth", ["--steps": "1", "--minutes": "1"], "--steps"),
      ("ragged", ["--minutes": "0"], "--minutes"), ("ragged", ["--steps": "0"], "--steps"),
      ("ragged", ["--key-type": "f8"], "--key-type"),
      ("ragged", ["--query-heads": "3", "--kv-heads": "2"], "--query-heads"),
      ("ragged", ["--sequences": "0"], "--sequences"), ("ragged", ["--seed": "-1"], "--seed"),
      ("ragged", ["--position": "rope,none"], "--position"),
      ("ragged", ["--full-precision-first": "4"], "--full-precision-first"),
      (
        "ragged", ["--key-type": "int8", "--full-precision-last": "-4"], "--full-precision-last"
      ),
      ("evict", ["--policy": "oldest"], "--policy"), ("mixed", ["--policy": "recent"], "--policy"),
    ] as [(String, [String: String], String)])
  func refused(preset: String, values: [String: String], name: String) {
    let error = #expect(throws: BenchmarkError.self) { try options(preset, values) }
    guard case .option(name, _, _)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test("contexts are counted by the power of two that they reach")
  func buckets() {
    let pairs = [(0, 1), (1, 1), (2, 2), (3, 4), (1024, 1024), (1025, 2048), (262_143, 262_144)]
    for (context, bucket) in pairs { #expect(StressFigures.bucket(context) == bucket) }
  }

  @Test("of very many times an even choice is kept, and the longest")
  func samples() {
    var samples = TimeSamples()
    for time in 0..<300_000 { samples.add(UInt64(time)) }
    #expect(samples.count == 300_000 && samples.maximumNanoseconds == 299_999)
    // 65,536 of them: the median is off by four deviations, 0.5 ÷ √65,536 of the range each.
    #expect(abs(samples.quantiles.medianMilliseconds - 0.15) < 4 * 0.3 * 0.5 / 256)
  }

  @Test("a summary is one JSON object with the figures by context, and a table")
  func summary() throws {
    var figures = StressFigures()
    for (append, commits) in [(5_000, false), (7_000, false), (90_000, true)] {
      var step = StepFigures()
      (step.append, step.hasCommitted, step.context) = (UInt64(append), commits, 3_000)
      (step.attend, step.bytesRead, step.checks) = (2_000_000, 40_000_000, 8)
      figures.add(step)
      figures.addAppend(step)
      figures.addDecode(step)
    }
    figures.look(formula: 1 << 20, committed: 2 << 20, resident: 3 << 20, context: 3_000)
    figures.add("drop", 3_000)
    let summary = StressSummary(
      options: try options("ragged"), figures: figures, failure: "a \"reason\"",
      memoryLimit: 1 << 30)
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(summary.json.utf8)) as? [String: Any])
    let append = try #require(object["appendMicroseconds"] as? [String: [String: Double]])
    #expect(append["4096"]?["p50"] == 6 && append["4096"]?["p99"] == 7)
    #expect(append["4096"]?["p99WithCommits"] == 90 && append["4096"]?["commits"] == 1)
    let decode = try #require(object["decodeMilliseconds"] as? [String: [String: Double]])
    #expect(decode["4096"]?["p99"] == 2 && decode["4096"]?["gigabytesPerSecond"] == 20)
    for name in [
      "steps", "tokensAppended", "forks", "shifts", "evictions", "merges", "snapshots",
      "faultsInjected", "checksPassed", "checksFailed", "residentBytes", "formulaBytes",
    ] {
      #expect(object[name] is Int, "\(name)")
    }
    #expect(object["checksPassed"] as? Int == 24 && object["failure"] as? String == "a \"reason\"")
    let table = StressTable.lines(for: summary).joined(separator: "\n")
    for word in ["≤ 4K", "90.0", "20.00", "1.0 MiB", "24 checks", "drop"] {
      #expect(table.contains(word), "\(word)")
    }
  }
}

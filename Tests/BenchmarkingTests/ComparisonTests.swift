import Testing

@testable import Benchmarking

@Suite("Comparison with other engines")
struct ComparisonTests {
  private let job = ComparedJob(
    operation: "decode", context: 131_072, queryLength: 1, threads: 2,
    shape: AttentionShape(queryHeads: 32, kvHeads: 8, headDimension: 128))

  private let line = """
    {"engine": "vLLM", "version": "0.32", "variant": "paged", "operation": "decode", \
    "context": 131072, "queryLength": 1, "queryHeads": 32, "kvHeads": 8, "headDimension": 128, \
    "keyType": "bf16", "valueType": "bf16", "threads": 2, "medianMilliseconds": 40.5, \
    "minimumMilliseconds": 39, "relativeError": 0.00171, "foreign": [1, {"a": null}], "ok": true}
    """

  @Test("a line of figures is read; ours, machines and empty lines are passed over")
  func reading() throws {
    let text = """
      {"operation": "machine", "command": "x"}

      \(line)
      {"engine": "streaming-attention", "operation": "decode"}
      """
    let figures = try PeerFigure.read(text, path: "f")
    #expect(
      figures == [
        PeerFigure(
          engine: "vLLM (paged)", version: "0.32", job: job, keyType: "bf16", valueType: "bf16",
          medianMilliseconds: 40.5, minimumMilliseconds: 39, relativeError: 0.00171)
      ])
  }

  @Test("figures of a model have a depth and no shape")
  func model() throws {
    let figures = try PeerFigure.read(
      """
      {"engine":"x","operation":"prefill","context":8704,"queryLength":512,"keyType":"q8_0","valueType":"q8_0",\
      "threads":2,"medianMilliseconds":1700,"model":"m.gguf","depth":8192}
      """, path: "f")
    #expect(figures[0].job.depth == 8_192 && figures[0].job.shape == nil)
    #expect(figures[0].job.model == "m.gguf")
    let record = Comparison.records(ours: [], peers: figures)[0]
    #expect(record.timesOurs == nil && record.model == "m.gguf")
    #expect(abs((record.tokensPerSecond ?? 0) - 512 / 1.7) < 1e-9)
  }

  @Test(
    "what is missing or wrong is named with its line",
    arguments: [
      ("{", "JSON"), ("[1]", "JSON"), ("{\"a\":1} x", "JSON"),
      ("{\"engine\":\"x\"}", "operation"),
      ("{\"engine\":\"x\",\"operation\":\"train\"}", "operation"),
      ("{\"engine\":\"x\",\"operation\":\"decode\"}", "medianMilliseconds"),
      (
        "{\"engine\":\"x\",\"operation\":\"decode\",\"medianMilliseconds\":1,\"context\":1.5}",
        "context"
      ),
      (
        "{\"engine\":\"x\",\"operation\":\"decode\",\"medianMilliseconds\":-1}",
        "medianMilliseconds"
      ),
      (figure("decode", rows: 5), "queryLength"), (figure("prefill", rows: 4_097), "queryLength"),
      (figure("prefill", rows: 4_096, heads: (7, 2)), "queryHeads"),
      (figure("decode", rows: 1, heads: (67_108_864, 2)), "queryHeads"),
      (figure("decode", rows: 1, heads: (8, 2_048)), "kvHeads"),
      (figure("decode", rows: 1, dimension: 1), "headDimension"),
      (figure("decode", rows: 1, threads: 5_000), "threads"),
      (figure("prefill", rows: 1 << 21), "queryLength"),
    ])
  func refused(text: String, name: String) {
    let error = #expect(throws: BenchmarkError.self) {
      try PeerFigure.read(line + "\n" + text, path: "f")
    }
    guard case .data("f", 2, let reason) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(reason.contains(name))
  }

  private static func figure(
    _ operation: String, rows: Int, heads: (query: Int, keyValue: Int) = (8, 2),
    dimension: Int = 64, threads: Int = 2
  ) -> String {
    """
    {"engine": "x", "operation": "\(operation)", "context": 4096, "queryLength": \(rows), \
    "queryHeads": \(heads.query), "kvHeads": \(heads.keyValue), "headDimension": \(dimension), \
    "keyType": "f16", "valueType": "f16", "threads": \(threads), "medianMilliseconds": 1}
    """
  }

  @Test("a file without another engine's figures is refused")
  func nothing() {
    #expect(throws: BenchmarkError.self) { try PeerFigure.read("\n", path: "f") }
  }

  @Test(
    "numbers that may be missing are refused where they are wrong",
    arguments: [
      ("minimumMilliseconds", "-3"), ("minimumMilliseconds", "0"), ("minimumMilliseconds", "\"1\""),
      ("relativeError", "-1"), ("relativeError", "true"), ("relativeError", "[]"),
    ])
  func optionalNumbers(name: String, value: String) throws {
    let plain = Self.figure("decode", rows: 1)
    func with(_ value: String) -> String { plain.dropLast() + ", \"\(name)\": \(value)}" }
    let error = #expect(throws: BenchmarkError.self) {
      try PeerFigure.read(plain + "\n" + with(value), path: "f")
    }
    guard case .data("f", 2, let reason) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(reason.contains(name))
    let without = try PeerFigure.read(with("null"), path: "f")
    #expect(without == (try PeerFigure.read(plain, path: "f")))
  }

  private func ours(
    _ type: String, _ median: Double, steady: Bool = true, passed: Bool = true
  ) -> BenchmarkRecord {
    var record = BenchmarkRecord(operation: "decode")
    record.keyType = type
    record.valueType = type
    record.medianMilliseconds = median
    record.isSteady = steady
    record.selfCheck = CheckedAnswer(passed: passed, maximumError: 0, rowCount: 1)
    return record
  }

  private func peer(_ engine: String, _ median: Double) -> PeerFigure {
    PeerFigure(
      engine: engine, job: job, keyType: "f16", valueType: "f16", medianMilliseconds: median,
      minimumMilliseconds: median - 1)
  }

  @Test("times are divided by our fastest that counts; the fastest peer comes first")
  func ratios() {
    let records = Comparison.records(
      ours: [ours("f16", 20), ours("bf16", 16), ours("f32", 10, steady: false)],
      peers: [peer("slow", 80), peer("fast", 40)])
    #expect(
      records.map(\.engine) == [PeerFigure.ours, PeerFigure.ours, PeerFigure.ours, "fast", "slow"])
    #expect(records.map(\.timesOurs) == [1.25, 1, 0.625, 2.5, 5])
  }

  @Test("if none of ours counts, unsteady or wrong, there is no ratio, and the table says why")
  func noneCounts() {
    for uncounted in [ours("f16", 20, steady: false), ours("f16", 20, passed: false)] {
      let records = Comparison.records(ours: [uncounted], peers: [peer("x", 40)])
      #expect(records.map(\.timesOurs) == [nil, nil])
      var table = BenchmarkTable()
      for record in records {
        #expect(!record.json.contains("timesOurs"))
        #expect(table.lines(for: record).last?.contains("no record of ours counts") == true)
      }
    }
  }

  @Test("a wrong record is no measure of others, however fast")
  func wrongIsFastest() {
    let records = Comparison.records(
      ours: [ours("f16", 5, passed: false), ours("bf16", 16)], peers: [peer("x", 40)])
    #expect(records.map(\.timesOurs) == [0.3125, 1, 2.5])
  }

  @Test("rounds of one engine become their median")
  func rounds() {
    let merged = Comparison.merged([
      peer("a", 50), peer("b", 9), peer("a", 40), peer("a", 70), peer("b", 11),
    ])
    #expect(merged.map(\.engine) == ["a", "b"])
    #expect(merged.map(\.medianMilliseconds) == [50, 10])
    #expect(merged.map(\.minimumMilliseconds) == [39, 8])
  }

  @Test("other versions and other models are other figures")
  func kept() {
    var (newer, other) = (peer("a", 60), peer("a", 70))
    newer.version = "2"
    (other.job.model, other.job.depth) = ("b.gguf", 0)
    let merged = Comparison.merged([peer("a", 50), newer, other])
    #expect(merged.map(\.medianMilliseconds) == [50, 60, 70])
  }

  @Test("strings of JSON are unescaped")
  func escapes() throws {
    let object = try #require(
      JSONLine(#"{"a":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é", "b": -1.5e2, "c": null}"#))
    #expect(object.text("a") == "\"\\/\u{8}\u{c}\n\r\té😀é")
    #expect(object.number("b") == -150)
    #expect(object.integer("b") == -150)
    #expect(object.number("c") == nil)
  }

  @Test(
    "what is not JSON is refused",
    arguments: [
      "", "{", "{}}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{\"a\":nan}", "{\"a\":0x1}",
      "{\"a\":+1}", "{\"a\":\"\n\"}", "{\"a\":\"\\x\"}", "{\"a\":\"\\u12\"}", "{\"a\":[1,]}",
      String(repeating: "{\"a\":", count: 100_000),
    ])
  func malformed(text: String) {
    #expect(JSONLine(text) == nil)
  }
}

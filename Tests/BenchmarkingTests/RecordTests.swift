import Foundation
import StreamingAttention
import Testing

@testable import Benchmarking

@Suite("Records")
struct RecordTests {
  private let limits = MeasuredLimits(
    before: LimitSample(read: 29, multiplyAdd: 300, multiplyAddOfOne: 150, bfloatDot: 160),
    after: LimitSample(read: 31, multiplyAdd: 320, multiplyAddOfOne: 160, bfloatDot: 160))

  private func members(_ json: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
  }

  private func result(
    milliseconds: Int, read: Int, skipped: Int = 0, mass: Float = 0
  ) -> VariantResult {
    var result = VariantResult()
    for time in [milliseconds + 1, milliseconds, milliseconds + 2] {
      result.samples.add(UInt64(time) * 1_000_000)
    }
    result.report = AttentionReport(
      keyValueBytesRead: read, keyValueBytesSkipped: skipped, skippedMassBound: mass)
    return result
  }

  private let work = AttentionWork(
    shape: AttentionShape(queryHeads: 32, kvHeads: 8, headDimension: 128),
    types: StoredTypes(key: .float16, value: .float16), context: ContextMix(131_072), rows: 1)

  @Test("a decode record has every field of its operation, by name")
  func decodeFields() throws {
    var record = AttentionRecord.make(
      "decode", work: work, result: result(milliseconds: 19, read: work.bytes), limits: limits,
      layers: 5, cacheBytes: 1 << 28)
    record.position = "rope"
    record.threads = 2
    record.instructionSet = "avx512"
    record.isSteady = true
    record.attempts = 1
    record.selfCheck = CheckedAnswer(passed: true, maximumError: 1e-6, rowCount: 64)
    let fields = try members(record.json)
    #expect(
      Set(fields.keys) == [
        "operation", "context", "queryLength", "queryHeads", "kvHeads", "headDimension", "keyType",
        "valueType", "position", "layers", "threads", "instructionSet", "repetitions",
        "minimumMilliseconds", "medianMilliseconds", "p95Milliseconds", "keyValueBytesRead",
        "keyValueBytesSkipped", "skippedMassBound", "gigabytesPerSecond",
        "readLimitGigabytesPerSecond", "fractionOfReadLimit", "bindingLimit",
        "fractionOfBindingLimit", "threadScaling", "selfCheck", "inCache", "steady", "attempts",
      ])
    #expect(fields["medianMilliseconds"] as? Double == 20)
    #expect(fields["minimumMilliseconds"] as? Double == 19)
    #expect(fields["p95Milliseconds"] as? Double == 21)
    #expect(fields["keyValueBytesRead"] as? Int == 536_870_912)
    #expect(fields["readLimitGigabytesPerSecond"] as? Double == 30)
    // 0.5 GiB in 20 ms at a limit of 30 GB/s.
    let fraction = try #require(fields["fractionOfReadLimit"] as? Double)
    #expect(abs(fraction - 0.536_870_912 / 0.020 / 30) < 1e-12)
    #expect(fields["bindingLimit"] as? String == "read")
    #expect(fields["fractionOfBindingLimit"] as? Double == fraction)
    #expect(fields["threadScaling"] as? Double == 2)
    let check = try #require(fields["selfCheck"] as? [String: Any])
    #expect(check["passed"] as? Bool == true)
    #expect(check["maximumError"] as? Double == 1e-6)
    #expect(check["rows"] as? Int == 64)
  }

  @Test("what fits in the caches has no fraction of memory's limit")
  func inCache() throws {
    let record = AttentionRecord.make(
      "decode", work: work, result: result(milliseconds: 19, read: work.bytes), limits: limits,
      layers: 2, cacheBytes: 1 << 28)
    let fields = try members(record.json)
    #expect(fields["inCache"] as? Bool == true)
    #expect(fields["fractionOfReadLimit"] == nil && fields["fractionOfBindingLimit"] == nil)
    #expect(fields["bindingLimit"] == nil)
  }

  @Test("the binding limit is whatever takes longer")
  func binding() throws {
    // Eight rows of queries: eight times the operations on the same bytes.
    let wide = AttentionWork(
      shape: AttentionShape(queryHeads: 256, kvHeads: 8, headDimension: 128), types: work.types,
      context: work.context, rows: 1)
    let record = AttentionRecord.make(
      "decode", work: wide, result: result(milliseconds: 99, read: wide.bytes), limits: limits,
      layers: 9, cacheBytes: 1)
    #expect(record.bindingLimit == .arithmetic)
    let arithmetic = wide.operations / 310 / 1e9
    #expect(abs((record.fractionOfBindingLimit ?? 0) - arithmetic / 0.100) < 1e-12)
    #expect((record.fractionOfReadLimit ?? 1) < (record.fractionOfBindingLimit ?? 0))
  }

  @Test("a horizon's record counts the bytes that were read")
  func horizon() {
    let record = AttentionRecord.make(
      "decode", work: work,
      result: result(
        milliseconds: 1, read: work.bytes / 64, skipped: work.bytes / 64 * 63, mass: 1e-8),
      limits: limits, layers: 5, cacheBytes: 1 << 20)
    #expect(record.keyValueBytesSkipped == work.bytes / 64 * 63)
    #expect(record.skippedMassBound == Double(Float(1e-8)))
    #expect(record.gigabytesPerSecond == Double(work.bytes / 64) / 2e6)
  }

  @Test("a prefill record speaks of operations")
  func prefillFields() throws {
    var rows = work
    rows.rows = 128
    let record = AttentionRecord.make(
      "prefill", work: rows, result: result(milliseconds: 999, read: rows.bytes), limits: limits,
      layers: 2, cacheBytes: 1)
    let fields = try members(record.json)
    #expect(fields["peakGigaflopsPerSecond"] as? Double == 310)
    let speed = try #require(fields["gigaflopsPerSecond"] as? Double)
    #expect(abs(speed - rows.operations / 1e9) < 1e-9 * speed)
    #expect(fields["fractionOfReadLimit"] == nil && fields["inCache"] == nil)
  }

  @Test("numbers that JSON lacks are null, and texts are escaped")
  func escaping() throws {
    var record = BenchmarkRecord(operation: "decode")
    record.medianMilliseconds = .nan
    record.engine = "a \"b\"\n"
    let fields = try members(record.json)
    #expect(fields["medianMilliseconds"] is NSNull)
    #expect(fields["engine"] as? String == "a \"b\"\n")
  }

  @Test("the first line of saved results names the machine, the command and the note")
  func machine() throws {
    let fields = try members(
      MachineRecord(command: "attend bench", note: "abc", version: "1", instructionSet: .baseline)
        .json)
    #expect(fields["operation"] as? String == "machine")
    #expect(fields["command"] as? String == "attend bench")
    #expect(fields["note"] as? String == "abc")
    #expect(fields["instructionSet"] as? String == "baseline")
    #expect((fields["memoryBytes"] as? Int ?? 0) > 0)
  }

  @Test("a heading comes first and where the kind of record changes")
  func table() {
    var table = BenchmarkTable()
    var decode = AttentionRecord.make(
      "decode", work: work, result: result(milliseconds: 19, read: work.bytes), limits: limits,
      layers: 5, cacheBytes: 1)
    decode.threads = 2
    decode.instructionSet = "avx512"
    decode.selfCheck = CheckedAnswer(passed: false, maximumError: 1, rowCount: 1)
    let first = table.lines(for: decode)
    #expect(first.count == 2)
    #expect(first[1].contains("WRONG"))
    #expect(table.lines(for: decode).count == 1)
    var fork = BenchmarkRecord(operation: "fork-join")
    fork.threads = 2
    fork.others = [BenchmarkRecord.Field("unsharedSteps", 0)]
    let next = table.lines(for: fork)
    #expect(next.count == 3 && next[0].isEmpty)
  }

  @Test("a record with a horizon notes how much it may have skipped")
  func skippedMass() {
    var record = BenchmarkRecord(operation: "decode")
    record.skippedMassBound = 9.4e-8
    record.alibiEpsilon = 1e-7
    var table = BenchmarkTable()
    #expect(table.lines(for: record).last?.contains("skipped ≤ 9.4e-8") == true)
    record.alibiEpsilon = 0
    #expect(table.lines(for: record).last?.contains("skipped") == false)
  }

  @Test(
    "numbers for people",
    arguments: [
      (0.000_04, "0.0000"), (0.1234, "0.1234"), (1.005, "1.00"), (123.45, "123.5"),
      (4567.8, "4568"),
      (-1.5, "-1.50"), (.nan, "–"),
    ])
  func decimals(value: Double, text: String) {
    #expect(DecimalText.short(value) == text)
  }

  @Test("small errors in powers of ten", arguments: [(3.04e-7, "3.0e-7"), (0, "0"), (12, "1.2e1")])
  func powers(value: Double, text: String) {
    #expect(DecimalText.scientific(value) == text)
  }
}

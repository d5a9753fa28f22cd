import StreamingAttention
import Testing

@testable import Benchmarking

@Suite("The table for people")
struct TableTests {
  private func options(
    _ mode: String?, _ values: [String: String] = [:], argument: String? = nil
  ) throws -> BenchmarkOptions {
    try BenchmarkOptions(
      mode: mode, argument: argument, values: values, threads: 2, instructionSet: .detected)
  }

  /// The rows below each heading, all of whose columns but the first and the last end where their titles end.
  private func expectAligned(_ lines: [String], headings: Int) {
    var ends: [Int] = []
    var found = 0
    for line in lines where !line.isEmpty {
      let cells = Array(line)
      if line.hasPrefix("operation") {
        found += 1
        ends = Self.ends(ofTitles: line)
        continue
      }
      for end in ends {
        #expect(
          cells.count >= end && cells[end - 1] != " " && (cells.count == end || cells[end] == " "),
          "no cell ends at \(end): \(line)")
      }
    }
    #expect(found == headings)
  }

  private static func ends(ofTitles heading: String) -> [Int] {
    var joined = heading
    // Titles of two words.
    for title in ["median ms", "p95 ms", "p99 ms", "of limit", "of binding", "of peak", "of none"] {
      joined = joined.split(separator: title, omittingEmptySubsequences: false)
        .joined(separator: String(title.map { $0 == " " ? "_" : $0 }))
    }
    let characters = Array(joined)
    let ends = characters.indices.filter {
      characters[$0] != " " && ($0 + 1 == characters.count || characters[$0 + 1] == " ")
    }
    return ends.dropFirst().dropLast().map { $0 + 1 }
  }

  private func lines(
    _ records: [BenchmarkRecord], _ table: BenchmarkTable = BenchmarkTable()
  ) -> [String] {
    var table = table
    return records.flatMap { table.lines(for: $0) }
  }

  /// As a run over some contexts hands them out.
  private func records(_ options: BenchmarkOptions) -> [BenchmarkRecord] {
    options.contexts.flatMap { context in
      options.types.flatMap { types in
        options.positions.flatMap { position in
          (position.isBiased ? [Float(0), 1e-7] : [0]).map { epsilon in
            var record = AttentionRecord.make(
              "decode",
              work: AttentionWork(shape: options.shape, types: types, context: context, rows: 1),
              result: VariantResult(),
              limits: MeasuredLimits(
                before: LimitSample(read: 30, multiplyAdd: 300, multiplyAddOfOne: 150),
                after: LimitSample(read: 30, multiplyAdd: 300, multiplyAddOfOne: 150)),
              layers: 2, cacheBytes: 1)
            record.position = position.rawValue
            record.alibiEpsilon = position.isBiased ? epsilon : nil
            record.threads = 2
            record.instructionSet = "avx512bf16"
            return record
          }
        }
      }
    }
  }

  @Test(
    "columns are as wide as what the options name, below one heading",
    arguments: ["128K", "31*1K+128K", "3*1+5*100+4096", "1K,4096*1000+32*4K,64M"])
  func contexts(text: String) throws {
    let options = try options(
      "decode",
      [
        "--context": text, "--key-type": "f16,int8", "--value-type": "f16,int4",
        "--position": "none,rope,rope+alibi",
      ])
    expectAligned(lines(records(options), BenchmarkTable(for: options)), headings: 1)
  }

  @Test("a text that nobody announced brings a new heading, and no shifted column")
  func unannounced() throws {
    let options = try options("decode", ["--context": "1K,31*1K+128K,2K", "--position": "none"])
    expectAligned(lines(records(options)), headings: 2)
  }

  @Test("edits stand below one heading, whatever fork has besides")
  func edits() throws {
    let values = [
      "--context": "1K", "--key-type": "f16,int8", "--value-type": "f16,int4", "--repeat": "2",
    ]
    let records = try RunHarness.run("edits", values).records
    #expect(records.count == 10)
    expectAligned(
      lines(records, BenchmarkTable(for: try options("edits", values))), headings: 1)
  }

  @Test("forks, limits and a model's decode and prefill stand below one heading each")
  func others() throws {
    let values = ["--context": "64K", "--forks": "64", "--key-type": "f16"]
    let forks = try options("forks", values)
    var work = records(forks)
    for index in work.indices { work[index].contexts = "64*65536" }
    expectAligned(lines(work, BenchmarkTable(for: forks)), headings: 1)

    let limits = MachineLimit.allCases.map { limit in
      var record = BenchmarkRecord(operation: "limits")
      record.others = [BenchmarkRecord.Field("limit", limit.rawValue)]
      return record
    }
    expectAligned(lines(limits, BenchmarkTable(for: try options("limits"))), headings: 1)

    let name = "a-model-whose-name-is-longer-than-most-names.Q4_1.gguf"
    let model = ["decode", "prefill", "decode", "prefill"].map { operation in
      var record = BenchmarkRecord(operation: operation)
      record.model = name
      record.depth = 8_192
      record.medianMilliseconds = 1
      record.tokensPerSecond = 1_000
      record.gigabytesPerSecond = operation == "decode" ? 30 : nil
      return record
    }
    expectAligned(
      lines(model, BenchmarkTable(for: try options("model", argument: "folder/\(name)"))),
      headings: 1)
  }
}

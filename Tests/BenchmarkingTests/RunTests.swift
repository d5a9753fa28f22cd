import StreamingAttention
import Testing

@testable import Benchmarking

@Suite("Runs of the benchmark on a small machine")
struct RunTests {
  private func run(
    _ mode: String?, _ values: [String: String] = [:], reads: [Double] = [30],
    flag: CancellationFlag = CancellationFlag(), stopAfter: Int = .max,
    damage: ((FilledCache) -> Void)? = nil
  ) throws -> (records: [BenchmarkRecord], allPassed: Bool, error: BenchmarkError?) {
    try RunHarness.run(
      mode, values, reads: reads, flag: flag, stopAfter: stopAfter, damage: damage)
  }

  @Test("the default run: decode dense, with the horizon, and prefill, for every type")
  func standard() throws {
    let (records, allPassed, error) = try run(nil)
    #expect(error == nil)
    #expect(allPassed)
    let kinds = records.map {
      "\($0.operation) \($0.keyType ?? "") \($0.position ?? "") \(($0.alibiEpsilon ?? 0) > 0)"
    }
    let expected = ["f32", "f16", "bf16"].flatMap { type in
      [
        "decode \(type) none false", "decode \(type) rope false", "decode \(type) alibi false",
        "decode \(type) alibi true", "prefill \(type) none false", "prefill \(type) rope false",
        "prefill \(type) alibi false",
      ]
    }
    #expect(kinds == expected)
    #expect(records.allSatisfy { $0.selfCheck?.passed == true && $0.isSteady == true })
    #expect(records.allSatisfy { $0.repetitions == 3 && $0.threads == 2 })
    #expect(
      records.filter { $0.operation == "decode" }.allSatisfy { $0.relativeError != nil })
    let compared = records.filter { $0.relativeToNone != nil }.map { $0.position }
    #expect(compared.allSatisfy { $0 != "none" } && compared.count == 3 * 4)
  }

  @Test(
    "every encoding and instruction set gives the planted answer, with turning anchors too",
    arguments: InstructionSet.allCases.filter(\.isAvailable), [nil, "64"])
  func encodings(instructionSet: InstructionSet, anchorRun: String?) throws {
    var values = [
      "--instruction-set": instructionSet.rawValue, "--position": "none,rope,alibi,rope+alibi",
      "--context": "200+2*500",
    ]
    if let anchorRun { values["--anchor-run"] = anchorRun }
    let (records, allPassed, error) = try run(nil, values)
    #expect(error == nil && allPassed)
    #expect(records.allSatisfy { $0.batch == 3 && $0.contexts == "200+2*500" })
  }

  @Test(
    "keys turned in the tile give the planted answer, and the damage of one is found",
    arguments: ["in-tile", "old-epoch", "half-old-epoch"],
    InstructionSet.allCases.filter(\.isAvailable))
  func keyRotation(rotation: String, instructionSet: InstructionSet) throws {
    let values = [
      "--instruction-set": instructionSet.rawValue, "--position": "rope,rope+alibi",
      "--context": "200+2*500", "--key-rotation": rotation,
    ]
    let (records, allPassed, error) = try run(nil, values)
    #expect(error == nil && allPassed)
    #expect(records.count == 3 * 5 && records.allSatisfy { $0.keyRotation == rotation })
    // Double knows how the keys were stored: about what the types leave of them.
    #expect(records.allSatisfy { ($0.relativeError ?? 0) < ($0.keyType == "bf16" ? 1e-2 : 1e-5) })
    var plain = values
    (plain["--keys"], plain["--position"]) = ("plain", "none,rope,alibi")
    #expect(try run("decode", plain).1)
    let appended = try run(
      "append", ["--repeat": "100", "--key-rotation": rotation, "--position": "rope"])
    #expect(appended.1 && appended.0.allSatisfy { $0.keyRotation == rotation })

    let (_, passed, _) = try run(
      "decode", values,
      damage: { cache in
        // One slot less in the base position of every key but the oldest page's.
        for id in cache.fill.ids {
          try? cache.cache.rebase(id, fromEntry: 1, by: 1)
        }
      })
    #expect(!passed)
  }

  @Test("quantised pages are measured and compared with Double")
  func quantized() throws {
    for (mode, values) in [
      ("decode", ["--context": "1000", "--position": "none,rope,alibi"]),
      ("prefill", ["--context": "1000", "--query-length": "30", "--position": "rope"]),
      ("append", ["--context": "1000", "--position": "rope", "--repeat": "100"]),
    ] {
      var values = values
      values["--key-type"] = "int8,int4,f16"
      let (records, allPassed, error) = try run(mode, values)
      #expect(error == nil && allPassed)
      #expect(Set(records.compactMap(\.keyType)) == ["int8", "int4", "f16"])
    }
  }

  @Test("plain keys are checked against Double, and a horizon against the dense answer")
  func plain() throws {
    let (records, allPassed, error) = try run(
      "decode", ["--keys": "plain", "--position": "none,alibi", "--context": "5000"])
    #expect(error == nil && allPassed)
    #expect(records.count == 3 * 3)
    #expect(
      records.filter { ($0.alibiEpsilon ?? 0) > 0 }.allSatisfy { $0.speedupOverDense != nil })
  }

  @Test("a damaged page is found", arguments: ["decode", "prefill", "append"])
  func damage(mode: String) throws {
    let (records, allPassed, error) = try run(
      mode, ["--key-type": "f16", "--position": "rope"],
      damage: { cache in
        // Zeroes the values of the newest whole page of every layer, needles among them.
        let layout = cache.cache.layout(ofLayer: 0)
        for layer in 0..<cache.cache.layers.count {
          for head in 0..<2 {
            let pages = unsafe cache.cache.pageAddresses(layer: layer, kvHead: head)
            for number in 0..<5 {
              guard let page = unsafe pages[number] else { continue }
              unsafe (page + layout.valueOffset).initializeMemory(
                as: UInt8.self, repeating: 0, count: layout.pageBytes - layout.valueOffset)
            }
          }
        }
      })
    #expect(error == nil)
    #expect(!allPassed)
    #expect(records.allSatisfy { $0.selfCheck?.passed == false })
  }

  @Test("a machine that does not hold still is measured again and marked")
  func unsteady() throws {
    let (records, _, _) = try run(
      "decode", ["--key-type": "f16", "--position": "none"], reads: [30, 40, 30, 40])
    #expect(records.map(\.isSteady) == [false])
    #expect(records.map(\.attempts) == [2])
    let (better, _, _) = try run(
      "decode", ["--key-type": "f16", "--position": "none"], reads: [30, 40])
    #expect(better.map(\.isSteady) == [true])
    #expect(better.map(\.attempts) == [2])
    #expect(better.map(\.readLimitGigabytesPerSecond) == [40])
  }

  @Test("an interrupt leaves the records made before it")
  func interrupt() throws {
    let (records, _, error) = try run(nil, stopAfter: 5)
    #expect(error == .interrupted)
    #expect(records.count >= 5 && records.count < 21)
  }

  @Test("growth by one token is checked and reported for all layers")
  func append() throws {
    let (records, allPassed, error) = try run(
      "append", ["--repeat": "200", "--key-type": "f16,bf16"])
    #expect(error == nil && allPassed)
    #expect(records.map(\.position) == ["none", "rope", "none", "rope"])
    #expect(records.allSatisfy { $0.repetitions == 200 && $0.p99Milliseconds != nil })
  }

  @Test("edits of a sequence are timed, and forks take no page")
  func edits() throws {
    let (records, _, error) = try run(
      "edits", ["--repeat": "3", "--key-type": "f16", "--context": "1K"])
    #expect(error == nil)
    #expect(records.map(\.operation) == ["fork", "drop", "shift", "shift-inside", "rewind"])
    #expect(records.allSatisfy { $0.repetitions == 3 && $0.layers == 32 })
    #expect(records[0].others.contains(BenchmarkRecord.Field("forkedPages", 0)))
    // Every removal inside a page writes 64 of them anew; to take a page away moves numbers in tables.
    let (shift, inside) = (records[2].medianMilliseconds, records[3].minimumMilliseconds)
    #expect(try #require(inside) > #require(shift))
  }

  @Test("edits look at the flag before each of them, and an interrupt in the last record counts")
  func interruptedEdits() throws {
    let flag = CancellationFlag()
    let (records, _, error) = try run(
      "edits", ["--repeat": "3", "--key-type": "f16", "--context": "1K"], flag: flag, stopAfter: 5)
    #expect(records.count == 5 && error == .interrupted)
    #expect(throws: BenchmarkError.interrupted) {
      try EditTimes(
        shape: AttentionShape(queryHeads: 4, kvHeads: 2, headDimension: 64),
        types: StoredTypes(key: .float16, value: .float16), length: 1_024, repeats: 3,
        workers: Workers(count: 1), cancellation: flag)
    }
  }

  @Test(
    "a cache that would pass its limit says what to change, and rows that have no room are refused")
  func memory() throws {
    let (_, _, error) = try run("edits", ["--context": "64M", "--key-type": "f32"])
    guard case .cacheLimit(let needed, let allowed) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(needed > allowed)
    #expect(error?.description.contains("--context") == true)
    #expect(throws: BenchmarkError.self) { try RowMemory.demand(1 << 50) }
  }

  @Test(
    "the relative error of a prefill is that of its newest rows, also where the oldest see one key")
  func squarePrefill() throws {
    let (records, allPassed, error) = try run(
      "prefill",
      [
        "--position": "rope", "--key-type": "bf16", "--context": "500",
        "--query-length": "500,1",
      ])
    #expect(error == nil && allPassed && records.map(\.queryLength) == [500, 1])
    // The same row asks the same; its page may be multiplied in another way.
    let errors = records.map { $0.relativeError ?? 0 }
    #expect(errors[0] > errors[1] / 4 && errors[0] < errors[1] * 4, "\(errors)")
  }

  @Test("forks in one step have the answers that each has alone, and read what they share once")
  func forks() throws {
    let (records, allPassed, error) = try run(
      "forks", ["--repeat": "3", "--key-type": "bf16", "--context": "2K", "--forks": "3"])
    #expect(error == nil && allPassed)
    #expect(records.map(\.operation) == Array(repeating: "forks", count: records.count))
    #expect(records.map(\.position) == ["none", "rope", "alibi"])
    for record in records {
      #expect(record.batch == 3 && record.repetitions == 3 && record.selfCheck?.passed == true)
      #expect(record.others.map(\.name) == ["oneMilliseconds", "timesOne"])
      let pages = try #require(record.kvHeads) * (32 + 2)
      #expect(record.keyValueBytesRead == pages * 64 * 4 * (try #require(record.headDimension)))
    }
  }

  @Test("a step with nothing to do is timed for every number of threads")
  func forkJoin() throws {
    let (records, _, error) = try run("fork-join", ["--threads": "1,2", "--repeat": "50"])
    #expect(error == nil)
    #expect(records.map(\.threads) == [1, 2])
    #expect(records.allSatisfy { $0.repetitions == 50 })
  }
}

@Suite("Checks of outputs")
struct AnswerCheckerTests {
  @Test("a horizon's output may differ by the bound on the skipped mass, and no further")
  func horizonBound() {
    let dense: [Float] = [0.5, -0.25]
    let bound = 2 * 1e-4 * SyntheticValues.largest * 2.0.squareRoot()
    let near = [0.5 + Float(bound * 0.9), -0.25]
    let far = [0.5 + Float(bound * 1.1), -0.25]
    #expect(PlainCheck.horizon(near, dense: dense, skippedMass: 1e-4, valueWidth: 2).passed)
    #expect(!PlainCheck.horizon(far, dense: dense, skippedMass: 1e-4, valueWidth: 2).passed)
    #expect(!PlainCheck.horizon([.nan, 0], dense: dense, skippedMass: 1, valueWidth: 2).passed)
    #expect(!PlainCheck.horizon([0.5], dense: dense, skippedMass: 1, valueWidth: 2).passed)
  }

  private func add(
    _ numbers: [Float], layer: Int, passes: Bool = true, to checker: inout AnswerChecker
  ) -> Int {
    var calls = 0
    checker.add(numbers.span, layer: layer) { () throws(Never) in
      calls += 1
      return SelfCheck(maximumError: 0.5, tolerance: 1, ratio: passes ? 0.5 : 2)
    }
    return calls
  }

  @Test("a layer is compared once; later its bits must be the same")
  func bits() {
    var checker = AnswerChecker()
    #expect(add([1, 2], layer: 0, to: &checker) == 1)
    #expect(add([1, 2], layer: 0, to: &checker) == 0)
    #expect(add([3, 4], layer: 1, to: &checker) == 1)
    #expect(checker.answer == CheckedAnswer(passed: true, maximumError: 0.5, rowCount: 2))
    #expect(add([1, 2.000_000_2], layer: 0, to: &checker) == 0)
    #expect(!checker.answer.passed)
  }

  @Test("nothing checked is not passed, nor is one wrong layer")
  func wrong() {
    #expect(!AnswerChecker().answer.passed)
    var checker = AnswerChecker()
    _ = add([1], layer: 0, to: &checker)
    _ = add([1], layer: 1, passes: false, to: &checker)
    #expect(!checker.answer.passed)
  }

  @Test("where there are codes, what is compared meets them alike")
  func comparedSteps() {
    // Behind 62 tokens, the third one opens a page; behind 64, the first.
    func ends(_ depth: Int, _ most: Int?) -> [Int] {
      (0..<4).map { LogitComparison.stepEnd(from: $0, count: 4, depth: depth, mostInCodes: most) }
    }
    #expect(ends(62, 4) == [3, 3, 3, 4])
    #expect(ends(64, 4) == [1, 4, 4, 4])
    #expect(ends(8_200, 4) == [4, 4, 4, 4])
    #expect(ends(8_200, 2) == [2, 3, 4, 4])
    #expect(ends(8_200, 0) == [1, 2, 3, 4])
    #expect(ends(64, nil) == [4, 4, 4, 4])
    #expect(LogitComparison.tokens(ofPrompt: 512, mostInCodes: nil) == 4)
    #expect(LogitComparison.tokens(ofPrompt: 3, mostInCodes: nil) == 3)
    // Few rows meet codes in integers, many in f32.
    #expect(LogitComparison.tokens(ofPrompt: 512, mostInCodes: 8) == 9)
    #expect(LogitComparison.tokens(ofPrompt: 9, mostInCodes: 8) == 9)
    #expect(LogitComparison.tokens(ofPrompt: 8, mostInCodes: 8) == 4)
    // Nothing is compared with itself.
    func isChecked(_ rows: Int, _ compared: Int, _ most: Int?) -> Bool {
      LogitComparison.hasOtherWay(rows: rows, compared: compared, mostInCodes: most)
    }
    #expect(isChecked(1, 4, nil) && isChecked(2, 2, nil) && isChecked(1, 4, 2))
    #expect(isChecked(512, 9, 8) && isChecked(8, 4, 8))
    #expect(!isChecked(1, 4, 1) && !isChecked(9, 9, 8) && !isChecked(3, 3, 4))
  }

  @Test("bits must be the same unless leaves grow in between, or pages are quantised")
  func equalLogits() {
    func mustBeEqual(
      _ depth: Int, _ longest: Int, window: Bool = false, hasCodes: Bool = false
    ) -> Bool {
      LogitComparison.mustBeEqual(
        depth: depth, longest: longest, window: window, hasCodes: hasCodes)
    }
    #expect(mustBeEqual(0, 512) && mustBeEqual(8_192, 512) && mustBeEqual(8_188, 4))
    #expect(!mustBeEqual(8_188, 5) && !mustBeEqual(8_000, 512))
    #expect(mustBeEqual(4_092, 4) && mustBeEqual(4_096, 512) && mustBeEqual(4_092, 5))
    #expect(mustBeEqual(8_000, 4, window: true) && !mustBeEqual(8_192, 4, window: true))
    #expect(!mustBeEqual(0, 4, hasCodes: true))
  }

  @Test("logits are compared by their relative distance")
  func logits() {
    #expect(LogitComparison.difference([3, 4], [3, 4]) == 0)
    #expect(abs(LogitComparison.difference([3, 4.5], [3, 4]) - 0.1) < 1e-15)
    #expect(LogitComparison.difference([.nan, 4], [3, 4]) == .infinity)
    #expect(LogitComparison.difference([], []) == .infinity)
    #expect(
      LogitComparison.tolerance(layers: 2, narrowest: .bfloat16)
        == 8 * LogitComparison.tolerance(layers: 2, narrowest: .float16))
  }
}

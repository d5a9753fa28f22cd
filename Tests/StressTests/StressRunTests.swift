import Benchmarking
import Foundation
import StreamingAttention
import Testing

@testable import Stress

@Suite("Small runs of attend stress")
struct StressRunTests {
  private func options(
    _ preset: StressPreset, _ values: [String: String] = [:]
  ) throws -> StressOptions {
    var values = values
    for (name, value) in [
      ("--query-heads", "4"), ("--kv-heads", "2"), ("--head-dimension", "64"),
      ("--context", "200"), ("--sequences", "8"),
    ] where values[name] == nil {
      values[name] = value
    }
    if values["--steps"] == nil, values["--minutes"] == nil, preset != .growth {
      values["--steps"] = "150"
    }
    return try StressOptions(
      preset: preset.rawValue, values: values, threads: 2, instructionSet: .detected)
  }

  private func run(_ options: StressOptions) throws -> StressRun {
    try StressRun(options, cancellation: CancellationFlag(), progress: { _ in })
  }

  @Test("every preset passes, and all is given back", arguments: StressPreset.allCases)
  func presets(preset: StressPreset) throws {
    let run = try run(try options(preset))
    try run.run()
    #expect(run.figures.checksFailed == 0)
    #expect(run.figures.checksPassed > 100)
    #expect(run.figures.committedBytesAfterDrop == 0)
    #expect(run.figures.longestContext > 100)
  }

  @Test("every policy of eviction passes, also with ALiBi", arguments: StressPolicy.allCases)
  func policies(policy: StressPolicy) throws {
    for position in ["rope", "rope+alibi"] {
      let run = try run(
        try options(
          .evict,
          [
            "--policy": policy.rawValue, "--context": "1000", "--position": position,
            "--sequences": "3",
          ]))
      try run.run()
      let figures = run.figures
      #expect(figures.checksFailed == 0 && figures.checksPassed > 100 && figures.evictions > 5)
      #expect(figures.evictedPages > 20 || policy == .sinks)
      #expect(figures.committedBytesAfterDrop == 0)
    }
  }

  @Test(
    "every type and position passes", arguments: ElementType.allCases.map(\.name),
    PositionKind.allCases.map(\.rawValue))
  func kinds(type: String, position: String) throws {
    let run = try run(
      try options(.ragged, ["--key-type": type, "--position": position, "--steps": "60"]))
    try run.run()
    #expect(run.figures.checksPassed > 50)
  }

  @Test(
    "odd widths pass, whatever fills the pages", arguments: ["f32", "f16", "bf16", "int8"],
    ["f16", "bf16", "int8", "int4"])
  func oddWidths(key: String, value: String) throws {
    for position in ["none", "rope"] {
      let run = try run(
        try options(
          .ragged,
          [
            "--key-type": key, "--value-type": value, "--position": position,
            "--head-dimension": "31", "--kv-heads": "1", "--query-heads": "1", "--context": "64",
            "--sequences": "2", "--steps": "100",
          ]))
      try run.run()
      #expect(run.figures.checksFailed == 0 && run.figures.checksPassed > 50)
    }
  }

  @Test(
    "soak comes to every season, and all that happens in them is counted",
    arguments: ["f32", "bf16", "int8"])
  func seasons(type: String) throws {
    let steps = StressSeason.soak.count * StressSeason.length + 100
    let run = try run(try options(.soak, ["--key-type": type, "--steps": "\(steps)"]))
    let limit = run.subject.cache.memoryLimit
    try run.run()
    #expect(run.subject.cache.memoryLimit == limit && run.summary.memoryLimit == limit)
    let figures = run.figures
    #expect(figures.checksFailed == 0 && figures.committedBytesAfterDrop == 0)
    for count in [
      figures.forks, figures.shifts, figures.evictions, figures.truncations, figures.drops,
      figures.copies, figures.rewrites, figures.evictedPages, figures.pins,
      figures.releasedTokens, figures.snapshots, figures.restorations,
    ] {
      #expect(count > 0)
    }
    for name in ["pins", "releasedTokens", "evictedPages", "snapshots", "restorations"] {
      #expect(
        run.summary.json.contains("\"\(name)\":") && !run.summary.json.contains("\"\(name)\":0,"))
    }
    // The last season is one with a window, and the first comes again after it.
    #expect(run.subject.window == nil && run.season.policy == .recent)
  }

  @Test(
    "the replay of a wrong answer in a season with a window or a snapshot fails at the same step")
  func seasonDamage() throws {
    let seasons = StressSeason.soak
    for wanted in [
      seasons.firstIndex { $0.mostSequences < .max }, seasons.firstIndex { $0.hasWindow },
    ] {
      let first = try #require(wanted) * StressSeason.length + 100
      func failure(_ steps: Int) throws -> (String?, Int) {
        let run = try run(try options(.soak, ["--steps": "\(steps)"]))
        run.subject.damage = { [unowned run] output in
          if run.figures.steps > first { output[0] += 0.5 }
        }
        #expect(throws: StressError.self) { try run.run() }
        return (run.summary.failure, run.figures.steps)
      }
      let found = try failure(first + 100)
      #expect(found.0 != nil && found.1 > first)
      #expect(try failure(found.1) == found)
    }
  }

  @Test(
    "caches that a run goes on in have the limit of its first, which is what its replay asks for")
  func limits() throws {
    let run = try run(try options(.soak))
    let limit = run.subject.cache.memoryLimit
    #expect(run.options.memoryLimit == nil && run.subject.options.memoryLimit == limit)
    let other = try run.anotherSubject(run.subject.options, window: 100)
    #expect(other.cache.memoryLimit == limit)
    #expect(run.replay.contains(" --memory-limit \(limit) "))
    #expect(!run.options.childWords(folder: "/").contains("--memory-limit"))
    let bounded = try options(.snapshot, ["--memory-limit": "9M"])
    #expect(bounded.childWords(folder: "/").contains("\(9 << 20)"))
  }

  @Test("a snapshot that finds no room in a cache as large is a failed check")
  func smallerRestoration() throws {
    let options = try options(.snapshot)
    let run = try run(options)
    try run.prefill(200)
    let store = try run.files().store
    try store.save(run.subject.cache)
    let equal = try run.anotherSubject(run.subject.options, window: nil)
    #expect(try run.restoreAll(from: store, into: equal).sequences.count == 1)
    #expect(equal.cache.byteCount <= run.subject.cache.byteCount)
    var small = options
    small.memoryLimit = 3 << 20
    let smaller = try run.anotherSubject(small, window: nil)
    let error = #expect(throws: StressError.self) { try run.restoreAll(from: store, into: smaller) }
    guard case .failed? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test("a failure while a season begins is found again by its replay, at the same step")
  func beginning() throws {
    func failure(_ steps: Int) throws -> (StressError?, Int) {
      let run = try run(try options(.soak, ["--steps": "\(steps)"]))
      run.subject.damage = { [unowned run] output in if run.season.hasWindow { output[0] += 0.5 } }
      let error = #expect(throws: StressError.self) {
        try run.operate([StressSeason(.mixed), StressSeason(.windows, hasWindow: true)])
      }
      return (error, run.figures.steps)
    }
    let found = try failure(2 * StressSeason.length)
    #expect(found.0 != nil && found.1 == StressSeason.length + 1)
    #expect(try failure(found.1) == found)
  }

  @Test("growth measures every power of two from 1K on, and its context")
  func growth() throws {
    let run = try run(
      try options(.growth, ["--context": "5000", "--sequences": "2", "--head-dimension": "16"]))
    try run.run()
    let figures = run.figures
    #expect(figures.contexts.keys.sorted() == [1024, 2048, 4096, 8192])
    for own in figures.contexts.values {
      #expect(own.decode.count > 0 && own.append.count > 0 && own.formulaBytes > 0)
      #expect(own.committedBytes >= own.formulaBytes)
    }
    #expect(figures.tokensAppended == 10_000)
    #expect(figures.longestContext == 5000)
    // While sequences only grow: one extent for each sequence, layer and KV head, two groups for each layer.
    let cache = run.subject.cache
    let extents = 2 * 32 * run.subject.setBytes
    #expect(
      figures.peakCommittedBytes
        <= figures.peakFormulaBytes + extents + 2 * cache.layers.count * (2 << 20))
  }

  @Test("growth ends cleanly where memory does")
  func memoryEnds() throws {
    let run = try run(
      try options(.growth, ["--memory-limit": "24M", "--context": "1M", "--sequences": "1"]))
    try run.run()
    #expect(run.figures.refusals == 1 && run.figures.checksFailed == 0)
    #expect(run.figures.longestContext > 4_096)
    #expect(run.figures.peakCommittedBytes <= 24 << 20)
    #expect(run.figures.committedBytesAfterDrop == 0)
  }

  @Test("others free memory and go on")
  func refusals() throws {
    let run = try run(
      try options(
        .ragged,
        ["--memory-limit": "10M", "--context": "2K", "--sequences": "64", "--steps": "300"]))
    try run.run()
    #expect(run.figures.refusals > 0 && run.figures.steps == 300)
  }

  @Test(
    "where memory ends before the first operation, the run goes on with what fits",
    arguments: [StressPreset.mixed, .forkStorm, .shiftStorm, .evict, .snapshot])
  func preparation(preset: StressPreset) throws {
    // Of a token 1 KiB: a quarter of the context takes 8 MiB, all but 1,024 tokens 31.
    // Two layers have a group of 2 MiB each at least, which the smaller limit leaves no room beside.
    for limit in ["4M", "7M"] {
      let run = try run(
        try options(preset, ["--memory-limit": limit, "--context": "32K", "--sequences": "4"]))
      try run.run()
      #expect(run.figures.refusals > 0 && run.figures.steps == 150)
      #expect(run.figures.checksFailed == 0 && run.figures.committedBytesAfterDrop == 0)
    }
  }

  @Test("memory that is refused while a season begins frees something, and the run goes on")
  func refusedSeasons() throws {
    var (request, isRequested) = (0, true)
    while isRequested {
      request += 1
      let run = try run(try options(.soak, ["--steps": "1", "--key-type": "int8"]))
      for _ in 0..<2 { try run.prefill(150) }
      let end = StressRun.failing(request) { () throws(StressError) in
        try run.operate([StressSeason(.windows, hasWindow: true, mostSequences: 2)])
      }
      try end.outcome.get()
      isRequested = end.isRequested
      #expect(run.subject.window != nil && run.figures.steps == 1)
      // The first questions ask for memory before anything is given up.
      #expect(run.figures.refusals == 1 || request > 1)
    }
    #expect(request > 10)
  }

  @Test(
    "memory that is refused at any time once there is a token does not end a run early",
    arguments: [StressPreset.growth, .mixed, .forkStorm, .ragged])
  func refusedOnce(preset: StressPreset) throws {
    var (request, isRequested) = (0, true)
    while isRequested {
      request += 1
      let run = try run(try options(preset, ["--steps": "3", "--context": "64"]))
      let end = StressRun.failing(request) { () throws(StressError) in try run.run() }
      isRequested = end.isRequested
      guard case .failure(let error) = end.outcome else { continue }
      #expect(error.isOutOfMemory && run.figures.tokensAppended == 0)
    }
    #expect(request > 10)
  }

  @Test("counts are those at the end, over all caches that the run went on in")
  func counts() throws {
    var last = (rewrites: 0, copies: 0)
    for steps in [50, 100, 150, 200, 250] {
      let run = try run(try options(.snapshot, ["--steps": "\(steps)"]))
      try run.run()
      let now = (rewrites: run.figures.rewrites, copies: run.figures.copies)
      #expect(now.rewrites >= last.rewrites && now.copies >= last.copies)
      #expect(run.figures.restorations > 0)
      last = now
    }
    #expect(last.rewrites > 3 && last.copies > 3)
    let run = try run(
      try options(.evict, ["--policy": "recent", "--context": "1000", "--sequences": "3"]))
    try run.run()
    #expect(run.figures.evictedPages > 0)
    #expect(run.figures.evictedPages == run.subject.cache.statistics().evictions)
  }

  @Test("the line of progress has speed, and memory beside the formula and by node")
  func progress() throws {
    let run = try run(try options(.growth, ["--context": "2000"]))
    try run.run()
    var figures = run.figures
    (figures.formulaBytes, figures.residentBytes) = (3 << 20, 5 << 20)
    let line = StressTable.progress(.growth, figures, sequences: 8, context: 2_000)
    #expect(line.hasPrefix("growth \(figures.steps): 2000 tokens × 8, "))
    #expect(line.contains(" ms, ") && line.hasSuffix(" GB/s, 5.0 MiB resident of 3.0 MiB"))
    figures.residentBytesByNode = [0: 2 << 20, 1: 3 << 20]
    #expect(
      StressTable.progress(.growth, figures, sequences: 8, context: 2_000)
        == line + ", nodes 0: 2.0 MiB 1: 3.0 MiB")
  }

  @Test("a failure among killed processes promises no replay")
  func unrepeatable() throws {
    let run = try run(try options(.snapshot))
    #expect(run.replay.hasPrefix("replay: attend stress snapshot --seed 1 "))
    run.isRepeatable = false
    #expect(!run.replay.contains("replay") && run.replay.contains(": attend stress snapshot "))
  }

  @Test("where nothing fits at all, that is what is said", arguments: StressPreset.allCases)
  func nothingFits(preset: StressPreset) throws {
    let run = try run(try options(preset, ["--memory-limit": "1K"]))
    let error = #expect(throws: StressError.self) { try run.run() }
    #expect(error?.isOutOfMemory == true)
  }

  @Test("the same seed does the same, another one something else")
  func seeds() throws {
    func counts(_ seed: String) throws -> [Int] {
      let run = try run(try options(.ragged, ["--seed": seed, "--threads": seed]))
      try run.run()
      let figures = run.figures
      return [figures.tokensAppended, figures.checksPassed, figures.drops, figures.longestContext]
    }
    let first = try counts("1")
    #expect(try counts("1") == first)
    #expect(try counts("2") != first)
  }

  @Test(
    "a wrong number is found, and the replay finds it at the same step", arguments: [1, 40, 150])
  func damage(call: Int) throws {
    func failure(_ options: StressOptions) throws -> (String?, Int) {
      let run = try run(options)
      var calls = 0
      run.subject.damage = { output in
        calls += 1
        if calls == call { output[output.count / 2] += 0.5 }
      }
      #expect(throws: StressError.self) { try run.run() }
      #expect(run.figures.checksFailed == 1)
      return (run.summary.failure, run.figures.steps)
    }
    let first = try failure(try options(.ragged))
    #expect(first.0?.contains("query head") == true)
    let again = try failure(try options(.ragged, ["--steps": "\(first.1)"]))
    #expect(again == first)
  }

  @Test("the command of a replay asks for the same", arguments: ["f16", "int8"])
  func replay(type: String) throws {
    var values = [
      "--seed": "9", "--minutes": "1", "--position": "alibi", "--key-type": type,
    ]
    if type == "int8" { values["--full-precision-last"] = "200" }
    let options = try options(.ragged, values)
    let words = options.command(steps: 12, memoryLimit: 1 << 30).split(separator: " ")
    #expect(words.prefix(3) == ["attend", "stress", "ragged"])
    values = [:]
    for index in stride(from: 3, to: words.count, by: 2) {
      values[String(words[index])] = String(words[index + 1])
    }
    let again = try StressOptions(
      preset: "ragged", values: values, threads: 7, instructionSet: .detected)
    var expected = options
    (expected.minutes, expected.steps, expected.memoryLimit) = (nil, 12, 1 << 30)
    #expect(again == expected)
  }

  @Test("an interrupt keeps what was done", arguments: StressPreset.allCases)
  func interrupt(preset: StressPreset) throws {
    let flag = CancellationFlag()
    var lines = 0
    let run = try StressRun(
      try options(preset, ["--minutes": "5", "--context": "1M"]), cancellation: flag,
      progress: { _ in
        lines += 1
        if lines == 3 { flag.cancel() }
      })
    let error = #expect(throws: StressError.self) { try run.run() }
    #expect(error == .stopped(.interrupted))
    // A first prompt of 1M tokens is no operation yet; its tokens count.
    #expect(run.summary.figures.tokensAppended > 0 && run.summary.failure == nil)
    #expect(run.summary.json.contains("\"tokensAppended\":\(run.figures.tokensAppended)"))
  }
}

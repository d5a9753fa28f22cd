import Foundation
import Memory
import TestSupport
import Testing

@testable import StreamingAttention

/// Snapshots of caches with any history.
@Suite("Snapshots")
struct SnapshotTests {
  let folder: TemporaryFolder
  var path: String { folder.path + "/cache" }

  init() throws { folder = try TemporaryFolder() }

  /// Restores a snapshot into another cache, and compares it in all that decides bits.
  @discardableResult
  private func expectRestored(
    _ harness: OperationHarness, _ sequences: [SequenceID], from store: SnapshotStore,
    steps: Bool = true
  ) throws -> (OperationHarness, RestoredSnapshot) {
    let other = try harness.another()
    let restored = try store.restore(into: other.cache, workers: other.engine.workers)
    let difference = try SnapshotTwin.difference(
      harness.cache, sequences, other.cache, restored.sequences)
    #expect(difference == nil)
    // A step that is given up leaves its keys in slots that are not live: pages are no longer what they were.
    for (own, copy) in zip(sequences, restored.sequences) where steps {
      #expect(harness.nextStep(of: own) == other.nextStep(of: copy))
    }
    return (other, restored)
  }

  /// Three sequences: one with a shift, a rewind and pins; a fork of it; one at high positions with pages of two epochs and
  /// unturned ones.
  static func history(_ harness: OperationHarness) throws -> [SequenceID] {
    let cache = harness.cache
    let first = try cache.makeSequence()
    let high = try cache.makeSequence(startingAt: 261_443)
    for _ in 0..<3 { _ = try harness.append([(first, 170), (high, 101)]) }
    try cache.pin(20..<75, of: first)
    try cache.remove(400..<420, from: first)
    let fork = try cache.fork(first)
    _ = try harness.append([(fork, 70), (high, 1)])
    try cache.truncate(first, to: 470)
    try cache.setRotation(SequenceRotation(epoch: 2, keys: .whenStored), of: high)
    _ = try harness.append([(high, 100)])
    try cache.setRotation(SequenceRotation(epoch: 2, keys: .whenRead), of: high)
    _ = try harness.append([(high, 90), (fork, 1)])
    try cache.rebase(fork, by: 1_000)
    return [first, high, fork]
  }

  @Test(
    "bring back every type of page, forks, shifts, windows, epochs and pins, and the next step's bits",
    arguments: SnapshotKind.allCases, 0..<3 as Range<UInt64>)
  func roundTrip(kind: SnapshotKind, seed: UInt64) throws {
    let harness = try kind.harness(seed: seed)
    let sequences = try Self.history(harness)
    let store = try SnapshotStore(path: path)
    let report = try store.save(harness.cache, attachment: [1, 2, 3])
    #expect(report.pageSets == harness.cache.statistics().pageSets)
    #expect(report.movedPageSets == report.pageSets)
    #expect(report.movedPageBytes == harness.cache.formulaBytes)
    let (other, restored) = try expectRestored(
      harness, sequences, from: try SnapshotStore(path: path))
    #expect((harness.cache.statistics().quantizedPages > 0) == (kind == .quantized))
    #expect(other.cache.statistics().quantizedPages == harness.cache.statistics().quantizedPages)
    #expect(restored.attachment == [1, 2, 3])
    #expect(try store.attachment() == [1, 2, 3])
    #expect(restored.report.pageSets == report.pageSets)
    #expect(other.cache.formulaBytes == harness.cache.formulaBytes)
    for sequence in restored.sequences { try other.cache.drop(sequence) }
    #expect(other.cache.byteCount == 0)
    #expect(other.cache.checkInvariants().isEmpty)
    #expect(try folder.names().count == 2)
  }

  @Test("hold the sequences that are named, in their order")
  func someSequences() throws {
    let harness = try OperationHarness(seed: 1)
    let sequences = try Self.history(harness)
    let store = try SnapshotStore(path: path)
    try store.save(harness.cache, sequences: [sequences[2], sequences[0]])
    try expectRestored(harness, [sequences[2], sequences[0]], from: store)
    #expect(throws: SnapshotError.cache(.repeatedSequence(sequences[1]))) {
      try store.save(harness.cache, sequences: [sequences[1], sequences[1]])
    }
    try store.save(harness.cache, sequences: [])
    try expectRestored(harness, [], from: store)
    #expect(try folder.names() == ["cache"])
  }

  @Test("join what is in the cache already")
  func intoUse() throws {
    let harness = try OperationHarness(seed: 2)
    let sequences = try Self.history(harness)
    let store = try SnapshotStore(path: path)
    try store.save(harness.cache)
    // A place in the middle is free.
    try harness.cache.drop(sequences[1])
    let kept = [sequences[0], sequences[2]]
    let before = harness.cache.fingerprint(includingPages: true)
    let restored = try store.restore(into: harness.cache)
    #expect(harness.cache.sequenceCount == 5)
    #expect(harness.cache.checkInvariants().isEmpty)
    let difference = try SnapshotTwin.difference(
      harness.cache, kept, harness.cache, [restored.sequences[0], restored.sequences[2]])
    #expect(difference == nil)
    for sequence in restored.sequences { try harness.cache.drop(sequence) }
    #expect(harness.cache.fingerprint(includingPages: true) == before)
  }

  @Test(
    "step alike on every instruction set", arguments: SnapshotKind.allCases,
    AttentionFactors.instructionSets)
  func instructionSets(kind: SnapshotKind, _ instructionSet: InstructionSet) throws {
    let harness = try kind.harness(seed: 0)
    let sequences = try Self.history(harness)
    let store = try SnapshotStore(path: path)
    try store.save(harness.cache)
    let (other, restored) = try expectRestored(harness, sequences, from: store)
    let engines = try [harness, other].map {
      try AttentionEngine(
        cache: $0.cache, layers: $0.engine.layers, workers: $0.engine.workers,
        instructionSet: instructionSet)
    }
    for (own, copy) in zip(sequences, restored.sequences) {
      #expect(
        harness.nextStep(of: own, engine: engines[0])
          == other.nextStep(of: copy, engine: engines[1]))
    }
  }

  @Test(
    "of random histories, incremental ones like full ones", arguments: SnapshotKind.allCases,
    1..<4 as Range<UInt64>)
  func fuzz(kind: SnapshotKind, seed: UInt64) throws {
    var fuzz = try OperationFuzz(
      seed: seed, mostSequences: 6, types: kind.types, fullPrecision: kind.fullPrecision)
    var store = try SnapshotStore(path: path)
    var (written, all, mostFiles) = (0, 0, 0)
    for number in 0..<360 {
      try fuzz.step(number)
      guard number % 12 == 11 else { continue }
      let report = try store.save(fuzz.harness.cache, sequences: fuzz.order)
      written += report.movedPageSets
      all += report.pageSets
      mostFiles = max(mostFiles, report.files)
      #expect(try folder.names().count == 1 + report.files)
      let whole = try TemporaryFolder()
      let full = try SnapshotStore(path: whole.path + "/full")
      let fullReport = try full.save(fuzz.harness.cache, sequences: fuzz.order)
      #expect(fullReport.movedPageSets == report.pageSets)
      // Another process would begin with a store that knows nothing.
      let reader = try number % 5 == 0 ? SnapshotStore(path: path) : store
      try expectRestored(fuzz.harness, fuzz.order, from: full, steps: false)
      let (other, restored) = try expectRestored(
        fuzz.harness, fuzz.order, from: reader)
      if number % 3 == 0 {
        fuzz.move(to: other, restored.sequences)
        store = reader
      }
    }
    try fuzz.end()
    #expect(written <= all)
    #expect(mostFiles <= 12)
  }

  @Test("write what has changed only, in few files", arguments: SnapshotKind.allCases)
  func incremental(kind: SnapshotKind) throws {
    let harness = try kind.harness(seed: 0)
    let sequence = try harness.cache.makeSequence()
    _ = try harness.append([(sequence, 6_400)])
    let store = try SnapshotStore(path: path)
    let all = try store.save(harness.cache).pageSets
    #expect(try store.save(harness.cache).movedPageSets == 0)
    var (written, files) = (0, 0)
    for _ in 0..<64 {
      _ = try harness.append([(sequence, 1)])
      let report = try store.save(harness.cache)
      written += report.movedPageSets
      files = max(files, report.files)
    }
    #expect(written <= 64 * 5, "\(written) page sets of \(all)")
    #expect(files <= 3)
    // One that was changed and abandoned, one that was only renamed by a fork.
    let fork = try harness.cache.fork(sequence)
    _ = try harness.append([(fork, 5)], commits: false)
    #expect(try store.save(harness.cache).movedPageSets <= 4)
    try expectRestored(harness, [sequence, fork], from: store)
  }

  @Test("of a quantised cache grow on as the cache does, page by page into codes")
  func growsOn() throws {
    let harness = try OperationHarness(
      seed: 1, types: SnapshotKind.quantized.types,
      fullPrecision: FullPrecision(first: 5, last: 0), window: 1_000)
    let sequence = try harness.cache.makeSequence()
    _ = try harness.append([(sequence, 400)])
    // Codes are the newest page, which the next token widens.
    try harness.cache.truncate(sequence, to: 201)
    let store = try SnapshotStore(path: path)
    try store.save(harness.cache)
    let (other, restored) = try expectRestored(harness, [sequence], from: store)
    other.nextIdentity = harness.nextIdentity
    for count in [1, 70, 3, 200, 64] {
      _ = try harness.append([(sequence, count)])
      _ = try other.append([(restored.sequences[0], count)])
      let difference = try SnapshotTwin.difference(
        harness.cache, [sequence], other.cache, restored.sequences)
      #expect(difference == nil)
    }
    #expect(other.cache.statistics().quantizedPages > 0)
  }

  @Test("bring back pages that have no codes, and keep them as they are")
  func uncodable() throws {
    let shape = LayerShape(
      kvHeads: 2, keyWidth: 8, keyType: .int8, valueType: .int4, keyPositions: .none)
    func engine() throws -> AttentionEngine {
      let cache = try KVCache(layers: [shape], stripes: [nil], memoryLimit: 1 << 26)
      return try AttentionEngine(
        cache: cache, layers: [LayerAttention(queryHeads: 2)], workers: Workers(count: 2))
    }
    func append(_ rows: [Float], to sequence: SequenceID, _ engine: AttentionEngine) throws {
      try engine.begin([StepRequest(sequence, appending: rows.count / 16, querying: 0)])
      engine.cache.fillReservedPages(with: 0xFF)
      try engine.append(layer: 0, keys: rows.span, values: rows.span)
      engine.commit()
    }
    let own = try engine()
    let sequence = try own.cache.makeSequence()
    var generator = SeededGenerator(seed: 3)
    var rows = generator.normalFloats(400 * 16)
    rows[100 * 16 + 11] = .infinity
    try append(rows, to: sequence, own)
    let store = try SnapshotStore(path: path)
    try store.save(own.cache)
    let other = try engine()
    let restored = try store.restore(into: other.cache).sequences
    for count in [0, 100] {
      let more = generator.normalFloats(count * 16)
      try append(more, to: sequence, own)
      try append(more, to: restored[0], other)
      let difference = try SnapshotTwin.difference(
        own.cache, [sequence], other.cache, restored)
      #expect(difference == nil)
    }
    var forms: [Bool] = []
    try other.cache.forEachLiveEntry(of: restored[0], table: 0) { forms.append($0.isCoded) }
    #expect(forms == [true, false, true, true, true, true, false, false])
  }

  @Test("know which sequences have given up tokens, by keep or by an eviction")
  func evicting() throws {
    let harness = try OperationHarness(seed: 3)
    let cache = harness.cache
    let sequences = try (0..<3).map { _ in try cache.makeSequence() }
    _ = try harness.append(sequences.map { ($0, 400) })
    try cache.keep(first: 0, last: 150, of: sequences[0])
    let layer = try #require(cache.layers.firstIndex { $0.retention == .everything })
    try cache.evict(pages: [1], from: sequences[1], layer: layer)
    func restored() throws -> [Bool] {
      let other = try harness.another()
      return try SnapshotStore(path: path).restore(into: other.cache).sequences.map {
        try other.cache.state(of: $0).isEvicting
      }
    }
    let store = try SnapshotStore(path: path)
    try store.save(cache)
    try expectRestored(harness, sequences, from: store)
    #expect(try restored() == [true, true, false])
    // A file that does not say it itself.
    var manifest = try store.manifest()
    for index in manifest.sequences.indices { manifest.sequences[index].isEvicting = false }
    try folder.write(manifest.encoded(), to: "cache")
    #expect(try restored() == [false, true, false])
  }

  @Test("are written whole again once another store has replaced them")
  func replacedByAnother() throws {
    let harness = try OperationHarness(seed: 0)
    let sequences = try Self.history(harness)
    let (store, other) = try (SnapshotStore(path: path), SnapshotStore(path: path))
    try store.save(harness.cache)
    try other.save(harness.cache, sequences: [sequences[0]])
    let report = try store.save(harness.cache)
    #expect(report.movedPageSets == report.pageSets)
    try expectRestored(harness, sequences, from: other)
    // A file of pages that is gone.
    let pages = try #require(try folder.names().first { $0.hasSuffix(".pages") })
    try folder.write([0], to: pages)
    let again = try store.save(harness.cache)
    #expect(again.movedPageSets == again.pageSets)
    try expectRestored(harness, sequences, from: other)
  }

  @Test("give up waiting for their turn once they are told to")
  func patience() throws {
    let harness = try OperationHarness(seed: 0)
    _ = try Self.history(harness)
    let store = try SnapshotStore(path: path)
    try store.save(harness.cache)
    let names = try folder.names()
    let lock = unsafe open(folder.path, O_RDONLY | O_CLOEXEC)
    defer { close(lock) }
    #expect(flock(lock, LOCK_EX) == 0)
    TurnPatience.$current.withValue(TurnPatience { true }) {
      #expect(throws: SnapshotError.cancelled) { try store.save(harness.cache) }
      #expect(throws: SnapshotError.cancelled) { try store.restore(into: harness.cache) }
      #expect(throws: SnapshotError.cancelled) { try store.attachment() }
    }
    #expect(try folder.names() == names)
  }

  @Test("are kept from a store that is to replace its own alone")
  func notReplaced() throws {
    let harness = try OperationHarness(seed: 0)
    let sequences = try Self.history(harness)
    let (store, other) = try (SnapshotStore(path: path), SnapshotStore(path: path))
    try store.save(harness.cache, replacesOthers: false)
    #expect(throws: SnapshotError.replaced(path: path)) {
      try other.save(harness.cache, replacesOthers: false)
    }
    let again = try store.save(harness.cache, replacesOthers: false)
    #expect(again.movedPageSets == 0)
    // What was restored may be replaced.
    let target = try harness.another()
    _ = try other.restore(into: target.cache)
    try other.save(target.cache, replacesOthers: false)
    let names = try folder.names()
    #expect(throws: SnapshotError.replaced(path: path)) {
      try store.save(harness.cache, sequences: [sequences[0]], replacesOthers: false)
    }
    #expect(try folder.names() == names)
    try expectRestored(harness, sequences, from: SnapshotStore(path: path))
    // Nothing is lost where nothing is there any more.
    try FileManager.default.removeItem(atPath: path)
    try store.save(harness.cache, replacesOthers: false)
    try expectRestored(harness, sequences, from: SnapshotStore(path: path))
  }

  @Test("can be asked for in advance, which leaves nothing behind")
  func inAdvance() throws {
    let harness = try OperationHarness(seed: 0)
    _ = try Self.history(harness)
    let (store, other) = try (SnapshotStore(path: path), SnapshotStore(path: path))
    try store.checkSaving(replacesOthers: false)
    #expect(try folder.names().isEmpty)
    try store.save(harness.cache)
    let names = try folder.names()
    try store.checkSaving(replacesOthers: false)
    try other.checkSaving()
    #expect(throws: SnapshotError.replaced(path: path)) {
      try other.checkSaving(replacesOthers: false)
    }
    let text = try folder.write("precious", to: "text")
    #expect(throws: SnapshotError.notSnapshot(path: text)) {
      try SnapshotStore(path: text).checkSaving()
    }
    let nowhere = folder.path + "/no/where"
    for path in ["/proc/where", nowhere] {
      #expect(throws: SnapshotError.file(.unwritable(path: path, errno: ENOENT))) {
        try SnapshotStore(path: path).checkSaving()
      }
    }
    #expect(try folder.names() == names + ["text"])
  }

  @Test("clear away what a killed process has left, and nothing else")
  func leftovers() throws {
    let harness = try OperationHarness(seed: 0)
    _ = try Self.history(harness)
    let others = [
      "cache.0123456789abcdef.txt", "cache.0123456789ABCDEF.part", "cache.1.pages", "cache2",
      "other.0123456789abcdef.pages",
    ]
    for name in others + ["cache.0123456789abcdef.pages", "cache.0123456789abcde0.part"] {
      try folder.write("x", to: name)
    }
    try SnapshotStore(path: path).save(harness.cache)
    let names = try folder.names()
    #expect(names.count == 2 + others.count)
    #expect(Set(others).isSubset(of: names))
  }
}

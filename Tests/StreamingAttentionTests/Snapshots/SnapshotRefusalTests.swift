import Foundation
import Memory
import TestSupport
import Testing

@testable import StreamingAttention

/// Snapshots that are damaged or made for another cache.
@Suite("Snapshots are refused, and the cache is as it was,")
struct SnapshotRefusalTests {
  let folder: TemporaryFolder
  var path: String { folder.path + "/cache" }

  init() throws { folder = try TemporaryFolder() }

  /// A cache in use that a snapshot is to be restored into.
  private struct Target {
    let harness: OperationHarness
    let before: CacheFingerprint

    init(_ kind: SnapshotKind = .plain) throws {
      harness = try kind.harness(seed: 0)
      let sequence = try harness.cache.makeSequence()
      _ = try harness.append([(sequence, 100)])
      before = harness.cache.fingerprint(includingPages: true)
    }

    var isUnchanged: Bool {
      harness.cache.fingerprint(includingPages: true) == before
        && harness.cache.checkInvariants().isEmpty
    }

    /// What restoring throws; nil if it does not.
    func error(_ path: String) -> SnapshotError? {
      do throws(SnapshotError) {
        _ = try SnapshotStore(path: path).restore(
          into: harness.cache, workers: harness.engine.workers)
        return nil
      } catch {
        return error
      }
    }
  }

  /// A snapshot of about 100 KB in two files.
  private func save(
    _ kind: SnapshotKind = .plain
  ) throws -> (manifest: String, pages: String) {
    let harness = try kind.harness(seed: 0)
    let sequence = try harness.cache.makeSequence()
    _ = try harness.append([(sequence, 300)])
    let fork = try harness.cache.fork(sequence)
    try harness.cache.remove(70..<150, from: fork)
    _ = try harness.append([(fork, 330)])
    try SnapshotStore(path: path).save(harness.cache, attachment: Array(repeating: 7, count: 50))
    let pages = try #require(try folder.names().first { $0.hasSuffix(".pages") })
    return (path, folder.path + "/" + pages)
  }

  private func bytes(_ path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
  }

  @Test("when a file is cut off at any byte", arguments: SnapshotKind.allCases)
  func truncation(kind: SnapshotKind) throws {
    let files = try save(kind)
    let target = try Target(kind)
    var total = 0
    for file in [files.manifest, files.pages] {
      let whole = try bytes(file)
      total += whole.count
      let handle = try #require(FileHandle(forWritingAtPath: file))
      for length in stride(from: whole.count - 1, through: 0, by: -1) {
        try handle.truncate(atOffset: UInt64(length))
        guard let error = target.error(path) else {
          Issue.record("restored from \(length) of \(whole.count) bytes")
          return
        }
        switch error {
        case .damaged, .notSnapshot: break
        case .notFound where length == 0 && file == files.manifest: break
        default: Issue.record("\(length) bytes: \(error)")
        }
        if length % 997 == 0 { #expect(target.isUnchanged) }
      }
      try handle.close()
      try Data(whole).write(to: URL(fileURLWithPath: file))
    }
    #expect(total > 80_000 && total < 250_000, "\(total)")
    #expect(target.isUnchanged)
    #expect(target.error(path) == nil)
  }

  @Test("when any bit is another, 1,000 of them", arguments: SnapshotKind.allCases)
  func bitFlips(kind: SnapshotKind) throws {
    let files = try save(kind)
    let target = try Target(kind)
    var random = SeededGenerator(seed: 5)
    let (manifest, pages) = (try bytes(files.manifest), try bytes(files.pages))
    for _ in 0..<1_000 {
      let isManifest = random.integer(in: 0..<3) == 0
      let (file, whole) = isManifest ? (files.manifest, manifest) : (files.pages, pages)
      let place = random.integer(in: 0..<whole.count)
      var damaged = whole
      damaged[place] ^= 1 << UInt8(random.integer(in: 0..<8))
      try Data(damaged).write(to: URL(fileURLWithPath: file))
      #expect(target.error(path) != nil, "byte \(place) of \(file)")
      try Data(whole).write(to: URL(fileURLWithPath: file))
    }
    #expect(target.isUnchanged)
    #expect(target.error(path) == nil)
  }

  @Test(
    "or it is whole, when a manifest with the right checksum says anything",
    arguments: SnapshotKind.allCases)
  func forgeries(kind: SnapshotKind) throws {
    let files = try save(kind)
    let manifest = try bytes(files.manifest)
    var random = SeededGenerator(seed: 6)
    var restored = 0
    let harness = try kind.harness(seed: 0)
    for number in 0..<2_000 {
      var forged = manifest
      for _ in 0..<random.integer(in: 1..<4) {
        let place = random.integer(in: 8..<manifest.count - 8)
        let small = UInt8(random.integer(in: 0..<4))
        forged[place] = number % 2 == 0 ? small : UInt8.random(in: 0...255, using: &random)
      }
      var sum = ByteWriter()
      sum.append(Checksum.of(Array(forged.dropLast(8))))
      forged.replaceSubrange(forged.count - 8..<forged.count, with: sum.bytes)
      try Data(forged).write(to: URL(fileURLWithPath: files.manifest))
      do throws(SnapshotError) {
        let result = try SnapshotStore(path: path).restore(
          into: harness.cache, workers: harness.engine.workers)
        restored += 1
        #expect(harness.cache.checkInvariants().isEmpty)
        for sequence in result.sequences {
          _ = harness.nextStep(of: sequence)
          try? harness.cache.rebase(sequence, by: 3)
          try? harness.cache.truncate(sequence, to: 10)
        }
        #expect(harness.cache.checkInvariants().isEmpty)
        for sequence in result.sequences { try? harness.cache.drop(sequence) }
      } catch {}
      #expect(harness.cache.byteCount == 0 && harness.cache.sequenceCount == 0)
    }
    // Bytes of the attachment and of positions.
    #expect(restored > 20)
  }

  // MARK: Other caches

  private static let layer = LayerShape(
    kvHeads: 2, keyWidth: 8, valueWidth: 6, keyType: .float16, valueType: .bfloat16,
    keyPositions: .rotary(pairs: 4, pairing: .halves), retention: .window(200))

  private static let others: [(String, @Sendable (inout LayerShape) -> Void)] = [
    ("KV heads", { $0.kvHeads = 3 }), ("key width", { $0.keyWidth = 9 }),
    ("value width", { $0.valueWidth = 7 }), ("key type", { $0.keyType = .float32 }),
    ("value type", { $0.valueType = .float16 }),
    ("positions", { $0.keyPositions = .rotary(pairs: 4, pairing: .interleaved) }),
    ("positions", { $0.keyPositions = .rotary(pairs: 3, pairing: .halves) }),
    ("positions", { $0.keyPositions = .none }), ("positions", { $0.keyPositions = .absolute }),
    ("retention", { $0.retention = .everything }), ("retention", { $0.retention = .window(201) }),
  ]

  @Test("when a layer's shape is another, whatever differs")
  func shapes() throws {
    let harness = try CacheHarness([Self.layer, Self.layer])
    let sequence = try harness.cache.makeSequence()
    try harness.append(Array(0..<90), to: sequence)
    let store = try SnapshotStore(path: path)
    try store.save(harness.cache)
    for (part, change) in Self.others {
      var layer = Self.layer
      change(&layer)
      let cache = try KVCache(layers: [Self.layer, layer], stripes: [nil], memoryLimit: 64 << 20)
      do throws(SnapshotError) {
        _ = try store.restore(into: cache)
        Issue.record("\(part) is not looked at")
      } catch {
        guard case .shape(1, part, let received, let allowed) = error, received != allowed else {
          Issue.record("\(error)")
          continue
        }
      }
      #expect(cache.sequenceCount == 0 && cache.byteCount == 0)
    }
    let cache = try KVCache(layers: [Self.layer], stripes: [nil], memoryLimit: 64 << 20)
    #expect(
      throws: SnapshotError.shape(
        layer: nil, part: "number of layers", received: "2", allowed: "1")
    ) { try store.restore(into: cache) }
  }

  @Test("when a quantised layer is quantised in another way, or other tokens stay as they are")
  func quantized() throws {
    var layer = Self.layer
    (layer.keyType, layer.valueType) = (.int8, .int4)
    func cache(
      _ layer: LayerShape, _ precision: FullPrecision = FullPrecision(first: 3, last: 9)
    ) throws -> KVCache {
      try KVCache(
        layers: [Self.layer, layer], stripes: [nil], memoryLimit: 64 << 20,
        fullPrecision: precision)
    }
    let store = try SnapshotStore(path: path)
    let saved = try cache(layer)
    _ = try saved.makeSequence()
    try store.save(saved)
    let types: [(ElementType, ElementType, String)] = [
      (.int4, .int4, "key type"), (.float16, .int4, "key type"), (.int8, .int8, "value type"),
      (.int8, .float16, "value type"),
    ]
    for (key, value, part) in types {
      var other = layer
      (other.keyType, other.valueType) = (key, value)
      #expect(
        throws: SnapshotError.shape(
          layer: 1, part: part, received: part == "key type" ? "int8" : "int4",
          allowed: (part == "key type" ? key : value).name)
      ) { try store.restore(into: cache(other)) }
    }
    for (place, precision) in [
      ("first", FullPrecision(first: 4, last: 9)), ("last", FullPrecision(first: 3, last: 0)),
    ] {
      #expect(
        throws: SnapshotError.shape(
          layer: 1, part: "\(place) tokens in full precision",
          received: place == "first" ? "3" : "9", allowed: place == "first" ? "4" : "0")
      ) { try store.restore(into: cache(layer, precision)) }
    }
    #expect(try store.restore(into: cache(layer)).sequences.count == 1)
    // Where nothing is quantised there is nothing to keep.
    try store.save(try cache(Self.layer))
    _ = try store.restore(into: try cache(Self.layer, FullPrecision(first: 8, last: 8)))
  }

  @Test(
    "when it says that layers hold codes which have none",
    arguments: [StoredForm.coded, .uncodable])
  func codesInPlainLayers(form: StoredForm) throws {
    _ = try save()
    let target = try Target()
    var manifest = try SnapshotStore(path: path).manifest()
    manifest.sets[0][0].form = form
    manifest.segments[manifest.sets[0][0].place.segment].setCounts[1] = 1_000
    try Data(manifest.encoded()).write(to: URL(fileURLWithPath: path))
    #expect(
      target.error(path)
        == .damaged(
          path: path, offset: SnapshotManifest.headerBytes,
          reason: "page sets in codes, where no layer has any"))
    #expect(target.isUnchanged)
  }

  @Test("when keys were turned by other frequencies")
  func frequencies() throws {
    func engine(_ scaling: RotaryScaling, later: [RotaryScaling] = []) throws -> AttentionEngine {
      let cache = try KVCache(layers: [Self.layer], stripes: [nil], memoryLimit: 64 << 20)
      func rotary(_ scaling: RotaryScaling) throws -> RotaryEmbedding {
        try RotaryEmbedding(headDimension: 8, pairing: .halves, scaling: scaling)
      }
      var attention = LayerAttention(queryHeads: 2, window: 200, rotary: try rotary(scaling))
      attention.laterRotary = try later.map(rotary)
      return try AttentionEngine(cache: cache, layers: [attention], workers: Workers(count: 1))
    }
    let source = try engine(.none, later: [.linear(factor: 2)])
    let sequence = try source.cache.makeSequence()
    func append() throws {
      try source.begin([StepRequest(sequence, appending: 30)])
      try source.append(
        layer: 0, keys: [Float](repeating: 1, count: 30 * 16).span,
        values: [Float](repeating: 1, count: 30 * 12).span)
      source.commit()
    }
    try append()
    let store = try SnapshotStore(path: path)
    try store.save(source.cache)
    let wrong = try engine(.linear(factor: 3))
    #expect(throws: SnapshotError.frequencies(layer: 0, epoch: 1)) {
      try store.restore(into: wrong.cache)
    }
    #expect(wrong.cache.sequenceCount == 0 && wrong.cache.byteCount == 0)
    // The second epoch is not in use yet.
    _ = try store.restore(into: try engine(.none).cache)
    try source.cache.setRotation(SequenceRotation(epoch: 2, keys: .whenStored), of: sequence)
    try append()
    try store.save(source.cache)
    #expect(throws: SnapshotError.frequencies(layer: 0, epoch: 2)) {
      try store.restore(into: try engine(.none).cache)
    }
    #expect(throws: SnapshotError.frequencies(layer: 0, epoch: 2)) {
      try store.restore(into: try engine(.none, later: [.linear(factor: 4)]).cache)
    }
    _ = try store.restore(into: try engine(.none, later: [.linear(factor: 2)]).cache)
    // A cache without an engine does not know any.
    let bare = try KVCache(layers: [Self.layer], stripes: [nil], memoryLimit: 64 << 20)
    #expect(throws: SnapshotError.noFrequencies(layer: 0)) { try store.restore(into: bare) }
    #expect(bare.sequenceCount == 0 && bare.byteCount == 0)
    #expect(
      "\(SnapshotError.noFrequencies(layer: 0))"
        == "the snapshot cannot be compared with the cache: layer 0: its keys were turned by rotary frequencies, and no engine has "
        + "told the cache any; make an AttentionEngine over it first, then restore")
    var attention = LayerAttention(
      queryHeads: 2, window: 200, rotary: try RotaryEmbedding(headDimension: 8, pairing: .halves))
    attention.laterRotary = source.layers[0].laterRotary
    let engine = try AttentionEngine(
      cache: bare, layers: [attention], workers: Workers(count: 1))
    let restored = try store.restore(into: engine.cache).sequences
    #expect(try restored.map { try bare.length(of: $0) } == [60])
  }

  // MARK: Files and memory

  @Test("for a path that no file can have")
  func impossiblePaths() {
    for (path, reason) in [
      ("", "is empty; name a file"),
      ("a\0b", "holds a NUL byte: \"a\\0b\"; name a file without it"),
      ("\0", "holds a NUL byte: \"\\0\"; name a file without it"),
    ] {
      let refusal = SnapshotError.invalidPath(path)
      #expect(throws: refusal) { try SnapshotStore(path: path) }
      #expect("\(refusal)" == "the path of a snapshot \(reason)")
    }
  }

  @Test("when it is of another version, no snapshot, or not there")
  func otherFiles() throws {
    let files = try save()
    let target = try Target()
    var manifest = try bytes(files.manifest)
    for version in [1, 2, 4] {
      manifest[8] = UInt8(version)
      try Data(manifest).write(to: URL(fileURLWithPath: path))
      #expect(target.error(path) == .version(path: path, received: version, allowed: 3))
    }
    let missing = folder.path + "/missing"
    #expect(target.error(missing) == .notFound(path: missing))
    let nowhere = folder.path + "/no/folder"
    #expect(target.error(nowhere) == .file(.notFound(path: folder.path + "/no")))
    let text = try folder.write("precious", to: "text")
    #expect(target.error(text) == .notSnapshot(path: text))
    #expect(throws: SnapshotError.notSnapshot(path: text)) {
      try SnapshotStore(path: text).save(target.harness.cache)
    }
    #expect(try bytes(text) == Array("precious".utf8))
    #expect(target.error(folder.path) == .file(.isDirectory(path: folder.path)))
    #expect(throws: SnapshotError.self) {
      try SnapshotStore(path: folder.path).save(target.harness.cache)
    }
    #expect(throws: SnapshotError.self) {
      try SnapshotStore(path: nowhere).save(target.harness.cache)
    }
    let empty = try folder.write("", to: "empty")
    #expect(target.error(empty) == .notFound(path: empty))
    try SnapshotStore(path: empty).save(target.harness.cache)
    #expect(target.isUnchanged)
    #expect(try folder.names().count == 5)
  }

  /// A file that begins with some bytes and has 4 TiB, nearly none of which are on the disk.
  private func longFile(_ name: String, _ start: [UInt8]) throws -> String {
    let path = try folder.write(start, to: name)
    let handle = try #require(FileHandle(forWritingAtPath: path))
    try handle.truncate(atOffset: Self.longFileBytes)
    try handle.close()
    return path
  }

  private static let longFileBytes: UInt64 = 1 << 42

  private func header(version: Int = SnapshotManifest.version, length: UInt64) -> [UInt8] {
    var writer = ByteWriter()
    writer.append(bytes: SnapshotManifest.magic)
    writer.append(UInt32(version))
    writer.append(UInt32(1))
    writer.append(length)
    writer.append(UInt64(7))
    return writer.bytes
  }

  @Test("when it is longer than memory, by its first bytes or before any other is read")
  func longFiles() throws {
    let target = try Target()
    let length = Self.longFileBytes
    let text = try longFile("text", Array("precious".utf8))
    #expect(target.error(text) == .notSnapshot(path: text))
    #expect(throws: SnapshotError.notSnapshot(path: text)) {
      try SnapshotStore(path: text).attachment()
    }
    #expect(throws: SnapshotError.notSnapshot(path: text)) {
      try SnapshotStore(path: text).save(target.harness.cache)
    }
    let later = try longFile("later", header(version: 9, length: length))
    #expect(target.error(later) == .version(path: later, received: 9, allowed: 3))
    let other = try longFile("other", header(length: 1_000))
    #expect(
      target.error(other)
        == .damaged(path: other, offset: 16, reason: "the file has \(length) bytes of 1000"))
    // What it says of itself is true, and nobody has the memory.
    let honest = try longFile("honest", header(length: length))
    #expect(
      target.error(honest)
        == .file(.outOfMemory(byteCount: Int(length), placement: .anywhere)))
    #expect(target.isUnchanged)
  }

  @Test("when its length is not the one that it says", arguments: [-1, 1, 1 << 40])
  func otherLength(difference: Int) throws {
    let files = try save()
    var manifest = try bytes(files.manifest)
    let length = UInt64(manifest.count + difference)
    manifest.replaceSubrange(0..<SnapshotManifest.headerBytes, with: header(length: length))
    try Data(manifest).write(to: URL(fileURLWithPath: path))
    let target = try Target()
    #expect(
      target.error(path)
        == .damaged(
          path: path, offset: 16,
          reason: "the file has \(manifest.count) bytes of \(length)"))
    #expect(target.isUnchanged)
  }

  @Test("when a file of pages is missing")
  func missingPages() throws {
    let files = try save()
    try FileManager.default.removeItem(atPath: files.pages)
    let target = try Target()
    #expect(target.error(path) == .file(.notFound(path: files.pages)))
    #expect(target.isUnchanged)
  }

  @Test("when memory ends, wherever it does", arguments: SnapshotKind.allCases)
  func memory(kind: SnapshotKind) throws {
    _ = try save(kind)
    let target = try Target(kind)
    var failing = 0
    var error: SnapshotError?
    repeat {
      failing += 1
      error = AllocationFaults.$current.withValue(AllocationFaults(failing: failing)) {
        target.error(path)
      }
      if let error {
        switch error {
        case .cache(.refused), .file(.outOfMemory): break
        default:
          Issue.record("\(error)")
          return
        }
        #expect(target.isUnchanged)
      }
    } while error != nil
    #expect(failing > 3)
    let small = try kind.harness(seed: 0, memoryLimit: 4 << 20)
    #expect(throws: SnapshotError.self) { try SnapshotStore(path: path).restore(into: small.cache) }
    #expect(small.cache.byteCount == 0 && small.cache.checkInvariants().isEmpty)
  }

  @Test("inside a step, and once it is cancelled")
  func busy() throws {
    _ = try save()
    let target = try Target()
    let reservation = try target.harness.cache.reserve([])
    #expect(target.error(path) == .cache(.stepInProgress))
    #expect(throws: SnapshotError.cache(.stepInProgress)) {
      try SnapshotStore(path: path).save(target.harness.cache)
    }
    target.harness.cache.abandon(reservation)
    let flag = CancellationFlag()
    flag.cancel()
    #expect(throws: SnapshotError.cancelled) {
      try SnapshotStore(path: path).restore(into: target.harness.cache, cancellation: flag)
    }
    #expect(target.isUnchanged)
  }
}

import StreamingAttention
import TestSupport
import Testing

@testable import Benchmarking

@Suite struct KnownAnswerTests {
  private static let sets = InstructionSet.allCases.filter(\.isAvailable)

  /// Rows of levels of everything that the closed form depends on: every pair of levels occurs.
  private static let cases: [(FillCase, FillSequence, Int?)] = {
    let types = ElementType.plainCases
    let widths = [(16, 16), (64, 80), (80, 32), (128, 128)]
    let heads = [(1, 1), (2, 4), (3, 3), (2, 8), (8, 1)]
    let sequences = [
      FillSequence(filled: 2100), FillSequence(filled: 8500, appended: 1),
      FillSequence(filled: 700, appended: 130, queries: 130),
      FillSequence(filled: 0, appended: 77, queries: 77),
      FillSequence(filled: 9000, appended: 3, queries: 40),
    ]
    let positions = FillCase.Positions.allCases
    let maskings = 5
    let counts = [
      sets.count, types.count, types.count, widths.count, heads.count, sequences.count,
      positions.count, maskings, 2,
    ]
    return Covering.pairs(of: counts, seed: 3).map { row in
      var example = FillCase(
        instructionSet: sets[row[0]], keyType: types[row[1]], valueType: types[row[2]],
        positions: positions[row[6]], kvHeads: heads[row[4]].0, group: heads[row[4]].1,
        keyWidth: widths[row[3]].0, valueWidth: widths[row[3]].1)
      switch row[7] {
      case 1: example.window = 500
      case 2: example.softcap = 30
      case 3:
        example.sinks = (0..<example.kvHeads * example.group).map { 20 + Float($0) / 4 }
      case 4: example.mask = .full
      default: break
      }
      return (example, sequences[row[5]], row[8] == 1 ? 512 : nil)
    }
  }()

  @Test(
    "the engine gives the known answer, within its tolerance", arguments: cases.indices,
    FilledRotation.allCases)
  func engine(index: Int, rotation: FilledRotation) throws {
    let (example, sequence, run) = Self.cases[index]
    let fill = try SyntheticFill(
      engine: try example.engine(), sequences: [sequence, FillSequence(filled: 64)],
      options: FillOptions(seed: UInt64(index), anchorRun: run, rotation: rotation))
    _ = try fill.fill()
    let output = try fill.output(queries: fill.checkQueries(layer: 0))
    let check = fill.check(layer: 0, output: output.span)
    #expect(check.passed, "\(example) \(sequence) \(check)")
    // Every row but those with fewer needles than directions before them.
    let pairs = (sequence.queries + 1) * example.kvHeads * example.group
    #expect(check.rowCount >= pairs * 9 / 10, "\(example) \(sequence) \(check)")
  }

  @Test(
    "the closed form is what Double makes of keys turned when they are read",
    arguments: [FilledRotation.inTile, .oldEpoch, .halfOldEpoch],
    [FillCase.Positions.halves, .yarn, .rotaryALiBi])
  func turnedWhenRead(rotation: FilledRotation, positions: FillCase.Positions) throws {
    try closedForm(length: 262_144, positions: positions, rotation: rotation)
  }

  @Test(
    "the closed form is what Double makes of all keys and values as stored, far out too",
    arguments: [2048, 8192, 131_072, 262_144], FillCase.Positions.allCases)
  func closedForm(length: Int, positions: FillCase.Positions) throws {
    try closedForm(length: length, positions: positions, rotation: .stored)
  }

  private func closedForm(
    length: Int, positions: FillCase.Positions, rotation: FilledRotation
  ) throws {
    for type in ElementType.plainCases {
      let example = FillCase(
        instructionSet: .baseline, keyType: type, valueType: type, positions: positions,
        kvHeads: 1, group: 2, keyWidth: 16, valueWidth: 16)
      let fill = try SyntheticFill(
        engine: try example.engine(), sequences: [FillSequence(filled: length)],
        options: FillOptions(rotation: rotation))
      _ = try fill.fill()
      let queries = fill.checkQueries(layer: 0)
      let zeros = [Float](repeating: 0, count: 2 * 16)
      let twin = try fill.twin(layer: 0, queries: queries)
      let check = fill.check(layer: 0, output: twin.span)
      #expect(check.passed && check.rowCount == 2, "\(type) \(check)")
      // Double leaves only the bulk, at most 1e-5 of 7, and f32's rounding of the output. Keys of an old epoch are turned
      // in f32 to numbers with all bits: 6u of a score of 28·a² = 32, √2 on either side, on a value's distance of 7.
      let turned = rotation.epochCount > 1 ? 2 * 6 * 0x1p-24 * 32 * 7 : 0
      #expect(check.maximumError < 7e-5 + turned, "\(type) \(check)")
      #expect(!fill.check(layer: 0, output: zeros.span).passed)
    }
  }

  /// The check of a step, after some bytes of a page have been set to `byte`; they are put back afterwards.
  private static func check(
    _ fill: SyntheticFill, page: Int, kvHead: Int, bytes range: Range<Int>, set byte: UInt8
  ) throws -> SelfCheck {
    let pages = unsafe fill.engine.cache.pageAddresses(layer: 0, kvHead: kvHead)
    guard let address = unsafe pages[page] else { preconditionFailure("no page") }
    // SAFETY: the range lies in the page, and nobody attends while it is written.
    let start = unsafe (address + range.lowerBound).assumingMemoryBound(to: UInt8.self)
    let bytes = unsafe UnsafeMutableBufferPointer(start: start, count: range.count)
    let saved = unsafe Array(bytes)
    unsafe bytes.update(repeating: byte)
    let output = try fill.output(queries: fill.checkQueries(layer: 0))
    _ = unsafe bytes.update(from: saved)
    return fill.check(layer: 0, output: output.span)
  }

  @Test("pages that hold a needle cannot be damaged unseen", arguments: ElementType.plainCases)
  func damage(type: ElementType) throws {
    let example = FillCase(
      keyType: type, valueType: type, kvHeads: 2, group: 2, keyWidth: 64, valueWidth: 64)
    let length = 16_384
    let fill = try SyntheticFill(
      engine: try example.engine(), sequences: [FillSequence(filled: length)])
    let id = try fill.fill()[0]
    var pages: [Int] = []
    try fill.engine.cache.forEachLiveEntry(of: id, table: 0) { pages.append($0.page) }
    let layout = fill.engine.cache.layout(ofLayer: 0)
    let (keys, all) = (0..<layout.valueOffset, 0..<layout.pageBytes)
    for kvHead in 0..<2 {
      let needles = fill.rows.needles(layer: 0, sequence: 0, kvHead: kvHead, tokens: 0..<length)
      #expect(needles.count >= 16)
      let planted = Set(needles.map { $0.token / 64 })
      for (index, page) in pages.enumerated() {
        func check(_ bytes: Range<Int>, _ byte: UInt8) throws -> SelfCheck {
          try Self.check(fill, page: page, kvHead: kvHead, bytes: bytes, set: byte)
        }
        if planted.contains(index) {
          #expect(try !check(keys, 0).passed, "page \(index), keys")
          #expect(try !check(keys.upperBound..<all.upperBound, 0).passed, "page \(index), values")
        } else if index % 37 == 5 {
          #expect(try !check(all, 0xff).passed, "page \(index), NaN")
        }
      }
    }
    #expect(try Self.check(fill, page: pages[0], kvHead: 0, bytes: 0..<0, set: 0).passed)
  }

  @Test("one head's output in another's place is seen")
  func swappedHeads() throws {
    let fill = try SyntheticFill(
      engine: try FillCase(kvHeads: 2, group: 4).engine(),
      sequences: [FillSequence(filled: 4000, queries: 2)])
    _ = try fill.fill()
    let output = try fill.output(queries: fill.checkQueries(layer: 0))
    #expect(fill.check(layer: 0, output: output.span).passed)
    for head in 0..<15 {
      var swapped = output
      for channel in 0..<32 { swapped.swapAt(head * 32 + channel, head * 32 + 32 + channel) }
      #expect(!fill.check(layer: 0, output: swapped.span).passed, "rows \(head) and \(head + 1)")
    }
  }

  @Test("one filled cache serves readers with and without rotation and ALiBi")
  func readers() throws {
    for type in ElementType.plainCases {
      let example = FillCase(
        keyType: type, valueType: type, positions: type == .bfloat16 ? .interleaved : .halves)
      let engine = try example.engine()
      let fill = try SyntheticFill(
        engine: engine, sequences: [FillSequence(filled: 5000, queries: 33)],
        options: FillOptions(steepestSlope: 0.9))
      _ = try fill.fill()
      let alibi = try ALiBi(headCount: 4)
      for rotary in [nil, try example.rotary()] {
        for alibi in [nil, alibi] {
          let reader = try AttentionEngine(
            cache: engine.cache,
            layers: [LayerAttention(queryHeads: 4, rotary: rotary, alibi: alibi)],
            workers: engine.workers, instructionSet: engine.instructionSet, rotation: .any)
          let output = try fill.output(
            queries: fill.checkQueries(layer: 0, for: reader), for: reader)
          let check = fill.check(layer: 0, output: output.span, for: reader)
          #expect(check.passed && check.rowCount == 33 * 4, "\(type) \(check)")
        }
      }
    }
  }

  @Test("what compares nothing has not passed")
  func nothingCompared() throws {
    let fill = try SyntheticFill(
      engine: try FillCase().engine(), sequences: [FillSequence(filled: 100)],
      options: FillOptions(needles: .none))
    _ = try fill.fill()
    let output = try fill.output(queries: fill.plainQueries(layer: 0))
    #expect(!fill.check(layer: 0, output: output.span).passed)
    var merged = SelfCheck(maximumError: 1, tolerance: 2, ratio: 0.5)
    merged.merge(SelfCheck())
    #expect(merged.passed && merged.rowCount == 1)
    merged.merge(SelfCheck(maximumError: .infinity, tolerance: 1, ratio: .infinity))
    #expect(!merged.passed && merged.rowCount == 2 && merged.maximumError == .infinity)
    var spoilt = SelfCheck(maximumError: 1, tolerance: 2, ratio: 0.5)
    spoilt.merge(SelfCheck(maximumError: .nan, tolerance: 1, ratio: .nan))
    #expect(!spoilt.passed && spoilt.maximumError == .infinity)
  }
}

import StreamingAttention
import TestSupport
import Testing

@testable import Benchmarking

@Suite struct KnownAnswerTests {
  private static let sets = InstructionSet.allCases.filter(\.isAvailable)

  /// Rows of levels of everything that the closed form depends on: every pair of levels occurs.
  private static let cases: [(FillCase, FillSequence, Int?)] = {
    let types = ElementType.allCases
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

  @Test("the engine gives the known answer, within its tolerance", arguments: cases.indices)
  func engine(index: Int) throws {
    let (example, sequence, run) = Self.cases[index]
    let fill = try SyntheticFill(
      engine: try example.engine(), sequences: [sequence, FillSequence(filled: 64)],
      options: FillOptions(seed: UInt64(index), anchorRun: run))
    _ = try fill.fill()
    let output = try fill.output(queries: fill.checkQueries(layer: 0))
    let check = fill.check(layer: 0, output: output.span)
    #expect(check.passed, "\(example) \(sequence) \(check)")
    // Every row but those with fewer needles than directions before them.
    let pairs = (sequence.queries + 1) * example.kvHeads * example.group
    #expect(check.rowCount >= pairs * 9 / 10, "\(example) \(sequence) \(check)")
  }

  @Test(
    "the closed form is what Double makes of all keys and values as stored, far out too",
    arguments: [2048, 8192, 131_072, 262_144], FillCase.Positions.allCases)
  func closedForm(length: Int, positions: FillCase.Positions) throws {
    for type in ElementType.allCases {
      let example = FillCase(
        instructionSet: .baseline, keyType: type, valueType: type, positions: positions,
        kvHeads: 1, group: 2, keyWidth: 16, valueWidth: 16)
      let fill = try SyntheticFill(
        engine: try example.engine(), sequences: [FillSequence(filled: length)])
      _ = try fill.fill()
      let queries = fill.checkQueries(layer: 0)
      let zeros = [Float](repeating: 0, count: 2 * 16)
      let twin = try fill.twin(layer: 0, queries: queries)
      let check = fill.check(layer: 0, output: twin.span)
      #expect(check.passed && check.rowCount == 2, "\(type) \(check)")
      // Double leaves only the bulk, at most 1e-5 of 7, and f32's rounding of the output.
      #expect(check.maximumError < 7e-5, "\(type) \(check)")
      #expect(!fill.check(layer: 0, output: zeros.span).passed)
    }
  }

  @Test("pages that hold a needle cannot be damaged unseen", arguments: ElementType.allCases)
  func damage(type: ElementType) throws {
    let example = FillCase(
      keyType: type, valueType: type, kvHeads: 2, group: 2, keyWidth: 64, valueWidth: 64)
    let length = 16_384
    let fill = try SyntheticFill(
      engine: try example.engine(), sequences: [FillSequence(filled: length)])
    let id = try fill.fill()[0]
    let queries = fill.checkQueries(layer: 0)
    func check() throws -> SelfCheck {
      fill.check(layer: 0, output: try fill.output(queries: queries).span)
    }
    #expect(try check().passed)
    var entries: [LiveEntry] = []
    try fill.engine.cache.forEachLiveEntry(of: id, table: 0) { entries.append($0) }
    let layout = fill.engine.cache.layout(ofLayer: 0)
    for kvHead in 0..<2 {
      let needles = fill.rows.needles(layer: 0, sequence: 0, kvHead: kvHead, tokens: 0..<length)
      #expect(needles.count >= 16)
      let planted = Set(needles.map { $0.token / 64 })
      for (index, entry) in entries.enumerated() {
        let pages = unsafe fill.engine.cache.pageAddresses(layer: 0, kvHead: kvHead)
        guard let page = unsafe pages[entry.page] else { continue }
        // SAFETY: the page is `pageBytes` long and nobody attends meanwhile.
        let bytes = unsafe UnsafeMutableRawBufferPointer(start: page, count: layout.pageBytes)
        let saved = unsafe Array(bytes)
        if planted.contains(index) {
          // Zeroed keys hide the needle; so do those of another page.
          unsafe bytes[..<layout.valueOffset].update(repeating: 0)
          #expect(try !check().passed, "page \(index), keys")
          unsafe bytes.copyBytes(from: saved)
          unsafe bytes[layout.valueOffset...].update(repeating: 0)
          #expect(try !check().passed, "page \(index), values")
        } else if index % 37 == 5 {
          unsafe bytes.update(repeating: 0xff)
          #expect(try !check().passed, "page \(index), all ones")
        }
        unsafe bytes.copyBytes(from: saved)
      }
    }
    #expect(try check().passed)
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
  }
}

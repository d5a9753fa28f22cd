import KernelTable
import StreamingAttention
import Testing

@testable import Benchmarking

@Suite("Quantised pages under the engine")
struct QuantizedFillTests {
  static let types: [(ElementType, ElementType)] = [
    (.int8, .int8), (.int4, .int4), (.int8, .float16), (.bfloat16, .int4),
  ]

  @Test(
    "steps of few and many rows give what Double gives over the pages as stored",
    arguments: InstructionSet.allCases.filter(\.isAvailable))
  func attention(instructionSet: InstructionSet) throws {
    for (number, (keyType, valueType)) in Self.types.enumerated() {
      for (index, positions) in FillCase.Positions.allCases.enumerated() {
        var example = FillCase(
          instructionSet: instructionSet, positions: positions, kvHeads: 2, group: 4,
          keyWidth: 64, valueWidth: 80)
        (example.keyType, example.valueType) = (keyType, valueType)
        if index % 3 == 1 { (example.window, example.softcap) = (300, 4) }
        let rows = (index + number) % 2 == 0 ? 1 : 20
        let fill = try SyntheticFill(
          engine: try example.engine(), sequences: [FillSequence(filled: 1_400, queries: rows)],
          options: FillOptions(
            needles: .none, anchorRun: 512, rotation: FilledRotation.allCases[(index + number) % 3])
        )
        _ = try fill.fill()
        let queries = fill.plainQueries(layer: 0)
        _ = try fill.output(queries: queries) { output in
          let (error, missing) = try fill.compare(
            layer: 0, queries: queries.span, output: output.span, kvHead: 1, which: 0..<rows)
          // More than 12 rows of a head widen a page: plain f32.
          let types = StoredTypes(
            key: rows == 1 ? keyType : keyType.plain, value: rows == 1 ? valueType : valueType.plain
          )
          let check = PlainCheck.dense(
            error, missing, types: types, reader: fill.engine)
          #expect(check.passed, "\(example) \(keyType) \(valueType) \(error) \(check.tolerance)")
        }
      }
    }
  }

  @Test("pages lie as steps would leave them: the two newest in f16, the others in codes")
  func forms() throws {
    var example = FillCase()
    (example.keyType, example.valueType) = (.int8, .int4)
    let fill = try SyntheticFill(
      engine: try example.engine(), sequences: [FillSequence(filled: 330)],
      options: FillOptions(needles: .none))
    let ids = try fill.fill()
    let cache = fill.engine.cache
    var forms: [Bool] = []
    try cache.forEachLiveEntry(of: ids[0], table: 0) { forms.append($0.isCoded) }
    #expect(forms == [true, true, true, true, false, false])
    let (plain, coded) = (cache.layout(ofLayer: 0), cache.codedLayout(ofLayer: 0))
    #expect(coded.pageBytes * 2 < plain.pageBytes)
    #expect(cache.checkInvariants() == [])
  }
}

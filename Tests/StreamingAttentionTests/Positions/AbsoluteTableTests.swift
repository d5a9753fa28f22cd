import StreamingAttention
import TestSupport
import Testing

/// sinusoidal.json, rounded to 9 decimals.
private struct SinusoidalFixture: Decodable {
  let positions: [Int]
  let tables: [Table]

  struct Table: Decodable {
    let dim: Int
    let marian: [[Double]]
    let xlm_interleaved: [[Double]]?
    let fairseq: [[Double]]
  }
}

@Suite("Absolute tables")
struct AbsoluteTableTests {
  private func row(_ table: SinusoidalTable, _ position: Int) -> [Float] {
    var row = [Float](repeating: 0, count: table.width)
    var span = row.mutableSpan
    table.addRow(position: position, into: &span)
    return row
  }

  @Test("sinusoidal rows are those of Marian, XLM and fairseq")
  func sinusoidal() throws {
    let fixture: SinusoidalFixture = try Fixtures.json("positions/sinusoidal.json")
    #expect(fixture.tables.count == 3)
    for table in fixture.tables {
      let references = [
        (SinusoidalTable.Convention.halves, table.marian as [[Double]]?),
        (.interleaved, table.xlm_interleaved), (.tensor2tensor, table.fairseq),
      ]
      for (convention, rows) in references {
        guard let rows else { continue }
        let sinusoidal = try SinusoidalTable(width: table.dim, convention: convention)
        for (position, expected) in zip(fixture.positions, rows) {
          // f32 rounding, at most 2⁻²⁵; the file's 9 decimals, 5e-10; the frequency, 4e-15 · 262,143 = 1e-9.
          #expect(
            Distance(of: row(sinusoidal, position), to: expected).maximum <= 0x1p-25 + 1.6e-9)
        }
        let shifted = try SinusoidalTable(
          width: table.dim, convention: convention, positionOffset: 2)
        #expect(row(shifted, 509) == row(sinusoidal, 511))
      }
    }
  }

  @Test("a row is added to what the embedding holds")
  func adds() throws {
    let table = try SinusoidalTable(width: 4, convention: .interleaved)
    var embedding: [Float] = [1, 2, 3, 4]
    var span = embedding.mutableSpan
    table.addRow(position: 0, into: &span)
    #expect(embedding == [1, 3, 3, 5])
  }

  @Test("a learned table refuses its first missing position and leaves the embedding alone")
  func learned() throws {
    // OPT: the first two rows belong to no position.
    let table = try LearnedTable(
      values: (0..<12).map { Float($0) }, width: 2, positionOffset: 2)
    #expect(table.positions == 0..<4)
    func sum(_ position: Int) throws(PositionError) -> [Float] {
      var embedding: [Float] = [100, 200]
      var span = embedding.mutableSpan
      try table.addRow(position: position, into: &span)
      return embedding
    }
    #expect(try sum(0) == [104, 205])
    #expect(try sum(3) == [110, 211])
    #expect(throws: PositionError.beyondTable(position: 4, rows: 4)) { try sum(4) }
    #expect(throws: PositionError.beyondTable(position: -1, rows: 4)) { try sum(-1) }
  }

  @Test("tables of impossible shapes are refused")
  func shapes() {
    #expect(throws: PositionError.self) {
      try SinusoidalTable(width: 3, convention: .tensor2tensor)
    }
    #expect(throws: PositionError.self) { try SinusoidalTable(width: 0, convention: .halves) }
    #expect(
      throws: PositionError.wrongCount(list: "learned table of width 3", received: 7, allowed: 9)
    ) { try LearnedTable(values: [Float](repeating: 0, count: 7), width: 3) }
    #expect(
      throws: PositionError.outOfRange(
        parameter: "offset of a learned table", received: 3, allowed: "0…2")
    ) { try LearnedTable(values: [0, 1], width: 1, positionOffset: 3) }
  }
}

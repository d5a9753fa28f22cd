import TestSupport
import Testing

@Suite("Coverings of combinations")
struct CoveringTests {
  @Test(
    "all pairs and all triples occur",
    arguments: [[2, 2, 2, 2], [5, 3, 4, 1, 2], [10, 8, 3, 3, 4]])
  func complete(counts: [Int]) {
    let pairs = Covering.pairs(of: counts, seed: 1)
    #expect(Covering.missing(strength: 2, counts: counts, in: pairs) == 0)
    let triples = Covering.triples(of: counts, seed: 1)
    #expect(Covering.missing(strength: 3, counts: counts, in: triples) == 0)
    for row in pairs + triples {
      #expect(row.count == counts.count)
      #expect(zip(row, counts).allSatisfy { (0..<$1).contains($0) })
    }
  }

  @Test("a covering is far smaller than the full cross, and follows from its seed")
  func small() {
    let counts = [10, 8, 4, 4, 3, 3, 2, 2]
    let rows = Covering.pairs(of: counts, seed: 3)
    // At least the 80 pairs of the two largest factors, each in a row of its own.
    #expect((80...110).contains(rows.count))
    #expect(rows == Covering.pairs(of: counts, seed: 3))
    #expect(rows != Covering.pairs(of: counts, seed: 4))
  }

  @Test("what is missing is counted")
  func missing() {
    #expect(Covering.missing(strength: 2, counts: [2, 2, 2], in: []) == 12)
    #expect(Covering.missing(strength: 2, counts: [2, 2, 2], in: [[0, 1, 0]]) == 9)
    #expect(Covering.missing(strength: 3, counts: [2, 2, 2], in: [[0, 1, 0], [0, 1, 0]]) == 7)
  }
}

/// Rows of factor levels that contain every combination of any two, or any three, factors' levels.
///
/// Greedy, in the manner of AETG (Cohen, Dalal, Fredman & Patton 1997, "The AETG system", IEEE TSE 23(7)): each row
/// begins with a combination that is still missing and takes, factor by factor in random order, the level that
/// completes most missing combinations; the best of several such rows is kept. The same seed gives the same rows.
package enum Covering {
  /// Rows in which every pair of levels of every two factors occurs.
  ///
  /// `counts` holds the levels of each factor, each at least 1; a row holds a level number per factor.
  package static func pairs(of counts: [Int], seed: UInt64) -> [[Int]] {
    rows(strength: 2, counts: counts, seed: seed, candidates: 40)
  }

  /// Rows in which every triple of levels of every three factors occurs.
  package static func triples(of counts: [Int], seed: UInt64) -> [[Int]] {
    rows(strength: 3, counts: counts, seed: seed, candidates: 6)
  }

  /// The combinations of `strength` factors' levels that no row contains.
  package static func missing(strength: Int, counts: [Int], in rows: [[Int]]) -> Int {
    var combinations = Combinations(strength: strength, counts: counts)
    for row in rows { combinations.remove(row) }
    return combinations.missing
  }

  private static func rows(
    strength: Int, counts: [Int], seed: UInt64, candidates: Int
  ) -> [[Int]] {
    precondition(counts.count >= strength && counts.allSatisfy { $0 > 0 })
    var generator = SeededGenerator(seed: seed)
    var combinations = Combinations(strength: strength, counts: counts)
    var rows: [[Int]] = []
    while combinations.missing > 0 {
      var best: (row: [Int], gain: Int) = ([], -1)
      for _ in 0..<candidates {
        let row = combinations.row(using: &generator)
        let gain = combinations.gain(of: row)
        if gain > best.gain { best = (row, gain) }
      }
      combinations.remove(best.row)
      rows.append(best.row)
    }
    return rows
  }
}

/// Which combinations of levels no row contains yet.
private struct Combinations {
  let counts: [Int]
  /// Sets of `strength` factors, ascending.
  let factorSets: [[Int]]
  /// Factor sets by the factors in them.
  let setsOfFactor: [[Int]]
  /// Where each set's combinations begin among `isMissing`, and one more.
  let starts: [Int]
  private var isMissing: [Bool]
  private(set) var missing: Int
  /// Below it nothing is missing any more.
  private var firstMissing = 0

  init(strength: Int, counts: [Int]) {
    self.counts = counts
    var sets: [[Int]] = [[]]
    for _ in 0..<strength {
      sets = sets.flatMap { set in
        (((set.last ?? -1) + 1)..<counts.count).map { set + [$0] }
      }
    }
    factorSets = sets
    setsOfFactor = counts.indices.map { factor in
      sets.indices.filter { sets[$0].contains(factor) }
    }
    var starts = [0]
    for set in sets { starts.append(starts[starts.count - 1] + set.reduce(1) { $0 * counts[$1] }) }
    self.starts = starts
    missing = starts[starts.count - 1]
    isMissing = Array(repeating: true, count: missing)
  }

  /// The combination of a set in a row; nil while a factor has no level (−1).
  private func index(_ set: Int, _ row: [Int]) -> Int? {
    var index = 0
    for factor in factorSets[set] {
      if row[factor] < 0 { return nil }
      index = index * counts[factor] + row[factor]
    }
    return starts[set] + index
  }

  func gain(of row: [Int]) -> Int {
    factorSets.indices.reduce(0) { sum, set in
      sum + (index(set, row).map { isMissing[$0] ? 1 : 0 } ?? 0)
    }
  }

  mutating func remove(_ row: [Int]) {
    for set in factorSets.indices {
      if let index = index(set, row), isMissing[index] {
        isMissing[index] = false
        missing -= 1
      }
    }
    while firstMissing < isMissing.count, !isMissing[firstMissing] { firstMissing += 1 }
  }

  /// A row around a missing combination.
  func row(using generator: inout SeededGenerator) -> [Int] {
    var row = [Int](repeating: -1, count: counts.count)
    var combination = firstMissing + generator.integer(in: 0..<(isMissing.count - firstMissing))
    while !isMissing[combination] {
      combination = combination + 1 < isMissing.count ? combination + 1 : firstMissing
    }
    let set = (starts.firstIndex { $0 > combination } ?? starts.count) - 1
    var rest = combination - starts[set]
    for factor in factorSets[set].reversed() {
      row[factor] = rest % counts[factor]
      rest /= counts[factor]
    }
    for factor in counts.indices.shuffled(using: &generator) where row[factor] < 0 {
      var best: (level: Int, gain: Int) = (0, -1)
      let first = generator.integer(in: 0..<counts[factor])
      for step in 0..<counts[factor] {
        row[factor] = (first + step) % counts[factor]
        var gain = 0
        for set in setsOfFactor[factor] {
          if let index = index(set, row), isMissing[index] { gain += 1 }
        }
        if gain > best.gain { best = (row[factor], gain) }
      }
      row[factor] = best.level
    }
    return row
  }
}

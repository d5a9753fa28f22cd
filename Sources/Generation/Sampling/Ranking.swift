/// Tokens from the best on, as many as are asked for: a heap sort that stops early.
///
/// Equal scores rank by token id. Setting up n tokens costs O(n), each further rank O(log n).
struct Ranking: Sendable {
  /// In front a heap of the tokens that have no rank yet, the best first; behind it the ranked ones, backwards.
  private var order: [Int]
  private var heapCount: Int

  init(count: Int) {
    order = Array(0..<count)
    heapCount = 0
  }

  /// The number of tokens that have a rank.
  var rankedCount: Int { order.count - heapCount }

  /// The token of a rank, 0 the best.
  ///
  /// - Precondition: `rank` lies in `0..<rankedCount`.
  subscript(rank: Int) -> Int { order[order.count - 1 - rank] }

  /// Starts over with new scores; no token has a rank.
  mutating func reset(by scores: [Double]) {
    heapCount = order.count
    for place in stride(from: heapCount / 2 - 1, through: 0, by: -1) {
      siftDown(order[place], from: place, by: scores)
    }
  }

  /// Gives the next token its rank.
  ///
  /// - Precondition: a token has none yet, and `scores` are those of the last `reset(by:)`.
  mutating func rankNext(by scores: [Double]) -> Int {
    let best = order[0]
    heapCount -= 1
    let last = order[heapCount]
    order[heapCount] = best
    if heapCount > 0 { siftDown(last, from: 0, by: scores) }
    return best
  }

  private mutating func siftDown(_ token: Int, from start: Int, by scores: [Double]) {
    var place = start
    while 2 * place + 1 < heapCount {
      var child = 2 * place + 1
      if child + 1 < heapCount, precedes(order[child + 1], order[child], scores) { child += 1 }
      guard precedes(order[child], token, scores) else { break }
      order[place] = order[child]
      place = child
    }
    order[place] = token
  }

  private func precedes(_ a: Int, _ b: Int, _ scores: [Double]) -> Bool {
    scores[a] > scores[b] || scores[a] == scores[b] && a < b
  }
}

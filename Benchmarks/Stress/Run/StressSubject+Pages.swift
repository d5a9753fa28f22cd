import StreamingAttention

/// Which tokens a cache still holds of a sequence, page by page.
extension StressSubject {
  /// The live pages of a sequence: layers share one table.
  func pages(of pair: Pair) throws(StressError) -> [CachedPage] {
    try StressError.wrapping { () throws(CacheError) in try cache.pages(of: pair.id, layer: 0) }
  }

  /// Compares the tokens in a sequence's pages, what protects them, and its pins with the list.
  func checkPages(of pair: Pair) throws(StressError) {
    let list = pair.list
    let pins = try StressError.wrapping { () throws(CacheError) in
      try cache.pinnedTokens(of: pair.id)
    }
    guard pins == list.pinned else {
      throw .failed("sequence \(pair.number) has pins \(pins); it should have \(list.pinned)")
    }
    let pages = try pages(of: pair)
    var end = 0
    for (number, page) in pages.enumerated() {
      let tokens = page.tokens
      guard tokens.lowerBound >= end, tokens.upperBound <= list.count,
        !list.areEvicted[end..<tokens.lowerBound].contains(false),
        !list.areEvicted[tokens].contains(true)
      else {
        throw .failed(
          "sequence \(pair.number), page \(number) with tokens \(tokens) after token \(end): "
            + "tokens are missing, or there that should not be")
      }
      let isProtected = number == pages.count - 1 || list.protects(tokens)
      guard page.isProtected == isProtected else {
        throw .failed(
          "sequence \(pair.number), page \(number) with tokens \(tokens): "
            + "protected is \(page.isProtected), not \(isProtected)")
      }
      end = tokens.upperBound
    }
    guard end == list.count else {
      throw .failed("sequence \(pair.number): no page holds token \(end) of \(list.count)")
    }
  }

  /// Follows what the commit of a step has given back behind a window: pages that end a page of slack before all that the next token
  /// sees, and hold no pinned token; all of these but the newest, and no others.
  func followRelease(of index: Int, _ figures: inout StepFigures) throws(StressError) {
    guard let window else { return }
    let pair = pairs[index]
    let list = pair.list
    let horizon = list.count - window - PageLayout.slots
    let pages = try pages(of: pair)
    var end = 0
    for (number, page) in pages.enumerated() {
      for token in end..<page.tokens.lowerBound where !list.areEvicted[token] {
        guard token < horizon, !list.arePinned[token] else {
          throw .failed(
            "sequence \(pair.number): token \(token) of \(list.count) is released with a window of "
              + "\(window), but is \(list.arePinned[token] ? "pinned" : "to be kept")")
        }
      }
      guard
        number == pages.count - 1 || page.tokens.upperBound > horizon
          || list.arePinned[page.tokens].contains(true)
      else {
        throw .failed(
          "sequence \(pair.number): tokens \(page.tokens) of \(list.count) have left a window of "
            + "\(window), but their page is still there")
      }
      pairs[index].list.release(end..<page.tokens.lowerBound)
      end = page.tokens.upperBound
    }
    figures.checks += 1
    figures.releasedTokens += list.liveCount - pairs[index].list.liveCount
  }
}

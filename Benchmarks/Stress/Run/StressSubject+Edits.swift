import StreamingAttention

/// Operations on whole sequences, in the cache first: what it refuses leaves the twin as it was.
extension StressSubject {
  func fork(_ index: Int) throws(StressError) {
    let pair = pairs[index]
    let id = try StressError.wrapping { () throws(CacheError) in try cache.fork(pair.id) }
    enter(id, pair.list)
  }

  /// Does an operation on a sequence, or sees it refused as the list says that it must be.
  ///
  /// - Returns: Whether it was done; otherwise the whole cache is as it was, but for the bytes of pages, which are not read.
  func edit(
    _ index: Int, refusal: CacheError?, _ body: () throws(CacheError) -> Void
  ) throws(StressError) -> Bool {
    let number = pairs[index].number
    let before = refusal.map { _ in cache.fingerprint(includingPages: false) }
    do throws(CacheError) { try body() } catch {
      guard error == refusal else {
        guard !StressError(error).isOutOfMemory else { throw StressError(error) }
        throw .failed(
          "sequence \(number): \(error); \(refusal.map { "expected: \($0)" } ?? "it was possible")")
      }
      guard cache.fingerprint(includingPages: false) == before else {
        throw .failed("sequence \(number): refused (\(error)), and the cache changed")
      }
      try checkPages(of: pairs[index])
      return false
    }
    guard let refusal else { return true }
    throw .failed("sequence \(number): not refused, though \(refusal)")
  }

  /// Rewinds a sequence, or to the shortest length that the refusal names.
  func truncate(_ index: Int, to length: Int) throws(StressError) {
    let id = pairs[index].id
    let refusal = pairs[index].list.refusal(ofLength: length, window: window)
    let isDone = try edit(index, refusal: refusal) { () throws(CacheError) in
      try cache.truncate(id, to: length)
    }
    guard isDone else {
      let shortest = pairs[index].list.shortestLength(from: length, window: window)
      return try truncate(index, to: shortest)
    }
    pairs[index].list.truncate(to: length)
  }

  /// Removes tokens, unless a window would miss some of those before; whether it did.
  @discardableResult
  func remove(_ tokens: Range<Int>, from index: Int) throws(StressError) -> Bool {
    let id = pairs[index].id
    let refusal = pairs[index].list.refusal(removing: tokens, window: window)
    let isDone = try edit(index, refusal: refusal) { () throws(CacheError) in
      try cache.remove(tokens, from: id)
    }
    if isDone { pairs[index].list.remove(tokens) }
    return isDone
  }

  /// Keeps the first tokens, the last and those that are pinned, unless a window would miss some; whether any have gone.
  @discardableResult
  func keep(first: Int, last: Int, of index: Int) throws(StressError) -> Bool {
    let (id, count) = (pairs[index].id, pairs[index].list.count)
    let refusal = pairs[index].list.refusal(keeping: first, last, window: window)
    let isDone = try edit(index, refusal: refusal) { () throws(CacheError) in
      try cache.keep(first: first, last: last, of: id)
    }
    if isDone { pairs[index].list.keep(first: first, last: last) }
    return pairs[index].list.count < count
  }

  /// Evicts pages until there are so many, positions as they are; how many are gone.
  ///
  /// Those that are protected stay.
  ///
  /// - Precondition: The policy is one of pages.
  func evict(_ index: Int, to count: Int, by policy: StressPolicy) throws(StressError) -> Int {
    guard let choice = policy.policy else { preconditionFailure("\(policy) evicts no pages") }
    let id = pairs[index].id
    let before = try pages(of: pairs[index])
    let gone = try StressError.wrapping { () throws(CacheError) in
      try cache.evict(from: id, layer: 0, to: count, by: choice)
    }
    try followEviction(of: index, from: before, to: count, by: policy, gone: gone)
    return gone
  }

  /// Follows an eviction that has left `count` of these pages, or those that are protected: none of these may have gone.
  ///
  /// By `recent` just the oldest of the others have.
  func followEviction(
    of index: Int, from before: [CachedPage], to count: Int, by policy: StressPolicy, gone: Int
  ) throws(StressError) {
    let pair = pairs[index]
    let after = try pages(of: pair)
    let areProtected = before.indices.map {
      $0 == before.count - 1 || pair.list.protects(before[$0].tokens)
    }
    let wanted = min(before.count, max(count, areProtected.count { $0 }))
    guard before.count - gone == after.count, after.count == wanted else {
      throw .failed("\(before.count) pages less \(gone) are \(after.count), wanted \(wanted)")
    }
    var kept = 0
    var spared: Int?
    for (number, page) in before.enumerated() {
      if kept < after.count, after[kept].tokens == page.tokens {
        kept += 1
        if !areProtected[number] { spared = spared ?? number }
        continue
      }
      let defect =
        areProtected[number]
        ? "it is protected"
        : policy == .recent ? spared.map { "the older page \($0) is not" } : nil
      if let defect {
        throw .failed(
          "sequence \(pair.number): page \(number) with tokens \(page.tokens) is evicted, and \(defect)"
        )
      }
      pairs[index].list.evict(page.tokens)
    }
  }

  /// Pins tokens, after which the eviction of a page that is protected must be refused.
  func pin(_ tokens: Range<Int>, of index: Int) throws(StressError) {
    let id = pairs[index].id
    try StressError.wrapping { () throws(CacheError) in try cache.pin(tokens, of: id) }
    pairs[index].list.pin(tokens)
    let (list, pages) = (pairs[index].list, try pages(of: pairs[index]))
    let protected = pages.firstIndex { list.protects($0.tokens) } ?? pages.count - 1
    guard pages.indices.contains(protected) else { return }
    let refusal =
      window == nil
      ? CacheError.protectedPage(received: protected, tokens: pages[protected].tokens)
      : .windowedLayer(0)
    _ = try edit(index, refusal: refusal) { () throws(CacheError) in
      try cache.evict(pages: [protected], from: id, layer: 0)
    }
  }

  func unpin(_ tokens: Range<Int>, of index: Int) throws(StressError) {
    let id = pairs[index].id
    try StressError.wrapping { () throws(CacheError) in try cache.unpin(tokens, of: id) }
    pairs[index].list.unpin(tokens)
  }

  func rebase(_ index: Int, by delta: Int) throws(StressError) {
    let id = pairs[index].id
    try StressError.wrapping { () throws(CacheError) in try cache.rebase(id, by: delta) }
    pairs[index].list.rebase(by: delta)
  }
}

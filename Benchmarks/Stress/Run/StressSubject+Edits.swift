import StreamingAttention

/// Operations on whole sequences, in the cache first: what it refuses leaves the twin as it was.
extension StressSubject {
  func fork(_ index: Int) throws(StressError) {
    let pair = pairs[index]
    let id = try StressError.wrapping { () throws(CacheError) in try cache.fork(pair.id) }
    enter(id, pair.list)
  }

  func truncate(_ index: Int, to length: Int) throws(StressError) {
    let id = pairs[index].id
    try StressError.wrapping { () throws(CacheError) in try cache.truncate(id, to: length) }
    pairs[index].list.truncate(to: length)
  }

  func remove(_ tokens: Range<Int>, from index: Int) throws(StressError) {
    let id = pairs[index].id
    try StressError.wrapping { () throws(CacheError) in try cache.remove(tokens, from: id) }
    pairs[index].list.remove(tokens)
  }

  func keep(first: Int, last: Int, of index: Int) throws(StressError) {
    let id = pairs[index].id
    try StressError.wrapping { () throws(CacheError) in
      try cache.keep(first: first, last: last, of: id)
    }
    pairs[index].list.keep(first: first, last: last)
  }

  /// Evicts pages until there are so many, positions as they are; how many are gone.
  func evict(_ index: Int, to count: Int, by policy: EvictionPolicy) throws(StressError) -> Int {
    let id = pairs[index].id
    let (before, gone, after) = try StressError.wrapping { () throws(CacheError) in
      let before = try cache.pages(of: id, layer: 0)
      let gone = try cache.evict(from: id, layer: 0, to: count, by: policy)
      return (before, gone, try cache.pages(of: id, layer: 0))
    }
    guard before.count - gone == after.count, after.count <= max(count, 1) else {
      throw .failed("\(before.count) pages less \(gone) are \(after.count), wanted \(count)")
    }
    var kept = 0
    for page in before {
      if kept < after.count, after[kept].tokens == page.tokens {
        kept += 1
      } else {
        pairs[index].list.evict(page.tokens)
      }
    }
    return gone
  }

  func rebase(_ index: Int, by delta: Int) throws(StressError) {
    let id = pairs[index].id
    try StressError.wrapping { () throws(CacheError) in try cache.rebase(id, by: delta) }
    pairs[index].list.rebase(by: delta)
  }
}

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

  func rebase(_ index: Int, by delta: Int) throws(StressError) {
    let id = pairs[index].id
    try StressError.wrapping { () throws(CacheError) in try cache.rebase(id, by: delta) }
    pairs[index].list.rebase(by: delta)
  }
}

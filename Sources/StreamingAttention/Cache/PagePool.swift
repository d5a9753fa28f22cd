import KernelTable

/// The page sets of all layers with the same retention, and the extents that hold their pages.
///
/// A *column* is one layer and KV head of the pool: `[layer][KV head]` flattened.
@safe final class PagePool {
  let retention: Retention
  /// Numbers of the cache's layers that the pool serves, ascending.
  let layers: [Int]
  /// Where things lie in the pages of each layer, plain ones and quantised ones; the same where a layer is not quantised.
  let layouts: [PageLayout]
  let codedLayouts: [PageLayout]
  /// Whether page sets other than the newest hold codes, and which of them stay as they are.
  let isQuantized: Bool
  let precision: FullPrecision
  let headCounts: [Int]
  /// The first column of each layer of the pool.
  let firstColumns: [Int]
  let columnCount: Int
  /// Bytes of one page set, plain or in codes: what the formula counts.
  let setBytes: Int
  let codedSetBytes: Int
  let largestExtent: Int
  /// `[layer of the pool][node]`.
  let arenas: [[Arena]]
  let nodeCount: Int
  /// The pool's place among those of its cache.
  let number: Int
  /// The cache, whose sequences say which thin extents are spared.
  weak var owner: KVCache?

  var sets = GrowingTable<PageSet>()
  var setNumbers = NumberPool()
  var extents = GrowingTable<Extent>()
  var extentNumbers = NumberPool()
  /// Where an extent begins in its arena: `[extent][column]`.
  var extentOffsets = GrowingTable<Int>()
  var addresses: ColumnTable<UnsafeMutableRawPointer?>
  /// Bounds of what the pages hold.
  var norms: ColumnTable<PageNorms>
  /// How far they are from what was written; without room where nothing is quantised.
  var errors: ColumnTable<PageErrors>
  /// Live page sets that hold codes.
  private(set) var codedCount = 0
  /// The latest version of any page set.
  private var latestVersion: UInt64 = 0

  /// Bytes that are to be committed ahead of need, by layer and node (`PagePool+Ahead`).
  var dueBytes: [[Int]]

  // MARK: Thin extents
  var thinningRound: UInt64 = 0
  var hasSpared = false
  /// Page sets that the step in progress has copied out of thin extents, and what all steps have.
  var copiedSets = 0
  var movedSets = 0
  var emptiedExtents = 0

  init(
    number: Int, retention: Retention, layers: [Int], shapes: [LayerShape], arenas: [[Arena]],
    precision: FullPrecision
  ) {
    self.number = number
    self.retention = retention
    self.layers = layers
    layouts = layers.map { PageLayout(shapes[$0].plain) }
    codedLayouts = layers.map { PageLayout(shapes[$0]) }
    isQuantized = layers.contains { shapes[$0].isQuantized }
    self.precision = precision
    headCounts = layers.map { shapes[$0].kvHeads }
    var firstColumns: [Int] = []
    var columnCount = 0
    for count in headCounts {
      firstColumns.append(columnCount)
      columnCount += count
    }
    self.firstColumns = firstColumns
    self.columnCount = columnCount
    setBytes = zip(layouts, headCounts).reduce(0) { $0 + $1.0.pageBytes * $1.1 }
    codedSetBytes = zip(codedLayouts, headCounts).reduce(0) { $0 + $1.0.pageBytes * $1.1 }
    largestExtent = ExtentRule.largestExtent(retention)
    self.arenas = arenas
    dueBytes = arenas.map { $0.map { _ in 0 } }
    nodeCount = arenas[0].count
    unsafe addresses = ColumnTable(columnCount: columnCount)
    norms = ColumnTable(columnCount: columnCount)
    errors = ColumnTable(columnCount: columnCount)
  }

  /// Bytes of the distinct live pages.
  var formulaBytes: Int {
    (setNumbers.usedCount - codedCount) * setBytes + codedCount * codedSetBytes
  }

  /// Page memory in whole groups that the live page sets and so many more need at least, however they lie.
  func leastCommittedBytes(adding plain: Int, inCodes coded: Int = 0) -> Int {
    let (plain, coded) = (plain + setNumbers.usedCount - codedCount, coded + codedCount)
    return layers.indices.reduce(0) { sum, layer in
      let bytes =
        headCounts[layer]
        * (plain * layouts[layer].pageBytes + coded * codedLayouts[layer].pageBytes)
      let groups = (bytes + Arena.groupBytes - 1) / Arena.groupBytes
      return sum + groups * Arena.groupBytes
    }
  }

  // MARK: Page sets

  /// Takes the next pages of `extent` as a page set with one reference; throws with nothing changed.
  func addSet(
    to extent: Int32, epoch: Int32, offset: Int
  ) throws(CacheError) -> Int32 {
    try setNumbers.prepare()
    try sets.reserveCapacity(setNumbers.count + 1)
    try unsafe addresses.reserveCapacity(setNumbers.count + 1)
    try norms.reserveCapacity(setNumbers.count + 1)
    if isQuantized { try errors.reserveCapacity(setNumbers.count + 1) }
    let index = extents[Int(extent)].usedPages
    let number = setNumbers.take()
    let isCoded = extents[Int(extent)].isCoded
    let set = PageSet(
      referenceCount: 1, epoch: epoch, offset: offset, extent: extent,
      indexInExtent: index, isCoded: isCoded)
    if isCoded { codedCount += 1 }
    sets.resize(to: max(sets.count, setNumbers.count), filler: set)
    sets[Int(number)] = set
    noteChange(of: number)
    list(number)
    extents[Int(extent)].usedPages += 1
    extents[Int(extent)].livePages += 1
    forEachColumn { column, layer, _ in
      unsafe addresses[column, Int(number)] = address(
        extent: extent, column: column, layer: layer, index: Int(index))
      norms[column, Int(number)] = .unknown
      if isQuantized { errors[column, Int(number)] = .none }
    }
    return number
  }

  /// Whoever writes pages of a set, or its bounds, says so: snapshots write what has changed.
  func noteChange(of set: Int32) {
    latestVersion += 1
    sets[Int(set)].version = latestVersion
  }

  /// Takes a page set of its own, in an extent of one page that is closed at once, for contents that an entry of that
  /// number has to itself; throws with nothing changed.
  func addPrivateSet(
    forEntry number: Int, epoch: Int32, offset: Int, isInStep: Bool = false,
    from budget: inout MemoryBudget
  ) throws(CacheError) -> Int32 {
    let extent =
      isInStep
      ? try openExtentInStep(firstEntry: number, pageCount: 1, isCoded: false, from: &budget)
      : try openExtent(
        node: node(ofEntry: number), pageCount: 1, isCoded: false, from: &budget)
    do throws(CacheError) {
      let set = try addSet(to: extent, epoch: epoch, offset: offset)
      extents[Int(extent)].isOpen = false
      return set
    } catch {
      undoOpenExtent(extent, to: &budget)
      throw error
    }
  }

  /// Copies a plain page set as it is, bounds included, in a step; throws with nothing changed.
  func addCopy(
    of page: Int32, forEntry number: Int, from budget: inout MemoryBudget
  ) throws(CacheError) -> Int32 {
    let original = sets[Int(page)]
    let copy = try addPrivateSet(
      forEntry: number, epoch: original.epoch, offset: original.offset, isInStep: true,
      from: &budget)
    sets[Int(copy)].rewrites = original.rewrites
    sets[Int(copy)].isUncodable = original.isUncodable
    forEachColumn { column, layer, _ in
      norms[column, Int(copy)] = norms[column, Int(page)]
      if isQuantized { errors[column, Int(copy)] = errors[column, Int(page)] }
      // SAFETY: both sets are live, so their pages are committed, `pageBytes` long, and apart.
      if let source = unsafe addresses[column, Int(page)],
        let target = unsafe addresses[column, Int(copy)]
      {
        unsafe target.copyMemory(from: source, byteCount: layouts[layer].pageBytes)
      }
    }
    return copy
  }

  /// Gives up the latest `addSet`.
  func undoAddSet(_ number: Int32) {
    let extent = Int(sets[Int(number)].extent)
    if sets[Int(number)].isCoded { codedCount -= 1 }
    sets[Int(number)].referenceCount = 0
    unlist(number)
    extents[extent].usedPages -= 1
    extents[extent].livePages -= 1
    setNumbers.giveBack(number)
  }

  /// Takes one reference away; without any, the pages and with the last of them their extent are freed.
  func releaseSet(_ number: Int32, to budget: inout MemoryBudget) {
    sets[Int(number)].referenceCount -= 1
    guard sets[Int(number)].referenceCount == 0 else { return }
    let extent = sets[Int(number)].extent
    if sets[Int(number)].isCoded { codedCount -= 1 }
    unlist(number)
    extents[Int(extent)].livePages -= 1
    setNumbers.giveBack(number)
    freeIfDead(extent, to: &budget)
  }

  /// Enters a page set into the list of its extent.
  func list(_ number: Int32) {
    let extent = Int(sets[Int(number)].extent)
    let next = extents[extent].firstSet
    sets[Int(number)].previousInExtent = -1
    sets[Int(number)].nextInExtent = next
    if next >= 0 { sets[Int(next)].previousInExtent = number }
    extents[extent].firstSet = number
  }

  /// Takes a page set out of the list of its extent.
  func unlist(_ number: Int32) {
    let set = sets[Int(number)]
    if set.nextInExtent >= 0 {
      sets[Int(set.nextInExtent)].previousInExtent = set.previousInExtent
    }
    if set.previousInExtent >= 0 {
      sets[Int(set.previousInExtent)].nextInExtent = set.nextInExtent
    } else {
      extents[Int(set.extent)].firstSet = set.nextInExtent
    }
  }

  // MARK: Columns

  /// Calls `body` with each column, its layer's index in the pool and its KV head.
  func forEachColumn<Failure: Error>(
    _ body: (Int, Int, Int) throws(Failure) -> Void
  ) throws(Failure) {
    for layer in headCounts.indices {
      for head in 0..<headCounts[layer] { try body(firstColumns[layer] + head, layer, head) }
    }
  }

  func address(
    extent: Int32, column: Int, layer: Int, index: Int
  ) -> UnsafeMutableRawPointer {
    let arena = arenas[layer][Int(extents[Int(extent)].node)]
    let offset = extentOffsets[Int(extent) * columnCount + column]
    let pageBytes = pageBytes(layer: layer, isCoded: extents[Int(extent)].isCoded)
    return unsafe arena.address(ofOffset: offset + index * pageBytes)
  }

  /// Bytes of a page of a layer of the pool.
  func pageBytes(layer: Int, isCoded: Bool) -> Int {
    (isCoded ? codedLayouts : layouts)[layer].pageBytes
  }
}

package import KernelTable

/// What plans and tiles see. Page tables and addresses stand still while a step is in progress.
extension KVCache {
  /// Number of page tables that each sequence has: one for each retention among the layers.
  package var tableCount: Int { pools.count }

  /// The page table of a layer.
  package func table(ofLayer layer: Int) -> Int { poolOfLayer[layer] }

  /// Whether the page table of that number releases what leaves a window.
  package func hasWindow(table: Int) -> Bool { pools[table].retention != .everything }

  /// Where things lie in the plain pages of a layer.
  package func layout(ofLayer layer: Int) -> PageLayout {
    pools[poolOfLayer[layer]].layouts[indexInPool[layer]]
  }

  /// Where things lie in the pages of a layer whose page sets hold codes; as in the others if it is not quantised.
  package func codedLayout(ofLayer layer: Int) -> PageLayout {
    pools[poolOfLayer[layer]].codedLayouts[indexInPool[layer]]
  }

  /// Which of `stripes` holds the pages of an entry of this number: that of its leaf of 32 entries.
  package func stripe(ofEntry number: Int) -> Int {
    number / SummationOrder.largestLeafEntries % stripes.count
  }

  /// Live entries of a sequence's table, those of the step in progress included.
  package func liveEntryCount(
    of sequence: SequenceID, table: Int
  ) throws(CacheError) -> Int {
    try state(of: sequence).tables[table].entries.count
  }

  /// How often a sequence's table has been changed otherwise than by growth at its end.
  package func changeCount(of sequence: SequenceID, table: Int) throws(CacheError) -> Int {
    try state(of: sequence).tables[table].changeCount
  }

  /// Calls `body` with the live entries of a sequence's table, oldest first, from the `first`-th on.
  package func forEachLiveEntry(
    of sequence: SequenceID, table: Int, from first: Int = 0, _ body: (LiveEntry) -> Void
  ) throws(CacheError) {
    let table = try state(of: sequence).tables[table]
    for index in first..<table.entries.count {
      let entry = table.entries[index]
      let set = table.pool.sets[Int(entry.page)]
      body(
        LiveEntry(
          number: Int(entry.number), page: Int(entry.page), basePosition: entry.basePosition,
          slots: Int(entry.firstSlot)..<Int(entry.endSlot), tokens: entry.tokens,
          anchor: table.anchor(of: entry),
          epoch: Int(set.epoch), isCoded: set.isCoded))
    }
  }

  /// Page addresses of a layer and KV head by page number, until the next reservation.
  ///
  /// - Precondition: A page has been reserved in the layer's table.
  package func pageAddresses(
    layer: Int, kvHead: Int
  ) -> UnsafePointer<UnsafeMutableRawPointer?> {
    let pool = pools[poolOfLayer[layer]]
    return unsafe UnsafePointer(
      pool.addresses.column(pool.firstColumns[indexInPool[layer]] + kvHead))
  }

  /// Bounds of what the pages of a layer and KV head hold, by page number, until the next reservation.
  ///
  /// Slot writers keep them. Whoever writes pages by other means sets those of each page that it has filled; until
  /// then they are `PageNorms.unknown`, and the page is read whenever a row sees it.
  ///
  /// - Precondition: A page has been reserved in the layer's table.
  package func pageNorms(layer: Int, kvHead: Int) -> UnsafeMutablePointer<PageNorms> {
    let pool = pools[poolOfLayer[layer]]
    return unsafe pool.norms.column(pool.firstColumns[indexInPool[layer]] + kvHead)
  }

  /// Bounds of how far the pages of a quantised layer and KV head are from what was written, by page number, until the next
  /// reservation.
  ///
  /// - Precondition: A page has been reserved in the layer's table, and a layer of the table is quantised.
  package func pageErrors(layer: Int, kvHead: Int) -> UnsafePointer<PageErrors> {
    let pool = pools[poolOfLayer[layer]]
    return unsafe UnsafePointer(
      pool.errors.column(pool.firstColumns[indexInPool[layer]] + kvHead))
  }

  /// The writer of one layer for the `request`-th request of the step in progress.
  ///
  /// - Precondition: A step is in progress and has that request.
  package func slotWriter(request: Int, layer: Int, kernels: KernelTable) -> SlotWriter {
    precondition(isStepInProgress)
    let state = stepSequences[request]
    let table = state.tables[poolOfLayer[layer]]
    let start = table.reservedStart
    return unsafe slotWriter(
      of: table, entry: start.entry, slots: start.slot..<start.slot + state.reservedTokens,
      firstPosition: state.nextPosition, anchor: table.nextAnchor, epoch: table.pageEpoch,
      rewindsFirst: table.reservesRewound, layer: layer, kernels: kernels)
  }

  /// The writer of one layer for all live slots of an entry: for synthetic contents, which are written once all
  /// pages are there.
  ///
  /// `index` counts the live entries from the oldest. Nobody reads the page meanwhile, and no snapshot has been made of it.
  ///
  /// - Precondition: The sequence has that entry and shares it with nobody.
  package func slotWriter(
    ofEntry index: Int, in sequence: SequenceID, layer: Int, kernels: KernelTable
  ) throws(CacheError) -> SlotWriter {
    let table = try state(of: sequence).tables[poolOfLayer[layer]]
    let entry = table.entries[index]
    let set = table.pool.sets[Int(entry.page)]
    precondition(set.referenceCount == 1, "a shared page")
    return unsafe slotWriter(
      of: table, entry: index, slots: Int(entry.firstSlot)..<Int(entry.endSlot),
      firstPosition: entry.basePosition + Int(entry.firstSlot), anchor: table.anchor(of: entry),
      epoch: set.epoch, rewindsFirst: false, layer: layer,
      fillsCodes: set.isCoded && layers[layer].isQuantized, kernels: kernels)
  }

  /// A writer of consecutive slots, counted from slot 0 of the `entry`-th live entry.
  private func slotWriter(
    of table: PageTable, entry: Int, slots: Range<Int>, firstPosition: Int, anchor: Int,
    epoch: Int32, rewindsFirst: Bool, layer: Int, fillsCodes: Bool = false, kernels: KernelTable
  ) -> SlotWriter {
    let firstColumn = table.pool.firstColumns[indexInPool[layer]]
    let errors = unsafe fillsCodes ? table.pool.errors.column(firstColumn) : nil
    return unsafe SlotWriter(
      tokenCount: slots.count, firstSlot: slots.lowerBound, firstPosition: firstPosition,
      anchor: anchor, epoch: Int(epoch), kernels: kernels, rewindsFirst: rewindsFirst,
      entries: slots.isEmpty ? nil : table.entries.address.map { unsafe UnsafePointer($0 + entry) },
      pages: slots.isEmpty ? nil : pageAddresses(layer: layer, kvHead: 0),
      columnStride: table.pool.addresses.capacity,
      norms: slots.isEmpty ? nil : pageNorms(layer: layer, kvHead: 0),
      normStride: table.pool.norms.capacity,
      savedNorms: table.savedNorms.address.map { unsafe $0 + firstColumn },
      stepNumber: table.stepNumber, shape: layers[layer],
      valueOffset: layout(ofLayer: layer).valueOffset, codeErrors: errors,
      errorStride: table.pool.errors.capacity)
  }

  /// Fills the pages that the step in progress has added with one byte, so that tests can prove that unused
  /// slots never matter.
  package func fillReservedPages(with byte: UInt8) {
    for state in stepSequences {
      for table in state.tables { table.fillReservedPages(with: byte) }
    }
  }
}

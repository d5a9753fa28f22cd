import KernelTable

/// Writes slots of pages anew: keys are read as they are stored, turned in f32, and rounded again.
///
/// What it writes is plain; codes are widened to plain numbers first.
@safe struct PageRewriter: ~Copyable {
  let layers: [LayerShape]
  /// The fastest kernels unless an engine has named its own.
  var kernels: KernelTable?
  /// Frequencies by layer and epoch, from 1 on, as far as an engine has named them.
  var rotaries: [[RotaryEmbedding]] = []
  var coder: PageCoder
  private var keys = GrowingTable<Float>()
  private var values = GrowingTable<Float>()
  private var turns = GrowingTable<Float>()

  init(layers: [LayerShape]) {
    self.layers = layers
    coder = PageCoder(layers: layers)
  }

  /// The kernels that pages are written by.
  var pageKernels: KernelTable { kernels ?? InstructionSet.detected.kernels }

  /// Makes sure that the draft's rewrites can be done: room, and frequencies.
  mutating func prepare(for draft: borrowing TableDraft, in pool: PagePool) throws(CacheError) {
    guard draft.rewrites.count > 0 else { return }
    if pool.isQuantized { try coder.prepare() }
    for layer in pool.layers {
      try keys.reserveCapacity(PageLayout.slots * layers[layer].keyWidth)
      try values.reserveCapacity(PageLayout.slots * layers[layer].valueWidth)
      try turns.reserveCapacity(2 * PageLayout.slots * max(layers[layer].rotaryPairs, 1))
    }
    for index in 0..<draft.rewrites.count where draft.rewrites[index].second.turn != 0 {
      let epoch = pool.sets[Int(draft.rewrites[index].target)].epoch
      for layer in pool.layers where epoch != PageSet.unturned && layers[layer].rotaryPairs > 0 {
        guard rotary(layer, epoch: epoch) != nil else {
          throw .unknownFrequencies(layer: layer, epoch: Int(epoch))
        }
      }
    }
  }

  private func rotary(_ layer: Int, epoch: Int32) -> RotaryEmbedding? {
    guard rotaries.indices.contains(layer) else { return nil }
    let index = Int(epoch - PageSet.firstEpoch)
    return rotaries[layer].indices.contains(index) ? rotaries[layer][index] : nil
  }

  /// Writes the pages of all layers and KV heads of a pool, and their bounds.
  ///
  /// - Precondition: It is prepared for the rewrite.
  mutating func run(_ rewrite: PageRewrite, in pool: PagePool) {
    let target = Int(rewrite.target)
    let epoch = pool.sets[target].epoch
    let kernels = pageKernels
    let sources = [Int(rewrite.first.page), Int(rewrite.second.page)]
    let count = rewrite.first.slots.count
    pool.forEachColumn { column, index, head in
      let layer = pool.layers[index]
      let shape = layers[layer]
      var isTurned = false
      if rewrite.second.turn != 0, epoch != PageSet.unturned, shape.rotaryPairs > 0 {
        if head == 0 { fillTurns(layer, epoch, rewrite.second) }
        isTurned = true
      }
      // SAFETY: live page sets have committed pages; `prepare` made room for 64 rows of every layer.
      guard let page = unsafe pool.addresses[column, target],
        let keys = unsafe keys.address, let values = unsafe values.address
      else { return }
      unsafe read(rewrite.first, column, index, in: pool, keys: keys, values: values)
      unsafe read(
        rewrite.second, column, index, in: pool, keys: keys + count * shape.keyWidth,
        values: values + count * shape.valueWidth)
      let errors = largestErrors(of: rewrite, column, in: pool)
      let norms = unsafe pool.norms.column(column) + target
      unsafe norms.pointee = .empty
      for isSecond in [false, true] {
        let row = isSecond ? count : 0
        var task = unsafe SlotTask(
          keys: keys + row * shape.keyWidth, keyTokenStride: shape.keyWidth,
          values: values + row * shape.valueWidth, valueTokenStride: shape.valueWidth,
          tokenCount: isSecond ? rewrite.second.slots.count : count,
          turns: isSecond && isTurned ? turns.address.map { unsafe UnsafePointer($0) } : nil,
          pairs: shape.rotaryPairs,
          pairOrder: shape.rotaryPairing == .halves ? .halves : .interleaved, page: page,
          firstSlot: rewrite.slot + row, keyElement: shape.keyType.stored,
          valueElement: shape.valueType.stored, keyWidth: shape.keyWidth,
          valueWidth: shape.valueWidth, valueOffset: pool.layouts[index].valueOffset, norms: norms)
        unsafe kernels.writeSlots(&task)
      }
      if pool.isQuantized {
        pool.errors[column, target] = PageCoder.rounded(errors, shape, unsafe norms.pointee)
      }
    }
    if sources.contains(where: { pool.sets[$0].isUncodable }) {
      pool.sets[target].isUncodable = true
    }
    let rewrites = pool.sets[Int(rewrite.second.page)].rewrites + (rewrite.second.turn == 0 ? 0 : 1)
    pool.sets[target].rewrites = max(pool.sets[Int(rewrite.first.page)].rewrites, rewrites)
    pool.sets[target].offset = rewrite.offset
    pool.noteChange(of: rewrite.target)
  }

  /// Reads a piece of one layer and KV head, `[slot][width]`.
  ///
  /// - Precondition: There is room for all of its slots.
  @unsafe private func read(
    _ piece: PageRewrite.Piece, _ column: Int, _ layer: Int, in pool: PagePool,
    keys: UnsafeMutablePointer<Float>, values: UnsafeMutablePointer<Float>
  ) {
    let shape = layers[pool.layers[layer]]
    // SAFETY: a live page set has committed pages.
    guard var page = unsafe pool.addresses[column, Int(piece.page)] else { return }
    if pool.sets[Int(piece.page)].isCoded {
      guard
        let widened = unsafe coder.widened(
          page, shape: shape, layer: layer, in: pool, kernels: pageKernels)
      else { return }
      unsafe page = widened
    }
    unsafe StoredPage(page, shape.plain).read(slots: piece.slots, keys: keys, values: values)
  }

  private func largestErrors(
    of rewrite: PageRewrite, _ column: Int, in pool: PagePool
  ) -> PageErrors {
    guard pool.isQuantized else { return .none }
    let first = pool.errors[column, Int(rewrite.first.page)]
    let second = pool.errors[column, Int(rewrite.second.page)]
    return PageErrors(
      key: max(first.key, second.key), value: max(first.value, second.value))
  }

  /// R(turn), once for each slot of the piece.
  private mutating func fillTurns(_ layer: Int, _ epoch: Int32, _ piece: PageRewrite.Piece) {
    guard let rotary = rotary(layer, epoch: epoch) else { preconditionFailure("not prepared") }
    let width = 2 * rotary.pairCount
    turns.resize(to: width * piece.slots.count, filler: 0)
    turns.withMutableSpan { (span: inout MutableSpan<Float>) in
      rotary.fillTurn(distance: piece.turn, after: nil, by: 0, at: 0, into: &span)
      for index in width..<span.count { span[index] = span[index - width] }
    }
  }
}

import KernelTable
import StreamingAttention

extension SyntheticFill {
  /// One entry of a page table, to be written in all layers of the table.
  private struct Page: Sendable {
    var sequence: Int
    var table: Int
    /// Index among the live entries.
    var index: Int
    var entry: LiveEntry
  }

  /// Pages that go to the workers in one piece, about this many bytes.
  private static let batchBytes = 128 << 20

  /// Writes every live slot of the sequences.
  func writePages(
    cancellation: CancellationFlag?, progress: ((Double) -> Void)?
  ) throws(FillError) {
    let cache = engine.cache
    var pages: [Page] = []
    for table in 0..<cache.tableCount {
      for (sequence, id) in ids.enumerated() {
        var index = 0
        try FillError.wrapping { () throws(CacheError) in
          try cache.forEachLiveEntry(of: id, table: table) { entry in
            pages.append(Page(sequence: sequence, table: table, index: index, entry: entry))
            index += 1
          }
        }
      }
    }
    let layers = (0..<cache.tableCount).map { table in
      cache.layers.indices.filter { cache.table(ofLayer: $0) == table }
    }
    let setBytes = cache.layers.indices.reduce(0) {
      $0 + cache.layers[$1].kvHeads * cache.layout(ofLayer: $1).pageBytes
    }
    let batch = max(Self.batchBytes / setBytes, 64)
    var done = 0
    while done < pages.count {
      let count = min(batch, pages.count - done)
      try write(pages[done..<done + count], layers: layers, cancellation: cancellation)
      done += count
      progress?(Double(done) / Double(pages.count))
    }
  }

  private func write(
    _ pages: ArraySlice<Page>, layers: [[Int]], cancellation: CancellationFlag?
  ) throws(FillError) {
    let cache = engine.cache
    let kernels = engine.instructionSet.kernels
    var writers: [SlotWriter] = unsafe []
    var firstWriter: [Int] = []
    for page in pages {
      firstWriter.append(unsafe writers.count)
      for layer in layers[page.table] {
        let writer = try unsafe FillError.wrapping { () throws(CacheError) in
          unsafe try cache.slotWriter(
            ofEntry: page.index, in: ids[page.sequence], layer: layer, kernels: kernels)
        }
        unsafe writers.append(writer)
      }
    }
    // SAFETY: writers are plain values that stand while the cache does; each page goes to one worker.
    nonisolated(unsafe) let shared = unsafe writers
    let (rows, firstPage, starts) = (rows, pages.startIndex, firstWriter)
    let finished = engine.workers.forEachIndex(pages.count, cancellation: cancellation) { index in
      let page = pages[firstPage + index]
      let first = starts[index]
      unsafe Self.write(
        page, rows: rows, layers: layers[page.table],
        writers: shared[first..<first + layers[page.table].count])
    }
    guard finished else { throw .cancelled }
  }

  /// Writes one page of every layer and KV head of a table.
  private static func write(
    _ page: Page, rows: SyntheticRows, layers: [Int], writers: ArraySlice<SlotWriter>
  ) {
    let first = page.entry.number * PageLayout.slots
    let tokens = first + page.entry.slots.lowerBound..<first + page.entry.slots.upperBound
    var turns: [Float] = []
    var turnsOf: RotaryEmbedding?
    var keys: [Float] = []
    var values: [Float] = []
    for (number, layer) in layers.enumerated() {
      let writer = unsafe writers[writers.startIndex + number]
      let shape = rows.layers[layer].stored
      let rotary = rows.rotary(layer: layer, keyEpoch: page.entry.epoch)
      if let rotary, rotary != turnsOf {
        turns = Self.turns(rotary, page.entry)
        turnsOf = rotary
      }
      // One KV head's rows, at the place that the writer looks for them.
      keys.grow(to: (shape.kvHeads + tokens.count) * shape.keyWidth)
      values.grow(to: (shape.kvHeads + tokens.count) * shape.valueWidth)
      unsafe keys.withUnsafeMutableBufferPointer { keys in
        unsafe values.withUnsafeMutableBufferPointer { values in
          unsafe turns.withUnsafeBufferPointer { turns in
            guard let keys = keys.baseAddress, let values = values.baseAddress else { return }
            // SAFETY: both buffers have room for `kvHeads` more rows than the tokens take.
            for kvHead in 0..<shape.kvHeads {
              unsafe rows.writeKeys(
                layer: layer, sequence: page.sequence, kvHead: kvHead, tokens: tokens,
                to: keys + kvHead * shape.keyWidth, stride: shape.keyWidth)
              unsafe rows.writeValues(
                layer: layer, sequence: page.sequence, kvHead: kvHead, tokens: tokens,
                to: values + kvHead * shape.valueWidth, stride: shape.valueWidth)
              unsafe writer.write(
                pages: 0..<1, kvHead: kvHead, keys: keys, keyTokenStride: shape.keyWidth,
                values: values, valueTokenStride: shape.valueWidth,
                turns: rotary == nil ? nil : turns.baseAddress)
            }
          }
        }
      }
    }
  }

  /// R(position − anchor) of every live slot, as a step fills its tables.
  private static func turns(_ rotary: RotaryEmbedding, _ entry: LiveEntry) -> [Float] {
    let distances = entry.slots.map { entry.basePosition + $0 - entry.anchor }
    var turns = [Float](repeating: 0, count: 2 * rotary.pairCount * distances.count)
    var span = turns.mutableSpan
    rotary.fillTurns(distances: distances.span, into: &span)
    return turns
  }
}

extension [Float] {
  fileprivate mutating func grow(to count: Int) {
    if self.count < count { append(contentsOf: repeatElement(0, count: count - self.count)) }
  }
}

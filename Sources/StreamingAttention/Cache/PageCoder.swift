import KernelTable

/// Turns plain pages into codes and codes into plain pages, for all layers of a cache.
@safe struct PageCoder: ~Copyable {
  let layers: [LayerShape]
  /// Who shares the work of a page set; nobody but the caller if nil.
  var workers: Workers?
  /// One part for each worker.
  private var scratch = GrowingTable<UInt8>()
  private var scratchBytes = 0
  /// A plain page.
  private var page = GrowingTable<UInt8>()

  init(layers: [LayerShape]) {
    self.layers = layers
    for shape in layers where shape.isQuantized {
      let bytes = unsafe CodedPageTask.scratchBytes(
        keyWidth: shape.keyWidth, valueWidth: shape.valueWidth)
      // Whole pages of the machine, so that two workers never share a cache line.
      scratchBytes = max(scratchBytes, (bytes + 4095) / 4096 * 4096)
    }
  }

  /// Makes room, after which nothing else fails.
  mutating func prepare() throws(CacheError) {
    let bytes = scratchBytes * (workers?.count ?? 1)
    try scratch.reserveCapacity(bytes)
    let largest = layers.reduce(0) { max($0, PageLayout($1.plain).pageBytes) }
    try page.reserveCapacity(largest)
  }

  /// Writes the codes of a plain page set, their bounds and errors, in all columns.
  ///
  /// - Precondition: It is prepared.
  func encode(
    _ source: Int32, to target: Int32, slots: Range<Int>, in pool: PagePool, kernels: KernelTable
  ) {
    guard let scratch = unsafe scratch.address else { return }
    // SAFETY: each index is a column, whose pages, bounds and errors nobody else touches; each worker has a scratch of its own.
    nonisolated(unsafe) let pool = pool
    nonisolated(unsafe) let start = unsafe scratch
    let (layers, bytes) = (layers, scratchBytes)
    @Sendable func encode(_ column: Int, _ worker: Int) {
      let layer = unsafe pool.layer(ofColumn: column)
      unsafe Self.encode(
        column, shape: layers[pool.layers[layer]], layer: layer, source, to: target, slots,
        in: pool, kernels, scratch: UnsafeMutableRawPointer(start + worker * bytes))
    }
    if let workers {
      workers.forEachIndex(below: unsafe pool.columnCount, encode)
    } else {
      for column in unsafe 0..<pool.columnCount { encode(column, 0) }
    }
  }

  @unsafe private static func encode(
    _ column: Int, shape: LayerShape, layer: Int, _ source: Int32, to target: Int32,
    _ slots: Range<Int>, in pool: PagePool, _ kernels: KernelTable, scratch: UnsafeMutableRawPointer
  ) {
    // SAFETY: both sets are live, so their pages are committed, as long as their layouts say, and apart.
    guard let plain = unsafe pool.addresses[column, Int(source)],
      let coded = unsafe pool.addresses[column, Int(target)]
    else { return }
    let norms = unsafe pool.norms.column(column)
    let errors = unsafe pool.errors.column(column)
    guard shape.isQuantized else {
      unsafe coded.copyMemory(from: plain, byteCount: pool.layouts[layer].pageBytes)
      unsafe norms[Int(target)] = norms[Int(source)]
      return
    }
    var task = unsafe codedTask(
      shape, plain: plain, coded: coded, layouts: (pool.layouts[layer], pool.codedLayouts[layer]),
      slots: slots, scratch: scratch)
    unsafe kernels.quantizePage(&task)
    // What the plain page was off by before adds to it; ‖k̂‖ ≤ ‖k‖ + ‖k − k̂‖. Sums are rounded up.
    let (before, now) = unsafe (errors[Int(source)], task.errors)
    unsafe errors[Int(target)] = PageErrors(
      key: Self.sum(before.key, now.key), value: Self.sum(before.value, now.value))
    let old = unsafe norms[Int(source)]
    unsafe norms[Int(target)] = PageNorms(
      key: Self.sum(old.key, now.key), value: Self.sum(old.value, now.value))
  }

  private static func sum(_ a: Float, _ b: Float) -> Float { b == 0 ? a : (a + b).nextUp }

  private static func codedTask(
    _ shape: LayerShape, plain: UnsafeMutableRawPointer, coded: UnsafeMutableRawPointer,
    layouts: (plain: PageLayout, coded: PageLayout), slots: Range<Int>,
    scratch: UnsafeMutableRawPointer
  ) -> CodedPageTask {
    unsafe CodedPageTask(
      plain: plain, coded: coded, keyElement: shape.keyType.stored,
      valueElement: shape.valueType.stored, keyCode: shape.keyCode, valueCode: shape.valueCode,
      keyWidth: shape.keyWidth, valueWidth: shape.valueWidth, pairs: shape.rotaryPairs,
      plainValueOffset: layouts.plain.valueOffset, codedValueOffset: layouts.coded.valueOffset,
      firstSlot: slots.lowerBound, endSlot: slots.upperBound, scratch: scratch)
  }

  /// The plain page with the numbers of a page in codes, until the next call.
  ///
  /// - Precondition: It is prepared, and the page is live in that column.
  @unsafe func widened(
    _ coded: UnsafeMutableRawPointer, shape: LayerShape, layer: Int, in pool: PagePool,
    kernels: KernelTable
  ) -> UnsafeMutableRawPointer? {
    guard shape.isQuantized else { return unsafe coded }
    guard let page = unsafe page.address, let scratch = unsafe scratch.address else { return nil }
    // SAFETY: `prepare` made room for the largest page and the largest scratch.
    let task = unsafe Self.codedTask(
      shape, plain: UnsafeMutableRawPointer(page), coded: coded,
      layouts: (pool.layouts[layer], pool.codedLayouts[layer]), slots: 0..<PageLayout.slots,
      scratch: UnsafeMutableRawPointer(scratch))
    unsafe withUnsafePointer(to: task) { unsafe kernels.widenPage($0) }
    return UnsafeMutableRawPointer(page)
  }

  /// Writes the numbers of a page set in codes to a plain one, with bounds and errors, in all columns.
  ///
  /// - Precondition: It is prepared.
  func widen(_ source: Int32, to target: Int32, in pool: PagePool, kernels: KernelTable) {
    pool.forEachColumn { column, layer, _ in
      let shape = layers[pool.layers[layer]]
      // SAFETY: both sets are live, so their pages are committed, as long as their layouts say, and apart.
      guard let coded = unsafe pool.addresses[column, Int(source)],
        let plain = unsafe pool.addresses[column, Int(target)],
        let numbers = unsafe widened(
          coded, shape: shape, layer: layer, in: pool, kernels: kernels)
      else { return }
      unsafe plain.copyMemory(from: numbers, byteCount: pool.layouts[layer].pageBytes)
      let (norms, errors) = (pool.norms[column, Int(source)], pool.errors[column, Int(source)])
      pool.errors[column, Int(target)] = Self.rounded(errors, shape, norms)
      // Rounding makes a number larger by half an ulp at most.
      pool.norms[column, Int(target)] = PageNorms(
        key: norms.key + Self.rounding(norms.key, shape.keyWidth),
        value: norms.value + Self.rounding(norms.value, shape.valueWidth))
    }
  }

  /// Errors of a page whose numbers have been turned, or widened, and rounded again; a page without any keeps none, since
  /// one that is not quantised is rounded likewise.
  static func rounded(_ errors: PageErrors, _ shape: LayerShape, _ norms: PageNorms) -> PageErrors {
    PageErrors(
      key: errors.key == 0 ? 0 : errors.key + rounding(norms.key, shape.keyWidth),
      value: errors.value == 0 ? 0 : errors.value + rounding(norms.value, shape.valueWidth))
  }

  /// Three roundings to 11 bits of numbers of that norm, and of f16's smallest ones.
  private static func rounding(_ norm: Float, _ width: Int) -> Float {
    norm * 0x1p-9 + Float(width).squareRoot() * 0x1p-23
  }
}

extension PagePool {
  /// The index in the pool of a column's layer.
  func layer(ofColumn column: Int) -> Int {
    var layer = firstColumns.count - 1
    while firstColumns[layer] > column { layer -= 1 }
    return layer
  }
}

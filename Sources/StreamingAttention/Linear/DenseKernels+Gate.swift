import KernelTable

extension DenseKernels {
  /// Puts silu(rows · gateᵀ) · (rows · upᵀ) in the place of the loaded rows, for products that read `forms`.
  ///
  /// Matrices of codes give codes without a way through memory: a panel's 32 outputs are a block of the next product's rows.
  ///
  /// - Throws: ``AttentionError/cancelled``, or for want of memory.
  package func loadGated(
    gate: PackedMatrix, up: PackedMatrix, as forms: RowForms, cancellation: CancellationFlag? = nil
  ) throws(AttentionError) {
    precondition(
      loaded.width == gate.inputWidth && loaded.width == up.inputWidth
        && gate.outputWidth == up.outputWidth,
      "\(loaded.width) → \(gate.outputWidth), \(up.outputWidth) is not a gated product")
    try gated.resize(count: loaded.count, width: gate.outputWidth, forms: forms)
    let finished: Bool
    if forms == .codes, gate.format.rowForm == .codes, up.format.rowForm == .codes {
      finished = try gateCodes(gate, up, cancellation)
    } else {
      finished = try gateNumbers(gate, up, cancellation)
    }
    if !finished { throw .cancelled }
    swap(&loaded, &gated)
  }

  private func gateCodes(
    _ gate: PackedMatrix, _ up: PackedMatrix, _ cancellation: CancellationFlag?
  ) throws(AttentionError) -> Bool {
    // SAFETY: `gated` has room for the rows and holds a block for each panel; the loaded rows fit both matrices.
    var run = unsafe GatedRun(
      kernels: kernels,
      gate: ProductTarget(
        gate, rows: loaded.rows(for: gate.format), output: gated.plainRows, accumulates: false),
      up: ProductTarget(
        up, rows: loaded.rows(for: up.format), output: gated.plainRows, accumulates: false),
      rowCount: loaded.count, gated: gated.codesRows, gatedRowBytes: gated.codesRowBytes,
      workerCount: workers.count)
    try unsafe prepareScratch(bytes: run.scratchBytes)
    unsafe run.scratch = UnsafeMutableRawPointer(scratch.baseAddress)
    return unsafe workers.run(
      run.itemCount, context: &run, hasTwoEnds: true, cancellation: cancellation
    ) { context, item, worker in
      unsafe context.assumingMemoryBound(to: GatedRun.self).pointee.multiply(
        item: item, worker: worker)
    }
  }

  private func gateNumbers(
    _ gate: PackedMatrix, _ up: PackedMatrix, _ cancellation: CancellationFlag?
  ) throws(AttentionError) -> Bool {
    let count = loaded.count * gate.outputWidth
    if count == 0 { return true }
    try factors.discardAndResize(to: count)
    // SAFETY: both outputs have room for all products.
    var run = unsafe ProductRun(
      kernels: kernels, rowCount: loaded.count, workerCount: workers.count,
      ProductTarget(
        gate, rows: loaded.rows(for: gate.format), output: gated.plainRows, accumulates: false))
    unsafe run.add(
      ProductTarget(
        up, rows: loaded.rows(for: up.format), output: factors.baseAddress, accumulates: false))
    guard try unsafe perform(&run, cancellation) else { return false }
    // SAFETY: both hold `count` numbers; pieces are disjoint.
    var gating = unsafe GateRun(
      kernels: kernels, gate: gated.plainRows, up: factors.baseAddress, count: count)
    unsafe share(GateRun.pieces(of: count), cost: count, &gating) { context, piece, _ in
      unsafe context.assumingMemoryBound(to: GateRun.self).pointee.gate(piece: piece)
    }
    // SAFETY: the rows are read and written in place.
    var loading = unsafe LoadRun(
      kernels: kernels, source: gated.plainRows, rows: gated)
    unsafe share(loading.itemCount, cost: count, &loading) { context, item, _ in
      unsafe context.assumingMemoryBound(to: LoadRun.self).pointee.load(item: item)
    }
    return true
  }

  /// gate ← silu(gate) · up, number by number.
  package func gate(_ gate: inout MutableSpan<Float>, by up: Span<Float>) {
    precondition(gate.count == up.count, "\(gate.count) gates for \(up.count) numbers")
    let count = gate.count
    unsafe up.withUnsafeBufferPointer { up in
      unsafe gate.withUnsafeMutableBufferPointer { gate in
        guard let up = up.baseAddress, let gate = gate.baseAddress else { return }
        // SAFETY: both hold `count` numbers; pieces are disjoint.
        var run = unsafe GateRun(kernels: kernels, gate: gate, up: up, count: count)
        unsafe share(GateRun.pieces(of: count), cost: count, &run) { context, piece, _ in
          unsafe context.assumingMemoryBound(to: GateRun.self).pointee.gate(piece: piece)
        }
      }
    }
  }

  /// x ← x·Φ(x), number by number.
  package func gelu(_ numbers: inout MutableSpan<Float>, form: GELU) {
    let count = numbers.count
    unsafe numbers.withUnsafeMutableBufferPointer { numbers in
      guard let numbers = numbers.baseAddress else { return }
      // SAFETY: it holds `count` numbers; pieces are disjoint.
      var run = unsafe GELURun(kernels: kernels, numbers: numbers, form: form.form, count: count)
      let pieces = unsafe (count + GELURun.piece - 1) / GELURun.piece
      unsafe share(pieces, cost: count, &run) { context, piece, _ in
        unsafe context.assumingMemoryBound(to: GELURun.self).pointee.gelu(piece: piece)
      }
    }
  }
}

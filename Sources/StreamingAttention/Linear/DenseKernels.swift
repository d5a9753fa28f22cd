import KernelTable

/// The dense arithmetic of a model's layers: products with packed matrices, normalisation, gating.
///
/// Rows of activations are f32 and stand one after the other. Products read rows that were loaded before, so that several
/// products of the same rows normalise and quantise them once. A row's bits depend on the row alone, not on how many rows
/// come with it nor on the number of workers. Used by one thread at a time; work inside a call is shared out.
@safe package final class DenseKernels {
  let workers: Workers
  let kernels: KernelTable
  /// What products read.
  var loaded: LeftRows
  /// What a gated product makes of them.
  var gated: LeftRows
  /// The factors of the gates, where they do not stay with their worker.
  var factors: GrowingBuffer<Float>
  /// Memory of each worker.
  var scratch: GrowingBuffer<UInt8>

  package init(workers: Workers, instructionSet: InstructionSet) throws(AttentionError) {
    self.workers = workers
    kernels = instructionSet.kernels
    let loaded = try LeftRows()
    let gated = try LeftRows()
    let factors = try GrowingBuffer<Float>()
    let scratch = try GrowingBuffer<UInt8>()
    self.loaded = loaded
    self.gated = gated
    self.factors = factors
    self.scratch = scratch
  }

  /// Takes in the rows that the next products read.
  ///
  /// - Parameters:
  ///   - rows: `[row][width]`.
  ///   - width: Numbers of a row.
  ///   - forms: What the products' matrices read.
  ///   - normalization: What happens to rows on the way, if anything.
  /// - Throws: for want of memory.
  package func load(
    _ rows: Span<Float>, width: Int, as forms: RowForms,
    normalizedBy normalization: RowNormalization? = nil
  ) throws(AttentionError) {
    precondition(
      width > 0 && rows.count % width == 0, "\(rows.count) numbers in rows of \(width)")
    normalization?.check(width: width)
    let count = rows.count / width
    try loaded.resize(count: count, width: width, forms: forms)
    unsafe rows.withUnsafeBufferPointer { rows in
      guard let source = rows.baseAddress else { return }
      // SAFETY: `count` rows of `width` were checked and made room for; each row is touched by one item.
      var run = unsafe LoadRun(kernels: kernels, source: source, rows: loaded)
      unsafe RowNormalization.withPointers(to: normalization) { pointers in
        unsafe run.normalization = unsafe pointers
        unsafe share(run.itemCount, cost: rows.count, &run) { context, item, _ in
          unsafe context.assumingMemoryBound(to: LoadRun.self).pointee.load(item: item)
        }
      }
    }
  }

  /// output ← rows · matrixᵀ, or output += where `accumulating`: ``load`` and ``multiply``.
  package func multiply(
    _ rows: Span<Float>, by matrix: PackedMatrix, into output: inout MutableSpan<Float>,
    accumulating: Bool = false, cancellation: CancellationFlag? = nil
  ) throws(AttentionError) {
    try load(rows, width: matrix.inputWidth, as: matrix.format.rowForm)
    try multiply(
      by: matrix, into: &output, accumulating: accumulating, cancellation: cancellation)
  }

  /// output ← loaded rows · matrixᵀ, or output += where `accumulating`.
  ///
  /// - Parameters:
  ///   - matrix: the weights.
  ///   - output: `[row][matrix.outputWidth]`.
  ///   - accumulating: whether the products are added to what `output` holds.
  ///   - cancellation: looked at between pieces of the work.
  /// - Throws: ``AttentionError/cancelled``, or for want of memory.
  package func multiply(
    by matrix: PackedMatrix, into output: inout MutableSpan<Float>, accumulating: Bool = false,
    cancellation: CancellationFlag? = nil
  ) throws(AttentionError) {
    let finished = try unsafe withTarget(matrix, &output, accumulating) {
      target throws(AttentionError) in
      var run = unsafe ProductRun(
        kernels: kernels, rowCount: loaded.count, workerCount: workers.count, target)
      return try unsafe perform(&run, cancellation)
    }
    if !finished { throw .cancelled }
  }

  /// The loaded rows times three matrices, in one step of the workers.
  package func multiply(
    by first: PackedMatrix, into firstOutput: inout MutableSpan<Float>,
    by second: PackedMatrix, into secondOutput: inout MutableSpan<Float>,
    by third: PackedMatrix, into thirdOutput: inout MutableSpan<Float>,
    accumulating: Bool, cancellation: CancellationFlag?
  ) throws(AttentionError) {
    let finished = try unsafe withTarget(first, &firstOutput, accumulating) {
      first throws(AttentionError) in
      try unsafe withTarget(second, &secondOutput, accumulating) { second throws(AttentionError) in
        try unsafe withTarget(third, &thirdOutput, accumulating) { third throws(AttentionError) in
          var run = unsafe ProductRun(
            kernels: kernels, rowCount: loaded.count, workerCount: workers.count, first)
          unsafe run.add(second)
          unsafe run.add(third)
          return try unsafe perform(&run, cancellation)
        }
      }
    }
    if !finished { throw .cancelled }
  }

  /// Lends a product of the loaded rows that ends in `output`.
  private func withTarget(
    _ matrix: PackedMatrix, _ output: inout MutableSpan<Float>, _ accumulates: Bool,
    _ body: (ProductTarget) throws(AttentionError) -> Bool
  ) throws(AttentionError) -> Bool {
    precondition(
      loaded.width == matrix.inputWidth && output.count == loaded.count * matrix.outputWidth,
      "\(loaded.count) rows of \(loaded.width) → \(output.count) numbers do not fit "
        + "\(matrix.inputWidth) → \(matrix.outputWidth)")
    return try unsafe output.withUnsafeMutableBufferPointer { output throws(AttentionError) in
      guard let start = output.baseAddress else { return true }
      return try unsafe body(
        ProductTarget(
          matrix, rows: loaded.rows(for: matrix.format), output: start, accumulates: accumulates))
    }
  }

  /// Runs the items of products whose targets are lent.
  func perform(
    _ run: UnsafeMutablePointer<ProductRun>, _ cancellation: CancellationFlag?
  ) throws(AttentionError) -> Bool {
    try prepareScratch(bytes: unsafe run.pointee.scratchBytes)
    // SAFETY: whoever lends the targets checked their lengths; scratch has room for every worker.
    unsafe run.pointee.scratch = UnsafeMutableRawPointer(scratch.baseAddress)
    return unsafe workers.run(
      run.pointee.itemCount, context: run, hasTwoEnds: true, cancellation: cancellation
    ) { context, item, worker in
      unsafe context.assumingMemoryBound(to: ProductRun.self).pointee.multiply(
        item: item, worker: worker)
    }
  }

  /// Makes room for so many bytes, a multiple of 64, for each worker.
  func prepareScratch(bytes: Int) throws(AttentionError) {
    try scratch.discardAndResize(to: bytes * workers.count)
  }

  /// Root-mean-square normalisation of every row in place (Zhang & Sennrich 2019, arXiv:1910.07467).
  ///
  /// - Parameters:
  ///   - rows: `[row][weight.count]`.
  ///   - weight: one factor for each channel.
  ///   - epsilon: ε in x · weight / √(mean x² + ε).
  package func normalize(
    _ rows: inout MutableSpan<Float>, weight: Span<Float>, epsilon: Float
  ) {
    let width = weight.count
    precondition(width > 0 && rows.count % width == 0, "\(rows.count) numbers in rows of \(width)")
    let count = rows.count / width
    unsafe weight.withUnsafeBufferPointer { weight in
      unsafe rows.withUnsafeMutableBufferPointer { rows in
        guard let weight = weight.baseAddress, let rows = rows.baseAddress else { return }
        // SAFETY: `count` rows of `width` were checked; each row is touched by one item.
        var run = unsafe NormalizeRun(
          kernels: kernels,
          task: NormalizeTask(
            x: UnsafePointer(rows), weight: weight, epsilon: epsilon, width: width, result: rows))
        unsafe share(count, cost: count * width, &run) { context, row, _ in
          unsafe context.assumingMemoryBound(to: NormalizeRun.self).pointee.normalize(row: row)
        }
      }
    }
  }

  /// Layer normalisation of every row in place (Ba, Kiros & Hinton 2016, arXiv:1607.06450).
  ///
  /// - Parameters:
  ///   - rows: `[row][weight.count]`.
  ///   - weight: one factor for each channel.
  ///   - bias: one addend for each channel; empty for none.
  ///   - epsilon: ε in (x − mean x) · weight / √(variance x + ε) + bias.
  package func standardize(
    _ rows: inout MutableSpan<Float>, weight: Span<Float>, bias: Span<Float>, epsilon: Float
  ) {
    let width = weight.count
    precondition(width > 0 && rows.count % width == 0, "\(rows.count) numbers in rows of \(width)")
    precondition(bias.isEmpty || bias.count == width, "\(bias.count) biases for \(width) weights")
    let count = rows.count / width
    unsafe weight.withUnsafeBufferPointer { weight in
      unsafe bias.withUnsafeBufferPointer { bias in
        unsafe rows.withUnsafeMutableBufferPointer { rows in
          guard let weight = weight.baseAddress, let rows = rows.baseAddress else { return }
          // SAFETY: `count` rows of `width` were checked, and the bias; each row is touched by one item.
          var run = unsafe StandardizeRun(
            kernels: kernels,
            task: StandardizeTask(
              x: UnsafePointer(rows), weight: weight, bias: bias.isEmpty ? nil : bias.baseAddress,
              epsilon: epsilon, width: width, result: rows))
          unsafe share(count, cost: count * width, &run) { context, row, _ in
            unsafe context.assumingMemoryBound(to: StandardizeRun.self).pointee.standardize(
              row: row)
          }
        }
      }
    }
  }

  /// Runs `count` items; few numbers (`cost`) are done faster than a second worker takes its first item.
  func share(
    _ count: Int, cost: Int, _ context: UnsafeMutableRawPointer, _ body: Workers.Body
  ) {
    if cost <= 8192 {
      for row in 0..<count { unsafe body(context, row, 0) }
    } else {
      _ = unsafe workers.run(count, context: context, hasTwoEnds: true, body)
    }
  }
}

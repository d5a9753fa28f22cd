import KernelTable

/// The dense arithmetic of a model's layers: products with packed matrices, normalisation, gating.
///
/// Rows of activations are f32 and stand one after the other. A row's bits depend on the row alone, not on how many
/// rows come with it nor on the number of workers. Used by one thread at a time; work inside a call is shared out.
@safe package final class DenseKernels {
  let workers: Workers
  let kernels: KernelTable
  /// Rows packed in bf16 pairs.
  var packed: GrowingBuffer<UInt8>

  package init(workers: Workers, instructionSet: InstructionSet) throws(AttentionError) {
    self.workers = workers
    kernels = instructionSet.kernels
    packed = try GrowingBuffer()
  }

  /// output ← rows · matrixᵀ, or output += where `accumulating`.
  ///
  /// - Parameters:
  ///   - rows: `[row][matrix.inputWidth]`.
  ///   - matrix: the weights.
  ///   - output: `[row][matrix.outputWidth]`.
  ///   - accumulating: whether the products are added to what `output` holds.
  ///   - cancellation: looked at between pieces of the work.
  /// - Throws: ``AttentionError/cancelled``, or for want of memory.
  package func multiply(
    _ rows: Span<Float>, by matrix: PackedMatrix, into output: inout MutableSpan<Float>,
    accumulating: Bool = false, cancellation: CancellationFlag? = nil
  ) throws(AttentionError) {
    let rowCount = rows.count / matrix.inputWidth
    precondition(
      rows.count == rowCount * matrix.inputWidth && output.count == rowCount * matrix.outputWidth,
      "\(rows.count) → \(output.count) numbers do not fit \(matrix.inputWidth) → \(matrix.outputWidth)"
    )
    if rowCount == 0 { return }
    let isPaired = matrix.type == .bfloat16
    let packedRowBytes = unsafe PanelTask.rowBytes(inputWidth: matrix.inputWidth)
    if isPaired { try packed.discardAndResize(to: rowCount * packedRowBytes) }
    let finished = unsafe rows.withUnsafeBufferPointer { rows in
      unsafe output.withUnsafeMutableBufferPointer { output in
        guard let source = rows.baseAddress, let target = output.baseAddress else { return true }
        if isPaired {
          // SAFETY: `packed` has room for all rows; the source holds them (checked above).
          var task = unsafe PackTask(
            source: source, sourceStride: matrix.inputWidth, rowCount: rowCount,
            width: matrix.inputWidth, element: matrix.type.stored, target: packed.baseAddress,
            targetRowBytes: packedRowBytes)
          unsafe kernels.packRows(&task)
        }
        // SAFETY: checked lengths; the run lives until the last item is done.
        var run = unsafe ProductRun(
          kernels: kernels,
          rows: isPaired ? UnsafeRawPointer(packed.baseAddress) : UnsafeRawPointer(source),
          rowBytes: isPaired ? packedRowBytes : matrix.inputWidth * 4, rowCount: rowCount,
          matrix: matrix, output: target, accumulates: accumulating, workerCount: workers.count)
        return unsafe workers.run(run.itemCount, context: &run, cancellation: cancellation) {
          context, item, _ in
          unsafe context.assumingMemoryBound(to: ProductRun.self).pointee.multiply(item: item)
        }
      }
    }
    if !finished { throw .cancelled }
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

  /// gate ← silu(gate) · up, number by number.
  package func gate(_ gate: inout MutableSpan<Float>, by up: Span<Float>) {
    precondition(gate.count == up.count, "\(gate.count) gates for \(up.count) numbers")
    let count = gate.count
    unsafe up.withUnsafeBufferPointer { up in
      unsafe gate.withUnsafeMutableBufferPointer { gate in
        guard let up = up.baseAddress, let gate = gate.baseAddress else { return }
        // SAFETY: both hold `count` numbers; pieces are disjoint.
        var run = unsafe GateRun(kernels: kernels, gate: gate, up: up, count: count)
        let pieces = unsafe (count + GateRun.piece - 1) / GateRun.piece
        unsafe share(pieces, cost: count, &run) { context, piece, _ in
          unsafe context.assumingMemoryBound(to: GateRun.self).pointee.gate(piece: piece)
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

  /// Runs `count` items; few numbers (`cost`) are done faster than a second worker takes its first item.
  private func share(
    _ count: Int, cost: Int, _ context: UnsafeMutableRawPointer, _ body: Workers.Body
  ) {
    if cost <= 8192 {
      for row in 0..<count { unsafe body(context, row, 0) }
    } else {
      _ = unsafe workers.run(count, context: context, body)
    }
  }
}

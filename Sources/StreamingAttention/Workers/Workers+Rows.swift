extension Workers {
  /// What `forEachIndex` hands to its C function.
  private struct Indices {
    var body: (Int, Int) -> Void
  }

  /// Calls `body` with (index, worker) for every index below `count`, shared among the workers, in ascending order.
  ///
  /// If `cancellation` is set on the way, indices may be left out, and the result is false.
  @discardableResult
  package func forEachIndex(
    below count: Int, cancellation: CancellationFlag? = nil,
    _ body: @Sendable (_ index: Int, _ worker: Int) -> Void
  ) -> Bool {
    withoutActuallyEscaping(body) { body in
      var indices = Indices(body: body)
      return unsafe withUnsafeMutablePointer(to: &indices) { context in
        // SAFETY: `run` returns when the last body has, so `indices` outlives every use.
        unsafe run(count, context: context, cancellation: cancellation) { context, index, worker in
          unsafe context.assumingMemoryBound(to: Indices.self).pointee.body(index, worker)
        }
      }
    }
  }

  /// Calls `body` with (row, worker, elements of the row) for every row of a buffer, shared among the workers.
  ///
  /// The one way in which several threads write one buffer from safe code. Rows are handed out in ascending order. If
  /// `cancellation` is set on the way, rows may be left out, and the result is false.
  ///
  /// - Precondition: the buffer holds whole rows; `rowWidth` is at least 1.
  @discardableResult
  package func forEachRow(
    of elements: inout MutableSpan<Float>, rowWidth: Int, cancellation: CancellationFlag? = nil,
    _ body: @Sendable (_ row: Int, _ worker: Int, _ elements: inout MutableSpan<Float>) -> Void
  ) -> Bool {
    precondition(
      rowWidth >= 1 && elements.count % rowWidth == 0,
      "\(elements.count) elements are not whole rows of \(rowWidth)")
    let rowCount = elements.count / rowWidth
    return unsafe elements.withUnsafeMutableBufferPointer { buffer in
      // SAFETY: row r touches [r·width, (r+1)·width) only, every row is handed out once, and `forEachIndex` returns when
      // the last body has.
      nonisolated(unsafe) let buffer = unsafe buffer
      return forEachIndex(below: rowCount, cancellation: cancellation) { row, worker in
        let elements = unsafe buffer.extracting(row * rowWidth..<(row + 1) * rowWidth)
        var span = unsafe elements.mutableSpan
        body(row, worker, &span)
      }
    }
  }
}

extension Workers {
  /// What `forEachRow` hands to its C function.
  @unsafe private struct Rows {
    var start: UnsafeMutablePointer<Float>?
    var width: Int
    var body: (Int, Int, inout MutableSpan<Float>) -> Void
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
      withoutActuallyEscaping(body) { body in
        var rows = unsafe Rows(start: buffer.baseAddress, width: rowWidth, body: body)
        // SAFETY: row r touches [r·width, (r+1)·width) only, every row is handed out once, and `run` returns when
        // the last body has; so `rows` and the buffer outlive every use.
        return unsafe withUnsafeMutablePointer(to: &rows) { context in
          unsafe run(rowCount, context: context, cancellation: cancellation) {
            context, row, worker in
            let rows = unsafe context.assumingMemoryBound(to: Rows.self)
            let width = unsafe rows.pointee.width
            let row0 = unsafe rows.pointee.start.map { unsafe $0 + row * width }
            let elements = unsafe UnsafeMutableBufferPointer(start: row0, count: width)
            var span = unsafe elements.mutableSpan
            unsafe rows.pointee.body(row, worker, &span)
          }
        }
      }
    }
  }
}

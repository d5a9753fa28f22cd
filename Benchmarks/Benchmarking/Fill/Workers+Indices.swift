import StreamingAttention

extension Workers {
  /// What `forEachIndex` hands to its C function.
  @unsafe private struct Indices {
    var body: (Int) -> Void
  }

  /// Calls `body` once for every index in 0..<count, shared among the workers.
  ///
  /// False if `cancellation` was found set, after which some indices have been left out.
  @discardableResult
  func forEachIndex(
    _ count: Int, cancellation: CancellationFlag? = nil, _ body: @Sendable (Int) -> Void
  ) -> Bool {
    withoutActuallyEscaping(body) { body in
      var indices = unsafe Indices(body: body)
      // SAFETY: `run` returns when the last body has, so `indices` outlives every use.
      return unsafe withUnsafeMutablePointer(to: &indices) { context in
        unsafe run(count, context: context, cancellation: cancellation) { context, index, _ in
          unsafe context.assumingMemoryBound(to: Indices.self).pointee.body(index)
        }
      }
    }
  }
}

import KernelTable

/// What the write items of one `append` call read.
@unsafe struct AppendRun {
  var writers: UnsafePointer<SlotWriter>
  var requests: UnsafePointer<PlannedRequest>
  var requestCount: Int
  var kvHeads: Int
  var keyStride: Int
  var valueStride: Int
  var keys: UnsafePointer<Float>
  var values: UnsafePointer<Float>
  var tokenTurns: UnsafePointer<Float>?
  var turnFloats: Int

  /// Writes item `index`: one page of one KV head of one request.
  static func write(_ run: UnsafePointer<AppendRun>, item index: Int) {
    // SAFETY: `append` counted the items from the same writers; spans were checked against the plan.
    var rest = index
    for r in 0..<(unsafe run.pointee.requestCount) {
      let writer = unsafe run.pointee.writers[r]
      let items = unsafe writer.pageCount * run.pointee.kvHeads
      if rest >= items {
        rest -= items
        continue
      }
      let request = unsafe run.pointee.requests[r]
      let page = unsafe rest / run.pointee.kvHeads
      unsafe writer.write(
        pages: page..<(page + 1), kvHead: rest % run.pointee.kvHeads,
        keys: run.pointee.keys + request.firstToken * run.pointee.keyStride,
        keyTokenStride: run.pointee.keyStride,
        values: run.pointee.values + request.firstToken * run.pointee.valueStride,
        valueTokenStride: run.pointee.valueStride,
        turns: run.pointee.tokenTurns.map {
          unsafe $0 + request.tokenPosition * run.pointee.turnFloats
        })
      return
    }
  }
}

extension AttentionEngine {
  /// Writes the keys and values of the step's new tokens into one layer's pages.
  ///
  /// Every layer of a step with new tokens needs them before `attend` reads it, and before the step is committed.
  ///
  /// - Parameters:
  ///   - layer: The layer.
  ///   - keys: `[token][kvHead][keyWidth]`, not rotated where the layer has a rotation.
  ///   - values: `[token][kvHead][valueWidth]`.
  /// - Throws: ``AttentionError`` for a wrong length or without a step; nothing has been written then.
  public func append(layer: Int, keys: Span<Float>, values: Span<Float>) throws(AttentionError) {
    try checkStep(layer: layer, for: "append")
    let settings = settings[layer]
    let shape = shapes[settings.shape]
    try checkLength("keys", keys.count, plan.tokenCount * shape.kvHeads * shape.keyWidth)
    try checkLength("values", values.count, plan.tokenCount * shape.kvHeads * shape.valueWidth)
    guard plan.tokenCount > 0, let reservation else { return }
    unsafe writers.removeAll(keepingCapacity: true)
    var items = 0
    for r in 0..<plan.requests.count {
      let writer = unsafe cache.slotWriter(request: r, layer: layer, kernels: kernels)
      items += unsafe writer.pageCount * shape.kvHeads
      unsafe writers.append(writer)
    }
    unsafe keys.withUnsafeBufferPointer { keys in
      unsafe values.withUnsafeBufferPointer { values in
        guard let keys = keys.baseAddress, let values = values.baseAddress else {
          return
        }
        // Mutable, so that the array is lent in place: reading it from a class retains it.
        unsafe writers.withUnsafeMutableBufferPointer { writers in
          guard let writers = writers.baseAddress else { return }
          // SAFETY: lengths were checked; the run lives until the last item is written.
          var run = unsafe AppendRun(
            writers: UnsafePointer(writers), requests: plan.requests.baseAddress,
            requestCount: plan.requests.count, kvHeads: shape.kvHeads,
            keyStride: shape.kvHeads * shape.keyWidth,
            valueStride: shape.kvHeads * shape.valueWidth,
            keys: keys, values: values,
            tokenTurns: settings.rotation < 0
              ? nil : UnsafePointer(turns[settings.rotation].tokens.baseAddress),
            turnFloats: 2 * settings.pairs)
          // A few tokens are written faster than a second worker wakes up.
          if plan.tokenCount <= 4 {
            for item in 0..<items { unsafe AppendRun.write(&run, item: item) }
          } else {
            _ = unsafe workers.run(items, context: &run, cancellation: nil) { context, item, _ in
              unsafe AppendRun.write(
                UnsafePointer(context.assumingMemoryBound(to: AppendRun.self)), item: item)
            }
          }
        }
      }
    }
    writtenSteps[layer] = reservation.step
  }
}

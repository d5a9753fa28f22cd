/// An additive bias while `attend` runs.
@unsafe struct StepBias {
  var address: UnsafePointer<Float>
  /// 1 where all query heads share a row, else their number.
  var heads: Int
}

extension AttentionEngine {
  /// As ``attend(layer:queries:into:cancellation:)``, with a number added to every score.
  ///
  /// The bias comes after softcap and ALiBi and before the mask, in natural units; −∞ masks a key. With a bias no
  /// leaf is skipped.
  ///
  /// - Parameters:
  ///   - layer: The layer, whose keys and values of this step have been appended.
  ///   - queries: `[row][queryHead][keyWidth]`, not rotated.
  ///   - bias: `[row][queryHead][key]`, or `[row][key]` for all heads alike; the keys of a row are the live keys
  ///     of its sequence in the layer, those of the step included, oldest first.
  ///   - output: `[row][queryHead][valueWidth]`, overwritten.
  ///   - cancellation: Looked at between tiles.
  /// - Throws: ``AttentionError`` as the other `attend`.
  /// - Returns: As the other `attend`.
  @discardableResult
  public func attend(
    layer: Int, queries: Span<Float>, bias: Span<Float>, into output: inout MutableSpan<Float>,
    cancellation: CancellationFlag? = nil
  ) throws(AttentionError) -> AttentionReport {
    try withBias(bias, layer: layer) { () throws(AttentionError) in
      try attend(layer: layer, queries: queries, into: &output, cancellation: cancellation)
    }
  }

  /// As ``attend(layer:queries:bias:into:cancellation:)``, with the log-sum-exp of every row and head.
  ///
  /// - Parameters:
  ///   - layer: As there.
  ///   - queries: As there.
  ///   - bias: As there.
  ///   - output: As there.
  ///   - logSumExp: `[row][queryHead]`, natural logarithm, biases included, overwritten.
  ///   - cancellation: As there.
  /// - Throws: As there.
  /// - Returns: As there.
  @discardableResult
  public func attend(
    layer: Int, queries: Span<Float>, bias: Span<Float>, into output: inout MutableSpan<Float>,
    logSumExp: inout MutableSpan<Float>, cancellation: CancellationFlag? = nil
  ) throws(AttentionError) -> AttentionReport {
    try withBias(bias, layer: layer) { () throws(AttentionError) in
      try attend(
        layer: layer, queries: queries, into: &output, logSumExp: &logSumExp,
        cancellation: cancellation)
    }
  }

  /// Runs `body` while the step has a bias, whose length is checked.
  private func withBias(
    _ bias: Span<Float>, layer: Int, _ body: () throws(AttentionError) -> AttentionReport
  ) throws(AttentionError) -> AttentionReport {
    try checkStep(layer: layer, for: "attend")
    let shared = plan.biasCount(table: settings[layer].table)
    let queryHeads = shapes[settings[layer].shape].queryHeads
    guard bias.count == shared || bias.count == shared * queryHeads else {
      throw .length(name: "bias", received: bias.count, allowed: shared * queryHeads)
    }
    return try unsafe bias.withUnsafeBufferPointer { bias throws(AttentionError) in
      // SAFETY: the address is given up before the span's memory may move.
      unsafe stepBias = bias.baseAddress.map {
        unsafe StepBias(address: $0, heads: bias.count == shared ? 1 : queryHeads)
      }
      defer { unsafe stepBias = nil }
      return try body()
    }
  }
}

extension Plan {
  /// Rows × live keys of all requests in the page table of that number.
  func biasCount(table: Int) -> Int {
    guard requests.count > 0 else { return 0 }
    let last = tables[(table + 1) * requests.count - 1]
    return last.firstBias + requests[requests.count - 1].queryCount * last.keyCount
  }
}

import StreamingAttention

/// What attention over some sequences reads and computes in one layer.
package struct AttentionWork: Sendable, Equatable {
  package var shape: AttentionShape
  package var types: StoredTypes
  package var context: ContextMix
  /// Query rows of each sequence, its newest tokens.
  package var rows: Int

  package init(shape: AttentionShape, types: StoredTypes, context: ContextMix, rows: Int) {
    self.shape = shape
    self.types = types
    self.context = context
    self.rows = rows
  }

  /// Bytes of keys and values of all live tokens.
  package var bytes: Int {
    context.total * shape.kvHeads * types.tokenBytes(headDimension: shape.headDimension)
  }

  /// Additions and multiplications of q·k, causal: two for each channel, query head and visible key.
  ///
  /// Those of p·v are as many.
  package var scoreOperations: Double {
    context.runs.reduce(0) { sum, run in
      // Row r of n over a context of L sees L − n + r + 1 keys.
      let pairs = Double(rows) * (Double(run.length) - (Double(rows) - 1) / 2)
      return sum + Double(run.count) * 2 * pairs * Double(shape.queryHeads * shape.headDimension)
    }
  }

  /// Additions and multiplications of the whole.
  package var operations: Double { 2 * scoreOperations }

  /// Billions of operations per second that the machine could do of this work.
  ///
  /// bf16 keys or values may be multiplied by dot products, where the instruction set has them, or widened; codes by dot products of
  /// bytes, those of 8 bits twice, since their factors have 16; all else by multiply-add.
  package func peak(_ limits: MeasuredLimits) -> Double {
    func peak(_ type: ElementType) -> Double {
      let dots =
        switch type {
        case .bfloat16: limits.bfloatDot ?? 0
        case .int8: (limits.byteDot ?? 0) / 2
        case .int4: limits.byteDot ?? 0
        default: 0.0
        }
      return max(dots, limits.multiplyAdd)
    }
    // Half of the work at each speed.
    return 2 / (1 / peak(types.key) + 1 / peak(types.value))
  }
}

import CKernelShim

/// What this processor does well, beyond its instruction set: choices that change speed and no bit.
///
/// Measured: Documentation/Kernels.md.
enum ProcessorTraits {
  /// Whether a stream of memory under few rows is faster when it is asked for ahead.
  static let asksAhead = attention_is_intel() != 0
  /// Whether pages that many rows pass over are better widened to f32 once than in every tile.
  static let widensPages = attention_is_intel() != 0
}

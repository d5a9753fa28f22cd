import StreamingAttention

/// How a model's weight matrices are held.
public enum WeightType: Sendable, CaseIterable {
  /// f32: every bit of what the file's blocks stand for.
  case float32
  /// Rounded to f16.
  case float16
  /// Rounded to bf16.
  case bfloat16
  /// The codes, scales and minima of the file's blocks of 32 weights, exactly; types without such blocks are rounded to f16.
  ///
  /// Activations are rounded to 8 bits; of 32 of them, each half of 16 has a step of its own.
  case file

  /// The short name: `f32`, `f16`, `bf16` or `file`.
  public var name: String { element?.name ?? "file" }

  /// What each weight is rounded to, where the file's blocks are not kept.
  var element: ElementType? {
    switch self {
    case .float32: .float32
    case .float16: .float16
    case .bfloat16: .bfloat16
    case .file: nil
    }
  }
}

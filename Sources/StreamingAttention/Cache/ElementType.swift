package import KernelTable

/// How the cache stores one number of a key or a value.
///
/// Arithmetic is in f32 whatever the type; narrower types halve what a step reads. Keys and values
/// of one layer may have different types.
public enum ElementType: Sendable, CaseIterable {
  /// IEEE 754 binary32.
  case float32
  /// IEEE 754 binary16: 11 bits of significand, at most 65,504.
  case float16
  /// The upper half of a binary32: 8 bits of significand, its full range.
  case bfloat16

  /// The short name: `f32`, `f16` or `bf16`.
  public var name: String {
    switch self {
    case .float32: "f32"
    case .float16: "f16"
    case .bfloat16: "bf16"
    }
  }

  /// The size of one number in bytes.
  public var bytes: Int { self == .float32 ? 4 : 2 }

  package var stored: StoredElement {
    switch self {
    case .float32: .float32
    case .float16: .float16
    case .bfloat16: .bfloat16
    }
  }
}

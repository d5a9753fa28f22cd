package import KernelTable

/// How the cache stores one number of a key or a value.
///
/// Narrower types halve what a step reads; keys and values of one layer may have different types. Sums are in f32, or in
/// exact integers, whatever the type.
///
/// Numbers are rounded to the type as they are stored, and nothing is refused: what lies beyond its range is stored as ±∞. Keys
/// and values that may pass 65,504 in magnitude need `bfloat16` or `float32`, since `int8` and `int4` go through f16.
public enum ElementType: Sendable, CaseIterable {
  /// IEEE 754 binary32.
  case float32
  /// IEEE 754 binary16: 11 bits of significand, at most 65,504; from 65,520 on ±∞ is stored.
  case float16
  /// The upper half of a binary32: 8 bits of significand, its full range.
  case bfloat16
  /// Unsigned codes of 8 bits with an f16 scale and zero for each channel of a page of 64 tokens.
  ///
  /// A sequence's newest pages are kept in f16 (``FullPrecision``), with its range: from 65,520 on ±∞ is stored. A page that holds such
  /// a number has no codes and stays in f16.
  case int8
  /// Codes of 4 bits: as `int8`, in range too, with scales for each channel of 32 tokens of the keys.
  case int4

  /// The short name: `f32`, `f16`, `bf16`, `int8` or `int4`.
  public var name: String {
    switch self {
    case .float32: "f32"
    case .float16: "f16"
    case .bfloat16: "bf16"
    case .int8: "int8"
    case .int4: "int4"
    }
  }

  /// The size of one number in bits, scales not counted.
  public var bits: Int {
    switch self {
    case .float32: 32
    case .float16, .bfloat16: 16
    case .int8: 8
    case .int4: 4
    }
  }

  /// Whether pages other than the newest are quantised.
  public var isQuantized: Bool { code != .none }

  /// The types that are not quantised.
  package static let plainCases: [ElementType] = [.float32, .float16, .bfloat16]

  /// How numbers lie in a plain page: those of quantised layers are f16 there.
  package var stored: StoredElement {
    switch self {
    case .float32: .float32
    case .float16, .int8, .int4: .float16
    case .bfloat16: .bfloat16
    }
  }

  /// The codes that pages are quantised to, if they are.
  package var code: PageCode {
    switch self {
    case .float32, .float16, .bfloat16: .none
    case .int8: .int8
    case .int4: .int4
    }
  }

  /// The type of the same numbers before they are quantised.
  package var plain: ElementType { code == .none ? self : .float16 }
}

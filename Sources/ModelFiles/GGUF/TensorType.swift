/// How a tensor's elements are stored, by ggml's number.
///
/// ggml, `enum ggml_type`. All numbers in use are known by name and size, so that a file with a tensor nobody reads
/// still opens; `isSupported` says which can be dequantised.
public enum TensorType: UInt32, Sendable, Hashable, CaseIterable {
  /// 32-bit IEEE numbers.
  case f32 = 0
  /// 16-bit IEEE numbers.
  case f16 = 1
  /// 4-bit codes with a scale per 32.
  case q4_0 = 2
  /// 4-bit codes with a scale and a minimum per 32.
  case q4_1 = 3
  /// 5-bit codes with a scale per 32.
  case q5_0 = 6
  /// 5-bit codes with a scale and a minimum per 32.
  case q5_1 = 7
  /// 8-bit codes with a scale per 32.
  case q8_0 = 8
  /// 8-bit codes with a scale and a sum per 32; for activations only.
  case q8_1 = 9
  /// 2-bit codes in blocks of 256.
  case q2_K = 10
  /// 3-bit codes in blocks of 256.
  case q3_K = 11
  /// 4-bit codes in blocks of 256.
  case q4_K = 12
  /// 5-bit codes in blocks of 256.
  case q5_K = 13
  /// 6-bit codes in blocks of 256.
  case q6_K = 14
  /// 8-bit codes in blocks of 256; for activations only.
  case q8_K = 15
  /// Codebook of about 2.06 bits.
  case iq2_XXS = 16
  /// Codebook of about 2.31 bits.
  case iq2_XS = 17
  /// Codebook of about 3.06 bits.
  case iq3_XXS = 18
  /// Codebook of about 1.56 bits.
  case iq1_S = 19
  /// 4-bit codes for 16 unevenly spaced values, a scale per 32.
  case iq4_NL = 20
  /// Codebook of about 3.44 bits.
  case iq3_S = 21
  /// Codebook of about 2.56 bits.
  case iq2_S = 22
  /// 4-bit codes for 16 unevenly spaced values, blocks of 256.
  case iq4_XS = 23
  /// Signed 8-bit integers.
  case i8 = 24
  /// Signed 16-bit integers.
  case i16 = 25
  /// Signed 32-bit integers.
  case i32 = 26
  /// Signed 64-bit integers.
  case i64 = 27
  /// 64-bit IEEE numbers.
  case f64 = 28
  /// Codebook of about 1.75 bits.
  case iq1_M = 29
  /// The upper halves of 32-bit IEEE numbers.
  case bf16 = 30
  /// Ternary values of about 1.69 bits.
  case tq1_0 = 34
  /// Ternary values of about 2.06 bits.
  case tq2_0 = 35
  /// 4-bit floating-point codes with a power-of-two scale per 32.
  case mxfp4 = 39
  /// 4-bit floating-point codes with 8-bit scales, blocks of 64.
  case nvfp4 = 40
  /// Signs with a scale per 128.
  case q1_0 = 41

  /// Elements in a block, and the bytes that they take together.
  public var block: (elementCount: Int, byteCount: Int) {
    switch self {
    case .i8: (1, 1)
    case .f16, .bf16, .i16: (1, 2)
    case .f32, .i32: (1, 4)
    case .f64, .i64: (1, 8)
    case .mxfp4: (32, 17)
    case .q4_0, .iq4_NL: (32, 18)
    case .q4_1: (32, 20)
    case .q5_0: (32, 22)
    case .q5_1: (32, 24)
    case .q8_0: (32, 34)
    case .q8_1: (32, 40)
    case .nvfp4: (64, 36)
    case .q1_0: (128, 18)
    case .iq1_S: (256, 50)
    case .tq1_0: (256, 54)
    case .iq1_M: (256, 56)
    case .iq2_XXS, .tq2_0: (256, 66)
    case .iq2_XS: (256, 74)
    case .iq2_S: (256, 82)
    case .q2_K: (256, 84)
    case .iq3_XXS: (256, 98)
    case .q3_K, .iq3_S: (256, 110)
    case .iq4_XS: (256, 136)
    case .q4_K: (256, 144)
    case .q5_K: (256, 176)
    case .q6_K: (256, 210)
    case .q8_K: (256, 292)
    }
  }

  /// Whether tensors of this type can be read as numbers.
  public var isSupported: Bool {
    switch self {
    case .f32, .f16, .bf16, .q8_0, .q4_0, .q4_1, .q5_0, .q5_1, .q2_K, .q3_K, .q4_K, .q5_K, .q6_K,
      .iq4_NL, .iq4_XS:
      true
    case .q8_1, .q8_K, .iq2_XXS, .iq2_XS, .iq3_XXS, .iq1_S, .iq3_S, .iq2_S, .i8, .i16, .i32, .i64,
      .f64, .iq1_M, .tq1_0, .tq2_0, .mxfp4, .nvfp4, .q1_0:
      false
    }
  }
}

extension TensorType: CustomStringConvertible {
  /// ggml's name, in the case that file names use: `F32`, `Q4_K`, `IQ4_XS`.
  public var description: String {
    switch self {
    case .f32: "F32"
    case .f16: "F16"
    case .q4_0: "Q4_0"
    case .q4_1: "Q4_1"
    case .q5_0: "Q5_0"
    case .q5_1: "Q5_1"
    case .q8_0: "Q8_0"
    case .q8_1: "Q8_1"
    case .q2_K: "Q2_K"
    case .q3_K: "Q3_K"
    case .q4_K: "Q4_K"
    case .q5_K: "Q5_K"
    case .q6_K: "Q6_K"
    case .q8_K: "Q8_K"
    case .iq2_XXS: "IQ2_XXS"
    case .iq2_XS: "IQ2_XS"
    case .iq3_XXS: "IQ3_XXS"
    case .iq1_S: "IQ1_S"
    case .iq4_NL: "IQ4_NL"
    case .iq3_S: "IQ3_S"
    case .iq2_S: "IQ2_S"
    case .iq4_XS: "IQ4_XS"
    case .i8: "I8"
    case .i16: "I16"
    case .i32: "I32"
    case .i64: "I64"
    case .f64: "F64"
    case .iq1_M: "IQ1_M"
    case .bf16: "BF16"
    case .tq1_0: "TQ1_0"
    case .tq2_0: "TQ2_0"
    case .mxfp4: "MXFP4"
    case .nvfp4: "NVFP4"
    case .q1_0: "Q1_0"
    }
  }

  /// The names of all supported types, for messages.
  static var supportedNames: String {
    allCases.filter(\.isSupported).map(\.description).joined(separator: ", ")
  }
}

@testable import StreamingAttention

/// Caches that are saved and restored.
enum SnapshotKind: CaseIterable {
  /// In f32, f16 and bf16.
  case plain
  /// In int8, int4 and f16, with some tokens in full precision.
  case quantized

  var types: [ElementType] {
    self == .plain ? ElementType.plainCases : OperationHarness.quantizedTypes
  }

  var fullPrecision: FullPrecision {
    self == .plain ? .newestPages : FullPrecision(first: 5, last: 150)
  }

  func harness(seed: UInt64, memoryLimit: Int = 64 << 20) throws -> OperationHarness {
    try OperationHarness(
      seed: seed, memoryLimit: memoryLimit, types: types, fullPrecision: fullPrecision)
  }
}

import StreamingAttention
import TestSupport

/// Levels of the factors that attention cases are made of.
enum AttentionFactors {
  static let instructionSets = InstructionSet.allCases.filter(\.isAvailable)
  static let types: [ElementType] = [.float32, .float16, .bfloat16]
  static let groups = [1, 2, 3, 4, 7, 8]
  static let keyWidths = [32, 59, 64, 80, 96, 128, 192, 256]
  /// Narrower than a key, as wide, wider, odd.
  static let valueWidths = [16, 32, 45, 64, 96, 128, 200]
  static let lengths = [0, 1, 63, 64, 65, 511, 512, 513, 2049, 5000]
  /// The last position of the longest length is 262,143 at most.
  static let bases = [0, 1000, 32_767, 131_000, 257_144]
  static let rows = [1, 2, 3, 5, 17, 30, 70]

  static var counts: [Int] {
    [
      instructionSets.count, types.count, types.count, AttentionCase.Masking.allCases.count,
      AttentionCase.Positions.allCases.count, groups.count, keyWidths.count, valueWidths.count,
      lengths.count, bases.count, rows.count,
    ]
  }

  static func example(_ levels: [Int], seed: UInt64) -> AttentionCase {
    AttentionCase(
      instructionSet: instructionSets[levels[0]], keyType: types[levels[1]],
      valueType: types[levels[2]], masking: AttentionCase.Masking.allCases[levels[3]],
      positions: AttentionCase.Positions.allCases[levels[4]], group: groups[levels[5]],
      kvHeads: 1 + Int(seed % 2), keyWidth: keyWidths[levels[6]],
      valueWidth: valueWidths[levels[7]], length: lengths[levels[8]],
      // Rows before the first token stand at positions as well.
      base: max(bases[levels[9]], rows[levels[10]] - lengths[levels[8]]), rows: rows[levels[10]],
      seed: seed)
  }

  /// A case of the full cross.
  static func random(using generator: inout SeededGenerator, seed: UInt64) -> AttentionCase {
    example(counts.map { generator.integer(in: 0..<$0) }, seed: seed)
  }
}

import StreamingAttention
import TestSupport
import Testing

@Suite("Slot kernels against the slow writer")
struct SlotKernelTests {
  @Test(
    "keys and values are stored bit for bit, whatever the widths, types and batches",
    arguments: InstructionSet.allCases.filter(\.isAvailable))
  func stored(instructionSet: InstructionSet) throws {
    var generator = SeededGenerator(seed: 11)
    for keyType in ElementType.plainCases {
      for valueType in ElementType.plainCases {
        for (keyWidth, valueWidth) in [(2, 1), (32, 64), (59, 45), (64, 130), (80, 16), (96, 200)] {
          let largest = keyWidth / 2
          let layers = [0, largest, largest / 2].flatMap { pairs in
            [RotaryPairing.halves, .interleaved].map { pairing in
              LayerShape(
                kvHeads: 2, keyWidth: keyWidth, valueWidth: valueWidth, keyType: keyType,
                valueType: valueType, keyPositions: .rotary(pairs: pairs, pairing: pairing))
            }
          }
          let harness = try CacheHarness(layers, kernels: instructionSet.kernels)
          let sequence = try harness.cache.makeSequence(startingAt: 1000)
          var tokens: [Int] = []
          var distances: [Int] = []
          for count in [1, 2, 3, 64, 7, 60, 1, 65] {
            let new = (0..<count).map { _ in generator.integer(in: 0..<1_000_000) }
            try harness.append(new, to: sequence)
            tokens += new
          }
          for entry in harness.entries(of: sequence) {
            distances += entry.slots.map { entry.basePosition + $0 - entry.anchor }
          }
          #expect(
            harness.holds(tokens, distances: distances, in: sequence),
            "\(keyType) \(valueType) \(keyWidth)/\(valueWidth)")
        }
      }
    }
  }
}

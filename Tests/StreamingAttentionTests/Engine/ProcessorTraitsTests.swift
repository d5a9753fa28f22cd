import Testing

@testable import StreamingAttention

@Suite("Traits of processors")
struct ProcessorTraitsTests {
  @Test(
    "below AVX-512 every processor is asked for lines, above it those that gain by it",
    arguments: InstructionSet.allCases)
  func requests(instructionSet: InstructionSet) {
    func requests(isIntel: Bool = false, isZen5: Bool = false) -> ProcessorTraits.Requests {
      ProcessorTraits(isIntel: isIntel, isZen5: isZen5, instructionSet: instructionSet).requests
    }
    #expect(requests(isIntel: true) == .linesAndPage)
    #expect(requests(isZen5: true) == .lines)
    let takesStripes = instructionSet == .baseline || instructionSet == .avx2
    #expect(requests() == (takesStripes ? .lines : .none))
  }
}

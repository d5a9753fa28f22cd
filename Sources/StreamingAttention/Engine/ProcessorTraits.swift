import CKernelShim

/// What a processor does well, beyond its instruction set.
///
/// Measured: Documentation/Kernels.md.
package struct ProcessorTraits: Sendable, Equatable, BitwiseCopyable {
  /// What a stream of memory under few rows is best asked for ahead of its turn; changes no bit.
  package enum Requests: Sendable, BitwiseCopyable, CaseIterable {
    case none
    /// The lines that follow in memory.
    case lines
    /// Lines soon to come, and the next page.
    case linesAndPage

    package var nearAhead: Int {
      switch self {
      case .none: 0
      case .lines: 8192
      case .linesAndPage: 2048
      }
    }
  }

  package var requests: Requests
  /// Whether pages that many rows pass over are better widened to f32 once than in every tile; changes no bit.
  package var widensPages: Bool
  /// Whether dot products of bf16 pairs are faster than multiplying what is widened to f32.
  ///
  /// Where they are not, a bf16 cache gives the bits of the AVX-512 kernels: no query or probability is rounded.
  package var dotsPairs: Bool

  package init(requests: Requests, widensPages: Bool, dotsPairs: Bool) {
    self.requests = requests
    self.widensPages = widensPages
    self.dotsPairs = dotsPairs
  }

  /// Those of a processor whose kernels are of this instruction set.
  init(isIntel: Bool, isZen5: Bool, instructionSet: InstructionSet) {
    // Below AVX-512 tiles take their columns in stripes, which break the stream that the processor would follow by itself.
    let needsLines = isZen5 || instructionSet < .avx512
    self.init(
      requests: isIntel ? .linesAndPage : needsLines ? .lines : .none, widensPages: isIntel,
      dotsPairs: !isIntel)
  }

  /// Those of this machine's processor.
  package static func detected(for instructionSet: InstructionSet) -> ProcessorTraits {
    ProcessorTraits(
      isIntel: attention_is_intel() != 0, isZen5: attention_is_zen5() != 0,
      instructionSet: instructionSet)
  }
}

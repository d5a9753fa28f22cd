import CKernelShim

/// What a processor does well, beyond its instruction set.
///
/// Measured: Documentation/Kernels.md.
package struct ProcessorTraits: Sendable, Equatable, BitwiseCopyable {
  /// Whether a stream of memory under few rows is faster when it is asked for ahead; changes no bit.
  package var asksAhead: Bool
  /// Whether pages that many rows pass over are better widened to f32 once than in every tile; changes no bit.
  package var widensPages: Bool
  /// Whether dot products of bf16 pairs are faster than multiplying what is widened to f32.
  ///
  /// Where they are not, a bf16 cache gives the bits of the AVX-512 kernels: no query or probability is rounded.
  package var dotsPairs: Bool

  package init(asksAhead: Bool, widensPages: Bool, dotsPairs: Bool) {
    self.asksAhead = asksAhead
    self.widensPages = widensPages
    self.dotsPairs = dotsPairs
  }

  /// Those of this machine's processor.
  package static let detected = {
    let isIntel = attention_is_intel() != 0
    return ProcessorTraits(asksAhead: isIntel, widensPages: isIntel, dotsPairs: !isIntel)
  }()
}

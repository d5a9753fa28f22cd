/// How the frequencies of RoPE are changed so that a model reads further than it was trained for.
///
/// θ is the unscaled frequency base^(−2i ÷ d) of pair i, d the rotary dimensions, s the factor,
/// L₀ the original context and L the current length. The formulas are those of
/// `modeling_rope_utils.py` in Transformers 5.23.
public enum RotaryScaling: Sendable, Equatable {
  /// θ as it is.
  case none
  /// Position interpolation, θ ÷ s (Chen et al. 2023, arXiv:2306.15595, eq. 3).
  case linear(factor: Double)
  /// A larger base once and for all: base · s^(d ÷ (d − 2)) ("NTK-aware scaled RoPE", bloc97 2023).
  case ntkAware(factor: Double)
  /// A base that grows with the length: base · (s·max(L, L₀) ÷ L₀ − (s − 1))^(d ÷ (d − 2)).
  ///
  /// Up to L₀ it is the default. Peng et al. 2023, arXiv:2309.00071, §3.3.
  case dynamicNTK(factor: Double, originalContext: Int)
  /// Fast pairs as they are, slow ones interpolated, a ramp between, and an attention factor.
  case yarn(YaRN)
  /// Fast wavelengths as they are, slow ones interpolated, a blend between.
  case llama3(Llama3Bands)
  /// One divisor per pair from a search, another list beyond the original context.
  case longRoPE(LongRoPE)
  /// Exponents over the whole head, 2i ÷ head dimension, and all pairs of the head divided by s.
  ///
  /// The rotary dimensions say how many turn (all of them pair up over the full width of the head; the rest
  /// have frequency 0).
  case proportional(factor: Double)
}

/// How the frequencies of an embedding depend on the length of the sequence.
public enum LengthDependence: Sendable, Equatable {
  /// Not at all.
  case fixed
  /// They change once, when the length exceeds this.
  case stepped(after: Int)
  /// They change with every token once the length exceeds this.
  case moving(after: Int)
}

import Glibc
import ModelFiles
import StreamingAttention

extension DecoderMetadata {
  /// The rotation that the file asks for, or the caller's scaling of its base frequencies.
  func rotary(
    headDimension: Int, pairing: RotaryPairing, scaling override: RotaryScaling?
  ) throws(ModelError) -> RotaryEmbedding {
    let dimensions =
      try optionalSize("rope.dimension_count") ?? headDimension / 2 * 2
    guard dimensions <= headDimension else {
      throw invalid("rope.dimension_count", "\(dimensions)", "at most key_length, \(headDimension)")
    }
    guard dimensions % 2 == 0 else {
      throw invalid("rope.dimension_count", "\(dimensions)", "an even number")
    }
    let base = try double("rope.freq_base") ?? 10_000
    let scaling = if let override { override } else { try scaling() }
    let divisors = try divisors(pairs: dimensions / 2)
    do throws(PositionError) {
      return try RotaryEmbedding(
        headDimension: headDimension, rotaryDimensions: dimensions, base: base, pairing: pairing,
        scaling: scaling, divisors: divisors)
    } catch {
      throw .positions(error)
    }
  }

  /// `rope.scaling.*`, or the old `rope.scale_linear`.
  private func scaling() throws(ModelError) -> RotaryScaling {
    let factor = try double("rope.scaling.factor")
    let type = try optionalString("rope.scaling.type")
    switch type {
    case nil, "linear":
      let old = try double("rope.scale_linear")
      let stated = factor ?? old
      // A factor of 0 or 1 says that nothing is scaled.
      guard let stated, stated != 0, stated != 1 else { return .none }
      return .linear(factor: stated)
    case "none": return .none
    case "yarn": return .yarn(try yarn(factor: factor ?? 1))
    case let found?:
      throw .unsupported(
        path: file.path, item: "metadata key \(prefix)rope.scaling.type", found: found,
        allowed: "none, linear, yarn")
    }
  }

  /// YaRN as files state it: `attn_factor` multiplies the recommended temperature.
  private func yarn(factor: Double) throws(ModelError) -> YaRN {
    let original = try optionalSize("rope.scaling.original_context_length")
    let trained = try size("context_length")
    var yarn = YaRN(factor: factor, originalContext: original ?? trained)
    if let beta = try double("rope.scaling.yarn_beta_fast") { yarn.betaFast = beta }
    if let beta = try double("rope.scaling.yarn_beta_slow") { yarn.betaSlow = beta }
    if let multiplier = try double("rope.scaling.attn_factor"), multiplier != 1 {
      yarn.temperature = .given(multiplier * (factor <= 1 ? 1 : 1 + 0.1 * log(factor)))
    }
    return yarn
  }

  /// The divisors of `rope_freqs.weight`, one for each pair.
  private func divisors(pairs: Int) throws(ModelError) -> [Double]? {
    guard let tensor = file["rope_freqs.weight"] else { return nil }
    do throws(ModelFileError) {
      try tensor.expect(shape: [pairs])
      return try tensor.floats().map(Double.init)
    } catch {
      throw .file(error)
    }
  }
}

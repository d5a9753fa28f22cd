/// Which two channels form the plane that RoPE turns.
///
/// Su et al. 2021, arXiv:2104.09864, §3.4.2. The wrong pairing still yields fluent nonsense.
public enum RotaryPairing: Sendable {
  /// Channels (2i, 2i + 1): GPT-J, and the rows of llama GGUF files.
  case interleaved
  /// Channels (i, i + rotary dimensions ÷ 2): GPT-NeoX, and the checkpoints of Transformers.
  case halves
}

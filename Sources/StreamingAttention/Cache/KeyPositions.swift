/// What a stored key knows about its position.
///
/// It decides whether the cache may move a key to another position (shift, re-base) without reading it.
public enum KeyPositions: Sendable, Equatable {
  /// The cache turns keys as it stores them: the first `2·pairs` channels are rotary (Su et al. 2021, arXiv:2104.09864).
  ///
  /// Stored relative to the entry's anchor, so a shift edits integers only.
  case rotary(pairs: Int, pairing: RotaryPairing)
  /// Keys hold no position (ALiBi, or no positions at all).
  case none
  /// Keys hold an absolute position (turned by the caller, learned, sinusoidal): they cannot be moved.
  case absolute
}

/// Which keys a query may see, before any window.
public enum AttentionMask: Sendable, Equatable {
  /// Keys at the query's own position and before it.
  ///
  /// Queries are the newest tokens of their sequence (bottom-right aligned): query t of n, over a context
  /// of L, sees key j if j ≤ t + L − n.
  case causal
  /// All keys.
  case full
}

import StreamingAttention

/// How the preset `evict`, or a season of `soak`, chooses what a sequence gives up.
package enum StressPolicy: String, Sendable, CaseIterable {
  /// All but four tokens and a window, at positions without a gap.
  case sinks
  case recent
  case heavyHitters = "heavy-hitters"
  case observationWindow = "observation-window"

  /// The policy by which pages are evicted; nil for `sinks`.
  var policy: EvictionPolicy? {
    switch self {
    case .sinks: nil
    case .recent: .recent
    case .heavyHitters: .heavyHitters
    case .observationWindow: .observationWindow
    }
  }

  /// Whether it asks for the attention that pages have had.
  var needsAttention: Bool { self == .heavyHitters || self == .observationWindow }
}

/// How one layer turns scores into outputs: everything that the cache's ``LayerShape`` does not say.
///
/// Order of a score: scale·q·k → softcap → + ALiBi → + bias, where `attend` is given one → mask → softmax, sinks in the denominator.
public struct LayerAttention: Sendable, Equatable {
  /// A multiple of the layer's KV heads, at most 65,536; consecutive query heads share a KV head.
  public var queryHeads: Int
  /// Factor of q·k; 1/√keyWidth if nil.
  public var scale: Float?
  /// Causal or full.
  public var mask: AttentionMask
  /// A key at position p is seen from position t only if t − p < window; nil for no window.
  ///
  /// At most what the cache's layer keeps.
  public var window: Int?
  /// A key at position p is seen from position t only if p − t ≤ rightWindow; nil for no such window.
  ///
  /// Only with ``AttentionMask/full``, since causal attention sees nothing ahead.
  public var rightWindow: Int?
  /// c in c·tanh(score / c); nil for none.
  public var softcap: Float?
  /// One learned logit per query head that enters the denominator and adds no value; nil for none.
  ///
  /// A sink of −∞ is none.
  public var sinks: [Float]?
  /// Rotation of queries and keys; nil for none.
  public var rotary: RotaryEmbedding?
  /// Frequencies of the epochs 2, 3, …, with the pairs of ``rotary``, which is that of epoch 1.
  ///
  /// A sequence's epoch says which of them turn its queries (``KVCache/setRotation(_:of:)``), that of a page set
  /// which of them have turned its keys.
  public var laterRotary: [RotaryEmbedding] = []
  /// Linear biases by exact distance; nil for none.
  ///
  /// May be combined with a rotation.
  public var alibi: ALiBi?
  /// Leaves of an ALiBi head that provably weigh at most this part of a row's softmax are not read; 0 reads all.
  ///
  /// At least 0 and below 1. See ``AttentionReport/skippedMassBound``.
  public var alibiEpsilon: Float

  /// The part of the softmax mass that ``alibiEpsilon`` lets go unless told otherwise.
  public static let defaultALiBiEpsilon: Float = 1e-7

  /// The frequencies of an epoch, counted from 1; nil where the layer has no rotation or knows none of that epoch.
  package func rotary(ofEpoch epoch: Int) -> RotaryEmbedding? {
    epoch == 1 ? rotary : laterRotary.indices.contains(epoch - 2) ? laterRotary[epoch - 2] : nil
  }

  /// Describes a layer's attention; the defaults are causal, scaled by 1/√keyWidth, without positions.
  public init(
    queryHeads: Int, scale: Float? = nil, mask: AttentionMask = .causal, window: Int? = nil,
    rightWindow: Int? = nil,
    softcap: Float? = nil, sinks: [Float]? = nil, rotary: RotaryEmbedding? = nil,
    alibi: ALiBi? = nil, alibiEpsilon: Float = defaultALiBiEpsilon
  ) {
    self.queryHeads = queryHeads
    self.scale = scale
    self.mask = mask
    self.window = window
    self.rightWindow = rightWindow
    self.softcap = softcap
    self.sinks = sinks
    self.rotary = rotary
    self.alibi = alibi
    self.alibiEpsilon = alibiEpsilon
  }
}

import StreamingAttention

/// Which sequences and KV heads of a layer are compared with Double, which takes longer than the engine by far.
///
/// All of them where they are few or short. Of others each layer has its turn: the first looks at the first sequence, the
/// last and the middle one, each at another KV head, and every layer goes on where the one before it stopped.
struct CheckedParts: Sendable {
  /// One KV head of one sequence.
  struct Part: Sendable, Hashable {
    var sequence: Int
    var kvHead: Int
  }

  /// Keys that Double reads for all layers of one encoding, those of each KV head counting: all eight of 128K tokens.
  ///
  /// With 128 channels and four query heads that takes some two and a half seconds of one CPU.
  static let mostKeys = 1 << 20

  /// The sequences in the order of their turns.
  private let order: [Int]
  private let kvHeads: Int
  /// Parts that a layer looks at.
  let count: Int

  /// - Parameters:
  ///   - lengths: Live tokens of every sequence.
  ///   - kvHeads: KV heads.
  ///   - layers: Layers among which the keys are shared out.
  ///   - keys: Keys that Double may read; one part of every layer is looked at whatever its length.
  init(lengths: [Int], kvHeads: Int, layers: Int, keys: Int = mostKeys) {
    let first = [0, lengths.count - 1, lengths.count / 2].prefix(lengths.count)
    order = first + lengths.indices.filter { !first.contains($0) }
    self.kvHeads = kvHeads
    let mean = max(1, lengths.reduce(0, +) / max(lengths.count, 1))
    count = max(1, min(lengths.count * kvHeads, keys / max(layers, 1) / mean))
  }

  /// The parts whose turn it is in a layer, each once.
  func parts(ofLayer layer: Int) -> [Part] {
    let all = order.count * kvHeads
    return (0..<count).map { index in
      let turn = (layer * count + index) % all
      let (round, place) = turn.quotientAndRemainder(dividingBy: order.count)
      return Part(sequence: order[place], kvHead: (round + place) % kvHeads)
    }
  }
}

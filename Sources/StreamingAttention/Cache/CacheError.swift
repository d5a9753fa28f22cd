public import Memory

/// The parts of a ``LayerShape`` that can be wrong.
///
/// The raw value is the name that messages use.
public enum ShapePart: String, Sendable {
  /// ``LayerShape/kvHeads``.
  case kvHeads = "KV heads"
  /// ``LayerShape/keyWidth``.
  case keyWidth = "key width"
  /// ``LayerShape/valueWidth``.
  case valueWidth = "value width"
  /// The pairs of ``KeyPositions/rotary(pairs:pairing:)``.
  case rotaryPairs = "rotary pairs"
  /// The length of ``Retention/window(_:)``.
  case window = "window"
}

/// Why the cache refused; it is as it was before the call.
///
/// Every case carries what was received and what is allowed.
public enum CacheError: Error, Equatable {
  /// A cache has at least one layer.
  case noLayers
  /// A layer's shape is out of range.
  case invalidShape(layer: Int, part: ShapePart, received: Int, allowed: ClosedRange<Int>)
  /// The placement names a node that the machine does not have.
  case unknownNode(received: Int, allowed: [Int])
  /// The memory limit is not positive.
  case invalidMemoryLimit(received: Int)
  /// The sequence was dropped, or belongs to another cache.
  case unknownSequence(SequenceID)
  /// A sequence appears twice in one step.
  case repeatedSequence(SequenceID)
  /// The number of tokens to append, or to keep, is negative.
  case invalidTokenCount(received: Int)
  /// The number of pages to be left is negative.
  case invalidPageCount(received: Int)
  /// A position would leave the range that the cache allows.
  case positionOutOfRange(received: Int, allowed: ClosedRange<Int>)
  /// The previous step was neither committed nor given up.
  case stepInProgress
  /// Page memory would pass the cache's limit: drop or shorten sequences, or raise the limit.
  ///
  /// `needed` is the least that the call could have done with, in the groups of 2 MiB in which each layer's memory is committed.
  /// Extents that are not full may ask for more, and so do later steps.
  case outOfMemory(needed: Int, allowed: Int)
  /// The address space set aside for a layer is full or too fragmented for the next extent.
  case outOfAddressSpace(layer: Int, needed: Int)
  /// The system refused memory or address space.
  case refused(MemoryError)
  /// A layer's keys carry absolute positions and cannot be moved.
  case absolutePositions(layer: Int)
  /// The sequence has no live entry of that number.
  case unknownEntry(received: Int)
  /// Moving entries would put two keys at one position.
  case overlappingPositions(received: Int, allowed: ClosedRange<Int>)
  /// Rotary epochs count from 1; engines over the cache say how many there are.
  case invalidEpoch(received: Int, allowed: ClosedRange<Int>)
  /// A sequence cannot be rewound to a length that it does not have.
  case lengthOutOfRange(received: Int, allowed: ClosedRange<Int>)
  /// Rewound so far, the window of a layer would miss tokens that have been released.
  case lengthReleased(received: Int, shortest: Int)
  /// A range of tokens leaves the sequence.
  case rangeOutOfBounds(received: Range<Int>, allowed: Range<Int>)
  /// After the removal, the window of a layer would miss tokens that have been released: it holds `received` tokens
  /// before the next one without a gap.
  case windowReleased(layer: Int, received: Int, allowed: Int)
  /// Keys are to be turned, and no engine has told the cache by which frequencies.
  case unknownFrequencies(layer: Int, epoch: Int)
  /// An engine would turn keys of an epoch by other frequencies than those that the cache's have been turned by, or that another of its
  /// engines turns them by.
  indirect case otherFrequencies(
    layer: Int, epoch: Int, received: RotaryEmbedding, allowed: RotaryEmbedding)
  /// The cache has no layer of that number.
  case unknownLayer(received: Int, allowed: Range<Int>)
  /// The retention of a layer releases its pages; nothing else evicts them.
  case windowedLayer(Int)
  /// A page that is to be evicted is the newest, or holds a sink or a pinned token.
  case protectedPage(received: Int, tokens: Range<Int>)
}

extension CacheError: CustomStringConvertible {
  /// One line: what, where, what to change.
  public var description: String {
    switch self {
    case .noLayers:
      "a cache needs at least one layer"
    case .invalidShape(let layer, let part, let received, let allowed):
      "layer \(layer): \(part.rawValue) is \(received), allowed are "
        + "\(allowed.lowerBound)…\(allowed.upperBound)"
    case .unknownNode(let received, let allowed):
      "there is no memory node \(received); nodes are \(allowed)"
    case .invalidMemoryLimit(let received):
      "the cache's memory limit is \(received) bytes; it must be positive"
    case .unknownSequence(let sequence):
      "\(sequence) is not in this cache; it was dropped or belongs to another"
    case .repeatedSequence(let sequence):
      "\(sequence) appears twice in one step; append all its tokens in one request"
    case .invalidTokenCount(let received):
      "cannot append or keep \(received) tokens; the number must not be negative"
    case .invalidPageCount(let received):
      "cannot leave \(received) pages; the number must not be negative"
    case .positionOutOfRange(let received, let allowed):
      "position \(received) is outside \(allowed.lowerBound)…\(allowed.upperBound)"
    case .stepInProgress:
      "a step is in progress; commit it or give it up first"
    case .outOfMemory(let needed, let allowed):
      "the cache needs at least \(needed) bytes of page memory for this, more as sequences grow, and may use \(allowed); "
        + "drop or shorten sequences, or raise the limit"
    case .outOfAddressSpace(let layer, let needed):
      "layer \(layer): no \(needed) bytes in a row in its address space; drop sequences"
    case .refused(.outOfAddressSpace(let byteCount)):
      "cannot reserve \(byteCount) bytes of address space for the pages of a layer; raise the limit of the process "
        + "(ulimit -v), or lower the cache's memory limit, of which all layers together reserve twice as much"
    case .refused(let error):
      "the system refused memory for the cache: \(error)"
    case .absolutePositions(let layer):
      "layer \(layer): its keys carry absolute positions and cannot be moved"
    case .unknownEntry(let received):
      "the sequence has no entry \(received)"
    case .invalidEpoch(let received, let allowed):
      "rotary epoch \(received); allowed are \(allowed.lowerBound)…\(allowed.upperBound), those whose frequencies the layers describe "
        + "(LayerAttention.rotary and laterRotary)"
    case .overlappingPositions(let received, let allowed):
      "cannot move entries by \(received); allowed are "
        + "\(allowed.lowerBound)…\(allowed.upperBound)"
    case .lengthOutOfRange(let received, let allowed):
      "cannot rewind to \(received) tokens; allowed are \(allowed.lowerBound)…\(allowed.upperBound)"
    case .lengthReleased(let received, let shortest):
      "cannot rewind to \(received) tokens: their window has been released; "
        + "the shortest length still possible is \(shortest)"
    case .rangeOutOfBounds(let received, let allowed):
      "tokens \(received.lowerBound)..<\(received.upperBound) are not all in the sequence, which has "
        + "\(allowed.lowerBound)..<\(allowed.upperBound)"
    case .windowReleased(let layer, let received, let allowed):
      "layer \(layer): with these tokens removed its window of \(allowed) would hold \(received) tokens only, "
        + "since older ones have been released; remove fewer, or pin what is to stay from the beginning"
    case .unknownFrequencies(let layer, let epoch):
      "layer \(layer): keys must be turned, and nobody has named the frequencies of epoch \(epoch); "
        + "make an engine over the cache first"
    case .otherFrequencies(let layer, let epoch, let received, let allowed):
      "layer \(layer): an engine of other rotary frequencies in epoch \(epoch) than the cache's: \(received.difference(from: allowed)); "
        + "use the same, describe the others as a later epoch, or make a cache of its own"
    case .unknownLayer(let received, let allowed):
      "layer \(received) is not one of \(allowed.lowerBound)..<\(allowed.upperBound)"
    case .windowedLayer(let layer):
      "layer \(layer): its window releases pages; evict from layers that keep everything"
    case .protectedPage(let received, let tokens):
      "page \(received) with tokens \(tokens.lowerBound)..<\(tokens.upperBound) is the newest or holds sinks or "
        + "pinned tokens; unpin them or evict others"
    }
  }
}

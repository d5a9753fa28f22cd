/// One page for each layer and KV head of a pool, written and released together.
struct PageSet: BitwiseCopyable {
  /// Entries that name the set, of all sequences.
  var referenceCount: Int32
  /// Which frequencies turned its rotary keys, or ``unturned``.
  var epoch: Int32
  /// Position of slot 0 less the anchor, when the set was first written.
  var offset: Int
  /// Where its pages lie: an extent, and the page's index in it.
  var extent: Int32
  var indexInExtent: Int32
  /// The live page sets beside it in the list of its extent, in no order; −1 for none.
  var previousInExtent: Int32 = -1
  var nextInExtent: Int32 = -1
  /// How often any of its keys has been turned and rounded again, at most.
  var rewrites: Int32 = 0
  /// Whether the pages of quantised layers hold codes; such a set is never written again.
  var isCoded = false
  /// Whether it holds a number that codes cannot stand for, and so stays as it is.
  var isUncodable = false
  /// Another one each time that a page of the set, or its bounds, may have changed: what a snapshot has to write again.
  var version: UInt64 = 0

  /// The frequencies that a cache starts with.
  static let firstEpoch: Int32 = 1
  /// The epoch of keys that are stored as the caller gave them.
  static let unturned: Int32 = 0
}

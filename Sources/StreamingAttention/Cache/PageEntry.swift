/// 64 slots of a sequence in one of its page tables.
struct PageEntry: BitwiseCopyable {
  /// Which 64 slots; kept for life, whatever is released before it.
  var number: Int32
  /// The page set.
  var page: Int32
  /// Position of slot 0, which need not be live.
  var basePosition: Int
  /// Live slots are `firstSlot..<endSlot`.
  var firstSlot: Int32
  var endSlot: Int32

  /// The position after the last live slot's.
  var endPosition: Int { basePosition + Int(endSlot) }
}

/// What a plan needs to know about one entry of a page table.
package struct LiveEntry: Sendable, Equatable {
  /// Which 64 slots of the sequence; leaves are cut by it.
  package let number: Int
  /// Index into the page addresses of every layer and KV head of the table.
  package let page: Int
  /// Position of slot 0, which need not be live.
  package let basePosition: Int
  /// Live slots, those of the step in progress included.
  package let slots: Range<Int>
  /// Keys are stored turned by (position − anchor).
  package let anchor: Int
  /// Which frequencies turned them.
  package let epoch: Int
}

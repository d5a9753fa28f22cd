/// 64 slots of a sequence in one of its page tables.
struct PageEntry: BitwiseCopyable {
  /// Which 64 slots; kept whatever is released before it, and until a removal renumbers what follows it.
  var number: Int32
  /// The page set.
  var page: Int32
  /// Position of slot 0, which need not be live and may then be below 0.
  var basePosition: Int
  /// Index of slot 0 among the tokens of the sequence; below 0 likewise.
  var firstToken: Int32
  /// Live slots are `firstSlot..<endSlot`.
  var firstSlot: Int16
  var endSlot: Int16
  /// The attention that its tokens have had in all steps that noted it, and in the latest.
  var mass = 0.0
  var latestMass = 0.0

  /// The position of the first live slot.
  var firstPosition: Int { basePosition + Int(firstSlot) }
  /// The position after the last live slot's.
  var endPosition: Int { basePosition + Int(endSlot) }
  /// The tokens of the live slots.
  var tokens: Range<Int> { Int(firstToken) + Int(firstSlot)..<Int(firstToken) + Int(endSlot) }
  var liveSlots: Int { Int(endSlot - firstSlot) }
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
  /// The tokens of the sequence that they hold.
  package let tokens: Range<Int>
  /// Keys are stored turned by (position − anchor).
  package let anchor: Int
  /// Which frequencies turned them.
  package let epoch: Int
  /// Whether the pages of quantised layers hold codes.
  package let isCoded: Bool
}

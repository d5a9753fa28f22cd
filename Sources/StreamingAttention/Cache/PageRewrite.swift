/// A page set that a removal or a merge writes anew, from one or two runs of slots.
struct PageRewrite: BitwiseCopyable {
  /// Slots of a page set, whose keys are turned by R(turn) more on their way.
  struct Piece: BitwiseCopyable {
    var page: Int32
    var firstSlot: Int16
    var endSlot: Int16
    var turn: Int

    init(_ page: Int32, _ slots: Range<Int>, turn: Int) {
      self.page = page
      firstSlot = Int16(slots.lowerBound)
      endSlot = Int16(slots.upperBound)
      self.turn = turn
    }

    var slots: Range<Int> { Int(firstSlot)..<Int(endSlot) }
  }

  var first: Piece
  /// It follows the first piece.
  var second: Piece
  var target: Int32
  /// The slot of the target that the first piece goes to.
  var slot: Int
  /// What the offset of the target becomes.
  var offset: Int
  /// Whether the target was taken for this.
  var isPrivate: Bool
  /// Whether two entries become one.
  var isMerge: Bool
}

/// What removals make of a page table, as long as they can still fail.
///
/// Page sets that nobody shares are written anew where they are, once nothing can fail any more; for others a set is
/// taken beforehand. What an entry holds is the same.
struct TableDraft: ~Copyable {
  var entries = GrowingTable<PageEntry>()
  /// In order: later ones may read what earlier ones write.
  var rewrites = GrowingTable<PageRewrite>()
  /// Page sets that entries name no more.
  var releases = GrowingTable<Int32>()
  var nextNumber = 0
  var isRewound = false

  /// The index of the oldest entry with a token after those before `token`.
  func index(endingAfter token: Int) -> Int {
    partition { entries[$0].tokens.upperBound > token }
  }

  /// The index of the oldest entry that begins with `token` or a later one.
  func index(startingAt token: Int) -> Int {
    partition { entries[$0].tokens.lowerBound >= token }
  }

  private func partition(_ isAfter: (Int) -> Bool) -> Int {
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      if isAfter(middle) { high = middle } else { low = middle + 1 }
    }
    return low
  }

  /// Forgets everything and keeps the room.
  mutating func removeAll() {
    entries.removeSubrange(0..<entries.count)
    rewrites.removeSubrange(0..<rewrites.count)
    releases.removeSubrange(0..<releases.count)
  }
}

/// The canonical cuts of a sequence: leaves, whose size follows from the number of live entries and nothing else.
package enum SummationOrder {
  /// Entries of a leaf, `[ni, ni + n)`: 16 while at most 128 entries are live, 32 beyond.
  ///
  /// A state stored per 512 slots costs 4–5 % of a bf16 decode at 128K tokens, per 2,048 slots about 1 %; tables of more than 64 entries
  /// have at least five leaves to share out (Documentation/Attention.md). `liveEntries` counts what is live once the step's slots are
  /// reserved.
  package static func leafEntries(liveEntries: Int) -> Int {
    liveEntries <= 128 ? 16 : largestLeafEntries
  }

  /// Entries of the largest leaf: 2,048 slots.
  package static let largestLeafEntries = 32
}

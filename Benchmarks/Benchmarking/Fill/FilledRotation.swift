import StreamingAttention

/// How the rotary keys of a synthetic cache are stored.
package enum FilledRotation: String, Sendable, CaseIterable {
  /// Turned by the frequencies that turn the queries.
  case stored
  /// Unturned: they are turned in the tile that reads them.
  case inTile = "in-tile"
  /// All pages but the newest turned by the frequencies of an epoch before that of the queries.
  case oldEpoch = "old-epoch"
  /// The older half of the pages turned so.
  case halfOldEpoch = "half-old-epoch"

  /// Counts of epochs whose frequencies the engine has to know.
  var epochCount: Int { self == .oldEpoch || self == .halfOldEpoch ? 2 : 1 }

  /// The slot from which on the pages of a sequence belong to its last state: that of the newest one, or the middle.
  func firstOfLast(filled: Int) -> Int {
    let first = self == .halfOldEpoch ? filled / 2 : max(filled - 1, 0)
    return first / PageLayout.slots * PageLayout.slots
  }

  /// The state of a sequence when it begins, and once its newest slots do.
  var first: SequenceRotation {
    SequenceRotation(epoch: 1, keys: self == .inTile ? .whenRead : .whenStored)
  }

  var last: SequenceRotation {
    SequenceRotation(epoch: epochCount, keys: self == .inTile ? .whenRead : .whenStored)
  }
}

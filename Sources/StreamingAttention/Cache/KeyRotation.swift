/// When the rotary keys of a sequence's tokens are turned.
package enum KeyRotation: Sendable, Equatable {
  /// As they are stored: by (position − anchor) and the frequencies of the sequence's epoch.
  case whenStored
  /// As they are read: they are stored as the caller gives them, in page sets of epoch 0.
  case whenRead
}

/// Which frequencies turn a sequence's queries, and how its next keys are stored.
package struct SequenceRotation: Sendable, Equatable {
  /// Epochs count the frequencies that a cache has had, from 1 on.
  package var epoch: Int
  package var keys: KeyRotation

  package init(epoch: Int, keys: KeyRotation) {
    self.epoch = epoch
    self.keys = keys
  }

  /// What a sequence starts with.
  package static let standard = SequenceRotation(
    epoch: Int(PageSet.firstEpoch), keys: .whenStored)

  /// The epoch that its next page sets record.
  var pageEpoch: Int32 { keys == .whenRead ? PageSet.unturned : Int32(epoch) }
}

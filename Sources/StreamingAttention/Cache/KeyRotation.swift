/// When the rotary keys of a sequence's tokens are turned.
public enum KeyRotation: Sendable, Equatable {
  /// As they are stored: by (position − anchor) and the frequencies of the sequence's epoch.
  case whenStored
  /// As they are read: they are stored as the caller gives them, in page sets of epoch 0.
  ///
  /// Slower to read, but free to follow frequencies that move: those of a scaling that depends on the length
  /// (``LengthDependence/moving(after:)``) are then, in every step, those of the sequence's length at its end.
  case whenRead
}

/// Which frequencies turn a sequence's queries, and how its next keys are stored.
///
/// A sequence may change them at any token; what is stored stays as it is (``KVCache/setRotation(_:of:)``).
public struct SequenceRotation: Sendable, Equatable {
  /// Which frequencies: 1 for ``LayerAttention/rotary``, 2 and more for ``LayerAttention/laterRotary``.
  public var epoch: Int
  /// When the next keys are turned.
  public var keys: KeyRotation

  /// The frequencies of an epoch, from 1 on; keys are turned when they are stored unless told otherwise.
  public init(epoch: Int, keys: KeyRotation = .whenStored) {
    self.epoch = epoch
    self.keys = keys
  }

  /// What a sequence starts with.
  public static let standard = SequenceRotation(
    epoch: Int(PageSet.firstEpoch), keys: .whenStored)

  /// The epoch that its next page sets record.
  var pageEpoch: Int32 { keys == .whenRead ? PageSet.unturned : Int32(epoch) }
}

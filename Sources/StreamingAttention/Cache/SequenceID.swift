import Synchronization

/// Names one sequence of one cache; never used again after the sequence is dropped.
///
/// An identifier of another cache, or of a dropped sequence, is refused with a typed error.
public struct SequenceID: Sendable, Hashable, CustomStringConvertible {
  /// Place in the cache's list of sequences, used again.
  let index: Int
  /// Unique in the process.
  let serial: UInt64

  private static let lastSerial = Atomic<UInt64>(0)

  /// A new identifier for the sequence at `index`.
  init(index: Int) {
    self.index = index
    serial = Self.lastSerial.add(1, ordering: .relaxed).newValue
  }

  /// `sequence` and its serial number.
  public var description: String { "sequence \(serial)" }
}

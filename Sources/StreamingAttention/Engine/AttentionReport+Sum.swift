extension AttentionReport {
  /// Adds what another call read: bytes add up, and the larger bound holds for both.
  public mutating func add(_ other: AttentionReport) {
    keyValueBytesRead += other.keyValueBytesRead
    keyValueBytesSkipped += other.keyValueBytesSkipped
    skippedMassBound = max(skippedMassBound, other.skippedMassBound)
  }
}

/// What one `attend` call read, and what it provably did not have to.
public struct AttentionReport: Sendable, Equatable {
  /// Bytes of keys and values that were read, in whole pages.
  ///
  /// A page counts once for each block of query rows of its KV head that read it; a decoded token is one block, and so are
  /// tokens of forks where they read what they share.
  public var keyValueBytesRead: Int
  /// Bytes of the pages that no row of a block had to read, counted likewise.
  ///
  /// Their rows would have seen them: what a mask or a window hides counts nowhere.
  public var keyValueBytesSkipped: Int
  /// The largest part of a row's softmax mass that may lie in what it did not read; 0 where all was read.
  ///
  /// Never above ``LayerAttention/alibiEpsilon``. With r for it, an output differs from the dense one by at most
  /// 2·r times the largest norm of a value, a log-sum-exp by at most r ÷ (1 − r), beside rounding.
  public var skippedMassBound: Float

  /// A report.
  public init(
    keyValueBytesRead: Int = 0, keyValueBytesSkipped: Int = 0, skippedMassBound: Float = 0
  ) {
    self.keyValueBytesRead = keyValueBytesRead
    self.keyValueBytesSkipped = keyValueBytesSkipped
    self.skippedMassBound = skippedMassBound
  }
}

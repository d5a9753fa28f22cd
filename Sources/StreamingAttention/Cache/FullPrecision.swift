/// Which tokens of a quantised cache stay as they were written, beside those of each sequence's two newest pages.
///
/// A page that holds any of them stays whole. Tokens are counted as they are when a step would quantise their page; what has
/// been quantised stays so, whatever is removed later.
public struct FullPrecision: Sendable, Equatable {
  /// The first tokens of a sequence, 0 or more (attention sinks).
  public var first: Int
  /// The last tokens of a sequence, 0 or more (a recent window).
  public var last: Int

  /// Nothing beside the newest pages.
  public static let newestPages = FullPrecision(first: 0, last: 0)

  /// The first page of a sequence too.
  ///
  /// Models look at their first tokens from everywhere: Xiao et al. 2023, arXiv:2309.17453, §3.1.
  public static let sinks = FullPrecision(first: 4, last: 0)

  /// A choice.
  ///
  /// - Parameters:
  ///   - first: Tokens at the beginning.
  ///   - last: Tokens at the end.
  public init(first: Int, last: Int) {
    self.first = first
    self.last = last
  }
}

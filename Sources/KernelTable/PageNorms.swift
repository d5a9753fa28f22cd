/// Upper bounds of the norms of the keys and values that a page of one KV head holds, as they are stored.
///
/// A norm is √Σ x² over the channels; a rotation leaves it as it is.
package struct PageNorms: Sendable, Equatable, BitwiseCopyable {
  /// +∞ where nothing is known, and where a key or value of the page is not finite.
  package var key: Float
  package var value: Float

  package init(key: Float, value: Float) {
    self.key = key
    self.value = value
  }

  /// Those of a page that holds nothing yet.
  package static var empty: PageNorms { PageNorms(key: 0, value: 0) }

  /// Those of a page that somebody else has filled: they exclude nothing.
  package static var unknown: PageNorms { PageNorms(key: .infinity, value: .infinity) }
}

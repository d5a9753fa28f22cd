/// What a cache knows of the engines over it.
protocol CacheEngine: AnyObject {
  /// The frequencies that turn its keys, by layer and epoch, from 1 on; empty for one that only reads what is there.
  var rotaries: [[RotaryEmbedding]] { get }
  /// Gives back what it holds for its steps, which nobody needs once the last sequence is dropped.
  func releaseScratch()
}

/// One whose life the cache does not prolong.
struct WeakCacheEngine {
  weak var engine: (any CacheEngine)?
}

/// How many layers a run cycles through, so that none of them is still in the CPU's caches when its turn comes.
package struct CyclePlan: Sendable, Equatable {
  package var layers: Int
  /// Whether all of it fits into the caches that matter, so that its speed says nothing about memory.
  package var isInCache: Bool

  /// A cycle has to exceed this many times the last-level cache.
  package static let cacheMultiple = 8
  /// Growth over at least two layers decides where pages lie.
  package static let fewest = 2
  /// More layers than any model has; each takes a group of memory at least.
  package static let most = 1_024

  /// Layers for a record that reads `layerBytes` of each.
  ///
  /// - Parameters:
  ///   - layerBytes: Bytes of keys and values that one layer holds.
  ///   - cacheBytes: Bytes of the last-level cache.
  ///   - availableBytes: Bytes that the layers may take together.
  package init(layerBytes: Int, cacheBytes: Int, availableBytes: Int) {
    let target = Self.cacheMultiple * cacheBytes
    let wanted = min(max(target / max(layerBytes, 1) + 1, Self.fewest), Self.most)
    layers = max(1, min(wanted, availableBytes / max(layerBytes, 1)))
    isInCache = !Self.exceedsCaches(bytes: layers * layerBytes, cacheBytes: cacheBytes)
  }

  /// Whether reading so many bytes in turn leaves nothing of them in the caches.
  package static func exceedsCaches(bytes: Int, cacheBytes: Int) -> Bool {
    bytes > cacheMultiple * cacheBytes
  }
}

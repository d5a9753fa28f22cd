import Memory

extension Topology {
  /// Page memory that a cache may commit unless told otherwise: 90 % of what is available now.
  var defaultCacheLimit: Int {
    min(usableMemoryBytes, Self.availableMemoryBytes ?? .max) / 10 * 9
  }

  /// The nodes that pages are striped over; nil stands for memory that is bound to no node.
  package func stripes(for placement: CachePlacement) throws(CacheError) -> [Int?] {
    switch placement {
    case .bind(let node):
      guard memoryNodes.contains(node) else {
        throw .unknownNode(received: node, allowed: memoryNodes)
      }
      return stripes(over: [node])
    case .automatic:
      let near = memoryNodes.filter(computeNodes.contains)
      return stripes(over: near.isEmpty ? memoryNodes : near)
    case .interleave:
      return stripes(over: memoryNodes)
    }
  }

  /// One node of a machine that has no other needs no binding.
  private func stripes(over chosen: [Int]) -> [Int?] {
    memoryNodes.count <= 1 || chosen.isEmpty ? [nil] : chosen
  }
}

/// Which layers share a pool, and how much address space each layer sets aside on each node.
struct AddressSpacePlan {
  /// Layers by page table, in the order of their first layer.
  private(set) var pools: [(retention: Retention, layers: [Int])] = []
  /// Bytes of a layer's region on one node: a multiple of the group size.
  let arenaBytes: [Int]

  /// The thread sanitizer fails beyond 1 TiB.
  private static let most = 1 << 40

  /// Any pool, and any node of a striped one, may come to hold all of the limit; twice that leaves room for
  /// holes between extents.
  init(layers: [LayerShape], memoryLimit: Int, nodeCount: Int) {
    for (index, shape) in layers.enumerated() {
      if let pool = pools.firstIndex(where: { layers[$0.layers[0]].sharesTable(with: shape) }) {
        pools[pool].layers.append(index)
      } else {
        pools.append((shape.retention, [index]))
      }
    }
    // Where some layers are quantised, their part of a page set is another once it holds codes.
    let plainBytes = layers.map { Double(PageLayout($0.plain).pageBytes * $0.kvHeads) }
    let codedBytes = layers.map { Double(PageLayout($0).pageBytes * $0.kvHeads) }
    var wanted = [Double](repeating: 0, count: layers.count)
    let slack = Double(8 * Arena.groupBytes)
    for pool in pools {
      let plainSet = pool.layers.reduce(0) { $0 + plainBytes[$1] }
      let codedSet = pool.layers.reduce(0) { $0 + codedBytes[$1] }
      for layer in pool.layers {
        let part = max(plainBytes[layer] / plainSet, codedBytes[layer] / codedSet)
        wanted[layer] = 2 * Double(memoryLimit) * part + slack
      }
    }
    let total = wanted.reduce(0, +) * Double(nodeCount)
    let scale = min(1, Double(Self.most) / total)
    arenaBytes = wanted.map { max(Int($0 * scale) / Arena.groupBytes, 1) * Arena.groupBytes }
  }
}

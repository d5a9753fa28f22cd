public import Memory

/// Keys and values of many sequences in pages of 64 slots, for all layers of a model.
///
/// Layers with the same retention share a page table (Documentation/Cache.md). A cache has one owner at a
/// time: it is not `Sendable`, and only its slot writers may be used from several threads at once.
/// Growth copies nothing, and a step that fails leaves the cache as it was.
public final class KVCache {
  /// The shapes of all layers.
  public let layers: [LayerShape]
  /// The most page memory that the cache may commit, in bytes.
  public let memoryLimit: Int
  /// What quantised layers keep in 16 bits.
  public let fullPrecision: FullPrecision

  /// Tells the cache from all others.
  let identity = CacheIdentity()
  let pools: [PagePool]
  /// The nodes that pages are striped over; nil where memory is bound to no node.
  package let stripes: [Int?]
  /// The pool of each layer, and the layer's index in it.
  let poolOfLayer: [Int]
  let indexInPool: [Int]

  var budget: MemoryBudget
  var sequences: [SequenceState?] = []
  var freeIndices: [Int] = []
  /// Sequences of the step in progress, in the order of its requests.
  var stepSequences: [SequenceState] = []
  var step: UInt64 = 0
  var counters = CacheCounters()
  var rewriter: PageRewriter
  var isStepInProgress = false
  /// The engines of the cache.
  private var engines: [WeakCacheEngine] = []

  /// An empty cache; page memory is committed as sequences grow.
  ///
  /// Address space is set aside once, 1 TiB at most.
  ///
  /// - Parameters:
  ///   - layers: The shape of every layer.
  ///   - placement: On which memory nodes pages lie.
  ///   - memoryLimit: The most page memory in bytes; 90 % of what the machine and its cgroup allow if nil.
  ///   - fullPrecision: What quantised layers keep in 16 bits beside the newest pages.
  ///   - topology: The machine.
  /// - Throws: ``CacheError`` for a shape, a node or a limit out of range, or when the system refuses
  ///   address space.
  public convenience init(
    layers: [LayerShape], placement: CachePlacement = .automatic, memoryLimit: Int? = nil,
    fullPrecision: FullPrecision = .newestPages, topology: Topology = .current
  ) throws(CacheError) {
    try self.init(
      layers: layers, stripes: try topology.stripes(for: placement),
      memoryLimit: memoryLimit ?? topology.defaultCacheLimit, fullPrecision: fullPrecision)
  }

  /// A cache whose extents are striped over these nodes, nil for memory that is bound to none.
  package init(
    layers: [LayerShape], stripes: [Int?], memoryLimit limit: Int,
    fullPrecision: FullPrecision = .newestPages
  ) throws(CacheError) {
    guard !layers.isEmpty else { throw .noLayers }
    for (index, shape) in layers.enumerated() { try shape.check(layer: index) }
    guard limit > 0 else { throw .invalidMemoryLimit(received: limit) }
    for count in [fullPrecision.first, fullPrecision.last] where count < 0 {
      throw .invalidTokenCount(received: count)
    }
    let plan = AddressSpacePlan(layers: layers, memoryLimit: limit, nodeCount: stripes.count)

    var pools: [PagePool] = []
    for (retention, members) in plan.pools {
      var arenas: [[Arena]] = []
      for layer in members {
        var layerArenas: [Arena] = []
        for node in stripes {
          layerArenas.append(
            try Arena(layer: layer, byteCapacity: plan.arenaBytes[layer], node: node))
        }
        arenas.append(layerArenas)
      }
      pools.append(
        PagePool(
          number: pools.count, retention: retention, layers: members, shapes: layers,
          arenas: arenas, precision: fullPrecision))
    }

    self.layers = layers
    self.memoryLimit = limit
    self.fullPrecision = fullPrecision
    self.pools = pools
    self.stripes = stripes
    var poolOfLayer = [Int](repeating: 0, count: layers.count)
    var indexInPool = poolOfLayer
    for (number, pool) in pools.enumerated() {
      for (index, layer) in pool.layers.enumerated() {
        poolOfLayer[layer] = number
        indexInPool[layer] = index
      }
    }
    self.poolOfLayer = poolOfLayer
    self.indexInPool = indexInPool
    budget = MemoryBudget(limit: limit)
    rewriter = PageRewriter(layers: layers)
    budget.arenas = pools.flatMap { $0.arenas.joined() }
    for pool in pools { pool.owner = self }
  }

  /// KV heads of the layer that has most.
  var largestHeadCount: Int { layers.reduce(0) { max($0, $1.kvHeads) } }

  /// From now on the engine's frequencies turn keys, and it gives its memory back when the last sequence is dropped.
  ///
  /// - Throws: ``CacheError/otherFrequencies(layer:epoch:received:allowed:)``, with the cache as it was.
  func add(_ engine: any CacheEngine) throws(CacheError) {
    engines.removeAll { $0.engine == nil }
    try takeFrequencies(engine.rotaries, beside: engines.compactMap { $0.engine?.rotaries })
    engines.append(WeakCacheEngine(engine: engine))
  }

  /// Lets every engine give back what it keeps for its steps.
  func releaseScratch() {
    for reference in engines { reference.engine?.releaseScratch() }
  }

  // MARK: Memory

  /// Committed page memory in bytes, without ``aheadByteCount``.
  public var byteCount: Int { budget.committed }

  /// Memory that is committed beside it, ahead of need, so that growth goes on without waiting for the system.
  ///
  /// It follows the filling of what ``byteCount`` holds for the newest pages, and gives way where memory is short.
  public var aheadByteCount: Int { budget.ahead }

  /// The largest value that ``byteCount`` has had.
  public var peakByteCount: Int { budget.peak }

  /// The largest value that ``formulaBytes`` has had, tokens of a step in progress included.
  public var peakFormulaBytes: Int { max(budget.largestFormula, formulaBytes) }

  /// Bytes of the distinct live pages: what the cache would take without extents and groups.
  public var formulaBytes: Int { pools.reduce(0) { $0 + $1.formulaBytes } }
}

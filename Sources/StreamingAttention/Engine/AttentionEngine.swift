import KernelTable

/// Attention over the sequences of a cache: plans a step once, runs it layer by layer.
///
/// A step appends tokens to some sequences and computes the attention of their newest tokens:
/// `begin`, then `append` and `attend` for each layer, then `commit`; or `abandon`, after which it is as if
/// it had never begun. The output of a row depends on its own sequence only, to the last bit: not on the
/// number of workers, not on what else is in the step.
///
/// An engine and its cache are used by one thread at a time, which is also where the engine is let go: inside a step it gives
/// the step up. The work inside a call is spread over ``Workers``. `attend` allocates nothing and takes no lock. What steps
/// need beside the cache is kept from one to the next (``releaseScratch()``).
@safe public final class AttentionEngine {
  /// The keys and values.
  public let cache: KVCache
  /// Who computes the tiles.
  public let workers: Workers
  /// What the kernels were compiled for.
  public let instructionSet: InstructionSet
  /// How each layer attends.
  public let layers: [LayerAttention]

  /// Frequencies by layer and epoch, from 1 on, that the cache's keys are turned by; empty by ``RotationRule/any``.
  let rotaries: [[RotaryEmbedding]]
  let kernels: KernelTable
  let traits: ProcessorTraits
  let settings: [LayerSettings]
  let shapes: [PlanShape]
  var turns: [TurnTables]
  var slopes: GrowingBuffer<Float>
  var sinks: GrowingBuffer<Float>

  var plan: Plan
  var reservation: Reservation?
  /// For each layer the step whose tokens have been written to it last.
  var writtenSteps: GrowingBuffer<UInt64>
  var slotRequests: [SlotRequest] = []
  var writers: [SlotWriter] = unsafe []
  var pages: GrowingBuffer<UnsafePointer<UnsafeMutableRawPointer?>>
  var states: GrowingBuffer<Float>
  var horizon: HorizonWorkspace
  var noted: NotedAttention
  var counters = MergeCounters()
  var scratch: GrowingBuffer<UInt8>
  var scratchBytes = 0
  var stepBias: StepBias?

  /// An engine for a cache; checks every layer's description against the cache's shapes.
  ///
  /// Several engines may use one cache if they turn keys alike: of an epoch by the same frequencies, as far as both describe it.
  /// An engine of other ones finds room once the cache has no page of that epoch, and no other engine.
  ///
  /// - Throws: ``AttentionError`` that names the layer and what is allowed.
  public convenience init(
    cache: KVCache, layers: [LayerAttention], workers: Workers,
    instructionSet: InstructionSet = .detected
  ) throws(AttentionError) {
    try self.init(
      cache: cache, layers: layers, workers: workers, instructionSet: instructionSet,
      traits: nil)
  }

  /// Whether queries and probabilities are rounded to bf16 where they meet keys and values of that type.
  package var dotsPairs: Bool { instructionSet == .avx512bf16 && traits.dotsPairs }
  /// Rows of a request over one KV head, counting query heads, that meet quantised pages as integers.
  package static var mostRowsInCodes: Int { Plan.mostRowsInCodes }

  /// Whether queries must be turned as the stored keys were.
  package enum RotationRule: Sendable {
    case asStored
    /// Any encoding may read the stored keys: for measurements that compare encodings on the same pages.
    case any
  }

  /// An engine for a cache, by the rule given; without traits, by those of this machine.
  package init(
    cache: KVCache, layers: [LayerAttention], workers: Workers, instructionSet: InstructionSet,
    rotation rule: RotationRule = .asStored, traits: ProcessorTraits? = nil
  ) throws(AttentionError) {
    guard layers.count == cache.layers.count else {
      throw .layerCount(received: layers.count, allowed: cache.layers.count)
    }
    try instructionSet.check(on: .detected)
    self.cache = cache
    self.layers = layers
    self.workers = workers
    self.instructionSet = instructionSet
    kernels = instructionSet.kernels
    self.traits = traits ?? .detected(for: instructionSet)
    slopes = try GrowingBuffer()
    sinks = try GrowingBuffer()
    plan = try Plan()
    unsafe pages = try GrowingBuffer()
    try unsafe pages.reserveCapacity(cache.largestHeadCount)
    states = try GrowingBuffer()
    horizon = try HorizonWorkspace(largestHeadCount: cache.largestHeadCount)
    noted = try NotedAttention()
    scratch = try GrowingBuffer()
    writtenSteps = try GrowingBuffer()
    // Steps count from 1.
    for _ in layers { try writtenSteps.append(0) }

    var settings: [LayerSettings] = []
    var shapes: [PlanShape] = []
    var turns: [TurnTables] = []
    for (index, layer) in layers.enumerated() {
      let stored = cache.layers[index]
      try layer.check(layer: index, stored: stored, rotation: rule)
      let table = cache.table(ofLayer: index)
      // Queries that meet codes are rounded by their scales, which no norm bounds: everything visible is read.
      let horizon =
        stored.isQuantized
        ? nil : HorizonSettings(layer, keyWidth: stored.keyWidth, keyType: stored.keyType)
      let shape = PlanShape(
        table: table, queryHeads: layer.queryHeads, kvHeads: stored.kvHeads,
        keyWidth: stored.keyWidth, valueWidth: stored.valueWidth,
        isCausal: layer.mask == .causal, window: Self.distance(layer.window),
        rightWindow: Self.distance(layer.rightWindow), hasHorizon: horizon != nil)
      let shapeIndex = shapes.firstIndex(of: shape) ?? shapes.count
      if shapeIndex == shapes.count { shapes.append(shape) }
      var rotation = -1
      if let rotary = layer.rotary {
        let embeddings = [rotary] + layer.laterRotary
        rotation =
          turns.firstIndex { $0.embeddings == embeddings && $0.table == table } ?? turns.count
        if rotation == turns.count {
          turns.append(try TurnTables(embeddings: embeddings, table: table))
        }
      }
      settings.append(
        LayerSettings(
          shape: shapeIndex, table: table, keyElement: stored.keyType.stored,
          valueElement: stored.valueType.stored,
          valueOffset: cache.layout(ofLayer: index).valueOffset, keyCode: stored.keyCode,
          valueCode: stored.valueCode,
          codedValueOffset: cache.codedLayout(ofLayer: index).valueOffset,
          pageBytes: cache.layout(ofLayer: index).pageBytes,
          codedPageBytes: cache.codedLayout(ofLayer: index).pageBytes,
          scale: layer.scale ?? 1 / Float(stored.keyWidth).squareRoot(),
          softcap: layer.softcap ?? 0, rotation: rotation, pairs: layer.rotary?.pairCount ?? 0,
          pairOrder: layer.rotary?.pairing == .interleaved ? .interleaved : .halves,
          firstSlope: layer.alibi == nil ? -1 : slopes.count,
          firstSink: layer.sinks == nil ? -1 : sinks.count, horizon: horizon))
      for slope in layer.alibi?.slopes ?? [] { try slopes.append(slope) }
      for sink in layer.sinks ?? [] { try sinks.append(sink) }
    }
    self.settings = settings
    self.shapes = shapes
    self.turns = turns
    plan.followsLength = turns.contains { $0.embeddings.contains(where: \.followsLength) }
    rotaries =
      rule == .any ? [] : layers.map { ($0.rotary.map { [$0] } ?? []) + $0.laterRotary }
    try AttentionError.wrapping { () throws(CacheError) in try cache.add(self) }
    // What the cache needs to quantise pages, and to write keys anew.
    cache.rewriter.kernels = kernels
    cache.rewriter.coder.workers = workers
  }

  /// Gives up the step in progress: the cache outlives its engine, and nobody else could end it.
  deinit {
    if let reservation { cache.abandon(reservation) }
  }

  /// A window as plans and kernels take it: `Int.max` for none, or for more than any two positions lie apart.
  private static func distance(_ window: Int?) -> Int {
    guard let window, window <= 2 * KVCache.positions.upperBound else { return .max }
    return window
  }

  /// Whether a step is in progress.
  public var isInStep: Bool { reservation != nil }
}

import KernelTable
import Synchronization

/// What a layer contributes to every tile: fixed when the engine is made.
struct LayerSettings: BitwiseCopyable {
  var shape: Int
  var table: Int
  var keyElement: StoredElement
  var valueElement: StoredElement
  var valueOffset: Int
  var keyCode: PageCode
  var valueCode: PageCode
  var codedValueOffset: Int
  var pageBytes: Int
  var codedPageBytes: Int
  /// Small pages are asked for earlier: a core of a Zen 5 has about 8 KiB under way (Documentation/Kernels.md).
  var codedPagesAhead: Int {
    codedPageBytes == 0 ? 1 : max(1, (8192 + codedPageBytes / 2) / codedPageBytes)
  }
  var scale: Float
  var softcap: Float
  /// Index into the engine's rotations, or −1.
  var rotation: Int
  var pairs: Int
  var pairOrder: PairOrder
  /// First of this layer's slopes and sinks among those of all layers, or −1.
  var firstSlope: Int
  var firstSink: Int
  /// Nil where everything visible is read.
  var horizon: HorizonSettings?
}

/// Everything that the tiles of one `attend` call read: plain values and borrowed addresses.
///
/// Lives on the caller's stack while `Workers.run` is in progress.
@unsafe struct LayerRun {
  var kernels: KernelTable
  var traits: ProcessorTraits
  var settings: LayerSettings
  var shape: PlanShape
  var tiles: UnsafePointer<PlannedTile>
  var jobs: UnsafePointer<PlannedJob>
  var requests: UnsafePointer<PlannedRequest>
  /// Tables of this layer's retention, one per request.
  var tables: UnsafePointer<PlannedTable>
  var leaves: UnsafePointer<PlannedLeaf>
  /// Whom passes compute for, and the numbers of the tiles of the jobs that own trees.
  var members: UnsafePointer<PassMember>
  var nodes: UnsafePointer<Int>
  var entries: UnsafePointer<LeafEntry>
  var positions: UnsafePointer<Int>
  /// `[position][cos | sin]` and `[run][cos | sin]` of this layer's rotation, or nil.
  var tokenTurns: UnsafePointer<Float>?
  var runTurns: UnsafePointer<Float>?
  /// `[slot table][pair][cos | sin]` of this layer's rotation, and a² by request, or nil.
  var slotTurns: UnsafePointer<Float>?
  var rotaryScales: UnsafePointer<Float>?
  var slopes: UnsafePointer<Float>?
  var sinks: UnsafePointer<Float>?
  /// Page addresses by KV head.
  var pages: UnsafePointer<UnsafePointer<UnsafeMutableRawPointer?>>
  /// Additive bias, `[request][row][head: 1 or all][key]`, or nil.
  var bias: UnsafePointer<Float>?
  var biasHeads: Int
  var queries: UnsafePointer<Float>
  var output: UnsafeMutablePointer<Float>
  var logSumExp: UnsafeMutablePointer<Float>?
  /// Partial states of jobs with several tiles, and a counter per inner node of their trees.
  var states: UnsafeMutablePointer<Float>
  var counters: UnsafeMutablePointer<Atomic<UInt32>>
  /// Scratch of worker 0; the next worker's follows `scratchBytes` further.
  var scratch: UnsafeMutableRawPointer
  var scratchBytes: Int
  /// What rows pay to entries and the sums over the rows of a job; nil in a step that does not note it.
  var records: UnsafeMutablePointer<EntryMass>?
  var shares: UnsafeMutablePointer<Double>
  /// Nil where everything visible is read.
  var horizon: HorizonRun?
}

/// A softmax state of some rows in memory: `[maxima | denominators | outputs]`.
@unsafe struct StateRows {
  var maxima: UnsafeMutablePointer<Float>
  var denominators: UnsafeMutablePointer<Float>
  var outputs: UnsafeMutablePointer<Float>

  /// Floats of a state of `rowCount` rows, a multiple of 16 so that every part is aligned.
  static func floatCount(rowCount: Int, outputStride: Int) -> Int {
    unsafe 2 * padded(rowCount) + rowCount * outputStride
  }

  private static func padded(_ rowCount: Int) -> Int { (rowCount + 15) / 16 * 16 }

  /// The rows from `row` on.
  func rows(from row: Int, outputStride: Int) -> StateRows {
    unsafe StateRows(
      maxima: maxima + row, denominators: denominators + row,
      outputs: outputs + row * outputStride)
  }

  private init(
    maxima: UnsafeMutablePointer<Float>, denominators: UnsafeMutablePointer<Float>,
    outputs: UnsafeMutablePointer<Float>
  ) {
    unsafe self.maxima = maxima
    unsafe self.denominators = denominators
    unsafe self.outputs = outputs
  }

  init(at address: UnsafeMutablePointer<Float>, rowCount: Int) {
    unsafe maxima = address
    unsafe denominators = address + Self.padded(rowCount)
    unsafe outputs = address + 2 * Self.padded(rowCount)
  }
}

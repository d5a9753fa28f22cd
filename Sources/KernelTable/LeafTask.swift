/// One entry of a sequence's page table as a tile sees it: up to 64 slots of one KV head.
package struct LeafEntry: Sendable, Equatable, BitwiseCopyable {
  /// Index into `LeafTask.pages`.
  package var page: Int32
  /// Which run of equal anchors the entry belongs to: index into `LeafTask.runTurns`.
  package var run: Int32
  /// Position of slot 0 (which need not be live).
  package var basePosition: Int
  /// Number of slot 0 among the keys of the sequence, as an additive bias counts them.
  package var firstKey: Int
  /// Live slots are `firstSlot..<endSlot`; every other slot may hold anything, NaN included.
  package var firstSlot: Int32
  package var endSlot: Int32
  /// Which table of `LeafTask.slotTurns` the keys are still to be turned by, slot for slot; −1 for none.
  package var slotTurns: Int32
  /// Whether the page is quantised, as `LeafTask.keyCode` and `LeafTask.valueCode` say.
  package var isCoded: Bool

  package init(
    page: Int32, run: Int32, basePosition: Int, firstKey: Int = 0, firstSlot: Int32,
    endSlot: Int32, slotTurns: Int32 = -1, isCoded: Bool = false
  ) {
    self.page = page
    self.run = run
    self.basePosition = basePosition
    self.firstKey = firstKey
    self.firstSlot = firstSlot
    self.endSlot = endSlot
    self.slotTurns = slotTurns
    self.isCoded = isCoded
  }
}

/// Where the two channels of a rotary pair stand in a key or query vector as the caller gives it.
package enum PairOrder: UInt8, Sendable, BitwiseCopyable {
  /// Channels (i, i + pairs).
  case halves = 0
  /// Channels (2i, 2i + 1).
  case interleaved = 1
}

/// Which keys a query row may see, by position.
///
/// Slots outside of it contribute nothing to the row.
package struct Visibility: Sendable, Equatable, BitwiseCopyable {
  /// If set, a key at position p is visible to a query at position t only if p ≤ t.
  package var isCausal: Bool
  /// A key is visible only if t − p < window; `Int.max` where there is no window.
  package var window: Int
  /// A key is visible only if p − t ≤ ahead; `Int.max` where there is no such window.
  package var ahead: Int

  package init(isCausal: Bool, window: Int, ahead: Int = .max) {
    self.isCausal = isCausal
    self.window = window
    self.ahead = ahead
  }
}

/// Attention of a block of query rows over the entries of one leaf, for one KV head.
///
/// Row r belongs to query token `r / group` and to query head `r % group` of the KV head's group.
/// The kernel writes the softmax state of the leaf, not merged with anything:
/// `maxima[r]` = m in units of log2 (score × log2 e, ALiBi included), the largest score or up to 8 less, so no bound of
/// scores; −∞ where no key was visible; `denominators[r]` = Σ 2^(score − m), `outputs[r][0..<valueWidth]` = Σ 2^(score − m)·v.
///
/// Order of a score: scale·q·k → softcap → + ALiBi → mask (Documentation/Kernels.md).
@unsafe package struct LeafTask {
  // MARK: Query rows
  /// The caller's f32 values, neither scaled nor turned.
  ///
  /// Row r starts at
  /// `queries + (r / group)·tokenStride + (r % group)·headStride` (in floats).
  package var queries: UnsafePointer<Float>
  package var tokenStride: Int
  package var headStride: Int
  package var rowCount: Int
  package var group: Int
  /// Position of each query token, `[rowCount / group]`.
  package var positions: UnsafePointer<Int>
  /// Whether the scratch is as the task of another leaf left it that had the same rows: what it prepared need not be prepared again.
  package var continues: Bool
  /// One byte per row, not 0 for a row that this leaf contributes nothing to: its state becomes (−∞, 0, 0); nil for none.
  package var hiddenRows: UnsafePointer<UInt8>?

  // MARK: Keys and values
  package var entries: UnsafePointer<LeafEntry>
  package var entryCount: Int
  /// Entries behind these that the same rows meet next, in another task: their pages are asked for as the leaf comes to its end.
  ///
  /// They are read as those of the task are, and so are the addresses of their pages. Changes no bit.
  package var followingCount: Int
  /// Page addresses of this layer and KV head, by page number.
  package var pages: UnsafePointer<UnsafeMutableRawPointer?>
  package var keyElement: StoredElement
  package var valueElement: StoredElement
  package var keyWidth: Int
  package var valueWidth: Int
  /// From the start of a page to its values, in bytes.
  package var valueOffset: Int

  // MARK: Quantised pages
  /// How entries with quantised pages store their keys and values, and where their values begin, in bytes; the elements and
  /// the offset above are those of all other entries, and of what is not quantised.
  package var keyCode: PageCode
  package var valueCode: PageCode
  package var codedValueOffset: Int
  /// Whether quantised pages are widened to f32 for all rows of the task, instead of meeting queries and probabilities in
  /// integers.
  ///
  /// Faster for many rows, and other bits: to be decided from the rows of one sequence's step alone.
  package var widensCodes: Bool

  // MARK: Scores
  package var scale: Float
  /// c in c·tanh(score / c); 0 where there is none.
  package var softcap: Float
  /// ALiBi slope of each head of the group (natural units, not × log2 e), or nil.
  package var slopes: UnsafePointer<Float>?
  /// Added to the scores after softcap and ALiBi, in natural units, or nil.
  ///
  /// The bias of row r and the key of number k is
  /// `bias[(r / group)·biasTokenStride + (r % group)·biasHeadStride + k]`; −∞ masks the key.
  package var bias: UnsafePointer<Float>?
  package var biasTokenStride: Int
  package var biasHeadStride: Int
  package var visibility: Visibility

  // MARK: Rotation
  /// Pairs that turn, 0 where there is no rotation.
  ///
  /// Channels from `2·pairs` on pass through.
  package var pairs: Int
  package var pairOrder: PairOrder
  /// a² of YaRN and LongRoPE on the rotary channels of the query; 1 elsewhere.
  package var rotaryScale: Float
  /// R(position − anchor of run 0) for each query token: `[token][cos: pairs | sin: pairs]`, f32.
  package var tokenTurns: UnsafePointer<Float>?
  /// R(anchor of run 0 − anchor of run i): `[run][cos: pairs | sin: pairs]`; run 0 is the identity and not read.
  package var runTurns: UnsafePointer<Float>?
  /// R(slot) of keys that are stored unturned or turned by other frequencies:
  /// `[table][pair][cos: 64 slots | sin: 64 slots]`, f32.
  package var slotTurns: UnsafePointer<Float>?

  // MARK: This processor
  /// Whether pages that many rows pass over are widened to f32 once; changes no bit.
  package var widensPages: Bool
  /// Bytes from what a tile of few rows multiplies to the lines that it asks into L1 meanwhile, or less where a tile takes little time;
  /// 0 asks for nothing, not even of quantised pages.
  ///
  /// Changes no bit.
  package var nearAhead: Int
  /// How many pages ahead quantised ones are asked for.
  ///
  /// Changes no bit.
  package var codedPagesAhead: Int
  /// Whether it asks for the page that comes next into L2 too; where it does not, quantised pages are asked for into L1.
  package var asksNextPage: Bool
  /// Whether bf16 keys and values meet queries and probabilities rounded to bf16, where the instruction set has dot products of
  /// them; elsewhere, and if not set, bf16 is widened to f32.
  package var dotsPairs: Bool

  // MARK: Result
  package var maxima: UnsafeMutablePointer<Float>
  package var denominators: UnsafeMutablePointer<Float>
  package var outputs: UnsafeMutablePointer<Float>
  /// Floats from one row of `outputs` to the next: `valueWidth` rounded up to 16; the padding is written too.
  package var outputStride: Int
  /// Where each entry's part in the leaf is noted, `[entry][row]`; nil where nobody asks.
  ///
  /// Entries that no row sees are not written. Changes no bit of the result.
  package var entryMasses: UnsafeMutablePointer<EntryMass>?

  /// At least `LeafTask.scratchBytes(...)`, 64-byte aligned, of this worker alone.
  package var scratch: UnsafeMutableRawPointer

  /// Floats of a prepared query row.
  package static func paddedKeyWidth(_ keyWidth: Int) -> Int { (keyWidth + 15) / 16 * 16 + 16 }

  /// Bytes of scratch for this many rows: what has been prepared and how, partial sums, a block of scores, two rows in
  /// preparation, a page in f32, and what meets quantised pages: queries, twice, and probabilities in 16 bits, seven factors
  /// for each row, four queries times the scales of their channels, twice; and the partial sums of a block.
  package static func scratchBytes(rowCount: Int, keyWidth: Int, valueWidth: Int) -> Int {
    let padded = unsafe paddedKeyWidth(keyWidth)
    let rows = rowCount * padded * 4 + rowCount * 64 + (rowCount + 15) / 16 * 64
    let page = unsafe pageFloats(keyWidth) + pageFloats(valueWidth)
    let coded = unsafe rowsPerBlock * (padded * 4 + 128 + 28 + 64) + 8 * padded * 4
    return unsafe rows + rowsPerBlock * (64 * 6 + 16) + 2 * padded * 4 + page * 4 + coded + 320
  }

  /// Most rows whose scores for one page stand beside each other.
  package static var rowsPerBlock: Int { 32 }

  /// Floats of the keys or values of a page in f32.
  package static func pageFloats(_ width: Int) -> Int { (width + 15) / 16 * 16 * 64 }

  package init(
    queries: UnsafePointer<Float>, tokenStride: Int, headStride: Int, rowCount: Int, group: Int,
    positions: UnsafePointer<Int>, entries: UnsafePointer<LeafEntry>, entryCount: Int,
    pages: UnsafePointer<UnsafeMutableRawPointer?>, keyElement: StoredElement,
    valueElement: StoredElement, keyWidth: Int, valueWidth: Int, valueOffset: Int, scale: Float,
    softcap: Float, slopes: UnsafePointer<Float>?, visibility: Visibility, pairs: Int,
    pairOrder: PairOrder, rotaryScale: Float, tokenTurns: UnsafePointer<Float>?,
    runTurns: UnsafePointer<Float>?, maxima: UnsafeMutablePointer<Float>,
    denominators: UnsafeMutablePointer<Float>, outputs: UnsafeMutablePointer<Float>,
    outputStride: Int, scratch: UnsafeMutableRawPointer
  ) {
    unsafe self.queries = queries
    unsafe self.tokenStride = tokenStride
    unsafe self.headStride = headStride
    unsafe self.rowCount = rowCount
    unsafe self.group = group
    unsafe self.positions = positions
    unsafe continues = false
    unsafe hiddenRows = nil
    unsafe self.entries = entries
    unsafe self.entryCount = entryCount
    unsafe followingCount = 0
    unsafe self.pages = pages
    unsafe self.keyElement = keyElement
    unsafe self.valueElement = valueElement
    unsafe self.keyWidth = keyWidth
    unsafe self.valueWidth = valueWidth
    unsafe self.valueOffset = valueOffset
    unsafe keyCode = .none
    unsafe valueCode = .none
    unsafe codedValueOffset = 0
    unsafe widensCodes = false
    unsafe self.scale = scale
    unsafe self.softcap = softcap
    unsafe self.slopes = slopes
    unsafe bias = nil
    unsafe biasTokenStride = 0
    unsafe biasHeadStride = 0
    unsafe self.visibility = visibility
    unsafe self.pairs = pairs
    unsafe self.pairOrder = pairOrder
    unsafe self.rotaryScale = rotaryScale
    unsafe self.tokenTurns = tokenTurns
    unsafe self.runTurns = runTurns
    unsafe slotTurns = nil
    unsafe widensPages = false
    unsafe nearAhead = 0
    unsafe codedPagesAhead = 1
    unsafe asksNextPage = false
    unsafe dotsPairs = true
    unsafe self.maxima = maxima
    unsafe self.denominators = denominators
    unsafe self.outputs = outputs
    unsafe self.outputStride = outputStride
    unsafe entryMasses = nil
    unsafe self.scratch = scratch
  }
}

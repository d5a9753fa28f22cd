import KernelTable

// SAFETY: pointers from end to end, as in Tiles.swift.

/// Where an `attend` call keeps what it needs beside the task: all in the task's scratch.
struct Scratch {
  /// What `queries` and `seen` hold; at the start of the scratch, where a task that continues finds it.
  var contents: UnsafeMutablePointer<ScratchContents>
  /// Prepared query rows, `[row][rowBytes]`.
  var queries: UnsafeMutableRawPointer
  var queryRowBytes: Int
  /// Sixteen partial sums of ℓ for each row.
  var lanes: Floats
  /// Distance of each query token to its nearest visible slot in the leaf, as ALiBi's reference.
  var nearest: Floats
  /// Scores, then probabilities, of a block of rows: `[32][64]`.
  var scores: Floats
  /// The probabilities in bf16, `[32][64]`.
  var rounded: UnsafeMutablePointer<UInt16>
  /// What each row of the block sees of the entry.
  var seen: UnsafeMutablePointer<SlotRange>
  /// Two rows of a query under preparation.
  var row: Floats
  var turned: Floats
  /// Keys and values of a page in f32.
  var keys: Floats
  var values: Floats
  /// Four queries times the scales of their channels, of one scale group and of another.
  var scaled: Floats
  /// What an integer of each row of the block stands for and what is added for the zeros, `[32]`: of queries, and of probabilities.
  ///
  /// Then those for slots from 32 on, where these have scales of their own (as all but `valueScales` may).
  var keyScales: Floats
  var keyShifts: Floats
  var valueScales: Floats
  var valueShifts: Floats
  /// Queries, likewise twice, and probabilities of the block as integers (`storeFactors`).
  var keyFactors: UnsafeMutableRawPointer
  var probabilityFactors: UnsafeMutableRawPointer
  /// Partial sums of the block as they were before an entry whose mass is noted: `[32][16]`.
  var lanesBefore: Floats

  @inline(__always)
  init(_ start: UnsafeMutableRawPointer, rowCount: Int, keyWidth: Int, valueWidth: Int) {
    let padded = LeafTask.paddedKeyWidth(keyWidth)
    contents = start.assumingMemoryBound(to: ScratchContents.self)
    queries = start + 64
    queryRowBytes = padded * 4
    lanes = (queries + rowCount * padded * 4).assumingMemoryBound(to: Float.self)
    nearest = lanes + rowCount * 16
    scores = nearest + (rowCount + 15) / 16 * 16
    let block = LeafTask.rowsPerBlock
    rounded = UnsafeMutableRawPointer(scores + block * 64).assumingMemoryBound(to: UInt16.self)
    seen = UnsafeMutableRawPointer(rounded + block * 64).assumingMemoryBound(to: SlotRange.self)
    row = UnsafeMutableRawPointer(seen + block).assumingMemoryBound(to: Float.self)
    turned = row + padded
    keys = turned + padded
    values = keys + LeafTask.pageFloats(keyWidth)
    scaled = values + LeafTask.pageFloats(valueWidth)
    keyScales = scaled + 8 * padded
    keyShifts = keyScales + 2 * block
    valueScales = keyShifts + 2 * block
    valueShifts = valueScales + block
    keyFactors = UnsafeMutableRawPointer(valueShifts + 2 * block)
    probabilityFactors = keyFactors + 2 * block * padded * 2
    lanesBefore = (probabilityFactors + block * 128).assumingMemoryBound(to: Float.self)
  }
}

/// What a scratch holds that need not be computed again, and how far the leaf at hand has come.
struct ScratchContents {
  /// For which run of anchors query rows have been prepared, −1 for none, and in which of the forms of `prepareRows`.
  var run: Int32 = -1
  var asFloats = false
  var inOrder = false
  /// Rows of a block that are down as seeing all of an entry.
  var wholeRows = 0
  /// Rows from the first one on whose outputs of the leaf at hand have begun; 0 at the start of every task, also of one that continues.
  var begunRows = 0
  /// The positions of the task's query tokens lie between these.
  var lowest = Int.max
  var highest = Int.min
}

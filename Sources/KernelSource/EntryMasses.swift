import CKernelShim
import KernelTable

/// `attendEntry`, which notes the softmax state of the entry alone too where the task asks for it (`LeafTask.entryMasses`).
@inline(__always)
func passEntry(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ entry: UnsafePointer<LeafEntry>,
  _ page: PageView, _ firstRow: Int, _ rows: Int, _ tiles: Tiles
) {
  if task.pointee.entryMasses == nil {
    attendEntry(task, scratch, entry, page, firstRow, rows, tiles)
  } else {
    attendNoting(task, scratch, entry, page, firstRow, rows, tiles)
  }
}

/// The partial sums of ℓ begin at zero for the entry, and join those before it as they would have anyway.
///
/// So they have the bits that they have without: ℓ ← ℓ·2^(m − m′), once for the entry, + Σ p.
@inline(never)
func attendNoting(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ entry: UnsafePointer<LeafEntry>,
  _ page: PageView, _ firstRow: Int, _ rows: Int, _ tiles: Tiles
) {
  // `LeafTask.rowsPerBlock`.
  var maxima = InlineArray<32, Float>(repeating: 0)
  var row = 0
  while row < rows {
    let lanes = scratch.lanes + 16 * (firstRow + row)
    attention_store(scratch.lanesBefore + 16 * row, attention_load(lanes))
    maxima[unchecked: row] = task.pointee.maxima[firstRow + row]
    attention_store(lanes, Vector())
    row += 1
  }
  attendEntry(task, scratch, entry, page, firstRow, rows, tiles)
  let masses =
    task.pointee.entryMasses.unsafelyUnwrapped
    + (entry - task.pointee.entries) * task.pointee.rowCount + firstRow
  row = 0
  while row < rows {
    let lanes = scratch.lanes + 16 * (firstRow + row)
    let own = attention_load(lanes)
    let maximum = task.pointee.maxima[firstRow + row]
    masses[row] = EntryMass(maximum: maximum, sum: attention_sum(own))
    var before = attention_load(scratch.lanesBefore + 16 * row)
    if maximum.bitPattern != maxima[unchecked: row].bitPattern {
      before = attention_multiply(
        before, attention_exp2(attention_splat(maxima[unchecked: row] - maximum)))
    }
    attention_store(lanes, attention_add(before, own))
    row += 1
  }
}

/// Adds to all maxima of a row what is added to that of the leaf.
@inline(never)
func moveMasses(_ task: UnsafePointer<LeafTask>, _ row: Int, _ difference: Float) {
  guard let masses = task.pointee.entryMasses else { return }
  var index = 0
  while index < task.pointee.entryCount {
    masses[index * task.pointee.rowCount + row].maximum += difference
    index += 1
  }
}

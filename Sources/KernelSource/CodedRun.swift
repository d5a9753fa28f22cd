import CKernelShim
import KernelTable

// SAFETY: pointers from end to end, as in Tiles.swift.

/// Whether `attendCodedRun` may begin with an entry: few rows meet it as it is stored, and nobody asks for masses.
@inline(__always)
func isCodedRun(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ index: Int, _ rows: Int
) -> Bool {
  !task.pointee.keyCode.isNone && !task.pointee.valueCode.isNone && !task.pointee.widensCodes
    && task.pointee.entryMasses == nil
    && belongsToCodedRun(
      task, scratch, index, task.pointee.entries[index].run, rows)
}

/// Whether an entry with quantised keys and values is of a run of anchors and seen whole by all rows.
@inline(__always)
func belongsToCodedRun(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ index: Int, _ run: Int32, _ rows: Int
) -> Bool {
  let entry = task.pointee.entries + index
  return entry.pointee.isCoded && entry.pointee.run == run && entry.pointee.slotTurns < 0
    && task.pointee.pages[Int(entry.pointee.page)] != nil
    && seesAll(task, scratch, entry.pointee, 0, rows)
}

/// A block of rows over neighbouring entries with quantised keys and values; the first entry that is not among them.
///
/// What `attendEntry` does, with nothing in between that is the same for all of them: a page of int4 takes a quarter of the time of
/// a plain one. Each page is read to its end before the next one begins; an order that would hide more of what steps wait for,
/// with a page's keys before the values of the one before, makes memory slower (Documentation/Kernels.md).
@inline(never)
func attendCodedRun(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ first: Int, _ rows: Int, _ tileRows: Int
) -> Int {
  while scratch.contents.pointee.wholeRows < rows {
    scratch.seen[scratch.contents.pointee.wholeRows] = SlotRange(low: 0, high: 64)
    scratch.contents.pointee.wholeRows += 1
  }
  let run = task.pointee.entries[first].run
  let block = CodedBlock(0, rows, tileRows, near: nearOfCodes(task))
  let keys = CodedKeys(task, scratch, block)
  let values = CodedValues(task, scratch, block)
  var index = first
  repeat {
    let entry = task.pointee.entries + index
    let page = Raw(task.pointee.pages[Int(entry.pointee.page)].unsafelyUnwrapped)
    let next = codesAhead(task, index, page)
    keys.multiply(page, next)
    finishAllScores(task, scratch, entry, 0, 0, rows)
    values.add(page + task.pointee.codedValueOffset, next)
    index += 1
  } while index < task.pointee.entryCount && belongsToCodedRun(task, scratch, index, run, rows)
  return index
}

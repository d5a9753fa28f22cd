import Glibc
import KernelTable
import StreamingAttention
import TestSupport

/// A leaf of quantised and plain pages, the rows over it, and the slow twin in Double over the numbers as stored.
struct CodedLeaf {
  var form = PageForm()
  var group = 4
  var tokens = 1
  /// Live slots of each entry, and whether its page is quantised.
  var entries: [(slots: Range<Int>, isCoded: Bool)] = [(0..<64, true)]
  /// The last token's position is that of the last live slot, moved by this.
  var ahead = 0
  var basePosition = 1_000
  var visibility = Visibility(isCausal: true, window: .max)
  var softcap: Float = 0
  var slopes: [Float]?
  /// [token][key]; −∞ masks a key.
  var hasBias = false
  var widensCodes = false
  var widensPages = false
  var nearAhead = 0
  var asksNextPage = false
  var codedPagesAhead = 1
  /// Entries behind the leaf's that follow it: of the last page, and of pages without memory.
  var followingCount = 0
  /// Rows that the leaf contributes nothing to.
  var hiddenRows: Set<Int> = []
  /// About the standard deviation of scores whose keys have unit variance.
  var deviation = 1.0
  /// Entries whose keys are still to be turned, slot for slot.
  var turnedEntries: Set<Int> = []
  /// The first entry of the second run of equal anchors.
  var secondRun = Int.max

  var rowCount: Int { group * tokens }
  var scale: Float { Float(deviation / Double(form.keyWidth).squareRoot()) }

  /// What a run gave, with the numbers that it ran on.
  struct Result {
    var maxima: [Float]
    var denominators: [Float]
    var outputs: [[Float]]
  }

  /// Everything random about a case.
  struct Numbers {
    var pages: [CodedPage] = []
    var queries: [Float] = []
    var positions: [Int] = []
    /// [cos | sin] of tokens, of the second run, and [pair][cos: 64 | sin: 64] of slots.
    var tokenTurns: [Float] = []
    var runTurns: [Float] = []
    var slotTurns: [Float] = []
    var bias: [Float] = []
  }

  func draw(_ kernels: KernelTable, using generator: inout SeededGenerator) -> Numbers {
    var numbers = Numbers()
    for entry in entries {
      let plain = CodedPageTests.plainPage(
        form, slots: entry.slots, kernels: kernels, using: &generator)
      if entry.isCoded {
        let coded = CodedPage(form)
        _ = coded.quantize(plain, slots: entry.slots, by: kernels)
        numbers.pages.append(coded)
      } else {
        numbers.pages.append(plain)
      }
    }
    numbers.queries = generator.normalFloats(rowCount * form.keyWidth)
    let last = basePosition + 64 * (entries.count - 1) + (entries.last?.slots.upperBound ?? 1) - 1
    numbers.positions = (0..<tokens).map { last + ahead - tokens + 1 + $0 }
    func turns(_ count: Int) -> [Float] {
      let angles = (0..<count).map { _ in 6.3 * generator.uniform() }
      return angles.map { Float(cos($0)) } + angles.map { Float(sin($0)) }
    }
    let pairs = form.pairs
    numbers.tokenTurns = (0..<tokens).flatMap { _ in turns(pairs) }
    numbers.runTurns = (0..<2).flatMap { _ in turns(pairs) }
    numbers.slotTurns = (0..<pairs).flatMap { _ in turns(64) }
    numbers.bias = generator.normalFloats(tokens * 64 * entries.count).map {
      $0 > 1.5 ? -.infinity : $0
    }
    return numbers
  }

  func run(_ numbers: Numbers, _ kernels: KernelTable) -> Result {
    let stride = (form.valueWidth + 15) / 16 * 16
    var leafEntries = entries.enumerated().map { index, entry in
      LeafEntry(
        page: Int32(index), run: index < secondRun ? 0 : 1,
        basePosition: basePosition + 64 * index, firstKey: 64 * index,
        firstSlot: Int32(entry.slots.lowerBound), endSlot: Int32(entry.slots.upperBound),
        slotTurns: turnedEntries.contains(index) ? 0 : -1, isCoded: entry.isCoded)
    }
    for index in 0..<followingCount {
      leafEntries.append(
        LeafEntry(
          page: Int32(entries.count - (index % 2 == 0 ? 1 : 0)), run: 0, basePosition: 0,
          firstSlot: 0, endSlot: 64, isCoded: index % 2 == 0))
    }
    let pages = unsafe numbers.pages.map { unsafe Optional($0.memory.start) }
    let blocks = (
      RawBlock(numbers.queries), RawBlock(numbers.positions), RawBlock(leafEntries),
      unsafe RawBlock(pages + [nil]),
      RawBlock(slopes ?? []), RawBlock(numbers.tokenTurns), RawBlock(numbers.runTurns),
      RawBlock(numbers.slotTurns)
    )
    let bias = RawBlock(numbers.bias)
    let hidden = RawBlock((0..<rowCount).map { UInt8(hiddenRows.contains($0) ? 1 : 0) })
    let (maxima, denominators, outputs) = (
      RawBlock(byteCount: 4 * rowCount), RawBlock(byteCount: 4 * rowCount),
      RawBlock(byteCount: 4 * rowCount * stride)
    )
    let scratch = unsafe RawBlock(
      byteCount: LeafTask.scratchBytes(
        rowCount: rowCount, keyWidth: form.keyWidth, valueWidth: form.valueWidth))
    let turns = form.pairs > 0
    var task = unsafe LeafTask(
      queries: blocks.0.floats, tokenStride: group * form.keyWidth, headStride: form.keyWidth,
      rowCount: rowCount, group: group,
      positions: blocks.1.start.assumingMemoryBound(to: Int.self),
      entries: blocks.2.start.assumingMemoryBound(to: LeafEntry.self), entryCount: entries.count,
      pages: blocks.3.start.assumingMemoryBound(to: UnsafeMutableRawPointer?.self),
      keyElement: form.keyElement, valueElement: form.valueElement, keyWidth: form.keyWidth,
      valueWidth: form.valueWidth, valueOffset: form.plain.layout.valueOffset, scale: scale,
      softcap: softcap, slopes: slopes == nil ? nil : UnsafePointer(blocks.4.floats),
      visibility: visibility, pairs: form.pairs, pairOrder: form.order, rotaryScale: 1,
      tokenTurns: turns ? UnsafePointer(blocks.5.floats) : nil,
      runTurns: turns ? UnsafePointer(blocks.6.floats) : nil, maxima: maxima.floats,
      denominators: denominators.floats, outputs: outputs.floats, outputStride: stride,
      scratch: scratch.start)
    unsafe task.slotTurns = turns ? UnsafePointer(blocks.7.floats) : nil
    unsafe task.keyCode = form.keyCode
    unsafe task.valueCode = form.valueCode
    unsafe task.codedValueOffset = form.layout.valueOffset
    unsafe task.widensCodes = widensCodes
    unsafe task.widensPages = widensPages
    unsafe task.nearAhead = nearAhead
    unsafe task.asksNextPage = asksNextPage
    unsafe task.codedPagesAhead = codedPagesAhead
    unsafe task.followingCount = followingCount
    // Plain bf16 pages beside codes: the twin does not round their queries.
    unsafe task.dotsPairs = false
    if hasBias {
      unsafe task.bias = UnsafePointer(bias.floats)
      unsafe task.biasTokenStride = 64 * entries.count
    }
    if !hiddenRows.isEmpty {
      unsafe task.hiddenRows = UnsafePointer(hidden.start.assumingMemoryBound(to: UInt8.self))
    }
    unsafe kernels.attend(&task)
    withExtendedLifetime((blocks, bias, hidden, scratch, numbers)) {}
    return Result(
      maxima: (0..<rowCount).map { maxima.float($0) },
      denominators: (0..<rowCount).map { denominators.float($0) },
      outputs: (0..<rowCount).map { row in
        (0..<form.valueWidth).map { outputs.float(row * stride + $0) }
      })
  }
}

import KernelTable

/// What the items of up to three products of the same rows read: blocks of rows times groups of panels.
@unsafe struct ProductRun {
  private let kernels: KernelTable
  private let rowCount: Int
  private let workerCount: Int
  private var targets: InlineArray<3, ProductTarget>
  private var targetCount = 1
  /// `scratchBytes` for each worker.
  var scratch: UnsafeMutableRawPointer?

  init(kernels: KernelTable, rowCount: Int, workerCount: Int, _ first: ProductTarget) {
    unsafe self.kernels = kernels
    unsafe self.rowCount = rowCount
    unsafe self.workerCount = workerCount
    unsafe targets = unsafe InlineArray(repeating: first)
  }

  mutating func add(_ target: ProductTarget) {
    unsafe targets[targetCount] = unsafe target
    unsafe targetCount += 1
  }

  /// Memory that each worker needs.
  var scratchBytes: Int {
    var most = 0
    for index in unsafe 0..<targetCount { most = unsafe max(most, targets[index].scratchBytes) }
    return most
  }

  private var cut: ProductCut {
    var (panels, bytes) = (0, 1)
    for index in unsafe 0..<targetCount {
      panels += unsafe targets[index].panelCount
      bytes = unsafe max(bytes, targets[index].rowBytes)
    }
    return unsafe ProductCut(
      rowCount: rowCount, rowBytes: bytes, panelCount: panels, workerCount: workerCount)
  }

  private func groups(of target: Int, _ cut: ProductCut) -> Int {
    unsafe (targets[target].panelCount + cut.panelsPerItem - 1) / cut.panelsPerItem
  }

  var itemCount: Int {
    let cut = unsafe cut
    var groups = 0
    for index in unsafe 0..<targetCount { groups += unsafe self.groups(of: index, cut) }
    return groups * cut.blockCount
  }

  /// Item `item`, of `itemCount`.
  func multiply(item: Int, worker: Int) {
    let cut = unsafe cut
    let (block, rest) = unsafe item.quotientAndRemainder(dividingBy: itemCount / cut.blockCount)
    var group = rest
    var index = 0
    while unsafe group >= groups(of: index, cut) {
      group -= unsafe groups(of: index, cut)
      index += 1
    }
    guard let scratch = unsafe scratch else { return }
    let target = unsafe targets[index]
    let first = group * cut.panelsPerItem
    unsafe target.multiply(
      cut.rows(ofBlock: block, of: rowCount),
      panels: first..<min(first + cut.panelsPerItem, target.panelCount), kernels,
      scratch + worker * scratchBytes)
  }
}

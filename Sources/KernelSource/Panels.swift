import CKernelShim
import KernelTable

/// f32 rows → left factors: as they are, or in bf16 pairs.
func packLeftRows(_ task: UnsafePointer<PackTask>) {
  let width = task.pointee.width
  var row = 0
  while row < task.pointee.rowCount {
    let from = task.pointee.source + row * task.pointee.sourceStride
    let to = task.pointee.target + row * task.pointee.targetRowBytes
    if task.pointee.element.isBFloat16 {
      storePairedRow(from, width / 2, to)
      if width & 1 == 1 {
        var last = InlineArray<2, Float>(repeating: 0)
        last[unchecked: 0] = from[width - 1]
        withUnsafePointer(to: &last) {
          storePairedRow(
            Raw($0).assumingMemoryBound(to: Float.self), 1,
            to + width / 2 * (hasPairDots ? 4 : 8))
        }
      }
    } else {
      to.copyMemory(from: from, byteCount: width * 4)
    }
    row += 1
  }
}

/// Up to 64 f32 rows of a weight matrix → one panel; columns without an output hold zeros.
func packWeightPanel(_ task: UnsafePointer<PackTask>) {
  let width = task.pointee.width
  let panel = task.pointee.target
  var output = 0
  while output < 64 {
    let isLive = output < task.pointee.rowCount
    let from = task.pointee.source + (isLive ? output * task.pointee.sourceStride : 0)
    var input = 0
    switch task.pointee.element {
    case .float32:
      let target = panel.assumingMemoryBound(to: Float.self) + output
      while input < width {
        target[64 * input] = isLive ? from[input] : 0
        input += 1
      }
    case .float16:
      let target = panel.assumingMemoryBound(to: UInt16.self) + output
      while input < width {
        target[64 * input] = isLive ? attention_half_bits(from[input]) : 0
        input += 1
      }
    case .bfloat16:
      let target = panel.assumingMemoryBound(to: UInt32.self) + output
      while input < width {
        let first = isLive ? UInt32(attention_bfloat_bit(from[input])) : 0
        let second =
          isLive && input + 1 < width ? UInt32(attention_bfloat_bit(from[input + 1])) : 0
        target[32 * input] = first | second &<< 16
        input += 2
      }
    }
    output += 1
  }
}

/// Rows × panels: `PanelTask`.
///
/// A panel stays in L2 while the rows pass.
func multiplyPanels(_ task: UnsafePointer<PanelTask>) {
  let element = task.pointee.element
  let storedRows =
    element.isBFloat16 ? (task.pointee.inputWidth + 1) / 2 : task.pointee.inputWidth
  let storedRowBytes = element.isFloat16 ? 128 : 256
  let tileCount = (task.pointee.rowCount + largestTile - 1) / largestTile
  let tileRows = tileCount == 0 ? 0 : (task.pointee.rowCount + tileCount - 1) / tileCount
  var ragged = InlineArray<384, Float>(repeating: 0)
  withUnsafeMutablePointer(to: &ragged) { pointer in
    let block = UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: Float.self)
    var panel = 0
    while panel < task.pointee.panelCount {
      let right = task.pointee.panels + panel * storedRows * storedRowBytes
      let live = min(64, task.pointee.outputWidth - 64 * panel)
      var row = 0
      while row < task.pointee.rowCount {
        let rows = min(tileRows, task.pointee.rowCount - row)
        let output = task.pointee.output + row * task.pointee.outputStride + 64 * panel
        let isWhole = live == 64 && !task.pointee.accumulates
        multiply(
          Product(
            rows: rows, left: task.pointee.rows + row * task.pointee.rowBytes,
            leftRowBytes: task.pointee.rowBytes, right: right, rightRowBytes: storedRowBytes,
            count: storedRows, groupCount: 4, result: isWhole ? output : block,
            resultStride: isWhole ? task.pointee.outputStride : 64,
            streams: task.pointee.rowCount <= 3,
            ahead: task.pointee.rowCount <= 3 ? Ahead(near: 2048, next: 8192) : Ahead(),
            dotsPairs: hasPairDots), element,
          adds: false)
        if !isWhole {
          copyBlock(
            block, 64, rows, live, output, task.pointee.outputStride, task.pointee.accumulates)
        }
        row += rows
      }
      panel += 1
    }
  }
}

/// Copies or adds the live columns of a tile's rows, which lie `width` apart.
@inline(__always)
func copyBlock(
  _ block: Floats, _ width: Int, _ rows: Int, _ live: Int, _ output: Floats, _ stride: Int,
  _ adds: Bool
) {
  var row = 0
  while row < rows {
    let from = block + width * row
    let to = output + row * stride
    var column = 0
    while column < live {
      to[column] = adds ? to[column] + from[column] : from[column]
      column += 1
    }
    row += 1
  }
}

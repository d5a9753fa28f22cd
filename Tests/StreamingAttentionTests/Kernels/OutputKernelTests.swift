import KernelTable
import Testing

@testable import StreamingAttention

@Suite("Outputs on their way to the caller")
struct OutputKernelTests {
  /// Ragged widths, rows that lie apart in the state and tokens that lie apart at the target; one multiplication, so the bits are the same.
  @Test(
    "each row times its factor, and nothing beside the rows",
    arguments: InstructionSet.allCases.filter(\.isAvailable))
  func rowsAndGaps(_ instructionSet: InstructionSet) {
    for width in [1, 15, 16, 17, 72, 128] {
      for group in [1, 3, 4] {
        check(instructionSet.kernels, tokens: 7, group: group, width: width)
      }
    }
  }

  private func check(_ kernels: KernelTable, tokens: Int, group: Int, width: Int) {
    let (rows, stride) = (tokens * group, (width + 63) / 64 * 64)
    // One head's room behind those of the group.
    let tokenStride = (group + 1) * width
    let factors = RawBlock((0..<rows).map { 0.25 + Float($0) / 7 })
    let source = RawBlock((0..<rows * stride).map { Float($0 % 1009) / 31 - 9 })
    let target = RawBlock(byteCount: tokens * tokenStride * 4)
    var task = unsafe OutputTask(
      rowCount: rows, group: group, width: width, outputs: source.floats, outputStride: stride,
      factors: factors.floats, target: target.floats, tokenStride: tokenStride)
    unsafe kernels.writeOutputs(&task)
    var wrong = 0
    for token in 0..<tokens {
      for place in 0..<tokenStride {
        let (row, channel) = (token * group + place / width, place % width)
        let bits = unsafe target.floats[token * tokenStride + place].bitPattern
        let expected =
          place < group * width
          ? unsafe (source.floats[row * stride + channel] * factors.floats[row]).bitPattern : .max
        if bits != expected { wrong += 1 }
      }
    }
    #expect(wrong == 0, "\(tokens) tokens of \(group) rows of \(width)")
  }
}

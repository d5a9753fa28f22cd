/// How a panel of 32 outputs holds quantised weights, in blocks of 32 inputs.
///
/// A weight is `scale · code + minimum`, with one scale and one minimum per output and block, and unsigned codes. A block is
/// `[codes][scale of each output: f16][minimum of each output: f16]`. Codes stand for 16 outputs by 4 inputs in 64 bytes,
/// an output's four in a 32-bit lane; 4-bit codes hold inputs 4k to 4k + 3 low and 16 + 4k to 16 + 4k + 3 high.
package enum CodeFormat: UInt8, Sendable, BitwiseCopyable, CaseIterable {
  /// 4 bits; the minimum is −8 · scale and not stored.
  case centeredNibbles
  /// 4 bits.
  case nibbles
  /// 8 bits; the minimum is −128 · scale and not stored.
  case centeredBytes
  /// 8 bits.
  case bytes

  /// Inputs of a block.
  package static let blockInputs = 32
  /// Outputs of a panel.
  package static let panelOutputs = 32

  /// Bits of a code.
  package var bits: Int { self == .centeredNibbles || self == .nibbles ? 4 : 8 }
  /// Whether minima are stored.
  package var hasMinimum: Bool { self == .nibbles || self == .bytes }
  /// Bytes of one block of a panel, a multiple of 64.
  package var blockBytes: Int { bits * 128 + (hasMinimum ? 128 : 64) }
}

/// f32 rows → signed 8-bit codes: what products with `CodeFormat` read.
///
/// A block of 32 numbers becomes 48 bytes: 32 codes from −127 to 127; for either half of 16 what its sums of codes become numbers
/// with; the step d; and the sum of the 32 numbers that the codes stand for, d·2^−h · code, both in f32. With AVX2, and AVX-512 without
/// VNNI, a sum's two 16-bit halves are weighed with 2^(7−h), which stands there twice, and the step is d/128; elsewhere sums begin with
/// the bits of 1.5 · 2^23 · 2^−h.
/// d is 1/127 of the largest magnitude of the block; h is 0 for the half that has it, and how often d can be halved for
/// the other, at most 7 times. A NaN makes d a NaN and an infinity an infinity, and so the products not finite.
@unsafe package struct QuantizeTask {
  /// `[row][width]`.
  package var source: UnsafePointer<Float>
  /// In floats.
  package var sourceStride: Int
  package var rowCount: Int
  /// A multiple of 32.
  package var width: Int
  package var target: UnsafeMutableRawPointer
  /// `rowBytes(width:)`.
  package var targetRowBytes: Int

  /// Bytes of a block of 32 numbers.
  package static let blockBytes = 48

  /// Bytes of a row, a multiple of 64.
  package static func rowBytes(width: Int) -> Int {
    (width / CodeFormat.blockInputs * (unsafe blockBytes) + 63) / 64 * 64
  }

  package init(
    source: UnsafePointer<Float>, sourceStride: Int, rowCount: Int, width: Int,
    target: UnsafeMutableRawPointer, targetRowBytes: Int
  ) {
    unsafe self.source = source
    unsafe self.sourceStride = sourceStride
    unsafe self.rowCount = rowCount
    unsafe self.width = width
    unsafe self.target = target
    unsafe self.targetRowBytes = targetRowBytes
  }
}

/// Codes and factors of up to 32 outputs on their way into one panel; columns without an output hold zeros.
@unsafe package struct PackCodesTask {
  /// `[output][input]`, below 16 where codes have 4 bits.
  package var codes: UnsafePointer<UInt8>
  /// f16, `[output][block]`.
  package var scales: UnsafePointer<UInt16>
  /// f16, `[output][block]`; not read where the format stores none.
  package var minima: UnsafePointer<UInt16>
  package var outputCount: Int
  package var blockCount: Int
  package var format: CodeFormat
  package var panel: UnsafeMutableRawPointer

  package init(
    codes: UnsafePointer<UInt8>, scales: UnsafePointer<UInt16>, minima: UnsafePointer<UInt16>,
    outputCount: Int, blockCount: Int, format: CodeFormat, panel: UnsafeMutableRawPointer
  ) {
    unsafe self.codes = codes
    unsafe self.scales = scales
    unsafe self.minima = minima
    unsafe self.outputCount = outputCount
    unsafe self.blockCount = blockCount
    unsafe self.format = format
    unsafe self.panel = panel
  }
}

/// Quantised rows times panels of codes: `output[r][32·p + c] = Σ_i rows[r][i] · weight p[i][c]`.
///
/// Products of codes are added as integers, exactly, over 16 inputs; steps, scales and minima enter in f32, block after block.
@unsafe package struct CodeTask {
  /// Made by `KernelTable.quantizeRows`, `rowBytes` apart.
  package var rows: UnsafeRawPointer
  package var rowBytes: Int
  package var rowCount: Int
  package var blockCount: Int
  package var panels: UnsafeRawPointer
  package var panelCount: Int
  package var format: CodeFormat
  /// Output channels in all panels together; the last panel may be ragged.
  package var outputWidth: Int
  package var output: UnsafeMutablePointer<Float>
  /// In floats.
  package var outputStride: Int
  /// Adds to what `output` holds instead of replacing it.
  package var accumulates: Bool
  /// At least `scratchBytes(blockCount:)`, 64-byte aligned, of this worker alone.
  package var scratch: UnsafeMutableRawPointer

  /// Bytes of one block of a panel with its codes in 8 and its factors in 32 bits.
  package static let wideBlockBytes = 1280

  /// Room for one panel with its codes in 8 and its factors in 32 bits.
  package static func scratchBytes(blockCount: Int) -> Int { blockCount * (unsafe wideBlockBytes) }

  package init(
    rows: UnsafeRawPointer, rowBytes: Int, rowCount: Int, blockCount: Int, panels: UnsafeRawPointer,
    panelCount: Int, format: CodeFormat, outputWidth: Int, output: UnsafeMutablePointer<Float>,
    outputStride: Int, accumulates: Bool, scratch: UnsafeMutableRawPointer
  ) {
    unsafe self.rows = rows
    unsafe self.rowBytes = rowBytes
    unsafe self.rowCount = rowCount
    unsafe self.blockCount = blockCount
    unsafe self.panels = panels
    unsafe self.panelCount = panelCount
    unsafe self.format = format
    unsafe self.outputWidth = outputWidth
    unsafe self.output = output
    unsafe self.outputStride = outputStride
    unsafe self.accumulates = accumulates
    unsafe self.scratch = scratch
  }
}

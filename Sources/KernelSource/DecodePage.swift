import CKernelShim
import KernelTable

/// Rows of a four or an eight.
@inline(__always)
func rowsPerLane(_ code: PageCode) -> Int { code.isInt4 ? 8 : 4 }

@inline(__always)
func largestCode(_ code: PageCode) -> Float { code.isInt4 ? 15 : 255 }

@inline(__always)
func codeMask(_ code: PageCode) -> UInt32 { code.isInt4 ? 15 : 255 }

/// Slots of a page that share the scales of their values.
@inline(__always)
func slotsPerScale(_ code: PageCode) -> Int { code.isInt4 ? 32 : 64 }

/// Where row `row` of a four or an eight stands in its lane, in bits.
@inline(__always)
func codeShift(_ row: Int) -> Int32 { Int32(truncatingIfNeeded: (row & 3) * 8 + (row >> 2) * 4) }

/// Keys of a quantised page in f32, `[channel][slot]`.
///
/// Exact but for one rounding: a code times an f16 scale has at most 19 bits.
@inline(never)
func decodeKeys(_ page: Raw, _ code: PageCode, _ width: Int, _ target: Floats) {
  let padded = (width + 15) / 16 * 16
  let perLane = rowsPerLane(code)
  let mask = codeMask(code)
  var at = page
  var factors = page.assumingMemoryBound(to: UInt16.self)
  var panel = 0
  while panel < 2 {
    if panel == 0 || code.isInt4 {
      factors = at.assumingMemoryBound(to: UInt16.self)
      at += 4 * padded
    }
    var channel = 0
    while channel < width {
      let scale = attention_splat(attention_half_value(factors[channel]))
      let zero = attention_splat(attention_half_value(factors[padded + channel]))
      let codes = at + channel / perLane * 128
      let shift = codeShift(channel & (perLane - 1))
      let to = target + 64 * channel + 32 * panel
      attention_store(to, decode(codes, shift, mask, scale, zero))
      attention_store(to + 16, decode(codes + 64, shift, mask, scale, zero))
      channel += 1
    }
    at += (width + perLane - 1) / perLane * 128
    panel += 1
  }
}

/// Values of a quantised page in f32, `[panel of 64][slot][channel]`.
@inline(never)
func decodeValues(_ values: Raw, _ code: PageCode, _ columns: Int, _ target: Floats) {
  let perLane = rowsPerLane(code)
  let mask = codeMask(code)
  var at = values
  var column = 0
  while column < columns {
    let groups = columns - column < 32 ? 1 : 2
    let width = panelWidth(columns, column)
    var first = 0
    while first < 64 {
      let factors = at + slotsPerScale(code) / perLane * groups * 64
      var group = 0
      while group < groups {
        let scale = attention_load_half(factors + 32 * group)
        let zero = attention_load_half(factors + 32 * (groups + group))
        let to = target + column / 64 * 64 * 64 + first * width + column % 64 + 16 * group
        var slot = 0
        while slot < slotsPerScale(code) {
          let codes = at + (slot / perLane * groups + group) * 64
          attention_store(
            to + slot * width, decode(codes, codeShift(slot & (perLane - 1)), mask, scale, zero))
          slot += 1
        }
        group += 1
      }
      at = factors + 64 * groups
      first += slotsPerScale(code)
    }
    column += 16 * groups
  }
}

/// Channels of the panel of 64 that holds this column.
@inline(__always)
func panelWidth(_ columns: Int, _ column: Int) -> Int {
  let rest = columns - column / 64 * 64
  return rest < 64 ? rest : 64
}

/// zero + scale·code in 16 lanes.
@inline(__always)
func decode(
  _ codes: Raw, _ shift: Int32, _ mask: UInt32, _ scale: Vector, _ zero: Vector
) -> Vector {
  let code = attention_code(attention_load_pairs(codes), shift, mask)
  return attention_fma(attention_from_integers(code), scale, zero)
}

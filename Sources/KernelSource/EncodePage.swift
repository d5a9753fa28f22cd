import CKernelShim
import KernelTable

/// The zero and the scale of numbers in `low...high`, in f16; 0 and 0 if there are none.
///
/// Neither is finite if the numbers are beyond what f16 holds.
@inline(__always)
func codeRange(_ low: Float, _ high: Float, _ top: Float) -> (zero: UInt16, scale: UInt16) {
  guard low <= high else { return (0, 0) }
  var zero = attention_half_bits(low)
  if attention_half_value(zero) > low {
    zero = zero == 0 ? 0x8001 : zero & 0x8000 != 0 ? zero + 1 : zero - 1
  }
  let start = attention_half_value(zero)
  var scale = attention_half_bits((high - start) / top)
  if start + top * attention_half_value(scale) < high { scale += 1 }
  return (zero, scale)
}

/// Whether a zero or scale is infinite or NaN.
@inline(__always)
func isUnusable(_ bits: UInt16) -> Bool { bits & 0x7c00 == 0x7c00 }

/// What a code is the nearest multiple of: 1 ÷ scale, 0 for a scale of 0.
@inline(__always)
func inverse(_ scale: Float) -> Float { scale > 0 ? 1 / scale : 0 }

/// (x − zero) ÷ scale to the nearest integer in 0...top; 0 for NaN.
@inline(__always)
func encode(_ x: Vector, _ zero: Vector, _ inverse: Vector, _ top: Vector) -> Integers {
  let position = attention_multiply(attention_subtract(x, zero), inverse)
  return attention_round_to_integers(
    attention_minimum(attention_maximum(position, Vector()), top))
}

/// How far a number is from its code at most, squared, added to `sum`.
///
/// `slack` is 2⁻²² of the largest magnitude that the codes reach: 2⁻²⁴ of it for decoding here, twice that for the
/// difference, once more for decoding elsewhere.
@inline(__always)
func addSquare(
  _ sum: Vector, _ x: Vector, _ code: Integers, _ scale: Vector, _ zero: Vector, _ slack: Vector
) -> Vector {
  let decoded = attention_fma(attention_from_integers(code), scale, zero)
  let distance = attention_add(attention_magnitude(attention_subtract(x, decoded)), slack)
  return attention_fma(distance, distance, sum)
}

/// An upper bound of the root of a sum of `count` squares, itself short by (count + 64)·2⁻²⁴ at most.
@inline(__always)
func errorBound(_ squares: Float, _ count: Int) -> Float {
  guard squares < .infinity else { return .infinity }
  return attention_square_root(squares) * (1 + (Float(count) + 64) * 0x1p-23) + 0x1p-60
}

/// f32 keys `[channel][slot]` → scales, zeros and codes; returns the error bound.
@inline(never)
func encodeKeys(
  _ source: Floats, _ width: Int, _ code: PageCode, _ low: Int, _ high: Int,
  _ page: UnsafeMutableRawPointer
) -> Float {
  let padded = (width + 15) / 16 * 16
  let perLane = rowsPerLane(code)
  let top = largestCode(code)
  var at = page
  var factors = page.assumingMemoryBound(to: UInt16.self)
  var worst: Float = 0
  var isUsable = true
  var panel = 0
  while panel < 2 {
    if panel == 0 || code.isInt4 {
      factors = at.assumingMemoryBound(to: UInt16.self)
      let start = code.isInt4 ? 32 * panel : 0
      let end = code.isInt4 ? start + 32 : 64
      var channel = 0
      while channel < padded {
        let numbers = source + 64 * channel
        let range =
          channel < width
          ? slotRange(numbers, low > start ? low : start, high < end ? high : end, top)
          : (zero: 0, scale: 0)
        if isUnusable(range.zero) || isUnusable(range.scale) { isUsable = false }
        factors[channel] = range.scale
        factors[padded + channel] = range.zero
        channel += 1
      }
      at += 4 * padded
    }
    var row = 0
    while row < width {
      let rows = width - row < perLane ? width - row : perLane
      encodeLane(
        source + 64 * row + 32 * panel, rows, factors + row, padded, top, at + row / perLane * 128)
      row += perLane
    }
    var group = 0
    while group < 2 {
      let first = Int32(truncatingIfNeeded: 32 * panel + 16 * group)
      let squares = keySquares(
        source + 32 * panel + 16 * group, width, factors, padded, code, at + 64 * group)
      let most = attention_largest(
        attention_keep(
          squares, Int32(truncatingIfNeeded: low) &- first,
          Int32(truncatingIfNeeded: high) &- first, 0))
      if most > worst { worst = most }
      group += 1
    }
    at += (width + perLane - 1) / perLane * 128
    panel += 1
  }
  return isUsable ? errorBound(worst, width) : .infinity
}

/// Zero and scale of a key channel over the slots `low..<high`; unusable if one of them is not finite.
@inline(__always)
func slotRange(
  _ numbers: Floats, _ low: Int, _ high: Int, _ top: Float
) -> (zero: UInt16, scale: UInt16) {
  var smallest = attention_splat(.infinity)
  var largest = attention_splat(-.infinity)
  var sizes = Vector()
  var slot = low & ~15
  while slot < high {
    let first = Int32(truncatingIfNeeded: low - slot)
    let end = Int32(truncatingIfNeeded: high - slot)
    let x = attention_load(numbers + slot)
    smallest = attention_minimum(smallest, attention_keep(x, first, end, .infinity))
    largest = attention_maximum(largest, attention_keep(x, first, end, -.infinity))
    sizes = attention_add(sizes, attention_magnitude(attention_keep(x, first, end, 0)))
    slot += 16
  }
  // NaN and infinities survive in the sum, whatever the comparisons made of them.
  guard attention_sum(sizes) < .infinity else { return (0x7e00, 0x7e00) }
  return codeRange(
    -attention_largest(attention_subtract(Vector(), smallest)), attention_largest(largest), top)
}

/// The codes of up to a four or an eight of key channels at 32 slots.
@inline(__always)
func encodeLane(
  _ source: Floats, _ rows: Int, _ factors: UnsafePointer<UInt16>, _ padded: Int, _ top: Float,
  _ to: UnsafeMutableRawPointer
) {
  let most = attention_splat(top)
  var first = Pairs()
  var second = Pairs()
  var row = 0
  while row < rows {
    let inverses = attention_splat(inverse(attention_half_value(factors[row])))
    let zero = attention_splat(attention_half_value(factors[padded + row]))
    let from = source + 64 * row
    let shift = codeShift(row)
    first = attention_place_code(first, encode(attention_load(from), zero, inverses, most), shift)
    second = attention_place_code(
      second, encode(attention_load(from + 16), zero, inverses, most), shift)
    row += 1
  }
  attention_store_pairs(to, first)
  attention_store_pairs(to + 64, second)
}

/// For each of 16 slots, Σ (k − k̂)² over the channels, rounded up.
@inline(__always)
func keySquares(
  _ source: Floats, _ width: Int, _ factors: UnsafePointer<UInt16>, _ padded: Int,
  _ code: PageCode, _ codes: Raw
) -> Vector {
  let perLane = rowsPerLane(code)
  let mask = codeMask(code)
  let top = largestCode(code)
  var sum = Vector()
  var channel = 0
  while channel < width {
    let scale = attention_half_value(factors[channel])
    let zero = attention_half_value(factors[padded + channel])
    let end = zero + top * scale
    let size = -zero > end ? -zero : end
    let lane = attention_load_pairs(codes + channel / perLane * 128)
    sum = addSquare(
      sum, attention_load(source + 64 * channel),
      attention_code(lane, codeShift(channel & (perLane - 1)), mask), attention_splat(scale),
      attention_splat(zero), attention_splat(size * 0x1p-22))
    channel += 1
  }
  return sum
}

/// f32 values `[panel of 64][slot][channel]` → codes, scales and zeros; returns the error bound.
///
/// `squares` has room for 16 floats for each slot.
@inline(never)
func encodeValues(
  _ source: Floats, _ columns: Int, _ code: PageCode, _ low: Int, _ high: Int,
  _ values: UnsafeMutableRawPointer, _ squares: Floats
) -> Float {
  let perLane = rowsPerLane(code)
  var slot = 0
  while slot < 64 {
    attention_store(squares + 16 * slot, Vector())
    slot += 1
  }
  var isUsable = true
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
        let isEncoded = encodeColumns(
          source + column / 64 * 64 * 64 + first * width + column % 64 + 16 * group, width, code,
          low - first, high - first, at + 64 * group, groups * 64, factors + 32 * group,
          32 * groups, squares + 16 * first)
        if !isEncoded { isUsable = false }
        group += 1
      }
      at = factors + 64 * groups
      first += slotsPerScale(code)
    }
    column += 16 * groups
  }
  var worst: Float = 0
  slot = low
  while slot < high {
    let sum = attention_sum(attention_load(squares + 16 * slot))
    if sum > worst { worst = sum }
    slot += 1
  }
  return isUsable ? errorBound(worst, columns) : .infinity
}

/// 16 value channels at slots that share scales, of which `low..<high` count: their scales, zeros and codes, and Σ (v − v̂)² of each slot; false if a number cannot be stored.
@inline(__always)
func encodeColumns(
  _ source: Floats, _ stride: Int, _ code: PageCode, _ low: Int, _ high: Int,
  _ codes: UnsafeMutableRawPointer, _ rowBytes: Int, _ scales: UnsafeMutableRawPointer,
  _ zeroOffset: Int, _ squares: Floats
) -> Bool {
  let perLane = rowsPerLane(code)
  let top = largestCode(code)
  let (low, high) = (low > 0 ? low : 0, high < slotsPerScale(code) ? high : slotsPerScale(code))
  var smallest = attention_splat(.infinity)
  var largest = attention_splat(-.infinity)
  var sizes = Vector()
  var slot = low
  while slot < high {
    let x = attention_load(source + slot * stride)
    smallest = attention_minimum(smallest, x)
    largest = attention_maximum(largest, x)
    sizes = attention_add(sizes, attention_magnitude(x))
    slot += 1
  }
  var isUsable = attention_sum(sizes) < .infinity
  let scaleBits = scales.assumingMemoryBound(to: UInt16.self)
  let zeroBits = (scales + zeroOffset).assumingMemoryBound(to: UInt16.self)
  var inverses = Vector()
  var slack = Vector()
  var lane = 0
  while lane < 16 {
    let range =
      isUsable
      ? codeRange(smallest[lane], largest[lane], top) : (zero: 0x7e00, scale: 0x7e00)
    if isUnusable(range.zero) || isUnusable(range.scale) { isUsable = false }
    scaleBits[lane] = range.scale
    zeroBits[lane] = range.zero
    let scale = attention_half_value(range.scale)
    let zero = attention_half_value(range.zero)
    let end = zero + top * scale
    inverses[lane] = inverse(scale)
    slack[lane] = (-zero > end ? -zero : end) * 0x1p-22
    lane += 1
  }
  let scale = attention_load_half(scales)
  let zero = attention_load_half(scales + zeroOffset)
  let most = attention_splat(top)
  slot = 0
  while slot < slotsPerScale(code) {
    var word = Pairs()
    var row = 0
    while row < perLane {
      let x = attention_load(source + (slot + row) * stride)
      let number = encode(x, zero, inverses, most)
      word = attention_place_code(word, number, codeShift(row))
      let sum = squares + 16 * (slot + row)
      attention_store(sum, addSquare(attention_load(sum), x, number, scale, zero, slack))
      row += 1
    }
    attention_store_pairs(codes + slot / perLane * rowBytes, word)
    slot += perLane
  }
  return isUsable
}

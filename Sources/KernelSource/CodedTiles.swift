import CKernelShim
import KernelTable

// SAFETY: pointers from end to end, as in Tiles.swift; and one file for a tile and what it inlines, for the same reason.

/// How codes in 32-bit lanes meet signed factors of 8 or 16 bits, exactly, in one sum or two.
protocol CodedOperand {
  /// Bytes of the left factor for one stored row (a four or an eight).
  static var leftBytes: Int { get }
  /// Parts of a stored row, each of which takes one product.
  static var parts: Int { get }
  /// Whether odd parts go to a second sum.
  static var hasTwoSums: Bool { get }
  static func split(_ codes: Pairs, _ part: Int) -> Pairs
  static func multiply(_ sum: Integers, _ codes: Pairs, _ factors: Pairs) -> Integers
  static func join(_ first: Integers, _ second: Integers) -> Integers
}

#if KERNELS_AVX512BF16
/// int8: factors of 16 bits as two bytes, the sum of high bytes in the first, that of low ones in the second.
enum ByteOperand: CodedOperand {
  @inline(__always) static var leftBytes: Int { 8 }
  @inline(__always) static var parts: Int { 2 }
  @inline(__always) static var hasTwoSums: Bool { true }
  @inline(__always) static func split(_ codes: Pairs, _ part: Int) -> Pairs { codes }
  @inline(__always) static func multiply(
    _ sum: Integers, _ codes: Pairs, _ factors: Pairs
  ) -> Integers { attention_dot_codes(sum, codes, factors) }
  @inline(__always) static func join(_ first: Integers, _ second: Integers) -> Integers {
    attention_join_bytes(first, second)
  }
}

/// int4: factors of 8 bits, low halves in the first sum, high ones in the second.
enum NibbleOperand: CodedOperand {
  @inline(__always) static var leftBytes: Int { 8 }
  @inline(__always) static var parts: Int { 2 }
  @inline(__always) static var hasTwoSums: Bool { true }
  @inline(__always) static func split(_ codes: Pairs, _ part: Int) -> Pairs {
    part == 0 ? attention_low_nibbles(codes) : attention_high_nibbles(codes)
  }
  @inline(__always) static func multiply(
    _ sum: Integers, _ codes: Pairs, _ factors: Pairs
  ) -> Integers { attention_dot_codes(sum, codes, factors) }
  @inline(__always) static func join(_ first: Integers, _ second: Integers) -> Integers {
    attention_add_integers(first, second)
  }
}
#else
/// int8 without a dot product of bytes: even rows of a four, then odd ones, in 16 bits.
enum ByteOperand: CodedOperand {
  @inline(__always) static var leftBytes: Int { 8 }
  @inline(__always) static var parts: Int { 2 }
  @inline(__always) static var hasTwoSums: Bool { false }
  @inline(__always) static func split(_ codes: Pairs, _ part: Int) -> Pairs {
    attention_shifted_bytes(codes, part == 0 ? 0 : 8, 0x00ff_00ff)
  }
  @inline(__always) static func multiply(
    _ sum: Integers, _ codes: Pairs, _ factors: Pairs
  ) -> Integers { attention_add_integers(sum, attention_dot_halves(codes, factors)) }
  @inline(__always) static func join(_ first: Integers, _ second: Integers) -> Integers { first }
}

/// int4 likewise: even and odd rows of the first four of an eight, then of the second.
enum NibbleOperand: CodedOperand {
  @inline(__always) static var leftBytes: Int { 16 }
  @inline(__always) static var parts: Int { 4 }
  @inline(__always) static var hasTwoSums: Bool { false }
  @inline(__always) static func split(_ codes: Pairs, _ part: Int) -> Pairs {
    attention_shifted_bytes(codes, part == 0 ? 0 : part == 1 ? 8 : part == 2 ? 4 : 12, 0x000f_000f)
  }
  @inline(__always) static func multiply(
    _ sum: Integers, _ codes: Pairs, _ factors: Pairs
  ) -> Integers { attention_add_integers(sum, attention_dot_halves(codes, factors)) }
  @inline(__always) static func join(_ first: Integers, _ second: Integers) -> Integers { first }
}
#endif

/// At which stored rows of codes a tile asks for as much as it reads: at `few` of every `mask` + 1.
///
/// All tiles together ask at about three rows of every four, up to ten of them; more of the time is spent outside tiles, where others ask.
struct CodedAsks {
  var mask: Int
  var few: Int

  @inline(__always)
  init(tiles: Int) {
    mask = tiles == 1 ? 3 : tiles == 2 ? 7 : tiles <= 5 ? 15 : tiles <= 10 ? 31 : 63
    few = tiles == 3 ? 4 : 3
  }

  /// Those of the first so many rows.
  @inline(__always)
  func count(_ rows: Int) -> Int {
    let rest = rows & mask
    return rows / (mask + 1) * few + (rest < few ? rest : few)
  }
}

/// Asks for a part of a page to come (`codesAhead`): into L1, or into L2 where it is asked for once more (`nearOfCodes`).
///
/// Whoever is at work with codes asks: the scaling of queries, tiles, the softmax; line after line of the page, each in its turn.
@inline(__always)
func askCodes(_ at: Raw, _ bytes: Int, asksTwice: Bool) {
  if asksTwice {
    askFar(at, bytes)
  } else {
    askNear(at, bytes)
  }
}

/// Most rows of a tile over 32 columns of codes, so that the sums for each 16 of them fit the registers.
@inline(__always)
var largestCodedTile: Int {
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  return 6
  #elseif KERNELS_AVX2
  return 2
  #else
  return 1
  #endif
}

/// The largest factor that meets a code of this kind.
@inline(__always)
func largestFactor(_ code: PageCode) -> Float {
  #if KERNELS_AVX512BF16
  return code.isInt4 ? 127 : 32_639
  #else
  return 32_639
  #endif
}

/// Bytes of 16 factors.
@inline(__always)
func factorBytes(_ code: PageCode) -> Int {
  #if KERNELS_AVX512BF16
  return code.isInt4 ? 16 : 32
  #else
  return 32
  #endif
}

/// 16 factors in the order in which products take them.
@inline(__always)
func storeFactors(_ to: UnsafeMutableRawPointer, _ factors: Integers, _ code: PageCode) {
  #if KERNELS_AVX512BF16
  if code.isInt4 {
    attention_store_bytes(to, factors)
    return
  }
  #endif
  attention_store_factors(to, factors)
}

/// Rows of factors times the codes of a page's keys or values.
///
/// These come in stretches that have sums of their own: a panel of 32 keys, or a scale group of a panel of 32 columns of values.
/// Keys: result = rowScale·Σ + rowShift. Values: result += rowScale·(scale·Σ) + rowShift·zero, by column.
struct CodedProduct {
  var rows: Int
  var left: Raw
  var leftRowBytes: Int
  /// For each stretch `count` stored rows; behind those of values their scales and zeros in f16.
  var codes: Raw
  /// What is asked for meanwhile, line after line; where nothing is, lines that are here already.
  var asked: Raw
  var asks: CodedAsks
  /// How far a tile asks for its own lines too, which then come into L2 first; 0 if it does not.
  var near: Int
  var count: Int
  /// Bytes from the end of a stretch of keys to the next one.
  var gap: Int
  /// Both panels of keys count as one.
  var panelCount: Int
  /// In a panel.
  var stretchCount: Int
  /// Whether panels have 16 columns, as the last one of values may.
  var isNarrow = false
  /// From one stretch to the next: bytes of factors, and floats of scales and shifts.
  var leftStep: Int
  var scaleStep: Int
  var shiftStep: Int
  var rowScales: Floats
  var rowShifts: Floats
  var result: Floats
  var resultStride: Int
  var isValues: Bool

  /// Goes on to rows whose tile asks for its own lines no more.
  @inline(__always)
  mutating func skip(_ rows: Int) {
    left += leftRowBytes * rows
    rowScales += rows
    rowShifts += rows
    result += resultStride * rows
    near = 0
  }
}

/// How far a tile has come.
struct CodedPlace {
  var codes: Raw
  var asked: Raw
  /// Rows that have been read, one of scales and zeros like one of codes.
  var step = 0
  var left: Raw
  var scales: Floats
  var shifts: Floats
  var result: Floats

  @inline(__always)
  init(_ p: CodedProduct) {
    codes = p.codes
    asked = p.asked
    left = p.left
    scales = p.rowScales
    shifts = p.rowShifts
    result = p.result
  }

  @inline(__always)
  mutating func advance(_ p: CodedProduct) {
    codes += p.gap
    left += p.leftStep
    scales += p.scaleStep
    shifts += p.shiftStep
    if !p.isValues { result += 32 }
  }

  @inline(__always)
  mutating func beginPanel(_ p: CodedProduct) {
    left = p.left
    scales = p.rowScales
    shifts = p.rowShifts
    result += 32
  }
}

/// One part of a stored row; `rows` and `groups` are literal.
@inline(__always)
func codedPart<O: CodedOperand, let rows: Int>(
  _: O.Type, _ groups: Int, _ part: Int, _ sum0: inout InlineArray<rows, Integers>,
  _ sum1: inout InlineArray<rows, Integers>, _ right0: Pairs, _ right1: Pairs, _ left: Raw,
  _ leftRowBytes: Int
) {
  let codes0 = O.split(right0, part)
  let codes1 = groups > 1 ? O.split(right1, part) : codes0
  var row = 0
  while row < rows {
    let factors = attention_splat_pair(left + row * leftRowBytes + 4 * part)
    sum0[unchecked: row] = O.multiply(sum0[unchecked: row], codes0, factors)
    if groups > 1 { sum1[unchecked: row] = O.multiply(sum1[unchecked: row], codes1, factors) }
    row += 1
  }
}

/// The sums of a stretch, two for each group of 16 columns; `groups` and `asksTwice` are literal.
///
/// Keys and values pass through one loop: a processor that foresees what an instruction reads would have to learn anew on every
/// page if each had its own (measured: Documentation/Kernels.md).
@inline(__always)
func codedSums<O: CodedOperand, let rows: Int>(
  _ operand: O.Type, _ groups: Int, _ first0: inout InlineArray<rows, Integers>,
  _ first1: inout InlineArray<rows, Integers>, _ second0: inout InlineArray<rows, Integers>,
  _ second1: inout InlineArray<rows, Integers>, _ p: CodedProduct, _ place: inout CodedPlace,
  asksTwice: Bool
) {
  var left = place.left
  var right = place.codes
  var asked = place.asked
  var step = place.step
  let end = step + p.count
  while step < end {
    if asksTwice { askAhead(right, 0, 64 * groups, Ahead(near: p.near)) }
    if step & p.asks.mask < p.asks.few {
      askCodes(asked, 64 * groups, asksTwice: asksTwice)
      asked += 64 * groups
    }
    let right0 = attention_load_pairs(right)
    let right1 = groups > 1 ? attention_load_pairs(right + 64) : right0
    codedPart(operand, groups, 0, &first0, &first1, right0, right1, left, p.leftRowBytes)
    if O.hasTwoSums {
      codedPart(operand, groups, 1, &second0, &second1, right0, right1, left, p.leftRowBytes)
    } else {
      codedPart(operand, groups, 1, &first0, &first1, right0, right1, left, p.leftRowBytes)
    }
    if O.parts > 2 {
      codedPart(operand, groups, 2, &first0, &first1, right0, right1, left, p.leftRowBytes)
      codedPart(operand, groups, 3, &first0, &first1, right0, right1, left, p.leftRowBytes)
    }
    left += O.leftBytes
    right += 64 * groups
    step += 1
  }
  place.codes = right
  place.asked = asked
  place.step = step
}

/// Some rows times a stretch; `groups` and `asksTwice` are literal.
@inline(__always)
func codedTile<O: CodedOperand, let rows: Int>(
  _ operand: O.Type, _ shape: InlineArray<rows, UInt8>, _ groups: Int, _ p: CodedProduct,
  _ place: inout CodedPlace, asksTwice: Bool
) {
  var first0 = InlineArray<rows, Integers>(repeating: Integers())
  var first1 = InlineArray<rows, Integers>(repeating: Integers())
  var second0 = InlineArray<rows, Integers>(repeating: Integers())
  var second1 = InlineArray<rows, Integers>(repeating: Integers())
  codedSums(
    operand, groups, &first0, &first1, &second0, &second1, p, &place, asksTwice: asksTwice)
  if p.isValues {
    if asksTwice { askAhead(place.codes, 0, 64 * groups, Ahead(near: p.near)) }
    if place.step & p.asks.mask < p.asks.few {
      askCodes(place.asked, 64 * groups, asksTwice: asksTwice)
      place.asked += 64 * groups
    }
    place.step += 1
    let scale0 = attention_load_half(place.codes)
    let zero0 = attention_load_half(place.codes + 32 * groups)
    let scale1 = groups > 1 ? attention_load_half(place.codes + 32) : scale0
    let zero1 = groups > 1 ? attention_load_half(place.codes + 96) : zero0
    place.codes += 64 * groups
    var row = 0
    while row < rows {
      let scale = attention_splat(place.scales[row])
      let shift = attention_splat(place.shifts[row])
      let to = place.result + row * p.resultStride
      let sums0 = attention_from_integers(O.join(first0[unchecked: row], second0[unchecked: row]))
      attention_store(
        to,
        attention_fma(
          sums0, attention_multiply(scale, scale0),
          attention_fma(shift, zero0, attention_load(to))))
      if groups > 1 {
        let sums1 = attention_from_integers(
          O.join(first1[unchecked: row], second1[unchecked: row]))
        attention_store(
          to + 16,
          attention_fma(
            sums1, attention_multiply(scale, scale1),
            attention_fma(shift, zero1, attention_load(to + 16))))
      }
      row += 1
    }
    return
  }
  var row = 0
  while row < rows {
    let scale = attention_splat(place.scales[row])
    let shift = attention_splat(place.shifts[row])
    let to = place.result + row * p.resultStride
    let sums0 = attention_from_integers(O.join(first0[unchecked: row], second0[unchecked: row]))
    attention_store(to, attention_fma(sums0, scale, shift))
    let sums1 = attention_from_integers(O.join(first1[unchecked: row], second1[unchecked: row]))
    if groups > 1 { attention_store(to + 16, attention_fma(sums1, scale, shift)) }
    row += 1
  }
}

/// Some rows times all panels; `groups` and `asksTwice` are literal.
@inline(__always)
func codedPanels<O: CodedOperand, let rows: Int>(
  _ operand: O.Type, _ shape: InlineArray<rows, UInt8>, _ groups: Int, _ p: CodedProduct,
  asksTwice: Bool
) {
  var place = CodedPlace(p)
  var panel = 0
  while panel < p.panelCount {
    var stretch = 0
    while stretch < p.stretchCount {
      codedTile(operand, shape, groups, p, &place, asksTwice: asksTwice)
      place.advance(p)
      stretch += 1
    }
    place.beginPanel(p)
    panel += 1
  }
}

@inline(__always)
func codedRows<O: CodedOperand, let rows: Int>(
  _ operand: O.Type, _ shape: InlineArray<rows, UInt8>, _ p: CodedProduct
) {
  if p.near != 0 {
    codedPanels(operand, shape, 2, p, asksTwice: true)
  } else {
    codedPanels(operand, shape, 2, p, asksTwice: false)
  }
}

/// The last panel of values where it has 16 columns: a form that asks twice is not worth its size.
@inline(__always)
func codedNarrow<O: CodedOperand, let rows: Int>(
  _ operand: O.Type, _ shape: InlineArray<rows, UInt8>, _ p: CodedProduct
) {
  codedPanels(operand, shape, 1, p, asksTwice: false)
}

// One function for each code, width of a panel and number of rows, as in Tiles.swift. Not both widths in one: the compiler would
// leave the second apart, as a weak symbol.
@inline(never) func byteRows1(_ p: CodedProduct) {
  codedRows(ByteOperand.self, InlineArray<1, UInt8>(repeating: 0), p)
}
@inline(never) func byteNarrow1(_ p: CodedProduct) {
  codedNarrow(ByteOperand.self, InlineArray<1, UInt8>(repeating: 0), p)
}
@inline(never) func nibbleRows1(_ p: CodedProduct) {
  codedRows(NibbleOperand.self, InlineArray<1, UInt8>(repeating: 0), p)
}
@inline(never) func nibbleNarrow1(_ p: CodedProduct) {
  codedNarrow(NibbleOperand.self, InlineArray<1, UInt8>(repeating: 0), p)
}
#if !KERNELS_BASELINE
@inline(never) func byteRows2(_ p: CodedProduct) {
  codedRows(ByteOperand.self, InlineArray<2, UInt8>(repeating: 0), p)
}
@inline(never) func byteNarrow2(_ p: CodedProduct) {
  codedNarrow(ByteOperand.self, InlineArray<2, UInt8>(repeating: 0), p)
}
@inline(never) func nibbleRows2(_ p: CodedProduct) {
  codedRows(NibbleOperand.self, InlineArray<2, UInt8>(repeating: 0), p)
}
@inline(never) func nibbleNarrow2(_ p: CodedProduct) {
  codedNarrow(NibbleOperand.self, InlineArray<2, UInt8>(repeating: 0), p)
}
#endif
#if KERNELS_AVX512 || KERNELS_AVX512BF16
@inline(never) func byteRows3(_ p: CodedProduct) {
  codedRows(ByteOperand.self, InlineArray<3, UInt8>(repeating: 0), p)
}
@inline(never) func byteNarrow3(_ p: CodedProduct) {
  codedNarrow(ByteOperand.self, InlineArray<3, UInt8>(repeating: 0), p)
}
@inline(never) func nibbleRows3(_ p: CodedProduct) {
  codedRows(NibbleOperand.self, InlineArray<3, UInt8>(repeating: 0), p)
}
@inline(never) func nibbleNarrow3(_ p: CodedProduct) {
  codedNarrow(NibbleOperand.self, InlineArray<3, UInt8>(repeating: 0), p)
}
@inline(never) func byteRows4(_ p: CodedProduct) {
  codedRows(ByteOperand.self, InlineArray<4, UInt8>(repeating: 0), p)
}
@inline(never) func byteNarrow4(_ p: CodedProduct) {
  codedNarrow(ByteOperand.self, InlineArray<4, UInt8>(repeating: 0), p)
}
@inline(never) func nibbleRows4(_ p: CodedProduct) {
  codedRows(NibbleOperand.self, InlineArray<4, UInt8>(repeating: 0), p)
}
@inline(never) func nibbleNarrow4(_ p: CodedProduct) {
  codedNarrow(NibbleOperand.self, InlineArray<4, UInt8>(repeating: 0), p)
}
@inline(never) func byteRows5(_ p: CodedProduct) {
  codedRows(ByteOperand.self, InlineArray<5, UInt8>(repeating: 0), p)
}
@inline(never) func byteNarrow5(_ p: CodedProduct) {
  codedNarrow(ByteOperand.self, InlineArray<5, UInt8>(repeating: 0), p)
}
@inline(never) func nibbleRows5(_ p: CodedProduct) {
  codedRows(NibbleOperand.self, InlineArray<5, UInt8>(repeating: 0), p)
}
@inline(never) func nibbleNarrow5(_ p: CodedProduct) {
  codedNarrow(NibbleOperand.self, InlineArray<5, UInt8>(repeating: 0), p)
}
@inline(never) func byteRows6(_ p: CodedProduct) {
  codedRows(ByteOperand.self, InlineArray<6, UInt8>(repeating: 0), p)
}
@inline(never) func byteNarrow6(_ p: CodedProduct) {
  codedNarrow(ByteOperand.self, InlineArray<6, UInt8>(repeating: 0), p)
}
@inline(never) func nibbleRows6(_ p: CodedProduct) {
  codedRows(NibbleOperand.self, InlineArray<6, UInt8>(repeating: 0), p)
}
@inline(never) func nibbleNarrow6(_ p: CodedProduct) {
  codedNarrow(NibbleOperand.self, InlineArray<6, UInt8>(repeating: 0), p)
}
#endif

/// At most `largestCodedTile` rows.
@inline(never)
func multiplyCoded(_ p: CodedProduct, _ code: PageCode) {
  switch (code.isInt4, p.rows) {
  #if !KERNELS_BASELINE
  case (false, 2): p.isNarrow ? byteNarrow2(p) : byteRows2(p)
  case (true, 2): p.isNarrow ? nibbleNarrow2(p) : nibbleRows2(p)
  #endif
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  case (false, 3): p.isNarrow ? byteNarrow3(p) : byteRows3(p)
  case (true, 3): p.isNarrow ? nibbleNarrow3(p) : nibbleRows3(p)
  case (false, 4): p.isNarrow ? byteNarrow4(p) : byteRows4(p)
  case (true, 4): p.isNarrow ? nibbleNarrow4(p) : nibbleRows4(p)
  case (false, 5): p.isNarrow ? byteNarrow5(p) : byteRows5(p)
  case (true, 5): p.isNarrow ? nibbleNarrow5(p) : nibbleRows5(p)
  case (false, 6): p.isNarrow ? byteNarrow6(p) : byteRows6(p)
  case (true, 6): p.isNarrow ? nibbleNarrow6(p) : nibbleRows6(p)
  #endif
  case (false, _): p.isNarrow ? byteNarrow1(p) : byteRows1(p)
  case (true, _): p.isNarrow ? nibbleNarrow1(p) : nibbleRows1(p)
  }
}

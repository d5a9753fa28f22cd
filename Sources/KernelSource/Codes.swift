import CKernelShim
import KernelTable

// SAFETY: pointers from end to end; the linear layer has checked every shape, address and length.

typealias Integers = SIMD16<Int32>

// The properties of a format again: those of another module are calls here.

@inline(__always)
func codeBits(_ format: CodeFormat) -> Int {
  switch format {
  case .centeredNibbles, .nibbles: 4
  case .centeredBytes, .bytes: 8
  }
}

@inline(__always)
func hasMinimum(_ format: CodeFormat) -> Bool {
  switch format {
  case .nibbles, .bytes: true
  case .centeredNibbles, .centeredBytes: false
  }
}

@inline(__always)
func blockBytes(_ format: CodeFormat) -> Int {
  codeBits(format) * 128 + (hasMinimum(format) ? 128 : 64)
}

/// f32 rows → codes of 8 bits.
func quantizeRows(_ task: UnsafePointer<QuantizeTask>) {
  var memory = InlineArray<80, Float>(repeating: 0)
  withUnsafeMutablePointer(to: &memory) { quantizeBlocks(task, UnsafeMutableRawPointer($0)) }
}

/// All blocks of a task's rows, eight at a time; `memory` is that of `BlockScaling`.
@inline(never)
func quantizeBlocks(_ task: UnsafePointer<QuantizeTask>, _ memory: UnsafeMutableRawPointer) {
  let scaling = BlockScaling(memory)
  var next = BlockPlace(row: 0, at: 0)
  while next.row < task.pointee.rowCount {
    var place = next
    var count = 0
    while count < 8 && next.row < task.pointee.rowCount {
      let from = task.pointee.source + next.row * task.pointee.sourceStride + next.at
      scaling.largest[2 * count] = attention_largest_magnitude(attention_load(from))
      scaling.largest[2 * count + 1] = attention_largest_magnitude(attention_load(from + 16))
      next.advance(task.pointee.width)
      count += 1
    }
    scaleBlocks(scaling)
    var block = 0
    while block < count {
      quantizeBlock(
        task.pointee.source + place.row * task.pointee.sourceStride + place.at, scaling, block,
        task.pointee.target + place.row * task.pointee.targetRowBytes + place.at / 32 * 48)
      place.advance(task.pointee.width)
      block += 1
    }
  }
}

/// Where a block of 32 numbers begins.
struct BlockPlace {
  var row: Int
  var at: Int

  @inline(__always)
  mutating func advance(_ width: Int) {
    at += 32
    if at >= width {
      at = 0
      row += 1
    }
  }
}

/// How the halves of up to eight blocks become codes; a block's two halves are neighbours.
struct BlockScaling {
  /// The largest magnitude of each half.
  var largest: Floats
  /// What numbers are multiplied with.
  var factors: Floats
  /// A half's step in terms of its block's: 2^−h.
  var parts: Floats
  /// How a half's sum of codes becomes a number, in 32 bits (`QuantizeTask`).
  var joins: UnsafeMutableRawPointer
  /// The block's step, twice.
  var steps: Floats

  /// In 320 bytes.
  @inline(__always)
  init(_ memory: UnsafeMutableRawPointer) {
    largest = memory.assumingMemoryBound(to: Float.self)
    factors = largest + 16
    parts = largest + 32
    joins = UnsafeMutableRawPointer(largest + 48)
    steps = largest + 64
  }
}

/// Finds the scaling of blocks from the largest magnitudes of their halves.
///
/// The step is 1/127 of the largest magnitude; the half that has a smaller one halves it as often as its codes still reach no
/// further than 127, at most 7 times. A block of magnitudes whose inverse might overflow counts as one of zeros.
@inline(__always)
func scaleBlocks(_ scaling: BlockScaling) {
  // By their bits, so that a NaN is larger than any number.
  let own = attention_load_pairs(scaling.largest)
  let largest = attention_larger_of_neighbours(own)
  let halvings = attention_halvings(own, largest)
  let numbers = attention_from_bits(largest)
  let small = attention_subtract(numbers, attention_splat(0x1p-100))
  let inverse = attention_select_negative(
    small, Vector(), attention_divide(attention_splat(127), numbers))
  let step = attention_select_negative(
    small, Vector(), attention_multiply(numbers, attention_splat(1 / 127)))
  let part = attention_halved(attention_splat(1), halvings)
  attention_store(scaling.factors, attention_divide(inverse, part))
  attention_store(scaling.parts, part)
  attention_store_pairs(scaling.joins, attention_code_joins(halvings))
  attention_store(scaling.steps, step)
}

/// 32 numbers → a block as `QuantizeTask` describes it.
@inline(__always)
func quantizeBlock(
  _ from: UnsafePointer<Float>, _ scaling: BlockScaling, _ block: Int,
  _ to: UnsafeMutableRawPointer
) {
  let magic = attention_splat(0x1.8p23)
  let first = attention_add(
    attention_multiply(attention_load(from), attention_splat_at(scaling.factors + 2 * block)),
    magic)
  let second = attention_add(
    attention_multiply(
      attention_load(from + 16), attention_splat_at(scaling.factors + 2 * block + 1)),
    magic)
  // The low byte of each is that of the nearest integer.
  attention_store_bytes(to, attention_as_integers(first))
  attention_store_bytes(to + 16, attention_as_integers(second))
  (to + 32).copyMemory(from: scaling.joins + 8 * block, byteCount: 8)
  let step = scaling.steps[2 * block]
  to.storeBytes(of: step * attention_join_unit(), toByteOffset: 40, as: Float.self)
  // Exact: multiples of 2^−7 below 2^12.
  let sum = attention_sum(
    attention_fma(
      attention_subtract(second, magic), attention_splat_at(scaling.parts + 2 * block + 1),
      attention_multiply(
        attention_subtract(first, magic), attention_splat_at(scaling.parts + 2 * block))))
  to.storeBytes(of: step * sum, toByteOffset: 44, as: Float.self)
}

/// Codes and factors → one panel.
func packCodes(_ task: UnsafePointer<PackCodesTask>) {
  let format = task.pointee.format
  let blockCount = task.pointee.blockCount
  var output = 0
  while output < 32 {
    let isLive = output < task.pointee.outputCount
    var block = 0
    while block < blockCount {
      let to = task.pointee.panel + block * blockBytes(format)
      let group = to + output / 16 * (codeBits(format) * 64) + output % 16 * 4
      let from = task.pointee.codes + (isLive ? (output * blockCount + block) * 32 : 0)
      var input = 0
      while input < codeBits(format) * 4 {
        let low = isLive ? from[input] : 0
        let high = isLive && codeBits(format) == 4 ? from[input + 16] : 0
        group.storeBytes(
          of: low | high &<< 4, toByteOffset: input / 4 * 64 + input % 4, as: UInt8.self)
        input += 1
      }
      let factors = (to + codeBits(format) * 128).assumingMemoryBound(to: UInt16.self) + output
      let at = output * blockCount + block
      factors[0] = isLive ? task.pointee.scales[at] : 0
      if hasMinimum(format) { factors[32] = isLive ? task.pointee.minima[at] : 0 }
      block += 1
    }
    output += 1
  }
}

/// Quantised rows × panels of codes: `CodeTask`.
///
/// One row reads the panels as they are. For more, a panel's codes and factors are widened once and stay in the cache.
func multiplyCodes(_ task: UnsafePointer<CodeTask>) {
  let format = task.pointee.format
  let rowCount = task.pointee.rowCount
  let panelBytes = task.pointee.blockCount * blockBytes(format)
  let tileCount = (rowCount + largestCodeTile - 1) / largestCodeTile
  let tileRows = tileCount == 0 ? 0 : (rowCount + tileCount - 1) / tileCount
  var sums = InlineArray<128, Float>(repeating: 0)
  withUnsafeMutablePointer(to: &sums) { pointer in
    let block = UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: Float.self)
    var panel = 0
    while panel < task.pointee.panelCount {
      let codes = task.pointee.panels + panel * panelBytes
      let live = min(32, task.pointee.outputWidth - 32 * panel)
      if rowCount > 1 {
        widenPanel(codes, format, task.pointee.blockCount, task.pointee.scratch)
      }
      var row = 0
      while row < rowCount {
        let rows = min(tileRows, rowCount - row)
        let left = task.pointee.rows + row * task.pointee.rowBytes
        let output = task.pointee.output + row * task.pointee.outputStride + 32 * panel
        let isWhole = live == 32
        let product = CodeProduct(
          rows: rows, left: left, leftRowBytes: task.pointee.rowBytes,
          panel: rowCount > 1 ? Raw(task.pointee.scratch) : codes,
          blockCount: task.pointee.blockCount, result: isWhole ? output : block,
          resultStride: isWhole ? task.pointee.outputStride : 32,
          adds: isWhole && task.pointee.accumulates)
        if rowCount > 1 {
          multiplyWide(product, format)
        } else {
          multiplyNarrow(product, format)
        }
        if !isWhole {
          copyBlock(
            block, 32, rows, live, output, task.pointee.outputStride, task.pointee.accumulates)
        }
        row += rows
      }
      panel += 1
    }
  }
}

/// Most rows of a tile over codes.
@inline(__always)
var largestCodeTile: Int {
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  return 4
  #else
  return 2
  #endif
}

/// A few quantised rows times one panel.
struct CodeProduct {
  var rows: Int
  var left: Raw
  var leftRowBytes: Int
  var panel: Raw
  var blockCount: Int
  var result: Floats
  var resultStride: Int
  /// Adds to what the result holds.
  var adds: Bool
}

/// The sums of 16 outputs → where they belong.
@inline(__always)
func storeSums(_ sums: Vector, _ to: Floats, adds: Bool) {
  attention_store(to, adds ? attention_add(attention_load(to), sums) : sums)
}

/// Codes → 8 bits, factors → f32; a block becomes `[codes][scales][minima]`.
func widenPanel(
  _ panel: Raw, _ format: CodeFormat, _ blockCount: Int, _ wide: UnsafeMutableRawPointer
) {
  var block = 0
  while block < blockCount {
    let from = panel + block * blockBytes(format)
    let to = wide + block * 1280
    if codeBits(format) == 8 {
      var at = 0
      while at < 1024 {
        attention_store_pairs(to + at, attention_load_pairs(from + at))
        at += 64
      }
    } else {
      var at = 0
      while at < 256 {
        let first = attention_load_pairs(from + at)
        attention_store_pairs(to + at, attention_low_nibbles(first))
        attention_store_pairs(to + at + 256, attention_high_nibbles(first))
        let second = attention_load_pairs(from + at + 256)
        attention_store_pairs(to + at + 512, attention_low_nibbles(second))
        attention_store_pairs(to + at + 768, attention_high_nibbles(second))
        at += 64
      }
    }
    let factors = from + codeBits(format) * 128
    var group = 0
    while group < 2 {
      let scales = attention_load_half(factors + 32 * group)
      attention_store(to + 1024 + 64 * group, scales)
      attention_store(
        to + 1152 + 64 * group,
        hasMinimum(format)
          ? attention_load_half(factors + 64 + 32 * group)
          : attention_multiply(scales, attention_splat(codeBits(format) == 8 ? -128 : -8)))
      group += 1
    }
    block += 1
  }
}

/// How codes of a weight meet those of a row: exactly, in a sum for each half of a block.
protocol CodeArithmetic {
  /// What a half's sum begins with; `join` is what the row says of the half (`BlockScaling.joins`).
  static func begin(_ join: Raw) -> Integers
  /// sum + four products.
  static func multiply(_ sum: Integers, _ codes: Pairs, _ factors: Pairs) -> Integers
  /// Both halves' sums, in units of the step that the row says.
  static func join(_ first: Integers, _ second: Integers, _ joins: Raw) -> Vector
}

#if KERNELS_AVX2 || KERNELS_AVX512
/// In 16 bits, which four products of pairs of codes in 4 bits fit.
enum NibbleArithmetic: CodeArithmetic {
  @inline(__always) static func begin(_ join: Raw) -> Integers { Integers() }
  @inline(__always) static func multiply(
    _ sum: Integers, _ codes: Pairs, _ factors: Pairs
  ) -> Integers { attention_settle(attention_dot_nibbles(sum, codes, factors)) }
  @inline(__always) static func join(
    _ first: Integers, _ second: Integers, _ joins: Raw
  ) -> Vector {
    attention_from_integers(
      attention_add_integers(
        attention_weigh_halves(first, attention_splat_pair(joins)),
        attention_weigh_halves(second, attention_splat_pair(joins + 4))))
  }
}

/// In 32 bits.
enum ByteArithmetic: CodeArithmetic {
  @inline(__always) static func begin(_ join: Raw) -> Integers { Integers() }
  @inline(__always) static func multiply(
    _ sum: Integers, _ codes: Pairs, _ factors: Pairs
  ) -> Integers { attention_settle(attention_dot_codes(sum, codes, factors)) }
  @inline(__always) static func join(
    _ first: Integers, _ second: Integers, _ joins: Raw
  ) -> Vector {
    attention_fma(
      attention_from_integers(first), attention_weight_of_half(joins),
      attention_multiply(
        attention_from_integers(second), attention_weight_of_half(joins + 4)))
  }
}
#else
/// In 32 bits, from what makes sums numbers by a subtraction.
enum ByteArithmetic: CodeArithmetic {
  @inline(__always) static func begin(_ join: Raw) -> Integers { attention_splat_integer_at(join) }
  @inline(__always) static func multiply(
    _ sum: Integers, _ codes: Pairs, _ factors: Pairs
  ) -> Integers { attention_dot_codes(sum, codes, factors) }
  @inline(__always) static func join(
    _ first: Integers, _ second: Integers, _ joins: Raw
  ) -> Vector {
    attention_add(
      attention_subtract(attention_as_floats(first), attention_splat_at(joins)),
      attention_subtract(attention_as_floats(second), attention_splat_at(joins + 4)))
  }
}

typealias NibbleArithmetic = ByteArithmetic
#endif

/// sum + the block's share: (first + second) · step · scale + (sum of the row's numbers) · minimum.
@inline(__always)
func addBlock<A: CodeArithmetic>(
  _: A.Type, _ sum: Vector, _ first: Integers, _ second: Integers, _ row: Raw, _ scale: Vector,
  _ minimum: Vector
) -> Vector {
  let numbers = attention_multiply(
    A.join(first, second, row + 32), attention_splat_at(row + 40))
  return attention_fma(numbers, scale, attention_fma(attention_splat_at(row + 44), minimum, sum))
}

/// sums[row] ← what each row's sums of a half begin with.
@inline(__always)
func begin<A: CodeArithmetic, let rows: Int>(
  _: A.Type, _ sums0: inout InlineArray<rows, Integers>, _ sums1: inout InlineArray<rows, Integers>,
  _ join: Raw, _ leftRowBytes: Int
) {
  var row = 0
  while row < rows {
    let own = A.begin(join + row * leftRowBytes)
    sums0[unchecked: row] = own
    sums1[unchecked: row] = own
    row += 1
  }
}

/// sums[row] += codes of 4 inputs × each row's, for two groups of 16 outputs.
@inline(__always)
func dotStep<A: CodeArithmetic, let rows: Int>(
  _: A.Type, _ sums0: inout InlineArray<rows, Integers>, _ sums1: inout InlineArray<rows, Integers>,
  _ codes: Raw, _ left: Raw, _ leftRowBytes: Int
) {
  let codes0 = attention_load_pairs(codes)
  let codes1 = attention_load_pairs(codes + 512)
  var row = 0
  while row < rows {
    let factors = attention_splat_pair(left + row * leftRowBytes)
    sums0[unchecked: row] = A.multiply(sums0[unchecked: row], codes0, factors)
    sums1[unchecked: row] = A.multiply(sums1[unchecked: row], codes1, factors)
    row += 1
  }
}

/// Some rows times a widened panel.
///
/// Steps stand one by one: a loop would be kept, and its sums in memory.
@inline(__always)
func wideTile<A: CodeArithmetic, let rows: Int>(
  _ a: A.Type, _ shape: InlineArray<rows, UInt8>, _ p: CodeProduct
) {
  var sum0 = InlineArray<rows, Vector>(repeating: Vector())
  var sum1 = InlineArray<rows, Vector>(repeating: Vector())
  let stride = p.leftRowBytes
  var left = p.left
  var panel = p.panel
  var block = 0
  while block < p.blockCount {
    var first0 = InlineArray<rows, Integers>(repeating: Integers())
    var first1 = InlineArray<rows, Integers>(repeating: Integers())
    begin(a, &first0, &first1, left + 32, stride)
    dotStep(a, &first0, &first1, panel, left, stride)
    dotStep(a, &first0, &first1, panel + 64, left + 4, stride)
    dotStep(a, &first0, &first1, panel + 128, left + 8, stride)
    dotStep(a, &first0, &first1, panel + 192, left + 12, stride)
    var second0 = InlineArray<rows, Integers>(repeating: Integers())
    var second1 = InlineArray<rows, Integers>(repeating: Integers())
    begin(a, &second0, &second1, left + 36, stride)
    dotStep(a, &second0, &second1, panel + 256, left + 16, stride)
    dotStep(a, &second0, &second1, panel + 320, left + 20, stride)
    dotStep(a, &second0, &second1, panel + 384, left + 24, stride)
    dotStep(a, &second0, &second1, panel + 448, left + 28, stride)
    var row = 0
    while row < rows {
      let factors = left + row * stride
      sum0[unchecked: row] = addBlock(
        a, sum0[unchecked: row], first0[unchecked: row], second0[unchecked: row], factors,
        attention_load(panel + 1024), attention_load(panel + 1152))
      sum1[unchecked: row] = addBlock(
        a, sum1[unchecked: row], first1[unchecked: row], second1[unchecked: row], factors,
        attention_load(panel + 1088), attention_load(panel + 1216))
      row += 1
    }
    left += 48
    panel += 1280
    block += 1
  }
  var row = 0
  while row < rows {
    storeSums(sum0[unchecked: row], p.result + row * p.resultStride, adds: p.adds)
    storeSums(sum1[unchecked: row], p.result + row * p.resultStride + 16, adds: p.adds)
    row += 1
  }
}

@inline(never) func wideRows1(_ p: CodeProduct) {
  wideTile(ByteArithmetic.self, InlineArray<1, UInt8>(repeating: 0), p)
}
@inline(never) func wideRows2(_ p: CodeProduct) {
  wideTile(ByteArithmetic.self, InlineArray<2, UInt8>(repeating: 0), p)
}
#if KERNELS_AVX512 || KERNELS_AVX512BF16
@inline(never) func wideRows3(_ p: CodeProduct) {
  wideTile(ByteArithmetic.self, InlineArray<3, UInt8>(repeating: 0), p)
}
@inline(never) func wideRows4(_ p: CodeProduct) {
  wideTile(ByteArithmetic.self, InlineArray<4, UInt8>(repeating: 0), p)
}
#endif
#if KERNELS_AVX2 || KERNELS_AVX512
@inline(never) func wideNibbles1(_ p: CodeProduct) {
  wideTile(NibbleArithmetic.self, InlineArray<1, UInt8>(repeating: 0), p)
}
@inline(never) func wideNibbles2(_ p: CodeProduct) {
  wideTile(NibbleArithmetic.self, InlineArray<2, UInt8>(repeating: 0), p)
}
#endif
#if KERNELS_AVX512
@inline(never) func wideNibbles3(_ p: CodeProduct) {
  wideTile(NibbleArithmetic.self, InlineArray<3, UInt8>(repeating: 0), p)
}
@inline(never) func wideNibbles4(_ p: CodeProduct) {
  wideTile(NibbleArithmetic.self, InlineArray<4, UInt8>(repeating: 0), p)
}
#endif

@inline(__always)
func multiplyWide(_ p: CodeProduct, _ format: CodeFormat) {
  #if KERNELS_AVX2 || KERNELS_AVX512
  if codeBits(format) == 4 {
    switch p.rows {
    case 1: wideNibbles1(p)
    #if KERNELS_AVX512
    case 3: wideNibbles3(p)
    case 4: wideNibbles4(p)
    #endif
    default: wideNibbles2(p)
    }
    return
  }
  #endif
  switch p.rows {
  case 1: wideRows1(p)
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  case 3: wideRows3(p)
  case 4: wideRows4(p)
  #endif
  default: wideRows2(p)
  }
}

/// Bytes between what one row multiplies and what it asks for.
@inline(__always) var codePrefetchDistance: Int { 4096 }

/// One row times a panel as it lies in memory; `format` is literal.
@inline(__always)
func narrowTile<A: CodeArithmetic>(_ a: A.Type, _ format: CodeFormat, _ p: CodeProduct) {
  var sum = InlineArray<2, Vector>(repeating: Vector())
  var left = p.left
  var panel = p.panel
  var block = 0
  while block < p.blockCount {
    var line = 0
    while line < blockBytes(format) {
      attention_prefetch(panel + codePrefetchDistance + line)
      line += 64
    }
    var group = 0
    while group < 2 {
      var first = A.begin(left + 32)
      var second = A.begin(left + 36)
      let codes = panel + codeBits(format) * 64 * group
      var step = 0
      while step < 4 {
        let low: Pairs
        let high: Pairs
        if codeBits(format) == 8 {
          low = attention_load_pairs(codes + 64 * step)
          high = attention_load_pairs(codes + 64 * step + 256)
        } else {
          let both = attention_load_pairs(codes + 64 * step)
          low = attention_low_nibbles(both)
          high = attention_high_nibbles(both)
        }
        first = A.multiply(first, low, attention_splat_pair(left + 4 * step))
        second = A.multiply(second, high, attention_splat_pair(left + 16 + 4 * step))
        step += 1
      }
      let factors = panel + codeBits(format) * 128 + 32 * group
      let scale = attention_load_half(factors)
      let minimum =
        hasMinimum(format)
        ? attention_load_half(factors + 64)
        : attention_multiply(scale, attention_splat(codeBits(format) == 8 ? -128 : -8))
      sum[unchecked: group] = addBlock(
        a, sum[unchecked: group], first, second, left, scale, minimum)
      group += 1
    }
    left += 48
    panel += blockBytes(format)
    block += 1
  }
  storeSums(sum[unchecked: 0], p.result, adds: p.adds)
  storeSums(sum[unchecked: 1], p.result + 16, adds: p.adds)
}

@inline(never) func narrowCenteredNibbles(_ p: CodeProduct) {
  narrowTile(NibbleArithmetic.self, .centeredNibbles, p)
}
@inline(never) func narrowNibbles(_ p: CodeProduct) {
  narrowTile(NibbleArithmetic.self, .nibbles, p)
}
@inline(never) func narrowCenteredBytes(_ p: CodeProduct) {
  narrowTile(ByteArithmetic.self, .centeredBytes, p)
}
@inline(never) func narrowBytes(_ p: CodeProduct) {
  narrowTile(ByteArithmetic.self, .bytes, p)
}

@inline(__always)
func multiplyNarrow(_ p: CodeProduct, _ format: CodeFormat) {
  switch format {
  case .centeredNibbles: narrowCenteredNibbles(p)
  case .nibbles: narrowNibbles(p)
  case .centeredBytes: narrowCenteredBytes(p)
  case .bytes: narrowBytes(p)
  }
}

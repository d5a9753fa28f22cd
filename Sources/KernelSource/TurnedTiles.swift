import CKernelShim
import KernelTable

// SAFETY: pointers from end to end, as in Tiles.swift.

#if KERNELS_AVX512 || KERNELS_AVX512BF16
/// How the members of a rotary pair are read from stored keys, sixteen slots at a time.
protocol PairedKeys {
  /// Bytes from one pair to the next.
  static var pairBytes: Int { get }
  /// Bytes of both members of a pair.
  static var readBytes: Int { get }
  /// `toSecond`: from a first member to its second one, where they do not share lanes.
  static func members(_ pair: Raw, _ toSecond: Int, _ slot: Int) -> (Vector, Vector)
}

enum Float32Keys: PairedKeys {
  @inline(__always) static var pairBytes: Int { 256 }
  @inline(__always) static var readBytes: Int { 512 }
  @inline(__always) static func members(
    _ pair: Raw, _ toSecond: Int, _ slot: Int
  ) -> (Vector, Vector) {
    (attention_load(pair + 4 * slot), attention_load(pair + toSecond + 4 * slot))
  }
}

enum Float16Keys: PairedKeys {
  @inline(__always) static var pairBytes: Int { 128 }
  @inline(__always) static var readBytes: Int { 256 }
  @inline(__always) static func members(
    _ pair: Raw, _ toSecond: Int, _ slot: Int
  ) -> (Vector, Vector) {
    (attention_load_half(pair + 2 * slot), attention_load_half(pair + toSecond + 2 * slot))
  }
}

enum BFloat16Keys: PairedKeys {
  @inline(__always) static var pairBytes: Int { 256 }
  @inline(__always) static var readBytes: Int { 256 }
  @inline(__always) static func members(
    _ pair: Raw, _ toSecond: Int, _ slot: Int
  ) -> (Vector, Vector) {
    let both = attention_load_pairs(pair + 4 * slot)
    return (attention_first_of_pairs(both), attention_second_of_pairs(both))
  }
}

/// Query rows, in f32 and in pairs, times the keys of a page that are still to be turned.
struct TurnedProduct {
  var rows: Int
  var left: Raw
  var leftRowBytes: Int
  var keys: Raw
  var pairs: Int
  /// `[pair][cos: 64 | sin: 64]`.
  var turns: UnsafePointer<Float>
  /// `[row][64]`.
  var result: Floats
  var ahead: Ahead
}

/// scores = rows × turned keys, pair by pair, each first member before its second; `rows` is literal.
///
/// A turned key lives in registers only. The turn is that of `turnKeys`, bit for bit.
@inline(__always)
func turnedTile<K: PairedKeys>(_: K.Type, _ rows: Int, _ p: TurnedProduct) {
  let zero = Vector()
  // Not `repeating:`, of which a weak function might be left.
  var sum: InlineArray<24, Vector> = [
    zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero,
    zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero,
  ]
  var keys = p.keys
  var turns = p.turns
  var left = p.left
  let toSecond = p.pairs * K.pairBytes
  var asked = p.keys
  var pair = 0
  while pair < p.pairs {
    askAheadOfTurn(asked, K.readBytes, p.ahead)
    var group = 0
    while group < 4 {
      let (first, second) = K.members(keys, toSecond, 16 * group)
      let c = attention_load(turns + 16 * group)
      let s = attention_load(turns + 64 + 16 * group)
      let u = attention_subtract(attention_multiply(first, c), attention_multiply(second, s))
      let v = attention_fma(second, c, attention_multiply(first, s))
      var row = 0
      while row < rows {
        let at = left + row * p.leftRowBytes
        let index = 4 * row + group
        sum[unchecked: index] = attention_fma(
          attention_splat(at.loadUnaligned(as: Float.self)), u, sum[unchecked: index])
        sum[unchecked: index] = attention_fma(
          attention_splat((at + 4).loadUnaligned(as: Float.self)), v, sum[unchecked: index])
        row += 1
      }
      group += 1
    }
    keys += K.pairBytes
    turns += 128
    left += 8
    asked += K.readBytes
    pair += 1
  }
  storeSums(sum, rows, 4, p.result, 64)
}

// One function for each element and number of rows, as in Tiles.swift.
@inline(never) func turnedFloat32Rows1(_ p: TurnedProduct) {
  turnedTile(Float32Keys.self, 1, p)
}
@inline(never) func turnedFloat16Rows1(_ p: TurnedProduct) {
  turnedTile(Float16Keys.self, 1, p)
}
@inline(never) func turnedBFloat16Rows1(_ p: TurnedProduct) {
  turnedTile(BFloat16Keys.self, 1, p)
}
@inline(never) func turnedFloat32Rows2(_ p: TurnedProduct) {
  turnedTile(Float32Keys.self, 2, p)
}
@inline(never) func turnedFloat16Rows2(_ p: TurnedProduct) {
  turnedTile(Float16Keys.self, 2, p)
}
@inline(never) func turnedBFloat16Rows2(_ p: TurnedProduct) {
  turnedTile(BFloat16Keys.self, 2, p)
}
@inline(never) func turnedFloat32Rows3(_ p: TurnedProduct) {
  turnedTile(Float32Keys.self, 3, p)
}
@inline(never) func turnedFloat16Rows3(_ p: TurnedProduct) {
  turnedTile(Float16Keys.self, 3, p)
}
@inline(never) func turnedBFloat16Rows3(_ p: TurnedProduct) {
  turnedTile(BFloat16Keys.self, 3, p)
}
@inline(never) func turnedFloat32Rows4(_ p: TurnedProduct) {
  turnedTile(Float32Keys.self, 4, p)
}
@inline(never) func turnedFloat16Rows4(_ p: TurnedProduct) {
  turnedTile(Float16Keys.self, 4, p)
}
@inline(never) func turnedBFloat16Rows4(_ p: TurnedProduct) {
  turnedTile(BFloat16Keys.self, 4, p)
}
@inline(never) func turnedFloat32Rows5(_ p: TurnedProduct) {
  turnedTile(Float32Keys.self, 5, p)
}
@inline(never) func turnedFloat16Rows5(_ p: TurnedProduct) {
  turnedTile(Float16Keys.self, 5, p)
}
@inline(never) func turnedBFloat16Rows5(_ p: TurnedProduct) {
  turnedTile(BFloat16Keys.self, 5, p)
}
@inline(never) func turnedFloat32Rows6(_ p: TurnedProduct) {
  turnedTile(Float32Keys.self, 6, p)
}
@inline(never) func turnedFloat16Rows6(_ p: TurnedProduct) {
  turnedTile(Float16Keys.self, 6, p)
}
@inline(never) func turnedBFloat16Rows6(_ p: TurnedProduct) {
  turnedTile(BFloat16Keys.self, 6, p)
}

/// At most `largestTile` rows.
@inline(never)
func multiplyTurned(_ p: TurnedProduct, _ element: StoredElement) {
  switch (element, p.rows) {
  case (.float32, 1): turnedFloat32Rows1(p)
  case (.float32, 2): turnedFloat32Rows2(p)
  case (.float32, 3): turnedFloat32Rows3(p)
  case (.float32, 4): turnedFloat32Rows4(p)
  case (.float32, 5): turnedFloat32Rows5(p)
  case (.float16, 1): turnedFloat16Rows1(p)
  case (.float16, 2): turnedFloat16Rows2(p)
  case (.float16, 3): turnedFloat16Rows3(p)
  case (.float16, 4): turnedFloat16Rows4(p)
  case (.float16, 5): turnedFloat16Rows5(p)
  case (.bfloat16, 1): turnedBFloat16Rows1(p)
  case (.bfloat16, 2): turnedBFloat16Rows2(p)
  case (.bfloat16, 3): turnedBFloat16Rows3(p)
  case (.bfloat16, 4): turnedBFloat16Rows4(p)
  case (.bfloat16, 5): turnedBFloat16Rows5(p)
  case (.float32, _): turnedFloat32Rows6(p)
  case (.float16, _): turnedFloat16Rows6(p)
  case (.bfloat16, _): turnedBFloat16Rows6(p)
  }
}
#endif

/// Most rows whose tile turns keys in its registers; more of them share keys that are turned once, in the scratch.
@inline(__always)
var mostTurningRows: Int {
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  return largestTile
  #else
  return 0
  #endif
}

/// scores = queries × the keys of a page that are still to be turned, then the channels that do not turn.
@inline(__always)
func computeTurnedScores(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ page: PageView, _ firstRow: Int,
  _ rows: Int, _ turns: UnsafePointer<Float>
) {
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  let pairs = task.pointee.pairs
  let left = Raw(scratch.queries) + firstRow * scratch.queryRowBytes
  multiplyTurned(
    TurnedProduct(
      rows: rows, left: left, leftRowBytes: scratch.queryRowBytes, keys: page.keys, pairs: pairs,
      turns: turns, result: scratch.scores, ahead: page.ahead),
    page.keyElement)
  let isPaired = page.keyElement.isBFloat16
  let done = isPaired ? pairs : 2 * pairs
  if done < page.keyRows {
    multiply(
      Product(
        rows: rows, left: left + 8 * pairs, leftRowBytes: scratch.queryRowBytes,
        right: page.keys + done * page.keyRowBytes, rightRowBytes: page.keyRowBytes,
        count: page.keyRows - done, groupCount: 4, result: scratch.scores, resultStride: 64,
        streams: page.streams,
        ahead: page.ahead.next == 0 ? Ahead(near: page.ahead.near) : Ahead(), dotsPairs: false),
      page.keyElement, adds: true)
  }
  #endif
}

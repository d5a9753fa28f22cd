import CKernelShim
import KernelTable

// SAFETY: pointers from end to end, as in Tiles.swift.

#if KERNELS_AVX512 || KERNELS_AVX512BF16
/// result (+)= left × right over 64 columns and a multiple of four stored rows: most tiles of a prefill, of linear layers and of forks.
///
/// What `tile` does, bit for bit, with nothing but this in its function: where variants share one, what they all need lies in registers and on
/// the stack before the first product of each call (measured: Documentation/Kernels.md). `rows` and `stepsPerAsk` are literal: of how
/// many stored rows one asks for as much as it reads, `ahead.near` bytes behind; 0 where none does.
///
/// Meanwhile the probabilities of the rows that are `due` are computed, a row after each part of the loop (see `attendOverlapped`);
/// `rounds`: whether to bf16.
@inline(__always)
func fullTile<O: Operand>(
  _ operand: O.Type, _ rows: Int, stepsPerAsk: Int, _ p: Product, _ adds: Bool,
  _ due: UnsafePointer<DueRows>? = nil, rounds: Bool = false
) {
  let zero = Vector()
  // Not `repeating:`, which would be a call.
  var sum: InlineArray<24, Vector> = [
    zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero,
    zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero,
  ]
  if adds { loadSums(&sum, rows, 4, p.result, p.resultStride) }
  var left = p.left
  var later = left + 3 * p.leftRowBytes
  var right = p.right
  var asked = right + p.ahead.near
  // Several products at a time: the end of a loop that turns fewer times is foreseen.
  let together = max(stepsPerAsk, 2)
  var remaining = p.count / together
  let part = remaining / largestTile
  var weighed = 0
  while true {
    var turns = remaining
    if let due, weighed < due.pointee.rows { turns = part }
    remaining -= turns
    while turns > 0 {
      if stepsPerAsk > 0 { askNear(asked, 4 * O.groupBytes) }
      fullStep(operand, rows, 0, &sum, left, later, p.leftRowBytes, right)
      if stepsPerAsk == 1 { askNear(asked + 4 * O.groupBytes, 4 * O.groupBytes) }
      fullStep(operand, rows, 1, &sum, left, later, p.leftRowBytes, right)
      if together > 2 {
        fullStep(operand, rows, 2, &sum, left, later, p.leftRowBytes, right)
        fullStep(operand, rows, 3, &sum, left, later, p.leftRowBytes, right)
      }
      left += together * O.leftBytes
      later += together * O.leftBytes
      right += together * 4 * O.groupBytes
      if stepsPerAsk > 0 { asked += together / stepsPerAsk * 4 * O.groupBytes }
      turns -= 1
    }
    guard let due, weighed < due.pointee.rows else { break }
    weighRow(due.pointee, weighed, rounds: rounds)
    weighed += 1
  }
  storeSums(sum, rows, 4, p.result, p.resultStride)
}

/// The stored row `step` of those from `right` on.
///
/// Rows of the left factor from two addresses: from one the loop is 1 to 2 % slower, though in both the compiler adds one stride after the
/// other (Documentation/Kernels.md).
@inline(__always)
func fullStep<O: Operand>(
  _: O.Type, _ rows: Int, _ step: Int, _ sum: inout InlineArray<24, Vector>, _ left: Raw,
  _ later: Raw, _ leftRowBytes: Int, _ right: Raw
) {
  let stored = right + step * 4 * O.groupBytes
  var half = 0
  while half < O.halves {
    let right0 = O.right(stored, half)
    let right1 = O.right(stored + O.groupBytes, half)
    let right2 = O.right(stored + 2 * O.groupBytes, half)
    let right3 = O.right(stored + 3 * O.groupBytes, half)
    var row = 0
    while row < rows {
      let first = row < 3 ? left + row * leftRowBytes : later + (row - 3) * leftRowBytes
      let factor = O.left(first + step * O.leftBytes, half)
      let at = 4 * row
      sum[unchecked: at] = O.multiply(sum[unchecked: at], factor, right0)
      sum[unchecked: at + 1] = O.multiply(sum[unchecked: at + 1], factor, right1)
      sum[unchecked: at + 2] = O.multiply(sum[unchecked: at + 2], factor, right2)
      sum[unchecked: at + 3] = O.multiply(sum[unchecked: at + 3], factor, right3)
      row += 1
    }
    half += 1
  }
}

// One function for each element, number of rows and way of asking, as in Tiles.swift.
@inline(never) func float32Full2(_ p: Product, _ adds: Bool) {
  fullTile(Float32Operand.self, 2, stepsPerAsk: 0, p, adds)
}
@inline(never) func float32Full3(_ p: Product, _ adds: Bool) {
  fullTile(Float32Operand.self, 3, stepsPerAsk: 0, p, adds)
}
@inline(never) func float32Full4(_ p: Product, _ adds: Bool) {
  fullTile(Float32Operand.self, 4, stepsPerAsk: 0, p, adds)
}
@inline(never) func float32Full5(_ p: Product, _ adds: Bool) {
  fullTile(Float32Operand.self, 5, stepsPerAsk: 0, p, adds)
}
@inline(never) func float32Full6(_ p: Product, _ adds: Bool) {
  fullTile(Float32Operand.self, 6, stepsPerAsk: 0, p, adds)
}
@inline(never) func float32Asking5(_ p: Product, _ adds: Bool) {
  fullTile(Float32Operand.self, 5, stepsPerAsk: 1, p, adds)
}
@inline(never) func float32Asking6(_ p: Product, _ adds: Bool) {
  fullTile(Float32Operand.self, 6, stepsPerAsk: 1, p, adds)
}
@inline(never) func float32Quartered5(_ p: Product, _ adds: Bool) {
  fullTile(Float32Operand.self, 5, stepsPerAsk: 4, p, adds)
}
@inline(never) func float32Quartered6(_ p: Product, _ adds: Bool) {
  fullTile(Float32Operand.self, 6, stepsPerAsk: 4, p, adds)
}
@inline(never) func float16Full2(_ p: Product, _ adds: Bool) {
  fullTile(Float16Operand.self, 2, stepsPerAsk: 0, p, adds)
}
@inline(never) func float16Full3(_ p: Product, _ adds: Bool) {
  fullTile(Float16Operand.self, 3, stepsPerAsk: 0, p, adds)
}
@inline(never) func float16Full4(_ p: Product, _ adds: Bool) {
  fullTile(Float16Operand.self, 4, stepsPerAsk: 0, p, adds)
}
@inline(never) func float16Full5(_ p: Product, _ adds: Bool) {
  fullTile(Float16Operand.self, 5, stepsPerAsk: 0, p, adds)
}
@inline(never) func float16Full6(_ p: Product, _ adds: Bool) {
  fullTile(Float16Operand.self, 6, stepsPerAsk: 0, p, adds)
}
@inline(never) func float16Asking5(_ p: Product, _ adds: Bool) {
  fullTile(Float16Operand.self, 5, stepsPerAsk: 1, p, adds)
}
@inline(never) func float16Asking6(_ p: Product, _ adds: Bool) {
  fullTile(Float16Operand.self, 6, stepsPerAsk: 1, p, adds)
}
@inline(never) func float16Quartered5(_ p: Product, _ adds: Bool) {
  fullTile(Float16Operand.self, 5, stepsPerAsk: 4, p, adds)
}
@inline(never) func float16Quartered6(_ p: Product, _ adds: Bool) {
  fullTile(Float16Operand.self, 6, stepsPerAsk: 4, p, adds)
}
@inline(never) func widenedFull2(_ p: Product, _ adds: Bool) {
  fullTile(WidenedPairOperand.self, 2, stepsPerAsk: 0, p, adds)
}
@inline(never) func widenedFull3(_ p: Product, _ adds: Bool) {
  fullTile(WidenedPairOperand.self, 3, stepsPerAsk: 0, p, adds)
}
@inline(never) func widenedFull4(_ p: Product, _ adds: Bool) {
  fullTile(WidenedPairOperand.self, 4, stepsPerAsk: 0, p, adds)
}
@inline(never) func widenedFull5(_ p: Product, _ adds: Bool) {
  fullTile(WidenedPairOperand.self, 5, stepsPerAsk: 0, p, adds)
}
@inline(never) func widenedFull6(_ p: Product, _ adds: Bool) {
  fullTile(WidenedPairOperand.self, 6, stepsPerAsk: 0, p, adds)
}
@inline(never) func widenedAsking5(_ p: Product, _ adds: Bool) {
  fullTile(WidenedPairOperand.self, 5, stepsPerAsk: 1, p, adds)
}
@inline(never) func widenedAsking6(_ p: Product, _ adds: Bool) {
  fullTile(WidenedPairOperand.self, 6, stepsPerAsk: 1, p, adds)
}
@inline(never) func widenedQuartered5(_ p: Product, _ adds: Bool) {
  fullTile(WidenedPairOperand.self, 5, stepsPerAsk: 4, p, adds)
}
@inline(never) func widenedQuartered6(_ p: Product, _ adds: Bool) {
  fullTile(WidenedPairOperand.self, 6, stepsPerAsk: 4, p, adds)
}
#endif
#if KERNELS_AVX512BF16
@inline(never) func dottedFull2(_ p: Product, _ adds: Bool) {
  fullTile(DottedPairOperand.self, 2, stepsPerAsk: 0, p, adds)
}
@inline(never) func dottedFull3(_ p: Product, _ adds: Bool) {
  fullTile(DottedPairOperand.self, 3, stepsPerAsk: 0, p, adds)
}
@inline(never) func dottedFull4(_ p: Product, _ adds: Bool) {
  fullTile(DottedPairOperand.self, 4, stepsPerAsk: 0, p, adds)
}
@inline(never) func dottedFull5(_ p: Product, _ adds: Bool) {
  fullTile(DottedPairOperand.self, 5, stepsPerAsk: 0, p, adds)
}
@inline(never) func dottedFull6(_ p: Product, _ adds: Bool) {
  fullTile(DottedPairOperand.self, 6, stepsPerAsk: 0, p, adds)
}
@inline(never) func dottedAsking1(_ p: Product, _ adds: Bool) {
  fullTile(DottedPairOperand.self, 1, stepsPerAsk: 1, p, adds)
}
@inline(never) func dottedAsking5(_ p: Product, _ adds: Bool) {
  fullTile(DottedPairOperand.self, 5, stepsPerAsk: 1, p, adds)
}
@inline(never) func dottedAsking6(_ p: Product, _ adds: Bool) {
  fullTile(DottedPairOperand.self, 6, stepsPerAsk: 1, p, adds)
}
@inline(never) func dottedQuartered5(_ p: Product, _ adds: Bool) {
  fullTile(DottedPairOperand.self, 5, stepsPerAsk: 4, p, adds)
}
@inline(never) func dottedQuartered6(_ p: Product, _ adds: Bool) {
  fullTile(DottedPairOperand.self, 6, stepsPerAsk: 4, p, adds)
}
#endif

#if KERNELS_AVX512 || KERNELS_AVX512BF16
/// Whether `multiplyFull` takes a product.
///
/// Of tiles that ask while a page comes from memory only one row by dot products, and the tiles of many that ask for a quarter each: others keep memory busier
/// in the loop that they have, which turns once for each stored row (decode in f16 by a tenth).
@inline(__always)
func isFull(_ p: Product, _ element: StoredElement) -> Bool {
  if p.groupCount != 4 || p.count & 3 != 0 { return false }
  if p.ahead.near == 0 { return p.rows > 1 && p.rows <= largestTile }
  if p.ahead.next != 0 { return false }
  if p.rows == 1 { return p.ahead.shares == 1 && p.dotsPairs && element.isBFloat16 }
  return p.rows > 4 && p.rows <= largestTile && (!p.streams || p.ahead.shares == 4)
}

/// `multiplyTile` for what is full.
@inline(never)
func multiplyFull(_ p: Product, _ element: StoredElement, _ adds: Bool) {
  let stepsPerAsk = p.ahead.near == 0 ? 0 : p.ahead.shares
  #if KERNELS_AVX512BF16
  if p.dotsPairs && element.isBFloat16 {
    switch (stepsPerAsk, p.rows) {
    case (1, 1): dottedAsking1(p, adds)
    case (0, 2): dottedFull2(p, adds)
    case (0, 3): dottedFull3(p, adds)
    case (0, 4): dottedFull4(p, adds)
    case (0, 5): dottedFull5(p, adds)
    case (0, _): dottedFull6(p, adds)
    case (1, 5): dottedAsking5(p, adds)
    case (1, _): dottedAsking6(p, adds)
    case (_, 5): dottedQuartered5(p, adds)
    case (_, _): dottedQuartered6(p, adds)
    }
    return
  }
  #endif
  switch (element, stepsPerAsk, p.rows) {
  case (.float32, 0, 2): float32Full2(p, adds)
  case (.float32, 0, 3): float32Full3(p, adds)
  case (.float32, 0, 4): float32Full4(p, adds)
  case (.float32, 0, 5): float32Full5(p, adds)
  case (.float32, 0, _): float32Full6(p, adds)
  case (.float32, 1, 5): float32Asking5(p, adds)
  case (.float32, 1, _): float32Asking6(p, adds)
  case (.float32, _, 5): float32Quartered5(p, adds)
  case (.float32, _, _): float32Quartered6(p, adds)
  case (.float16, 0, 2): float16Full2(p, adds)
  case (.float16, 0, 3): float16Full3(p, adds)
  case (.float16, 0, 4): float16Full4(p, adds)
  case (.float16, 0, 5): float16Full5(p, adds)
  case (.float16, 0, _): float16Full6(p, adds)
  case (.float16, 1, 5): float16Asking5(p, adds)
  case (.float16, 1, _): float16Asking6(p, adds)
  case (.float16, _, 5): float16Quartered5(p, adds)
  case (.float16, _, _): float16Quartered6(p, adds)
  case (.bfloat16, 0, 2): widenedFull2(p, adds)
  case (.bfloat16, 0, 3): widenedFull3(p, adds)
  case (.bfloat16, 0, 4): widenedFull4(p, adds)
  case (.bfloat16, 0, 5): widenedFull5(p, adds)
  case (.bfloat16, 0, _): widenedFull6(p, adds)
  case (.bfloat16, 1, 5): widenedAsking5(p, adds)
  case (.bfloat16, 1, _): widenedAsking6(p, adds)
  case (.bfloat16, _, 5): widenedQuartered5(p, adds)
  case (.bfloat16, _, _): widenedQuartered6(p, adds)
  }
}

/// `multiplyFull` of five or six rows, which computes what is due meanwhile.
@inline(never)
func multiplyWeighing(
  _ p: Product, _ element: StoredElement, _ adds: Bool, _ due: UnsafePointer<DueRows>
) {
  let stepsPerAsk = p.ahead.near == 0 ? 0 : p.ahead.shares
  #if KERNELS_AVX512BF16
  if element.isBFloat16 {
    switch (stepsPerAsk, p.rows) {
    case (0, 5): dottedWeighing5(p, adds, due)
    case (0, _): dottedWeighing6(p, adds, due)
    case (1, 5): dottedAskingWeighing5(p, adds, due)
    case (1, _): dottedAskingWeighing6(p, adds, due)
    case (_, 5): dottedQuarteredWeighing5(p, adds, due)
    case (_, _): dottedQuarteredWeighing6(p, adds, due)
    }
    return
  }
  #endif
  if element.isFloat16 {
    switch (stepsPerAsk, p.rows) {
    case (0, 5): float16Weighing5(p, adds, due)
    case (0, _): float16Weighing6(p, adds, due)
    case (_, 5): float16AskingWeighing5(p, adds, due)
    case (_, _): float16AskingWeighing6(p, adds, due)
    }
  } else {
    switch (stepsPerAsk, p.rows) {
    case (0, 5): float32Weighing5(p, adds, due)
    case (0, _): float32Weighing6(p, adds, due)
    case (_, 5): float32AskingWeighing5(p, adds, due)
    case (_, _): float32AskingWeighing6(p, adds, due)
    }
  }
}

// One function for each element, number of rows and way of asking, as in Tiles.swift.
@inline(never)
func float32Weighing5(_ p: Product, _ adds: Bool, _ due: UnsafePointer<DueRows>) {
  fullTile(Float32Operand.self, 5, stepsPerAsk: 0, p, adds, due)
}
@inline(never)
func float32Weighing6(_ p: Product, _ adds: Bool, _ due: UnsafePointer<DueRows>) {
  fullTile(Float32Operand.self, 6, stepsPerAsk: 0, p, adds, due)
}
@inline(never)
func float32AskingWeighing5(_ p: Product, _ adds: Bool, _ due: UnsafePointer<DueRows>) {
  fullTile(Float32Operand.self, 5, stepsPerAsk: 1, p, adds, due)
}
@inline(never)
func float32AskingWeighing6(_ p: Product, _ adds: Bool, _ due: UnsafePointer<DueRows>) {
  fullTile(Float32Operand.self, 6, stepsPerAsk: 1, p, adds, due)
}
@inline(never)
func float16Weighing5(_ p: Product, _ adds: Bool, _ due: UnsafePointer<DueRows>) {
  fullTile(Float16Operand.self, 5, stepsPerAsk: 0, p, adds, due)
}
@inline(never)
func float16Weighing6(_ p: Product, _ adds: Bool, _ due: UnsafePointer<DueRows>) {
  fullTile(Float16Operand.self, 6, stepsPerAsk: 0, p, adds, due)
}
@inline(never)
func float16AskingWeighing5(_ p: Product, _ adds: Bool, _ due: UnsafePointer<DueRows>) {
  fullTile(Float16Operand.self, 5, stepsPerAsk: 1, p, adds, due)
}
@inline(never)
func float16AskingWeighing6(_ p: Product, _ adds: Bool, _ due: UnsafePointer<DueRows>) {
  fullTile(Float16Operand.self, 6, stepsPerAsk: 1, p, adds, due)
}
#if KERNELS_AVX512BF16
@inline(never)
func dottedWeighing5(_ p: Product, _ adds: Bool, _ due: UnsafePointer<DueRows>) {
  fullTile(DottedPairOperand.self, 5, stepsPerAsk: 0, p, adds, due, rounds: true)
}
@inline(never)
func dottedWeighing6(_ p: Product, _ adds: Bool, _ due: UnsafePointer<DueRows>) {
  fullTile(DottedPairOperand.self, 6, stepsPerAsk: 0, p, adds, due, rounds: true)
}
@inline(never)
func dottedAskingWeighing5(_ p: Product, _ adds: Bool, _ due: UnsafePointer<DueRows>) {
  fullTile(DottedPairOperand.self, 5, stepsPerAsk: 1, p, adds, due, rounds: true)
}
@inline(never)
func dottedAskingWeighing6(_ p: Product, _ adds: Bool, _ due: UnsafePointer<DueRows>) {
  fullTile(DottedPairOperand.self, 6, stepsPerAsk: 1, p, adds, due, rounds: true)
}
@inline(never)
func dottedQuarteredWeighing5(_ p: Product, _ adds: Bool, _ due: UnsafePointer<DueRows>) {
  fullTile(DottedPairOperand.self, 5, stepsPerAsk: 4, p, adds, due, rounds: true)
}
@inline(never)
func dottedQuarteredWeighing6(_ p: Product, _ adds: Bool, _ due: UnsafePointer<DueRows>) {
  fullTile(DottedPairOperand.self, 6, stepsPerAsk: 4, p, adds, due, rounds: true)
}
#endif
#endif

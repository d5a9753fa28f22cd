import CKernelShim
import KernelTable

// SAFETY: pointers from end to end; the caller hands out whole, aligned pieces of memory that it holds.

/// Runs a piece of a probe (see `ProbeTask`).
func runProbe(_ task: UnsafePointer<ProbeTask>) {
  let start = task.pointee.start
  let byteCount = task.pointee.byteCount
  let iterations = task.pointee.iterations
  let result = task.pointee.result
  switch task.pointee.probe {
  case .read: result.pointee.digest ^= readStream(start, byteCount)
  case .readInFour: result.pointee.digest ^= readInFour(start, byteCount)
  case .readAhead: result.pointee.digest ^= readAhead(start, byteCount)
  case .multiplyAdd: probeMultiplyAdd(start, iterations, result)
  case .bfloatDot: probeBFloatDot(start, iterations, result)
  case .byteDot: probeByteDot(start, iterations, result)
  }
}

@inline(__always)
func folded(_ a: Pairs, _ b: Pairs, _ c: Pairs, _ d: Pairs) -> UInt32 {
  let all = (a | b) | (c | d)
  var digest: UInt32 = 0
  var lane = 0
  while lane < 16 {
    digest |= all[lane]
    lane += 1
  }
  return digest
}

/// One stream; four registers take turns.
@inline(__always)
func readStream(_ start: Raw, _ byteCount: Int) -> UInt32 {
  var (a, b, c, d) = (Pairs(), Pairs(), Pairs(), Pairs())
  var at = start
  let end = start + byteCount
  while at < end {
    a |= attention_load_pairs(at)
    b |= attention_load_pairs(at + 64)
    c |= attention_load_pairs(at + 128)
    d |= attention_load_pairs(at + 192)
    at += 256
  }
  return folded(a, b, c, d)
}

/// Four streams, a quarter of the bytes each.
@inline(__always)
func readInFour(_ start: Raw, _ byteCount: Int) -> UInt32 {
  var (a, b, c, d) = (Pairs(), Pairs(), Pairs(), Pairs())
  let quarter = byteCount / 4
  var at = start
  let end = start + quarter
  while at < end {
    a |= attention_load_pairs(at) | attention_load_pairs(at + 64)
    b |= attention_load_pairs(at + quarter) | attention_load_pairs(at + quarter + 64)
    c |= attention_load_pairs(at + 2 * quarter) | attention_load_pairs(at + 2 * quarter + 64)
    d |= attention_load_pairs(at + 3 * quarter) | attention_load_pairs(at + 3 * quarter + 64)
    at += 128
  }
  return folded(a, b, c, d)
}

/// One stream, each line asked for 4 KiB ahead.
@inline(__always)
func readAhead(_ start: Raw, _ byteCount: Int) -> UInt32 {
  var (a, b, c, d) = (Pairs(), Pairs(), Pairs(), Pairs())
  var at = start
  let end = start + byteCount
  while at < end {
    attention_prefetch(at + 4096)
    a |= attention_load_pairs(at)
    attention_prefetch(at + 4096 + 64)
    b |= attention_load_pairs(at + 64)
    attention_prefetch(at + 4096 + 128)
    c |= attention_load_pairs(at + 128)
    attention_prefetch(at + 4096 + 192)
    d |= attention_load_pairs(at + 192)
    at += 256
  }
  return folded(a, b, c, d)
}

/// acc ← acc·x + y in twelve registers, enough for a latency of four cycles on three ports.
///
/// The registers begin with different values and x and y come from memory, so that none can be computed ahead.
@inline(__always)
func probeMultiplyAdd(
  _ start: Raw, _ iterations: Int, _ result: UnsafeMutablePointer<ProbeResult>
) {
  let seed = start.loadUnaligned(as: UInt8.self)
  let x = attention_splat(1 + Float(seed) * 0x1p-23)
  let y = attention_splat(Float(seed) * 0x1p-30)
  var (v0, v1, v2) = (attention_splat(1), attention_splat(2), attention_splat(3))
  #if KERNELS_AVX2 || KERNELS_AVX512 || KERNELS_AVX512BF16
  var (v3, v4, v5) = (attention_splat(4), attention_splat(5), attention_splat(6))
  #endif
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  var (v6, v7, v8) = (attention_splat(7), attention_splat(8), attention_splat(9))
  var (v9, v10, v11) = (attention_splat(10), attention_splat(11), attention_splat(12))
  #endif
  var iteration = 0
  while iteration < iterations {
    v0 = attention_fma(v0, x, y)
    v1 = attention_fma(v1, x, y)
    v2 = attention_fma(v2, x, y)
    #if KERNELS_AVX2 || KERNELS_AVX512 || KERNELS_AVX512BF16
    v3 = attention_fma(v3, x, y)
    v4 = attention_fma(v4, x, y)
    v5 = attention_fma(v5, x, y)
    #endif
    #if KERNELS_AVX512 || KERNELS_AVX512BF16
    v6 = attention_fma(v6, x, y)
    v7 = attention_fma(v7, x, y)
    v8 = attention_fma(v8, x, y)
    v9 = attention_fma(v9, x, y)
    v10 = attention_fma(v10, x, y)
    v11 = attention_fma(v11, x, y)
    #endif
    iteration += 1
  }
  var sum = v0 + v1 + v2
  var registers = 3
  #if KERNELS_AVX2 || KERNELS_AVX512 || KERNELS_AVX512BF16
  sum = sum + v3 + v4 + v5
  registers = 6
  #endif
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  sum = sum + v6 + v7 + v8 + v9 + v10 + v11
  registers = 12
  #endif
  result.pointee.digest ^= attention_sum(sum).bitPattern
  result.pointee.operations += iterations * registers * 16 * 2
}

/// acc ← acc + a·b over pairs of bf16 in sixteen registers: with twelve, a latency of six cycles on two ports leaves a tenth of
/// the peak unseen.
@inline(__always)
func probeBFloatDot(
  _ start: Raw, _ iterations: Int, _ result: UnsafeMutablePointer<ProbeResult>
) {
  #if KERNELS_AVX512BF16
  let a = attention_splat_pair(start)
  let b = attention_splat_pair(start + 4)
  var (v0, v1, v2) = (attention_splat(1), attention_splat(2), attention_splat(3))
  var (v3, v4, v5) = (attention_splat(4), attention_splat(5), attention_splat(6))
  var (v6, v7, v8) = (attention_splat(7), attention_splat(8), attention_splat(9))
  var (v9, v10, v11) = (attention_splat(10), attention_splat(11), attention_splat(12))
  var (v12, v13, v14) = (attention_splat(13), attention_splat(14), attention_splat(15))
  var v15 = attention_splat(16)
  var iteration = 0
  while iteration < iterations {
    v0 = attention_dot_pairs(v0, a, b)
    v1 = attention_dot_pairs(v1, a, b)
    v2 = attention_dot_pairs(v2, a, b)
    v3 = attention_dot_pairs(v3, a, b)
    v4 = attention_dot_pairs(v4, a, b)
    v5 = attention_dot_pairs(v5, a, b)
    v6 = attention_dot_pairs(v6, a, b)
    v7 = attention_dot_pairs(v7, a, b)
    v8 = attention_dot_pairs(v8, a, b)
    v9 = attention_dot_pairs(v9, a, b)
    v10 = attention_dot_pairs(v10, a, b)
    v11 = attention_dot_pairs(v11, a, b)
    v12 = attention_dot_pairs(v12, a, b)
    v13 = attention_dot_pairs(v13, a, b)
    v14 = attention_dot_pairs(v14, a, b)
    v15 = attention_dot_pairs(v15, a, b)
    iteration += 1
  }
  let sum = v0 + v1 + v2 + v3 + v4 + v5 + v6 + v7 + v8 + v9 + v10 + v11 + v12 + v13 + v14 + v15
  result.pointee.digest ^= attention_sum(sum).bitPattern
  result.pointee.operations += iterations * 16 * 16 * 4
  #endif
}

/// acc ← acc + a·b over fours of bytes in twelve registers.
@inline(__always)
func probeByteDot(
  _ start: Raw, _ iterations: Int, _ result: UnsafeMutablePointer<ProbeResult>
) {
  #if KERNELS_AVX512BF16
  let a = attention_splat_pair(start)
  let b = attention_splat_pair(start + 4)
  var (v0, v1, v2) = (Pairs(repeating: 1), Pairs(repeating: 2), Pairs(repeating: 3))
  var (v3, v4, v5) = (Pairs(repeating: 4), Pairs(repeating: 5), Pairs(repeating: 6))
  var (v6, v7, v8) = (Pairs(repeating: 7), Pairs(repeating: 8), Pairs(repeating: 9))
  var (v9, v10, v11) = (Pairs(repeating: 10), Pairs(repeating: 11), Pairs(repeating: 12))
  var iteration = 0
  while iteration < iterations {
    v0 = attention_dot_bytes(v0, a, b)
    v1 = attention_dot_bytes(v1, a, b)
    v2 = attention_dot_bytes(v2, a, b)
    v3 = attention_dot_bytes(v3, a, b)
    v4 = attention_dot_bytes(v4, a, b)
    v5 = attention_dot_bytes(v5, a, b)
    v6 = attention_dot_bytes(v6, a, b)
    v7 = attention_dot_bytes(v7, a, b)
    v8 = attention_dot_bytes(v8, a, b)
    v9 = attention_dot_bytes(v9, a, b)
    v10 = attention_dot_bytes(v10, a, b)
    v11 = attention_dot_bytes(v11, a, b)
    iteration += 1
  }
  let sum = (v0 ^ v1 ^ v2 ^ v3) | (v4 ^ v5 ^ v6 ^ v7) | (v8 ^ v9 ^ v10 ^ v11)
  result.pointee.digest ^= folded(sum, v0, v4, v8)
  result.pointee.operations += iterations * 12 * 16 * 8
  #endif
}

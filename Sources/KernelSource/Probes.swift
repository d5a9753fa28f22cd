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

/// acc ← acc·x + y in more registers than a latency of four cycles needs on the ports that there are.
///
/// The registers begin with different values and x and y come from memory, so that none can be computed ahead.
@inline(__always)
func probeMultiplyAdd(
  _ start: Raw, _ iterations: Int, _ result: UnsafeMutablePointer<ProbeResult>
) {
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  multiplyAdds(InlineArray<16, UInt8>(repeating: 0), start, iterations, result)
  #elseif KERNELS_AVX2
  multiplyAdds(InlineArray<6, UInt8>(repeating: 0), start, iterations, result)
  #else
  multiplyAdds(InlineArray<3, UInt8>(repeating: 0), start, iterations, result)
  #endif
}

@inline(__always)
func multiplyAdds<let registers: Int>(
  _ shape: InlineArray<registers, UInt8>, _ start: Raw, _ iterations: Int,
  _ result: UnsafeMutablePointer<ProbeResult>
) {
  let seed = start.loadUnaligned(as: UInt8.self)
  let x = attention_splat(1 + Float(seed) * 0x1p-23)
  let y = attention_splat(Float(seed) * 0x1p-30)
  var sums = InlineArray<registers, Vector>(repeating: Vector())
  var register = 0
  while register < registers {
    sums[unchecked: register] = attention_splat(Float(register + 1))
    register += 1
  }
  var iteration = 0
  while iteration < iterations {
    register = 0
    while register < registers {
      sums[unchecked: register] = attention_fma(sums[unchecked: register], x, y)
      register += 1
    }
    iteration += 1
  }
  result.pointee.digest ^= digest(sums)
  result.pointee.operations += iterations * registers * 16 * 2
}

/// The bits of all sums, so that none can be left out.
@inline(__always)
func digest<let registers: Int>(_ sums: InlineArray<registers, Vector>) -> UInt32 {
  var sum = Vector()
  var register = 0
  while register < registers {
    sum = attention_add(sum, sums[unchecked: register])
    register += 1
  }
  return attention_sum(sum).bitPattern
}

/// acc ← acc + a·b over pairs of bf16.
///
/// In 24 registers: with twelve, a latency of six cycles on two ports leaves a tenth of the peak unseen.
@inline(__always)
func probeBFloatDot(
  _ start: Raw, _ iterations: Int, _ result: UnsafeMutablePointer<ProbeResult>
) {
  #if KERNELS_AVX512BF16
  let a = attention_splat_pair(start)
  let b = attention_splat_pair(start + 4)
  var sums = InlineArray<24, Vector>(repeating: Vector())
  var register = 0
  while register < 24 {
    sums[unchecked: register] = attention_splat(Float(register + 1))
    register += 1
  }
  var iteration = 0
  while iteration < iterations {
    register = 0
    while register < 24 {
      sums[unchecked: register] = attention_dot_pairs(sums[unchecked: register], a, b)
      register += 1
    }
    iteration += 1
  }
  result.pointee.digest ^= digest(sums)
  result.pointee.operations += iterations * 24 * 16 * 4
  #endif
}

/// acc ← acc + a·b over fours of bytes.
@inline(__always)
func probeByteDot(
  _ start: Raw, _ iterations: Int, _ result: UnsafeMutablePointer<ProbeResult>
) {
  #if KERNELS_AVX512BF16
  let a = attention_splat_pair(start)
  let b = attention_splat_pair(start + 4)
  var sums = InlineArray<24, Pairs>(repeating: Pairs())
  var register = 0
  while register < 24 {
    sums[unchecked: register] = Pairs(repeating: UInt32(register + 1))
    register += 1
  }
  var iteration = 0
  while iteration < iterations {
    register = 0
    while register < 24 {
      sums[unchecked: register] = attention_dot_bytes(sums[unchecked: register], a, b)
      register += 1
    }
    iteration += 1
  }
  var sum = Pairs()
  register = 0
  while register < 24 {
    sum = sum &+ sums[unchecked: register]
    register += 1
  }
  result.pointee.digest ^= folded(sum, sum, sum, sum)
  result.pointee.operations += iterations * 24 * 16 * 8
  #endif
}

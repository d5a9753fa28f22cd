import CKernelShim
import KernelTable

/// result ← x·Φ(x) (Hendrycks & Gimpel 2016, arXiv:1606.08415, §2), exactly or by tanh.
func geluRow(_ task: UnsafePointer<GELUTask>) {
  let x = task.pointee.x
  let count = task.pointee.count
  let result = task.pointee.result
  let isExact = task.pointee.form.isExact
  var at = 0
  while at + 16 <= count {
    let v = attention_load(x + at)
    attention_store(result + at, isExact ? exactGELU(v) : tanhGELU(v))
    at += 16
  }
  while at < count {
    let v = attention_splat(x[at])
    result[at] = (isExact ? exactGELU(v) : tanhGELU(v))[0]
    at += 1
  }
}

/// x·Φ(x): Φ(−y) = e^(−y²/2)·t·P(t) with t = 1/(1 + y/4), and Φ(y) = 1 − Φ(−y).
///
/// P of degree 9 is fitted to Φ(−y)·e^(y²/2)/t for y from 0 to 14, with a relative error of 8e-9 before rounding.
@inline(__always)
func exactGELU(_ x: Vector) -> Vector {
  let one = attention_splat(1)
  let y = attention_magnitude(x)
  let t = attention_divide(one, attention_fma(y, attention_splat(0.25), one))
  var p = attention_splat(0x1.0fa402p-6)
  p = attention_fma(p, t, attention_splat(-0x1.013236p-4))
  p = attention_fma(p, t, attention_splat(0x1.a721fep-5))
  p = attention_fma(p, t, attention_splat(0x1.d1e75ep-6))
  p = attention_fma(p, t, attention_splat(0x1.a084a8p-7))
  p = attention_fma(p, t, attention_splat(0x1.62f2d6p-4))
  p = attention_fma(p, t, attention_splat(0x1.26e8a6p-4))
  p = attention_fma(p, t, attention_splat(0x1.873b8cp-4))
  p = attention_fma(p, t, attention_splat(0x1.978580p-4))
  p = attention_fma(p, t, attention_splat(0x1.989142p-4))
  let exponent = attention_multiply(attention_multiply(y, y), attention_splat(-0.5 * log2e))
  let tail = attention_multiply(attention_exp2(exponent), attention_multiply(t, p))
  return attention_multiply(
    x, attention_select_negative(x, tail, attention_subtract(one, tail)))
}

/// x·½(1 + tanh u) = x·σ(2u) with u = √(2/π)·(x + 0.044715 x³).
@inline(__always)
func tanhGELU(_ x: Vector) -> Vector {
  let cubic = attention_fma(
    attention_multiply(x, x), attention_splat(0.044715), attention_splat(1))
  return attention_multiply(
    x, sigmoid(attention_multiply(attention_multiply(x, attention_splat(1.5957691)), cubic)))
}

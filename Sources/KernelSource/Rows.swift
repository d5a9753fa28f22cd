import CKernelShim
import KernelTable

/// Merges the right states of `rowCount` rows into the left ones; an empty side changes nothing.
///
/// M = max(m, m₂), ℓ ← ℓ·2^(m−M) + ℓ₂·2^(m₂−M), o likewise: Milakov & Gimelshein 2018, arXiv:1805.02867, §3.1.
func mergeStates(_ task: UnsafePointer<MergeTask>) {
  let stride = task.pointee.outputStride
  let maxima = task.pointee.maxima
  let denominators = task.pointee.denominators
  let rightMaxima = task.pointee.rightMaxima
  let rightDenominators = task.pointee.rightDenominators
  var row = 0
  while row < task.pointee.rowCount {
    let output = task.pointee.outputs + row * stride
    let right = task.pointee.rightOutputs + row * stride
    if rightDenominators[row] != 0 {
      if denominators[row] == 0 {
        maxima[row] = rightMaxima[row]
        denominators[row] = rightDenominators[row]
        output.update(from: right, count: stride)
      } else {
        let top = maxima[row] > rightMaxima[row] ? maxima[row] : rightMaxima[row]
        let a = attention_exp2(attention_splat(maxima[row] - top))
        let b = attention_exp2(attention_splat(rightMaxima[row] - top))
        maxima[row] = top
        denominators[row] =
          attention_fma(
            attention_splat(rightDenominators[row]), b,
            attention_multiply(attention_splat(denominators[row]), a))[0]
        var channel = 0
        while channel < stride {
          attention_store(
            output + channel,
            attention_fma(
              attention_load(right + channel), b,
              attention_multiply(attention_load(output + channel), a)))
          channel += 16
        }
      }
    }
    row += 1
  }
}

/// target ← outputs · factor, row by row, asking for the lines of later rows: the caller's memory is seldom in cache.
func writeOutputs(_ task: UnsafePointer<OutputTask>) {
  let width = task.pointee.width
  var row = 0
  while row < task.pointee.rowCount {
    if row + rowsAhead < task.pointee.rowCount {
      askNear(Raw(targetRow(task, row + rowsAhead)), 4 * width)
    }
    let source = task.pointee.outputs + row * task.pointee.outputStride
    let target = targetRow(task, row)
    let factor = task.pointee.factors[row]
    let factors = attention_splat(factor)
    var channel = 0
    while channel + 16 <= width {
      attention_store(
        target + channel, attention_multiply(attention_load(source + channel), factors))
      channel += 16
    }
    while channel < width {
      target[channel] = source[channel] * factor
      channel += 1
    }
    row += 1
  }
}

@inline(__always)
func targetRow(_ task: UnsafePointer<OutputTask>, _ row: Int) -> Floats {
  let token = row / task.pointee.group
  return task.pointee.target + token * task.pointee.tokenStride
    + (row - token * task.pointee.group) * task.pointee.width
}

/// How many rows ahead the caller's rows are asked for: at 0.5 KB each, memory answers meanwhile.
@inline(__always) var rowsAhead: Int { 8 }

/// result ← x · weight / √(mean x² + ε).
///
/// Zhang & Sennrich 2019, arXiv:1910.07467, equation 4.
func normalizeRow(_ task: UnsafePointer<NormalizeTask>) {
  let x = task.pointee.x
  let weight = task.pointee.weight
  let width = task.pointee.width
  let result = task.pointee.result
  var sums = Vector()
  var channel = 0
  while channel + 16 <= width {
    let v = attention_load(x + channel)
    sums = attention_fma(v, v, sums)
    channel += 16
  }
  var sum = attention_sum(sums)
  while channel < width {
    sum += x[channel] * x[channel]
    channel += 1
  }
  let factor = 1 / attention_square_root(sum / Float(width) + task.pointee.epsilon)
  channel = 0
  while channel < width {
    result[channel] = x[channel] * factor * weight[channel]
    channel += 1
  }
}

/// result ← gate·σ(gate)·up.
func gateRow(_ task: UnsafePointer<GateTask>) {
  let gate = task.pointee.gate
  let up = task.pointee.up
  let count = task.pointee.count
  let result = task.pointee.result
  var at = 0
  while at + 16 <= count {
    attention_store(
      result + at, gated(attention_load(gate + at), attention_load(up + at)))
    at += 16
  }
  while at < count {
    result[at] = gated(attention_splat(gate[at]), attention_splat(up[at]))[0]
    at += 1
  }
}

@inline(__always)
func gated(_ gate: Vector, _ up: Vector) -> Vector {
  attention_multiply(attention_multiply(gate, sigmoid(gate)), up)
}

/// σ(x) by e = 2^(−|x| log2 e): 1/(1+e) for x ≥ 0, e/(1+e) below.
@inline(__always)
func sigmoid(_ x: Vector) -> Vector {
  let one = attention_splat(1)
  let e = attention_exp2(attention_multiply(attention_magnitude(x), attention_splat(-log2e)))
  return attention_divide(attention_select_negative(x, e, one), attention_add(one, e))
}

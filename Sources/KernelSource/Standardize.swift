import CKernelShim
import KernelTable

/// result ← (x − mean x) · weight / √(variance x + ε) + bias, the variance over all channels.
///
/// Ba, Kiros & Hinton 2016, arXiv:1607.06450, equation 4. In two passes, so that a large mean costs no digits of the variance.
func standardizeRow(_ task: UnsafePointer<StandardizeTask>) {
  let x = task.pointee.x
  let weight = task.pointee.weight
  let width = task.pointee.width
  let result = task.pointee.result
  let mean = sumOfRow(x, width) / Float(width)
  let squares = sumOfSquares(x, width, mean)
  let factor = 1 / attention_square_root(squares / Float(width) + task.pointee.epsilon)
  var channel = 0
  if let bias = task.pointee.bias {
    while channel < width {
      result[channel] = (x[channel] - mean) * factor * weight[channel] + bias[channel]
      channel += 1
    }
  } else {
    while channel < width {
      result[channel] = (x[channel] - mean) * factor * weight[channel]
      channel += 1
    }
  }
}

/// Σ x in sixteen lanes, then the ragged rest.
@inline(__always)
func sumOfRow(_ x: UnsafePointer<Float>, _ width: Int) -> Float {
  var sums = Vector()
  var channel = 0
  while channel + 16 <= width {
    sums = attention_add(sums, attention_load(x + channel))
    channel += 16
  }
  var sum = attention_sum(sums)
  while channel < width {
    sum += x[channel]
    channel += 1
  }
  return sum
}

/// Σ (x − mean)² in sixteen lanes, then the ragged rest.
@inline(__always)
func sumOfSquares(_ x: UnsafePointer<Float>, _ width: Int, _ mean: Float) -> Float {
  var sums = Vector()
  var channel = 0
  while channel + 16 <= width {
    let v = attention_subtract(attention_load(x + channel), attention_splat(mean))
    sums = attention_fma(v, v, sums)
    channel += 16
  }
  var sum = attention_sum(sums)
  while channel < width {
    let v = x[channel] - mean
    sum += v * v
    channel += 1
  }
  return sum
}

import Glibc
import KernelTable
import StreamingAttention
import TestSupport

/// Normal keys, values and queries of 128 channels whose scores have standard deviation 1: the relative error that
/// quantised pages cause in the output of 4 heads over 2,048 keys.
struct AccuracyCase {
  var code: PageCode
  static let pages = 32

  func relativeError(_ instructionSet: InstructionSet, seed: UInt64) -> Double {
    var generator = SeededGenerator(seed: seed)
    let kernels = instructionSet.kernels
    var leaf = CodedLeaf()
    leaf.form = PageForm(keyCode: code, valueCode: code)
    leaf.entries = (0..<Self.pages).map { _ in (0..<64, true) }
    var numbers = CodedLeaf.Numbers()
    var exact: [(keys: [Float], values: [Float])] = []
    for _ in 0..<Self.pages {
      let (keys, values) = (generator.normalFloats(64 * 128), generator.normalFloats(64 * 128))
      var form = leaf.form.plain
      (form.keyElement, form.valueElement) = (.float16, .float16)
      let plain = CodedPage(form)
      plain.write(keys: keys, values: values, from: 0, by: kernels)
      let coded = CodedPage(leaf.form)
      _ = coded.quantize(plain, slots: 0..<64, by: kernels)
      numbers.pages.append(coded)
      exact.append((keys, values))
    }
    numbers.queries = generator.normalFloats(4 * 128)
    numbers.positions = [leaf.basePosition + 64 * Self.pages - 1]
    let result = leaf.run(numbers, kernels)
    var (distance, size) = (0.0, 0.0)
    for row in 0..<4 {
      let output = Self.attention(numbers.queries[row * 128..<(row + 1) * 128], leaf.scale, exact)
      for channel in 0..<128 {
        let got = Double(result.outputs[row][channel] / result.denominators[row])
        distance += (got - output[channel]) * (got - output[channel])
        size += output[channel] * output[channel]
      }
    }
    return (distance / size).squareRoot()
  }

  /// Softmax attention in Double; scores of this size need no maximum.
  private static func attention(
    _ query: ArraySlice<Float>, _ scale: Float, _ pages: [(keys: [Float], values: [Float])]
  ) -> [Double] {
    let query = query.map { Double($0 * scale) }
    var (output, total) = ([Double](repeating: 0, count: 128), 0.0)
    for page in pages {
      for slot in 0..<64 {
        var score = 0.0
        for channel in 0..<128 { score += query[channel] * Double(page.keys[slot * 128 + channel]) }
        let weight = exp(score)
        total += weight
        for channel in 0..<128 {
          output[channel] += weight * Double(page.values[slot * 128 + channel])
        }
      }
    }
    return output.map { $0 / total }
  }
}

import Foundation
import StreamingAttention
import TestSupport
import Testing

/// How far a product of `width` terms may be off: unit roundoffs of f32 sums (Higham & Mary 2019, λ = 8), and of the stored type.
private func unitErrors(_ width: Int, _ type: ElementType, _ instructionSet: InstructionSet)
  -> Double
{
  let sum = min(Double(width), 8 * Double(width).squareRoot()) * 0x1p-24
  switch type {
  case .float32: return sum
  case .float16, .int8, .int4: return sum + 0x1p-11
  // Weights are rounded, and where the dot product takes pairs, activations too.
  case .bfloat16: return sum + (instructionSet == .avx512bf16 ? 2 : 1) * 0x1p-8
  }
}

@Suite("Dense kernels against Double")
struct DenseKernelsTests {
  static let instructionSets = InstructionSet.allCases.filter(\.isAvailable)

  @Test("rows times matrices, of ragged widths and any number of rows", arguments: instructionSets)
  func products(instructionSet: InstructionSet) throws {
    var generator = SeededGenerator(seed: 5)
    let memory = WeightMemory()
    let dense = try DenseKernels(workers: Workers(count: 2), instructionSet: instructionSet)
    for type in ElementType.plainCases {
      for (inputs, outputs, rowCount) in [
        (1, 1, 1), (7, 63, 2), (64, 64, 3), (65, 65, 4), (33, 130, 5), (576, 200, 6), (96, 64, 7),
        (128, 1000, 13), (59, 128, 100),
      ] {
        let weights = generator.normalFloats(inputs * outputs)
        let rows = generator.normalFloats(inputs * rowCount)
        let matrix = try PackedMatrix(
          inputWidth: inputs, outputWidth: outputs, format: .elements(type), in: memory)
        for panel in 0..<matrix.panelCount {
          let range = matrix.outputs(ofPanel: panel)
          let part = Array(weights[range.lowerBound * inputs..<range.upperBound * inputs])
          matrix.pack(panel: panel, weights: part.span, for: instructionSet)
        }
        for accumulating in [false, true] {
          var output = [Float](repeating: accumulating ? 0.5 : .nan, count: rowCount * outputs)
          var span = output.mutableSpan
          try dense.multiply(rows.span, by: matrix, into: &span, accumulating: accumulating)
          for row in 0..<rowCount {
            for column in 0..<outputs {
              var (exact, magnitude) = (accumulating ? 0.5 : 0, 0.5)
              for input in 0..<inputs {
                let term =
                  Double(rows[row * inputs + input]) * Double(weights[column * inputs + input])
                exact += term
                magnitude += term.magnitude
              }
              let error = (Double(output[row * outputs + column]) - exact).magnitude
              #expect(
                error <= unitErrors(inputs + 1, type, instructionSet) * magnitude,
                "\(instructionSet) \(type) \(rowCount) rows \(inputs) → \(outputs) at \(row), \(column)"
              )
            }
          }
        }
      }
    }
  }

  @Test(
    "a row's bits do not depend on the rows beside it", arguments: instructionSets, [100, 128])
  func bits(instructionSet: InstructionSet, inputs: Int) throws {
    var generator = SeededGenerator(seed: 6)
    let memory = WeightMemory()
    let dense = try DenseKernels(workers: Workers(count: 1), instructionSet: instructionSet)
    let (outputs, rowCount) = (150, 29)
    for type in ElementType.plainCases {
      let matrix = try PackedMatrix(
        inputWidth: inputs, outputWidth: outputs, format: .elements(type), in: memory)
      for panel in 0..<matrix.panelCount {
        let weights = generator.normalFloats(matrix.outputs(ofPanel: panel).count * inputs)
        matrix.pack(panel: panel, weights: weights.span, for: instructionSet)
      }
      let rows = generator.normalFloats(inputs * rowCount)
      var together = [Float](repeating: 0, count: rowCount * outputs)
      var span = together.mutableSpan
      try dense.multiply(rows.span, by: matrix, into: &span)
      for row in 0..<rowCount {
        var alone = [Float](repeating: 0, count: outputs)
        var span = alone.mutableSpan
        let one = Array(rows[row * inputs..<(row + 1) * inputs])
        try dense.multiply(one.span, by: matrix, into: &span)
        #expect(alone == Array(together[row * outputs..<(row + 1) * outputs]))
      }
    }
  }

  @Test("normalised rows and gates", arguments: instructionSets)
  func rows(instructionSet: InstructionSet) throws {
    var generator = SeededGenerator(seed: 7)
    let dense = try DenseKernels(workers: Workers(count: 2), instructionSet: instructionSet)
    for width in [1, 15, 16, 17, 59, 576, 4096] {
      let rowCount = 9
      let x = generator.normalFloats(width * rowCount, deviation: 3)
      let weight = generator.normalFloats(width)
      var normed = x
      var span = normed.mutableSpan
      dense.normalize(&span, weight: weight.span, epsilon: 1e-5)
      for row in 0..<rowCount {
        let values = x[row * width..<(row + 1) * width].map(Double.init)
        let mean = values.reduce(0) { $0 + $1 * $1 } / Double(width)
        let factor = 1 / (mean + Double(Float(1e-5))).squareRoot()
        for channel in 0..<width {
          let exact = values[channel] * factor * Double(weight[channel])
          let error = (Double(normed[row * width + channel]) - exact).magnitude
          // The sum of squares in sixteen lanes, halved by the root; then four roundings.
          let lanes = Double(width / 16 + 5)
          let bound = (min(lanes, 8 * lanes.squareRoot()) / 2 + 5) * 0x1p-24 * exact.magnitude
          #expect(error <= bound + 1e-38)
        }
      }
      // Gates of any size: large ones would overflow a careless exponential.
      let gates = generator.normalFloats(width * rowCount, deviation: 30)
      var gated = gates
      var gatedSpan = gated.mutableSpan
      dense.gate(&gatedSpan, by: x.span)
      for index in gates.indices {
        let gate = Double(gates[index])
        let exact = gate / (1 + exp(-gate)) * Double(x[index])
        // 2^x within 3u of an exponent rounded by u·|gate|·log2 e, and five more roundings; 2^x may vanish below 2⁻¹²⁶.
        let units = (8 + 1.5 * gate.magnitude) * 0x1p-24
        let bound = units * exact.magnitude + 0x1p-125 * (gate * Double(x[index])).magnitude
        #expect((Double(gated[index]) - exact).magnitude <= bound)
      }
    }
  }

  @Test("standardised rows, with and without a bias", arguments: instructionSets)
  func standardized(instructionSet: InstructionSet) throws {
    var generator = SeededGenerator(seed: 8)
    let dense = try DenseKernels(workers: Workers(count: 2), instructionSet: instructionSet)
    for width in [1, 15, 16, 17, 59, 576, 4096] {
      for (offset, hasBias) in [(0, false), (Float(-20), true)] {
        let rowCount = 9
        let x = generator.normalFloats(width * rowCount, deviation: 3).map { $0 + offset }
        let weight = generator.normalFloats(width)
        let bias = hasBias ? generator.normalFloats(width) : []
        var normed = x
        var span = normed.mutableSpan
        dense.standardize(&span, weight: weight.span, bias: bias.span, epsilon: 1e-5)
        // Unit roundoffs of a sum in sixteen lanes.
        let lanes = Double(width / 16 + 5)
        let sum = min(lanes, 8 * lanes.squareRoot())
        for row in 0..<rowCount {
          let values = x[row * width..<(row + 1) * width].map(Double.init)
          let mean = values.reduce(0, +) / Double(width)
          let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
          let factor = 1 / (variance + Double(Float(1e-5))).squareRoot()
          let magnitude = values.reduce(0) { $0 + $1.magnitude } / Double(width)
          for channel in 0..<width {
            let gain = factor * Double(weight[channel])
            let scaled = (values[channel] - mean) * gain
            let exact = scaled + (hasBias ? Double(bias[channel]) : 0)
            let error = (Double(normed[row * width + channel]) - exact).magnitude
            // The mean is off by (sum + 1)u of the mean magnitude and shifts all differences alike, which leaves the
            // variance as it is; the sum of squares is halved by the root; then six roundings, and that of the bias.
            let units =
              (sum + 1) * magnitude * gain.magnitude + (sum / 2 + 6) * scaled.magnitude
              + exact.magnitude
            #expect(
              error <= units * 0x1p-24 + 1e-38, "\(instructionSet) \(width) \(row) \(channel)")
          }
        }
      }
    }
  }

  @Test("GELU in both forms, over all sizes of numbers", arguments: instructionSets)
  func gelu(instructionSet: InstructionSet) throws {
    var generator = SeededGenerator(seed: 9)
    let dense = try DenseKernels(workers: Workers(count: 2), instructionSet: instructionSet)
    // Where the curve bends, in the tails, and far out, where a careless exponential overflows.
    let x =
      generator.normalFloats(20_011) + generator.normalFloats(4_000, deviation: 5)
      + generator.normalFloats(300, deviation: 1e-4) + [0, 14, -14, 300, -300, 1e30, -1e30]
    for form in GELU.allCases {
      var result = x
      var span = result.mutableSpan
      dense.gelu(&span, form: form)
      for index in x.indices {
        let value = Double(x[index])
        // The tail Φ(−|x|), and how many roundings its exponent is off by.
        let (tail, units): (Double, Double)
        switch form {
        case .exact:
          // t·P(t) within 16u without fused products (6u with); e^(−x²/2) within 3u, its exponent rounded three times.
          (tail, units) = (erfc(value.magnitude / 2.0.squareRoot()) / 2, 20 + 1.5 * value * value)
        case .tanh:
          // 1/(1 + e^(2u)) within 8u, the exponent rounded five times.
          let argument =
            2 * (2 / Double.pi).squareRoot() * (value + 0.044715 * value * value * value).magnitude
          (tail, units) = (1 / (1 + exp(argument)), 8 + 5 * argument)
        }
        let exact = value * (value < 0 ? tail : 1 - tail)
        // What is left of the tail at 0 and above is a difference from 1, with a rounding of its own; another one of the
        // product. 2^x may vanish below 2⁻¹²⁶.
        let bound =
          value.magnitude * (units * 0x1p-24 * tail + 0x1p-125) + 2 * 0x1p-24 * exact.magnitude
        let error = (Double(result[index]) - exact).magnitude
        #expect(error <= bound, "\(instructionSet) \(form) \(value): \(error) > \(bound)")
      }
    }
  }
}

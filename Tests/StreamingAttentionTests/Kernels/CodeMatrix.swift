import KernelTable
import StreamingAttention
import TestSupport

/// A random matrix of codes, packed and as plain numbers.
struct CodeMatrix {
  let packed: PackedMatrix
  /// `[output][input]`.
  let codes: [UInt8]
  /// `[output][block]`.
  let scales: [Float16]
  /// As stored or as the format defines them.
  let minima: [Double]

  init(
    inputs: Int, outputs: Int, format: CodeFormat, in memory: WeightMemory,
    for instructionSet: InstructionSet, using generator: inout SeededGenerator
  ) throws {
    let blocks = inputs / 32
    let mask: UInt8 = format.bits == 4 ? 15 : 255
    codes = (0..<inputs * outputs).map { _ in UInt8.random(in: 0...255, using: &generator) & mask }
    scales = generator.normalFloats(outputs * blocks).map { Float16($0) }
    let drawn = generator.normalFloats(outputs * blocks, deviation: 8).map { Float16($0) }
    let center: Double = format.bits == 4 ? 8 : 128
    minima =
      format.hasMinimum ? drawn.map(Double.init) : scales.map { -center * Double($0) }
    packed = try PackedMatrix(
      inputWidth: inputs, outputWidth: outputs, format: .codes(format), in: memory)
    for panel in 0..<packed.panelCount {
      let range = packed.outputs(ofPanel: panel)
      let blockRange = range.lowerBound * blocks..<range.upperBound * blocks
      let codes = Array(codes[range.lowerBound * inputs..<range.upperBound * inputs])
      let scales = scales[blockRange].map(\.bitPattern)
      let minima = drawn[blockRange].map(\.bitPattern)
      packed.pack(
        panel: panel, codes: codes.span, scales: scales.span, minima: minima.span,
        for: instructionSet)
    }
  }

  /// Row times output `output` in Double, and the size of what was added up.
  func product(_ row: QuantizedRow, output: Int) -> (exact: Double, magnitude: Double) {
    var (exact, magnitude) = (0.0, 0.0)
    for block in 0..<row.codes.count / 32 {
      let at = output * (row.codes.count / 32) + block
      for half in 0..<2 {
        var (products, sum) = (0, 0)
        for input in block * 32 + half * 16..<block * 32 + half * 16 + 16 {
          products += Int(codes[output * row.codes.count + input]) * row.codes[input]
          sum += row.codes[input]
        }
        let scale = row.scales[2 * block + half]
        let terms = (
          Double(scales[at]) * scale * Double(products), minima[at] * scale * Double(sum)
        )
        exact += terms.0 + terms.1
        magnitude += terms.0.magnitude + terms.1.magnitude
      }
    }
    return (exact, magnitude)
  }
}

/// A row in 8 bits, as `QuantizeTask` defines it.
struct QuantizedRow {
  var codes: [Int] = []
  /// One for each 16 codes.
  var scales: [Double] = []

  init(_ numbers: ArraySlice<Float>) {
    for start in stride(from: numbers.startIndex, to: numbers.endIndex, by: 32) {
      let halves = [numbers[start..<start + 16], numbers[start + 16..<start + 32]]
      let largest = halves.map { $0.reduce(0) { max($0, $1.magnitude) } }
      let most = max(largest[0], largest[1])
      let step = most < 0x1p-100 ? 0 : most * (1 / 127)
      for (half, own) in zip(halves, largest) {
        var halvings = 0
        while halvings < 7 && own * Float(2 << halvings) <= most { halvings += 1 }
        let inverse = step == 0 ? 0 : 127 / most * Float(1 << halvings)
        scales.append(Double(step) / Double(1 << halvings))
        codes += half.map { Int(($0 * inverse).rounded(.toNearestOrEven)) }
      }
    }
  }
}

import KernelTable
import StreamingAttention
import TestSupport
import Testing

@Suite("Products of codes against Double")
struct CodeKernelsTests {
  static let instructionSets = InstructionSet.allCases.filter(\.isAvailable)

  @Test("quantised rows times matrices, any number of rows", arguments: instructionSets)
  func products(instructionSet: InstructionSet) throws {
    var generator = SeededGenerator(seed: 31)
    let memory = WeightMemory()
    let dense = try DenseKernels(workers: Workers(count: 2), instructionSet: instructionSet)
    for format in CodeFormat.allCases {
      for (inputs, outputs, rowCount) in [
        (32, 1, 1), (32, 31, 2), (64, 32, 3), (96, 33, 4), (32, 130, 5), (576, 200, 6),
        (288, 64, 1), (128, 1000, 13), (64, 128, 100),
      ] {
        let matrix = try CodeMatrix(
          inputs: inputs, outputs: outputs, format: format, in: memory, for: instructionSet,
          using: &generator)
        // Rows and halves of blocks of very different sizes, some of zeros among them.
        var rows = generator.normalFloats(inputs * rowCount)
        for row in 0..<rowCount {
          let factor: Float = row % 5 == 3 ? 0 : row % 2 == 0 ? 1 : 1e-6
          for input in 0..<inputs {
            let half: Float = [1, 0.1, 1, 1e-4, 0, 3][(input / 16 + row) % 6]
            rows[row * inputs + input] *= factor * half
          }
        }
        for accumulating in [false, true] {
          var output = [Float](repeating: accumulating ? 0.5 : .nan, count: rowCount * outputs)
          var span = output.mutableSpan
          try dense.multiply(rows.span, by: matrix.packed, into: &span, accumulating: accumulating)
          for row in 0..<rowCount {
            let quantized = QuantizedRow(rows[row * inputs..<(row + 1) * inputs])
            for column in 0..<outputs {
              let (product, magnitude) = matrix.product(quantized, output: column)
              let start = accumulating ? 0.5 : 0
              let error = (Double(output[row * outputs + column]) - product - start).magnitude
              // Sums of codes are exact. Joining the halves, step and scale cost three roundings, the minimum's factor two; the
              // sum is rounded twice a block, without FMA up to four times, and once more where it is added to something.
              let units = Double(4 + 4 * inputs / 32 + 1)
              #expect(
                error <= units * 0x1p-24 * (magnitude + start),
                "\(instructionSet) \(format) \(rowCount) rows \(inputs) → \(outputs) at \(row), \(column)"
              )
            }
          }
        }
      }
    }
  }

  @Test("codes lie within half a step of their numbers", arguments: instructionSets)
  func quantization(instructionSet: InstructionSet) throws {
    var generator = SeededGenerator(seed: 32)
    let memory = WeightMemory()
    let dense = try DenseKernels(workers: Workers(count: 1), instructionSet: instructionSet)
    // One weight of 1 in each output, at the input of the same number: the products are the rows as quantised.
    let identity = try PackedMatrix(
      inputWidth: 64, outputWidth: 64, format: .codes(.bytes), in: memory)
    let ones = [UInt16](repeating: Float16(1).bitPattern, count: 64)
    let zeros = [UInt16](repeating: 0, count: 64)
    for panel in 0..<2 {
      let codes = (0..<32 * 64).map { UInt8($0 % 64 == $0 / 64 + 32 * panel ? 1 : 0) }
      identity.pack(
        panel: panel, codes: codes.span, scales: ones.span, minima: zeros.span, for: instructionSet)
    }
    for deviation in [1e-28, 1e-20, 1e-3, 1, 1e20] {
      var row = generator.normalFloats(64, deviation: deviation)
      // Halves of blocks of different sizes, either one the larger.
      for input in 0..<64 { row[input] *= [1, 0.03, 0.2, 1][input / 16] }
      let output = try Self.product(dense, row, identity)
      for input in 0..<64 {
        let own = row[input / 16 * 16..<input / 16 * 16 + 16].reduce(0) { max($0, $1.magnitude) }
        // The step is less than twice what the half's own largest number asks for: an error of half of that, and the
        // roundings of step, inverse and quotients up to 127.
        #expect((output[input] - row[input]).magnitude <= own / 127 * (1 + 127 * 0x1p-21))
      }
    }
    // Magnitudes below 2^−100 count as zeros beside themselves, and as what they are beside larger ones.
    for tiny in [Float.leastNonzeroMagnitude, 0x1p-127, 0x1p-101] {
      var row = [Float](repeating: tiny, count: 64)
      row[40] = 0x1p-99
      let output = try Self.product(dense, row, identity)
      #expect(output[..<32].allSatisfy { $0 == 0 })
      #expect((output[40] - 0x1p-99).magnitude <= 0x1p-99 * 0x1p-21)
      #expect(output[32..<64].allSatisfy { $0.isFinite })
    }
  }

  private static func product(
    _ dense: DenseKernels, _ row: [Float], _ matrix: PackedMatrix
  ) throws -> [Float] {
    var output = [Float](repeating: .nan, count: matrix.outputWidth)
    var span = output.mutableSpan
    try dense.multiply(row.span, by: matrix, into: &span)
    return output
  }

  @Test("a NaN or an infinity spoils its own row alone", arguments: instructionSets)
  func notFinite(instructionSet: InstructionSet) throws {
    var generator = SeededGenerator(seed: 33)
    let matrix = try CodeMatrix(
      inputs: 64, outputs: 40, format: .nibbles, in: WeightMemory(), for: instructionSet,
      using: &generator)
    let dense = try DenseKernels(workers: Workers(count: 1), instructionSet: instructionSet)
    for bad in [Float.nan, .infinity, -.infinity] {
      for place in [3, 20] {
        var rows = generator.normalFloats(64 * 3)
        rows[64 + place] = bad
        var output = [Float](repeating: 0, count: 120)
        var span = output.mutableSpan
        try dense.multiply(rows.span, by: matrix.packed, into: &span)
        #expect(output[..<40].allSatisfy(\.isFinite) && output[80...].allSatisfy(\.isFinite))
        #expect(output[40..<80].allSatisfy { !$0.isFinite })
        let alone = try Self.product(dense, Array(rows[64..<128]), matrix.packed)
        #expect(alone.allSatisfy { !$0.isFinite })
      }
    }
  }

  @Test(
    "neither the rows beside it nor the workers change a row's bits", arguments: instructionSets)
  func bits(instructionSet: InstructionSet) throws {
    var generator = SeededGenerator(seed: 34)
    let memory = WeightMemory()
    let (inputs, outputs, rowCount) = (96, 150, 29)
    for format in CodeFormat.allCases {
      let matrix = try CodeMatrix(
        inputs: inputs, outputs: outputs, format: format, in: memory, for: instructionSet,
        using: &generator
      ).packed
      let rows = generator.normalFloats(inputs * rowCount)
      var together = [Float](repeating: 0, count: rowCount * outputs)
      let dense = try DenseKernels(workers: Workers(count: 3), instructionSet: instructionSet)
      var span = together.mutableSpan
      try dense.multiply(rows.span, by: matrix, into: &span)
      let alone = try DenseKernels(workers: Workers(count: 1), instructionSet: instructionSet)
      for count in [1, 2, 3, 7] {
        for first in stride(from: 0, through: rowCount - count, by: count) {
          var output = [Float](repeating: 0, count: count * outputs)
          var span = output.mutableSpan
          let part = Array(rows[first * inputs..<(first + count) * inputs])
          try alone.multiply(part.span, by: matrix, into: &span)
          #expect(output == Array(together[first * outputs..<(first + count) * outputs]))
        }
      }
    }
  }

  @Test("rows enough for two blocks have the bits of one", arguments: instructionSets)
  func blocks(instructionSet: InstructionSet) throws {
    let (inputs, width, rowCount) = (32, 40, 389)
    let together = try ProductHarness(instructionSet, workerCount: 3)
    let alone = try ProductHarness(instructionSet, workerCount: 1)
    for format in [WeightFormat.codes(.nibbles), .elements(.bfloat16), .elements(.float32)] {
      let matrix = try together.matrix(inputs, width, format)
      let up = try together.matrix(inputs, 32, format)
      let gate = try together.matrix(inputs, 32, format)
      let down = try together.matrix(32, width, format)
      let rows = together.generator.normalFloats(inputs * rowCount)
      #expect(try together.product(rows, matrix) == alone.product(rows, matrix))
      #expect(
        try together.gated(rows, gate, up, down) == alone.gated(rows, gate, up, down), "\(format)")
    }
  }

  @Test(
    "joined and gated products are those of their parts, to the bit", arguments: instructionSets)
  func joined(instructionSet: InstructionSet) throws {
    let harness = try ProductHarness(instructionSet)
    let (inputs, width, rowCount) = (64, 96, 9)
    let rows = harness.generator.normalFloats(inputs * rowCount)
    let formats: [WeightFormat] = [
      .codes(.nibbles), .elements(.float16), .elements(.bfloat16), .codes(.centeredBytes),
      .elements(.float32),
    ]
    for (index, format) in formats.enumerated() {
      let (next, other) = (formats[(index + 1) % 5], formats[(index + 2) % 5])
      let gate = try harness.matrix(inputs, width, format)
      let matrices = [
        gate, try harness.matrix(inputs, 33, next), try harness.matrix(inputs, 65, other),
      ]
      let parts = try matrices.flatMap { try harness.product(rows, $0) }
      #expect(try harness.joined(rows, matrices) == parts)

      for upFormat in [format, next] {
        let up = try harness.matrix(inputs, width, upFormat)
        let gates = try harness.gates(harness.product(rows, gate), by: harness.product(rows, up))
        for downFormat in [format, other] {
          let down = try harness.matrix(width, 40, downFormat)
          let expected = try harness.product(gates, down)
          #expect(
            try harness.gated(rows, gate, up, down) == expected,
            "\(format) and \(upFormat), then \(downFormat)")
        }
      }
    }
  }

  @Test("rows are normalised on their way in", arguments: instructionSets)
  func normalized(instructionSet: InstructionSet) throws {
    var generator = SeededGenerator(seed: 36)
    let dense = try DenseKernels(workers: Workers(count: 2), instructionSet: instructionSet)
    let matrix = try CodeMatrix(
      inputs: 576, outputs: 64, format: .centeredNibbles, in: WeightMemory(), for: instructionSet,
      using: &generator
    ).packed
    let rows = generator.normalFloats(576 * 40)
    let weight = generator.normalFloats(576)
    var normed = rows
    var span = normed.mutableSpan
    dense.normalize(&span, weight: weight.span, epsilon: 1e-5)
    var (expected, output) = (
      [Float](repeating: .nan, count: 40 * 64), [Float](repeating: .nan, count: 40 * 64)
    )
    var expectedSpan = expected.mutableSpan
    try dense.multiply(normed.span, by: matrix, into: &expectedSpan)
    let normalization = RowNormalization(
      .rootMeanSquare, weight: weight, bias: [], epsilon: 1e-5)
    try dense.load(rows.span, width: 576, as: .codes, normalizedBy: normalization)
    var outputSpan = output.mutableSpan
    try dense.multiply(by: matrix, into: &outputSpan)
    #expect(output == expected)
  }

  @Test(
    "once memory has grown, products allocate nothing",
    .enabled(if: AllocationCount.isAvailable), arguments: instructionSets)
  func allocations(instructionSet: InstructionSet) throws {
    let harness = try ProductHarness(instructionSet, workerCount: 1)
    let query = try harness.matrix(64, 64, .nibbles)
    let key = try harness.matrix(64, 32, .centeredBytes)
    let (gate, up) = (try harness.matrix(64, 96, .nibbles), try harness.matrix(64, 96, .nibbles))
    let down = try harness.matrix(96, 64, .centeredNibbles)
    for rowCount in [1, 9] {
      var rows = harness.generator.normalFloats(64 * rowCount)
      var queries = rows
      var keys = [Float](repeating: 0, count: 32 * rowCount)
      var values = keys
      func layer() throws(AttentionError) {
        var queriesSpan = queries.mutableSpan
        var keysSpan = keys.mutableSpan
        var valuesSpan = values.mutableSpan
        try harness.dense.load(rows.span, width: 64, as: .codes)
        try harness.dense.multiply(
          by: query, into: &queriesSpan, by: key, into: &keysSpan, by: key, into: &valuesSpan,
          accumulating: false, cancellation: nil)
        try harness.dense.loadGated(gate: gate, up: up, as: down.rowForm)
        var rowsSpan = rows.mutableSpan
        try harness.dense.multiply(by: down, into: &rowsSpan, accumulating: true)
      }
      // Rows and gated rows change places in each call, so both have grown after two.
      try layer()
      try layer()
      let count = try AllocationCount.during { () throws(AttentionError) in try layer() }
      #expect(count == 0, "\(rowCount) rows")
    }
  }
}

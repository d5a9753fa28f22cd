import ModelFiles
import TestSupport
import Testing

@Suite("Dequantisation")
struct DequantizationTests {
  /// Blocks of every type, the numbers that gguf-py makes of them, and dot products of their rows in f64.
  struct Blocks: Decodable {
    struct Tensor: Decodable, CustomTestStringConvertible {
      let type: String
      let ggml_type_id: UInt32
      let rows: Int
      let cols: Int
      /// Offset and length in the file of bytes.
      let raw: [Int]
      let values_f32: [Int]
      let x_f32: [Int]
      let dot_f64: [Double]

      var testDescription: String { type }
    }

    let tensors: [Tensor]

    static let all = Result {
      try Fixtures.json("quant/quant_blocks.json", as: Blocks.self).tensors
    }
  }

  private static func bytes(_ place: [Int]) throws -> [UInt8] {
    Array(try Fixtures.bytes("quant/quant_blocks.bin")[place[0]..<place[0] + place[1]])
  }

  private static func floats(_ place: [Int]) throws -> [Float] {
    let bytes = try bytes(place)
    return stride(from: 0, to: bytes.count, by: 4).map { index in
      Float(bitPattern: (0..<4).reversed().reduce(0) { $0 << 8 | UInt32(bytes[index + $1]) })
    }
  }

  private static func tensor(_ type: UInt32, _ dimensions: [UInt64], _ bytes: [UInt8]) throws
    -> GGUFTensor
  {
    var builder = GGUFBuilder()
    builder.tensors = [.init(name: "t", dimensions: dimensions, type: type, bytes: bytes)]
    return try builder.open().tensor("t")
  }

  @Test("the references cover every type that can be read")
  func allTypes() throws {
    let names = try Blocks.all.get().map(\.type)
    #expect(names.sorted() == TensorType.allCases.filter(\.isSupported).map(\.description).sorted())
  }

  @Test("codes, scales and minima stand for the values of the reference")
  func codes() throws {
    var layouts = 0
    for reference in try Blocks.all.get() {
      let tensor = try Self.tensor(
        reference.ggml_type_id, [UInt64(reference.cols), UInt64(reference.rows)],
        Self.bytes(reference.raw))
      guard let layout = tensor.type.codeLayout else { continue }
      layouts += 1
      let wanted = try Self.floats(reference.values_f32)
      var codes = [UInt8](repeating: 255, count: wanted.count)
      var scales = [UInt16](repeating: 1, count: wanted.count / 32)
      var minima = scales
      var codeSpan = codes.mutableSpan
      var scaleSpan = scales.mutableSpan
      var minimumSpan = minima.mutableSpan
      tensor.writeCodes(
        ofRows: 0..<reference.rows, to: &codeSpan, scales: &scaleSpan, minima: &minimumSpan)
      for (index, value) in wanted.enumerated() {
        let scale = Double(Float16(bitPattern: scales[index / 32]))
        let minimum =
          switch layout {
          case .centeredNibbles: -8 * scale
          case .centeredBytes: -128 * scale
          case .nibbles, .bytes: Double(Float16(bitPattern: minima[index / 32]))
          }
        if layout == .nibbles || layout == .centeredNibbles { #expect(codes[index] < 16) }
        let product = scale * Double(codes[index])
        // The reference rounds product and sum to f32.
        #expect(
          (product + minimum - Double(value)).magnitude
            <= 0x1p-23 * (product.magnitude + minimum.magnitude), "\(reference.type) \(index)")
      }
    }
    #expect(layouts == 6)
  }

  @Test("every value has the bits of the reference, whichever rows are asked for")
  func values() throws {
    for reference in try Blocks.all.get() {
      let tensor = try Self.tensor(
        reference.ggml_type_id, [UInt64(reference.cols), UInt64(reference.rows)],
        Self.bytes(reference.raw))
      let wanted = try Self.floats(reference.values_f32).map(\.bitPattern)
      #expect("\(tensor.type)" == reference.type)
      #expect(try tensor.floats().map(\.bitPattern) == wanted, "\(reference.type)")
      for first in 0...reference.rows {
        for last in first...reference.rows {
          let untouched: Float = -12345.5
          var output = [Float](
            repeating: untouched, count: (last - first) * reference.cols + 1)
          var span = output.mutableSpan
          try tensor.dequantizeRows(first..<last, into: &span)
          #expect(output.removeLast() == untouched)
          #expect(
            output.map(\.bitPattern)
              == Array(wanted[first * reference.cols..<last * reference.cols]),
            "\(reference.type) rows \(first)..<\(last)")
        }
      }
    }
  }

  @Test("dot products of rows agree with f64")
  func dotProducts() throws {
    for reference in try Blocks.all.get() {
      let tensor = try Self.tensor(
        reference.ggml_type_id, [UInt64(reference.cols), UInt64(reference.rows)],
        Self.bytes(reference.raw))
      let factors = try Self.floats(reference.x_f32).map(Double.init)
      let values = try tensor.floats().map(Double.init)
      for row in 0..<reference.rows {
        let products = zip(values[(row * reference.cols)...], factors).map { $0 * $1 }
        // Products of two f32 are exact in f64. Each of the 511 additions on either side rounds by at most 2^-53 of
        // a partial sum, which is no larger than the sum of magnitudes.
        let magnitude = products.reduce(0) { $0 + abs($1) }
        let bound = 2 * 511 * 0x1p-53 * magnitude
        #expect(
          abs(products.reduce(0, +) - reference.dot_f64[row]) <= bound,
          "\(reference.type) row \(row)")
        #expect(bound <= 1e-12 * magnitude)
      }
    }
  }

  @Test("all 65,536 half-precision numbers are the numbers of the standard library")
  func halves() throws {
    let patterns = (0...UInt16.max).map { $0 }
    let values = try Self.tensor(1, [65_536], patterns.flatMap(little)).floats()
    for (pattern, value) in zip(patterns, values) {
      let wanted = Float(Float16(bitPattern: pattern))
      #expect(wanted.isNaN ? value.isNaN : value.bitPattern == wanted.bitPattern)
    }
  }

  @Test("all 65,536 bfloat16 numbers are upper halves of f32")
  func brainFloats() throws {
    let patterns = (0...UInt16.max).map { $0 }
    let values = try Self.tensor(30, [65_536], patterns.flatMap(little)).floats()
    #expect(values.map(\.bitPattern) == patterns.map { UInt32($0) << 16 })
  }

  @Test("types of which only the size is known are listed and refused")
  func unsupported() throws {
    for type in TensorType.allCases where !type.isSupported {
      let bytes = [UInt8](repeating: 0, count: type.block.byteCount)
      let tensor = try Self.tensor(type.rawValue, [UInt64(type.block.elementCount)], bytes)
      #expect(tensor.byteRange.count == bytes.count)
      let wanted = ModelFileError.unsupportedType(
        path: tensor.path, tensor: "t", found: "\(type)")
      #expect(throws: wanted) { try tensor.floats() }
      #expect(throws: wanted) {
        var output = [Float](repeating: 0, count: type.block.elementCount)
        var span = output.mutableSpan
        try tensor.dequantizeRows(0..<1, into: &span)
      }
    }
  }
}

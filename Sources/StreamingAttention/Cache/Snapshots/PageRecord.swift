import KernelTable

/// What a file of pages says of one page.
struct PageRecord: Sendable {
  var checksum: UInt64
  var norms: PageNorms
  var errors: PageErrors

  init(checksum: UInt64, norms: PageNorms, errors: PageErrors) {
    (self.checksum, self.norms, self.errors) = (checksum, norms, errors)
  }

  init(_ reader: inout ByteReader) throws(ByteReader.Defect) {
    checksum = try reader.integer()
    var floats: [Float] = []
    for _ in 0..<4 { floats.append(Float(bitPattern: try reader.integer())) }
    norms = PageNorms(key: floats[0], value: floats[1])
    errors = PageErrors(key: floats[2], value: floats[3])
  }

  func write(to writer: inout ByteWriter) {
    writer.append(checksum)
    for number in [norms.key, norms.value, errors.key, errors.value] {
      writer.append(number.bitPattern)
    }
  }
}

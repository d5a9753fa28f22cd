import Memory
import ModelFiles
import StreamingAttention

/// A number that tells models apart: of all tensors' names, types and shapes, and of some of their bytes.
///
/// Weights of another training differ nearly everywhere, so the first, middle and last rows of each tensor suffice; reading a
/// whole model would take as long as loading it.
enum ModelFingerprint {
  static func of(_ file: GGUFFile) -> UInt64 {
    var text = ByteWriter()
    for tensor in file.tensors {
      text.append(text: tensor.name)
      text.append(text: "\(tensor.type)")
      for dimension in tensor.dimensions { text.append(number: dimension) }
      let last = tensor.rowCount - 1
      for row in Set([0, last / 2, last]).sorted() where row >= 0 {
        text.append(
          tensor.withBytes(ofRows: row..<row + 1) { (bytes: RawSpan) in Checksum.of(bytes) })
      }
    }
    return Checksum.of(text.bytes)
  }
}

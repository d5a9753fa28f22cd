import Foundation
import Testing

/// What `attend logits --logits-out` writes, mapped: rows are read when they are asked for.
struct LogitsFile {
  let rowCount: Int
  let vocabulary: Int
  private let file: Data
  private let start: Int

  private struct Header: Decodable {
    struct Entry: Decodable {
      let dtype: String
      let shape: [Int]
      let data_offsets: [Int]
    }
    let logits: Entry
  }

  init(path: String) throws {
    file = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
    try #require(file.count >= 8)
    let headerLength = file.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    start = 8 + headerLength
    try #require(start <= file.count)
    let entry = try JSONDecoder().decode(Header.self, from: file[8..<start]).logits
    try #require(entry.dtype == "F32" && entry.shape.count == 2)
    (rowCount, vocabulary) = (entry.shape[0], entry.shape[1])
    try #require(entry.data_offsets == [0, rowCount * vocabulary * 4])
    try #require(file.count == start + rowCount * vocabulary * 4)
  }

  /// The numbers as they are stored.
  var bytes: Data { file[start...] }

  func row(_ token: Int) -> [Float] {
    // SAFETY: the slice holds one row, and every bit pattern is a Float.
    unsafe file[start + token * vocabulary * 4..<start + (token + 1) * vocabulary * 4]
      .withUnsafeBytes { bytes in
        (0..<vocabulary).map { unsafe bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
      }
  }

  /// The best token of a row.
  func best(_ token: Int) -> Int? {
    let row = row(token)
    return row.indices.max { row[$0] < row[$1] }
  }
}

/// A learned row per position that is added to a token's embedding.
///
/// It ends: positions without a row are refused, never clamped or wrapped.
public struct LearnedTable: Sendable, Equatable {
  /// Positions that have a row.
  public let positions: Range<Int>
  /// Channels of a row.
  public let width: Int

  // [row, channel]
  private let values: [Float]
  private let positionOffset: Int

  /// A table of a model.
  ///
  /// - Parameters:
  ///   - values: `[row, channel]`, as in the model's file.
  ///   - width: channels of a row.
  ///   - positionOffset: row of position 0; OPT's tables begin with two rows that no position uses.
  /// - Throws: `PositionError` if the values do not fill whole rows or the offset lies beyond them.
  public init(values: [Float], width: Int, positionOffset: Int = 0) throws(PositionError) {
    try PositionError.check("width of a learned table", width, in: 1...Int(Int32.max))
    guard values.count.isMultiple(of: width) else {
      throw .wrongCount(
        list: "learned table of width \(width)", received: values.count,
        allowed: (values.count / width + 1) * width)
    }
    let rows = values.count / width
    try PositionError.check("offset of a learned table", positionOffset, in: 0...rows)
    (self.values, self.width, self.positionOffset) = (values, width, positionOffset)
    positions = 0..<rows - positionOffset
  }

  /// Adds the row of a position to an embedding.
  ///
  /// - Precondition: the embedding holds `width` numbers.
  /// - Throws: `PositionError.beyondTable` if the position has no row; the embedding is as it was.
  public func addRow(
    position: Int, into embedding: inout MutableSpan<Float>
  ) throws(PositionError) {
    precondition(embedding.count == width, "\(embedding.count) channels for \(width)")
    guard positions.contains(position) else {
      throw .beyondTable(position: position, rows: positions.count)
    }
    let row = (position + positionOffset) * width
    for channel in 0..<width { embedding[channel] += values[row + channel] }
  }
}

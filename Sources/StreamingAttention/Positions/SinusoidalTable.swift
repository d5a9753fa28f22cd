#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Sines and cosines that are added to a token's embedding, for any position.
///
/// Vaswani et al. 2017, arXiv:1706.03762, §3.5. Rows are computed on demand from exact phases (`TurnRate`), so
/// there is no end to the table and no loss far out.
public struct SinusoidalTable: Sendable, Equatable {
  /// Three layouts that are all called "sinusoidal".
  public enum Convention: Sendable, CaseIterable {
    /// Sine at channel 2i, cosine at 2i + 1 of position ÷ 10000^(2i ÷ width): the paper, XLM.
    case interleaved
    /// The same angles, all sines, then all cosines (with an odd width one more sine): Marian.
    case halves
    /// All sines, then all cosines of position · 10000^(−i ÷ (half − 1)); an odd width ends in a zero.
    ///
    /// tensor2tensor and fairseq; XGLM, M2M100 and Speech2Text use it with an offset of 2.
    case tensor2tensor
  }

  /// Channels of a row.
  public let width: Int
  /// The layout.
  public let convention: Convention
  /// Added to every position first.
  public let positionOffset: Int

  private let rates: [TurnRate]

  /// A table of a layout and width; tensor2tensor's needs at least 4 channels.
  public init(
    width: Int, convention: Convention, positionOffset: Int = 0
  ) throws(PositionError) {
    let least = convention == .tensor2tensor ? 4 : 1
    try PositionError.check("width of a sinusoidal table", width, in: least...Int(Int32.max))
    try PositionError.check("offset of a sinusoidal table", positionOffset, in: 0...Int(Int32.max))
    (self.width, self.convention, self.positionOffset) = (width, convention, positionOffset)
    if convention == .tensor2tensor {
      let half = width / 2
      rates = (0..<half).map {
        TurnRate(radiansPerToken: exp(-Double($0) * log(10_000) / Double(half - 1)))
      }
    } else {
      rates = (0..<(width + 1) / 2).map {
        TurnRate(radiansPerToken: pow(10_000, -Double(2 * $0) / Double(width)))
      }
    }
  }

  /// Adds the row of a position to an embedding.
  ///
  /// - Precondition: the embedding holds `width` numbers.
  public func addRow(position: Int, into embedding: inout MutableSpan<Float>) {
    precondition(embedding.count == width, "\(embedding.count) channels for \(width)")
    for index in rates.indices {
      let turn = rates[index].turn(by: position + positionOffset)
      let (sine, cosine) =
        switch convention {
        case .interleaved: (2 * index, 2 * index + 1)
        case .halves, .tensor2tensor: (index, rates.count + index)
        }
      embedding[sine] += Float(turn.sine)
      if cosine < width { embedding[cosine] += Float(turn.cosine) }
    }
  }
}

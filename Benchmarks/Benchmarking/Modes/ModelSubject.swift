import ModelFiles
import Models
import StreamingAttention

/// A real model over a cache that is filled synthetically, at one depth.
final class ModelSubject {
  let decoder: Decoder
  let depth: Int
  private let fill: SyntheticFill
  private let cancellation: CancellationFlag
  private let progress: (String) -> Void
  private var logits: [Float] = []

  init(
    decoder: Decoder, depth: Int, seed: UInt64, cancellation: CancellationFlag,
    progress: @escaping (String) -> Void
  ) throws(BenchmarkError) {
    self.decoder = decoder
    self.depth = depth
    self.cancellation = cancellation
    self.progress = progress
    fill = try BenchmarkError.wrapping { () throws(FillError) in
      try SyntheticFill(
        engine: decoder.engine, sequences: [FillSequence(filled: depth, queries: 0)],
        options: FillOptions(seed: seed, needles: .none))
    }
  }

  /// A sequence of `depth` tokens, with the same contents each time; the one before is dropped.
  func restart() throws(BenchmarkError) -> SequenceID {
    let (fill, cancellation, depth, progress) = (fill, cancellation, depth, progress)
    return try BenchmarkError.wrapping { () throws(FillError) in
      if !fill.ids.isEmpty { try fill.drop() }
      let ids = try fill.fill(cancellation: cancellation) { part in
        progress("filling \(depth) tokens: \(Int(part * 100)) %")
      }
      return ids[0]
    }
  }

  /// Gives the sequence's memory back.
  func end() throws(BenchmarkError) {
    let fill = fill
    if fill.ids.isEmpty { return }
    try BenchmarkError.wrapping { () throws(FillError) in try fill.drop() }
  }

  /// Nanoseconds of one step and of the logits of its last row, as an answer or a prompt needs them.
  func time(_ tokens: ArraySlice<Int>, to sequence: SequenceID) throws(BenchmarkError) -> UInt64 {
    let input = DecoderInput(sequence, Array(tokens))
    let start = Stopwatch.now
    try step(input)
    _ = try row(tokens.count - 1)
    return Stopwatch.now - start
  }

  private func step(_ input: DecoderInput) throws(BenchmarkError) {
    do throws(ModelError) {
      try decoder.step([input], cancellation: cancellation)
    } catch {
      throw error == .cancelled ? .interrupted : .model(error)
    }
  }

  /// Logits of a row of the last step.
  func row(_ row: Int) throws(BenchmarkError) -> [Float] {
    do throws(ModelError) {
      try decoder.logits(ofRows: row..<row + 1, into: &logits, cancellation: cancellation)
    } catch {
      throw error == .cancelled ? .interrupted : .model(error)
    }
    return logits
  }
}

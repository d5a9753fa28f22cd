package import StreamingAttention
import Synchronization

extension SyntheticFill {
  /// Compares what an engine made of ``checkQueries(layer:for:)`` with the known answer.
  ///
  /// No page is read: a damaged needle shows. ``SelfCheck/rowCount`` says how many pairs of row and head were compared;
  /// others see no needle that outweighs ordinary keys.
  ///
  /// - Parameters:
  ///   - layer: The layer.
  ///   - output: `[row][queryHead][valueWidth]`.
  ///   - reader: The engine that attended; that of the fill if nil. One without a rotation reads keys that were
  ///     turned in the order in which they lie: pairs must be `.halves` in f32 and f16, `.interleaved` in bf16.
  ///   - count: Rows of each sequence, its newest; all that it was made for if nil.
  ///   - skippedMass: The bound on the share of a row that a horizon skipped; 0 for dense attention.
  /// - Returns: What was found, over all rows and heads.
  /// - Precondition: `output` has the length that the step's requests ask for.
  package func check(
    layer: Int, output: Span<Float>, for reader: AttentionEngine? = nil, rows count: Int? = nil,
    skippedMass: Double = 0
  ) -> SelfCheck {
    let reader = reader ?? engine
    let heads = reader.layers[layer].queryHeads
    let width = rows.layers[layer].stored.valueWidth
    let sequences = asking(count)
    let rowCount = sequences.reduce(0) { $0 + $1.queries }
    precondition(output.count == rowCount * heads * width, "\(output.count) numbers")
    guard output.count > 0, options.needles == .planted else { return SelfCheck() }
    var firstRows: [Int] = []
    var row = 0
    for sequence in sequences {
      firstRows.append(row)
      row += sequence.queries
    }
    let results = Mutex([SelfCheck](repeating: SelfCheck(), count: sequences.count * heads))
    unsafe output.withUnsafeBufferPointer { output in
      guard let start = output.baseAddress else { return }
      // SAFETY: the caller's span outlives the call; its length was checked. Engines are only asked what they are.
      nonisolated(unsafe) let numbers = unsafe start
      nonisolated(unsafe) let shared = reader
      let (rows, starts) = (rows, firstRows)
      engine.workers.forEachIndex(sequences.count * heads) { index in
        let (number, head) = (index / heads, index % heads)
        let sequence = sequences[number]
        let answer = KnownAnswer(
          rows, layer: layer, sequence: number, queryHead: head, reader: unsafe shared)
        let check = unsafe answer.check(
          numbers + (starts[number] * heads + head) * width, stride: heads * width,
          tokens: sequence.length - sequence.queries..<sequence.length,
          position: { rows.position(ofToken: $0, sequence: number) }, skippedMass: skippedMass)
        results.withLock { $0[index] = check }
      }
    }
    return results.withLock { results in
      results.reduce(into: SelfCheck()) { $0.merge($1) }
    }
  }
}

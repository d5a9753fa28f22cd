import StreamingAttention

/// Times of some encodings over one filled cache, taken in turns.
struct AttentionMeasurement {
  let cache: FilledCache
  let variants: [AttentionVariant]
  let shape: AttentionShape
  /// Query rows of each sequence.
  let rows: Int
  /// Layers that take turns.
  let layers: Int
  /// `[layer][row][queryHead][channel]`.
  let queries: [[Float]]

  /// Times of each variant.
  ///
  /// Every repetition of an encoding takes the next layer, and the order of the encodings moves on by one from
  /// repetition to repetition: so each meets every layer, and what the machine does meanwhile meets all alike.
  func run(
    repeats: Int, output: inout [Float], cancellation: CancellationFlag?,
    checked: (_ variant: Int, _ layer: Int, Span<Float>) throws(BenchmarkError) -> Void,
    progress: (Int) -> Void
  ) throws(BenchmarkError) -> [Samples] {
    var samples = [Samples](repeating: Samples(), count: variants.count)
    // Everybody awake, every table made.
    var turn = 0
    for repetition in -1..<repeats {
      for index in variants.indices {
        let variant = (index + repetition + variants.count) % variants.count
        let layer = turn % layers
        turn += 1
        let time = try attend(variant, layer: layer, output: &output, cancellation: cancellation)
        guard repetition >= 0 else { continue }
        samples[variant].add(time)
        try checked(variant, layer, output.span)
      }
      if repetition >= 0 { progress(repetition + 1) }
    }
    return samples
  }

  /// Nanoseconds of one layer's attention.
  private func attend(
    _ variant: Int, layer: Int, output: inout [Float], cancellation: CancellationFlag?
  ) throws(BenchmarkError) -> UInt64 {
    let engine = variants[variant].engine
    let asked = queries[layer]
    return try BenchmarkError.wrapping { () throws(AttentionError) in
      try engine.begin(cache.ids.map { StepRequest($0, appending: 0, querying: rows) })
      defer { engine.abandon() }
      var span = output.mutableSpan
      let start = Stopwatch.now
      try engine.attend(
        layer: layer, queries: asked.span, into: &span, cancellation: cancellation)
      return Stopwatch.now - start
    }
  }
}

package import StreamingAttention

/// What a run of the benchmark does.
package struct BenchmarkOptions: Sendable, Equatable {
  /// Nil for the default run: decode, then prefill of 128 rows.
  package var mode: BenchmarkMode?
  /// The model or the file of figures that the mode names.
  package var argument: String?
  package var contexts: [ContextMix]
  package var shape: AttentionShape
  package var types: [StoredTypes]
  package var positions: [PositionKind]
  /// Numbers of threads, one record each.
  package var threads: [Int]
  /// Sequences of each context in one step.
  package var batch: Int
  /// Query rows of each sequence in prefill.
  package var queryLengths: [Int]
  package var instructionSets: [InstructionSet]
  /// The part of the softmax mass that ALiBi may leave unread; nil for dense, and a record of its own with the default.
  package var alibiEpsilon: Float?
  /// Timed repetitions of each record; nil for the mode's own number.
  package var repeats: Int?
  /// How often a record is measured at most until it counts.
  package var attempts: Int
  package var seed: UInt64

  /// The default run on a machine.
  package static func standard(
    threads: Int, instructionSet: InstructionSet
  ) -> BenchmarkOptions {
    BenchmarkOptions(
      mode: nil, argument: nil, contexts: [ContextMix(131_072), ContextMix(262_144)],
      shape: AttentionShape(queryHeads: 32, kvHeads: 8, headDimension: 128),
      types: [.float32, .float16, .bfloat16].map { StoredTypes(key: $0, value: $0) },
      positions: [.none, .rope, .alibi], threads: [threads], batch: 1, queryLengths: [128],
      instructionSets: [instructionSet], alibiEpsilon: nil, repeats: nil, attempts: 3, seed: 1)
  }
}

package import Models
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
  /// What the quantised cache of a model keeps in 16 bits.
  package var fullPrecision = FullPrecision.sinks
  package var positions: [PositionKind]
  /// Numbers of threads, one record each.
  package var threads: [Int]
  /// Query rows of each sequence in prefill.
  package var queryLengths: [Int]
  package var instructionSets: [InstructionSet]
  /// Tokens in a model's cache before its steps.
  package var depths: [Int]
  /// How a model's weights are held.
  package var weightType: WeightType
  /// The file that another engine's figures of a model are about.
  package var model: String?
  /// The part of the softmax mass that ALiBi may leave unread; nil for dense, and a record of its own with the default.
  package var alibiEpsilon: Float?
  /// Whether keys are planted whose answer is known, or all are of unit variance.
  package var needles: FillOptions.Needles
  /// Slots after which the anchor of rotary keys changes; nil where it never does, as in a cache that only grew.
  package var anchorRun: Int?
  /// How rotary keys are stored.
  package var keyRotation: FilledRotation
  /// Sequences that share what is filled, the first of them included.
  package var forks = 8
  /// Timed repetitions of each record; nil for the mode's own number.
  package var repeats: Int?
  /// How often a record is measured at most until it counts.
  package var attempts: Int
  package var seed: UInt64

  /// Threads that may be asked for.
  static let allowedThreads = 1...1_024
  /// Query rows of a sequence, or tokens of a prompt, that may be asked for.
  static let allowedQueryLengths = 1...1 << 20

  /// Tokens that a sequence grows by in `append` unless told otherwise.
  static let appendedTokens = 512

  /// The default run on a machine.
  package static func standard(
    threads: Int, instructionSet: InstructionSet
  ) -> BenchmarkOptions {
    BenchmarkOptions(
      mode: nil, argument: nil, contexts: [ContextMix(131_072), ContextMix(262_144)],
      shape: AttentionShape(queryHeads: 32, kvHeads: 8, headDimension: 128),
      types: [.float32, .float16, .bfloat16].map { StoredTypes(key: $0, value: $0) },
      positions: [.none, .rope, .alibi], threads: [threads], queryLengths: [128],
      instructionSets: [instructionSet], depths: [0, 8_192, 32_768, 131_072],
      weightType: .file, alibiEpsilon: nil, needles: .planted, anchorRun: nil,
      keyRotation: .stored, repeats: nil, attempts: 3, seed: 1)
  }
}

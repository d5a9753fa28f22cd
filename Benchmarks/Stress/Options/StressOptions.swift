package import Benchmarking
package import StreamingAttention

/// What a run of `attend stress` does.
package struct StressOptions: Sendable, Equatable {
  package var preset: StressPreset
  package var shape: AttentionShape
  package var layers: Int
  package var types: StoredTypes
  /// What a quantised cache keeps in 16 bits.
  package var fullPrecision = FullPrecision.newestPages
  package var position: PositionKind
  package var threads: Int
  package var instructionSet: InstructionSet
  package var seed: UInt64
  /// The most sequences at once.
  package var sequences: Int
  /// Tokens of the longest sequence; nil where only memory sets an end.
  package var context: Int?
  /// Page memory of the cache in bytes; nil for the cache's own default.
  package var memoryLimit: Int?
  /// What streams keep in the preset `evict`.
  package var policy = StressPolicy.sinks
  /// Operations after which the run ends; nil where something else sets an end.
  package var steps: Int?
  /// Minutes after which the run ends; nil where something else sets an end.
  package var minutes: Double?
  /// Processes that are killed while they save, for the preset `snapshot`.
  package var kills = 20
  /// Where a folder is made for snapshots, nil for among the temporary files; of a process that is to be killed, that folder.
  package var folder: String?
  /// Whether the run is one of those that are killed.
  package var isChild = false

  /// The preset's own options on a machine.
  package init(_ preset: StressPreset, threads: Int, instructionSet: InstructionSet) {
    self.preset = preset
    shape = AttentionShape(queryHeads: 32, kvHeads: 8, headDimension: 128)
    layers = 2
    types = StoredTypes(key: .float16, value: .float16)
    position = .rope
    self.threads = threads
    self.instructionSet = instructionSet
    seed = 1
    sequences = preset.sequences
    context = preset.context
    steps = preset.steps
    minutes = preset.minutes
  }

  /// The words after the program's name that make a process save into a folder until it is killed.
  ///
  /// Without a memory limit of the options it has its own: what is available beside the pages of the run that starts it.
  func childWords(folder: String) -> [String] {
    [
      "stress", "snapshot", "--child", "--folder", folder, "--minutes", "10", "--seed", "\(seed)",
      "--sequences", "\(sequences)", "--context", "\(childContext)", "--layers", "\(layers)",
      "--query-heads", "\(shape.queryHeads)", "--kv-heads", "\(shape.kvHeads)",
      "--head-dimension", "\(shape.headDimension)", "--key-type", types.key.name, "--value-type",
      types.value.name, "--position", position.rawValue, "--threads", "\(threads)",
    ] + (memoryLimit.map { ["--memory-limit", "\($0)"] } ?? []) + precisionWords
  }

  private var precisionWords: [String] {
    guard types.isQuantized else { return [] }
    return [
      "--full-precision-first", "\(fullPrecision.first)",
      "--full-precision-last", "\(fullPrecision.last)",
    ]
  }

  /// Short, so that such a process saves many times a second.
  var childContext: Int { min(context ?? 1_024, 1_024) }

  /// The command that does the same again, up to and including a step, in a cache of that memory.
  package func command(steps: Int, memoryLimit: Int) -> String {
    var words = ["attend stress \(preset.rawValue) --seed \(seed) --steps \(steps)"]
    words.append("--sequences \(sequences)")
    if let context { words.append("--context \(context)") }
    words.append("--memory-limit \(memoryLimit) --layers \(layers)")
    words.append("--query-heads \(shape.queryHeads) --kv-heads \(shape.kvHeads)")
    words.append("--head-dimension \(shape.headDimension)")
    words.append("--key-type \(types.key.name) --value-type \(types.value.name)")
    words += precisionWords
    words.append("--position \(position.rawValue) --threads \(threads)")
    if preset == .snapshot { words.append("--kills \(kills)") }
    if policy != .sinks { words.append("--policy \(policy.rawValue)") }
    return words.joined(separator: " ")
  }
}

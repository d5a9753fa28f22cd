package import Benchmarking
package import StreamingAttention

/// What a run of `attend stress` does.
package struct StressOptions: Sendable, Equatable {
  package var preset: StressPreset
  package var shape: AttentionShape
  package var layers: Int
  package var types: StoredTypes
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
  /// Operations after which the run ends; nil where something else sets an end.
  package var steps: Int?
  /// Minutes after which the run ends; nil where something else sets an end.
  package var minutes: Double?

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

  /// The command that does the same again, up to and including a step, in a cache of that memory.
  package func command(steps: Int, memoryLimit: Int) -> String {
    var words = ["attend stress \(preset.rawValue) --seed \(seed) --steps \(steps)"]
    words.append("--sequences \(sequences)")
    if let context { words.append("--context \(context)") }
    words.append("--memory-limit \(memoryLimit) --layers \(layers)")
    words.append("--query-heads \(shape.queryHeads) --kv-heads \(shape.kvHeads)")
    words.append("--head-dimension \(shape.headDimension)")
    words.append("--key-type \(types.key.name) --value-type \(types.value.name)")
    words.append("--position \(position.rawValue) --threads \(threads)")
    return words.joined(separator: " ")
  }
}

package import Benchmarking
package import StreamingAttention

extension StressOptions {
  /// Reads the values of options, over the defaults of the preset.
  ///
  /// - Parameters:
  ///   - preset: The first word of the command line.
  ///   - values: Values by option name, flags with an empty value.
  ///   - threads: Threads unless told otherwise.
  ///   - instructionSet: What the kernels are compiled for.
  /// - Throws: ``BenchmarkError/option(name:received:allowed:)``.
  package init(
    preset: String, values: [String: String], threads: Int, instructionSet: InstructionSet
  ) throws(BenchmarkError) {
    guard let known = StressPreset(rawValue: preset) else {
      throw .option(
        name: "PRESET", received: preset,
        allowed: StressPreset.allCases.map(\.rawValue).joined(separator: ", "))
    }
    self.init(known, threads: threads, instructionSet: instructionSet)
    let reader = ValueReader(values: values)
    shape = try reader.shape(over: shape)
    if let named = AttentionShape.named.first(where: { $0.name == values["--shape"] }) {
      layers = named.layers
    }
    layers = try reader.integer("--layers", in: 1...1024) ?? layers
    let types = ElementType.allCases.map { ($0.name, $0) }
    let key = try reader.choice("--key-type", types) ?? self.types.key
    self.types = StoredTypes(key: key, value: try reader.choice("--value-type", types) ?? key)
    fullPrecision = try reader.fullPrecision(
      over: fullPrecision, isQuantized: self.types.isQuantized)
    position =
      try reader.choice("--position", PositionKind.allCases.map { ($0.rawValue, $0) }) ?? position
    if let policy = try reader.choice(
      "--policy", StressPolicy.allCases.map { ($0.rawValue, $0) })
    {
      guard known == .evict else {
        throw .option(name: "--policy", received: policy.rawValue, allowed: "only with evict")
      }
      self.policy = policy
    }
    self.threads = try reader.integer("--threads", in: 1...1024) ?? threads
    seed = try reader.seed("--seed") ?? seed
    sequences = try reader.integer("--sequences", in: 1...65_536) ?? sequences
    kills = try reader.integer("--kills", in: 0...100_000) ?? kills
    folder = values["--folder"]
    isChild = values["--child"] != nil
    try checkPreset(of: ["--kills", "--child"], values, [.snapshot])
    try checkPreset(of: ["--folder"], values, [.snapshot, .soak])
    if isChild, folder == nil {
      throw .option(name: "--child", received: "no --folder", allowed: "a folder beside it")
    }
    try readLengths(reader)
    try readEnd(reader)
  }

  /// Throws if an option is there that only some presets have.
  private func checkPreset(
    of names: [String], _ values: [String: String], _ presets: [StressPreset]
  ) throws(BenchmarkError) {
    for name in names where !presets.contains(preset) {
      guard let value = values[name] else { continue }
      let known = presets.map(\.rawValue).joined(separator: " or ")
      throw .option(
        name: name, received: value, allowed: "nothing but with the preset \(known)")
    }
  }

  private mutating func readLengths(_ reader: ValueReader) throws(BenchmarkError) {
    if let text = reader.values["--context"] {
      guard let length = ContextMix.length(text[...]), length >= Self.shortestContext else {
        throw .option(
          name: "--context", received: text,
          allowed: "a whole number such as 4096, 128K or 1M, \(Self.shortestContext) to 64M")
      }
      context = length
    }
    memoryLimit = try reader.bytes("--memory-limit")
  }

  private mutating func readEnd(_ reader: ValueReader) throws(BenchmarkError) {
    let minutes = try reader.number("--minutes", in: 0.01...100_000)
    let steps = try reader.integer("--steps", in: 1...1_000_000_000_000)
    if minutes != nil, let steps {
      throw .option(
        name: "--steps", received: "\(steps)", allowed: "nothing beside --minutes; give one of them"
      )
    }
    guard minutes != nil || steps != nil else { return }
    (self.minutes, self.steps) = (minutes, steps)
  }

  /// Sequences need room for operations on them.
  static let shortestContext = 16
}

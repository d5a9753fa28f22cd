import Models
package import StreamingAttention

extension BenchmarkOptions {
  /// Reads the values of options, over the defaults of the mode.
  ///
  /// - Parameters:
  ///   - mode: The first word of the command line; nil for the default run.
  ///   - argument: The second word.
  ///   - values: Values by option name, flags with an empty value.
  ///   - threads: Threads unless told otherwise.
  ///   - instructionSet: The instruction set unless told otherwise.
  /// - Throws: ``BenchmarkError/option(name:received:allowed:)``.
  package init(
    mode: String?, argument: String?, values: [String: String], threads: Int,
    instructionSet: InstructionSet
  ) throws(BenchmarkError) {
    self = .standard(threads: threads, instructionSet: instructionSet)
    try readMode(mode, argument)
    try checkNames(values)
    let reader = ValueReader(values: values)
    shape = try reader.shape(over: shape)
    try readModel(reader)
    if self.mode != .model,
      let list = try reader.list(
        "--context", "lengths up to 64M such as 4096, 128K or 31*1K+128K", ContextMix.init)
    {
      contexts = list
    }
    try readTypes(reader)
    fullPrecision = try reader.fullPrecision(
      over: fullPrecision, isQuantized: types.contains(where: \.isQuantized))
    if let list = try reader.choices("--position", PositionKind.allCases.map { ($0.rawValue, $0) })
    {
      positions = list
    }
    if let list = try reader.integers("--threads", in: Self.allowedThreads) { self.threads = list }
    if let list = try reader.integers("--query-length", in: Self.allowedQueryLengths) {
      queryLengths = list
    }
    if let list = try reader.choices(
      "--instruction-set",
      InstructionSet.allCases.filter(\.isAvailable).map { ($0.rawValue, $0) })
    {
      instructionSets = list
    }
    alibiEpsilon = try reader.number("--alibi-epsilon", in: 0...0.01).map { Float($0) }
    needles =
      try reader.choice("--keys", [("planted", .planted), ("plain", .none)]) ?? needles
    if let mode, ["append", "forks"].contains(mode), needles == .none {
      throw .option(name: "--keys", received: "plain", allowed: "planted, with \(mode)")
    }
    anchorRun = try reader.integer("--anchor-run", in: 64...1 << 20)
    if let run = anchorRun, !run.isMultiple(of: 64) {
      throw .option(name: "--anchor-run", received: "\(run)", allowed: "multiples of 64")
    }
    try readKeyRotation(reader)
    forks = try reader.integer("--forks", in: 2...64) ?? forks
    repeats = try reader.integer("--repeat", in: 1...1_000_000)
    attempts = try reader.integer("--attempts", in: 1...100) ?? attempts
    seed = try reader.seed("--seed") ?? seed
    let batch = try reader.integer("--batch", in: 1...4096) ?? 1
    contexts = contexts.map { $0.repeated(batch) }
    let grown = self.mode == .append ? repeats ?? Self.appendedTokens : 0
    if let mix = contexts.first(where: { $0.longer(by: grown).isTooLong }) {
      throw .option(
        name: "--context", received: "\(mix)",
        allowed: "at most \(ContextMix.mostTokens) tokens in all, appended ones included")
    }
    if let mode = self.mode, [.edits, .forks].contains(mode),
      let mix = contexts.first(where: \.isMixed)
    {
      throw .option(
        name: "--context", received: "\(mix)",
        allowed: "lengths of one sequence, such as 128K, with \(mode.rawValue)")
    }
    try checkQueryLengths()
  }

  /// Planted keys answer engines that turn them as they should be turned; others are right only by Double.
  private mutating func readKeyRotation(_ reader: ValueReader) throws(BenchmarkError) {
    guard
      let rotation = try reader.choice(
        "--key-rotation", FilledRotation.allCases.map { ($0.rawValue, $0) }),
      rotation != .stored
    else { return }
    guard [nil, .decode, .prefill, .append].contains(mode) else {
      throw .option(
        name: "--key-rotation", received: rotation.rawValue,
        allowed: "stored; others only with decode, prefill and append")
    }
    keyRotation = rotation
    guard needles == .planted else { return }
    if reader.values["--position"] == nil { positions = [.rope] }
    guard positions.allSatisfy(\.turns) else {
      throw .option(
        name: "--position", received: Self.names(positions.map(\.rawValue)),
        allowed: "rope, rope+alibi with --key-rotation \(rotation.rawValue), unless --keys plain")
    }
  }

  private mutating func readMode(_ mode: String?, _ argument: String?) throws(BenchmarkError) {
    guard let mode else { return }
    guard let known = BenchmarkMode(rawValue: mode) else {
      throw .option(
        name: "mode", received: mode, allowed: Self.names(BenchmarkMode.allCases.map(\.rawValue)))
    }
    self.mode = known
    self.argument = argument
    switch (known.argument, argument) {
    case (let name?, nil):
      throw .option(name: name, received: "", allowed: "the path of a file, after '\(mode)'")
    case (nil, let word?):
      throw .option(
        name: "argument of \(mode)", received: word, allowed: "none; --context sets lengths")
    default: break
    }
    switch known {
    case .prefill:
      contexts = [ContextMix(8_192), ContextMix(16_384)]
      queryLengths = [2_048]
    case .model:
      queryLengths = [1, 512]
      types = [.float16, .bfloat16].map { StoredTypes(key: $0, value: $0) }
    default: break
    }
  }

  /// Throws for an option that would change nothing.
  private func checkNames(_ values: [String: String]) throws(BenchmarkError) {
    let known = BenchmarkMode.optionNames(of: mode)
    for name in values.keys.sorted() where !known.contains(name) {
      let modes = BenchmarkMode.allCases.filter {
        BenchmarkMode.optionNames(of: $0).contains(name)
      }
      // An option of the output.
      if modes.isEmpty { continue }
      throw .option(
        name: name, received: values[name] ?? "",
        allowed: (BenchmarkMode.optionNames(of: nil).contains(name)
          ? "only without a mode, or with " : "only with ")
          + Self.names(modes.map(\.rawValue)))
    }
  }

  /// A model's depths may be called contexts, as they are where there is no model.
  private mutating func readModel(_ reader: ValueReader) throws(BenchmarkError) {
    guard mode == .model || mode == .compare else { return }
    for (name, other) in [("--depth", "--context"), ("--prompt-length", "--query-length")] {
      guard let value = reader.values[name], reader.values[other] != nil else { continue }
      throw .option(
        name: name, received: value, allowed: "nothing beside \(other); give one of them")
    }
    for name in ["--context", "--depth"] {
      if let list = try reader.integers(name, in: 0...ContextMix.longest) { depths = list }
    }
    if let length = try reader.tokens(
      "--prompt-length", in: 0...Self.allowedQueryLengths.upperBound)
    {
      queryLengths = length < 2 ? [1] : [1, length]
    }
    weightType =
      try reader.choice("--weight-type", WeightType.allCases.map { ($0.name, $0) }) ?? weightType
    model = reader.values["--model"]
  }

  private mutating func readTypes(_ reader: ValueReader) throws(BenchmarkError) {
    let known = ElementType.allCases.map { ($0.name, $0) }
    let keys = try reader.choices("--key-type", known)
    let values = try reader.choices("--value-type", known)
    guard keys != nil || values != nil else { return }
    let keyTypes = keys ?? types.map(\.key)
    let valueTypes = values ?? keyTypes
    guard valueTypes.count == 1 || valueTypes.count == keyTypes.count else {
      throw .option(
        name: "--value-type", received: Self.names(valueTypes.map(\.name)),
        allowed: "one type, or one for each of \(keyTypes.count) key types")
    }
    types = keyTypes.indices.map { index in
      StoredTypes(key: keyTypes[index], value: valueTypes[valueTypes.count == 1 ? 0 : index])
    }
  }

  private func checkQueryLengths() throws(BenchmarkError) {
    guard mode == .prefill || mode == nil else { return }
    let shortest = contexts.flatMap(\.lengths).min() ?? 0
    if let length = queryLengths.first(where: { $0 > shortest }) {
      throw .option(
        name: "--query-length", received: "\(length)",
        allowed: "at most the shortest context, \(shortest)")
    }
  }

  static func names(_ names: [String]) -> String { names.joined(separator: ", ") }
}

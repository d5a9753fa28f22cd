import Benchmarking
import ModelFiles
import Models
import StreamingAttention

/// The options of every command that runs a model, and what they make.
struct ModelOptions {
  static let all = [
    Option(
      "--weight-type", "T",
      "How weights are held: f32, f16, bf16, or file for the file's own 4 to 8 bits (8-bit activations: fastest, within "
        + "half a percent of f32's perplexity). Default: file."),
    Option(
      "--key-type", "T", "How cached keys are held: f32, f16, bf16, int8 or int4. Default: f16."),
    Option(
      "--value-type", "T", "How cached values are held: f32, f16, bf16, int8 or int4. Default: f16."
    ),
    Option(
      "--full-precision-first", "N",
      "With int8 or int4: the first N tokens stay in 16 bits, in whole pages of 64. Default: 4."),
    Option(
      "--full-precision-last", "N",
      "With int8 or int4: so do the last N tokens; the two newest pages always do. Default: 0."),
    Option(
      "--memory-limit", "BYTES",
      "Page memory that the cache may commit, such as 512M or 8G. Default: 90 % of what is available."
    ),
    Option(
      "--threads", "N",
      "Threads that compute, 1 to 1024. Default: one for each CPU that this process may use."),
    Option(
      "--alibi-epsilon", "E",
      "Models with ALiBi leave out keys that weigh at most this part of a row's softmax, 0 (none) to below 1. Default: 1e-7."
    ),
    Option(
      "--rope-scaling", "TYPE",
      "Rotary scaling in place of the file's: none, linear, ntk, dynamic, yarn, llama3 or proportional."
    ),
    Option("--rope-factor", "F", "By how much the scaling stretches the context, above 0."),
    Option(
      "--rope-original-context", "N",
      "The context that the model was trained for. Default: as the file says."),
    Option(
      "--extend-at", "N",
      "Change to --rope-scaling in mid-stream, after N tokens, and read those by the file's own scaling; what the cache "
        + "holds stays as it is."),
  ]

  private static let types: [(String, ElementType)] = ElementType.allCases.map { ($0.name, $0) }

  var weightType: WeightType
  var keyType: ElementType
  var valueType: ElementType
  /// What a quantised cache keeps in 16 bits.
  var fullPrecision: FullPrecision
  /// The most page memory in bytes; what the machine allows if nil.
  var memoryLimit: Int?
  var alibiEpsilon: Float
  var workers: Workers
  var instructionSet: InstructionSet
  /// Tokens after which the scaling takes the place of the file's; nil for from the first token on.
  var extensionStart: Int?
  private var scalingType: String?
  private var factor: Double?
  private var originalContext: Int?

  init(_ arguments: Arguments) throws(CommandFailure) {
    weightType =
      try arguments.choice("--weight-type", among: WeightType.allCases.map { ($0.name, $0) })
      ?? .file
    keyType = try arguments.choice("--key-type", among: Self.types) ?? .float16
    valueType = try arguments.choice("--value-type", among: Self.types) ?? .float16
    fullPrecision = try Self.fullPrecision(
      arguments, isQuantized: keyType.isQuantized || valueType.isQuantized)
    let epsilon = try arguments.number("--alibi-epsilon", "0 or above, below 1") {
      (0...Double(Float(1).nextDown)).contains($0)
    }
    alibiEpsilon = epsilon.map { Float($0) } ?? LayerAttention.defaultALiBiEpsilon
    let threads = try arguments.integer("--threads", in: 1...1024)
    scalingType = try arguments.choice(
      "--rope-scaling",
      among: ["none", "linear", "ntk", "dynamic", "yarn", "llama3", "proportional"].map { ($0, $0) }
    )
    factor = try arguments.number("--rope-factor", "a number above 0, at most 1e6") {
      $0 > 0 && $0 <= 1e6
    }
    originalContext = try arguments.integer("--rope-original-context", in: 1...Int(Int32.max))
    extensionStart = try arguments.integer("--extend-at", in: 1...Int(Int32.max))
    switch scalingType {
    case nil:
      guard factor == nil, originalContext == nil, extensionStart == nil else {
        throw .usage("--rope-factor, --rope-original-context and --extend-at need --rope-scaling")
      }
    case "none":
      guard factor == nil, originalContext == nil else {
        throw .usage("--rope-scaling none takes neither factor nor original context")
      }
    case "linear", "ntk", "proportional":
      guard originalContext == nil else {
        throw .usage(
          "--rope-original-context has no meaning with --rope-scaling \(scalingType ?? "")")
      }
      fallthrough
    default:
      guard factor != nil else {
        throw .usage("--rope-scaling \(scalingType ?? "") needs --rope-factor")
      }
    }
    instructionSet = try Self.instructionSet()
    memoryLimit = try Self.memoryLimit(arguments)
    workers = threads.map { Workers(count: $0) } ?? .shared
  }

  private static func fullPrecision(
    _ arguments: Arguments, isQuantized: Bool
  ) throws(CommandFailure) -> FullPrecision {
    var precision = FullPrecision.sinks
    let allowed = 0...Int(Int32.max)
    let first = try arguments.integer("--full-precision-first", in: allowed)
    let last = try arguments.integer("--full-precision-last", in: allowed)
    guard isQuantized || (first == nil && last == nil) else {
      throw .usage(
        "--full-precision-first and --full-precision-last need --key-type or --value-type int8 or int4"
      )
    }
    if let first { precision.first = first }
    if let last { precision.last = last }
    return precision
  }

  /// The most page memory in bytes, if it is given.
  private static func memoryLimit(_ arguments: Arguments) throws(CommandFailure) -> Int? {
    let name = "--memory-limit"
    guard let text = arguments.text(name) else { return nil }
    do throws(BenchmarkError) { return try ValueReader(values: [name: text]).bytes(name) } catch {
      throw CommandFailure(error)
    }
  }

  /// The scaling that takes the place of the file's, if any.
  private func scaling(of file: GGUFFile) throws(CommandFailure) -> RotaryScaling? {
    guard let scalingType, let factor = scalingType == "none" ? 1 : factor else { return nil }
    func original() throws(CommandFailure) -> Int {
      if let originalContext { return originalContext }
      return try CommandFailure.wrapping { () throws(ModelError) in
        try DecoderShape(of: file).trainedContext
      }
    }
    return switch scalingType {
    case "linear": .linear(factor: factor)
    case "ntk": .ntkAware(factor: factor)
    case "dynamic": .dynamicNTK(factor: factor, originalContext: try original())
    case "yarn": .yarn(YaRN(factor: factor, originalContext: try original()))
    case "llama3": .llama3(Llama3Bands(factor: factor, originalContext: try original()))
    case "proportional": .proportional(factor: factor)
    default: RotaryScaling.none
    }
  }

  /// The best instruction set, or the one that `ATTEND_ISA` names.
  static func instructionSet() throws(CommandFailure) -> InstructionSet {
    do throws(AttentionError) {
      return try .selected(by: Terminal.environment("ATTEND_ISA"))
    } catch {
      throw .usage("\(error)")
    }
  }

  /// Opens a file.
  static func open(_ path: String) throws(CommandFailure) -> GGUFFile {
    do throws(ModelFileError) { return try GGUFFile(path: path) } catch {
      throw CommandFailure(error)
    }
  }

  /// Loads the weights of an opened file.
  func load(_ file: GGUFFile) throws(CommandFailure) -> DecoderModel {
    let scaling = try scaling(of: file)
    let extends = extensionStart != nil
    return try CommandFailure.wrapping { () throws(ModelError) in
      try DecoderModel(
        file: file, weightType: weightType, scaling: extends ? nil : scaling,
        extension: extends ? scaling : nil, workers: workers, instructionSet: instructionSet)
    }
  }

  /// Tokens that a session may hold: what the model was trained for, stretched by the caller's scaling.
  func context(trained: Int) -> Int {
    guard let factor, factor > 1 else { return trained }
    return Int(min(Double(trained) * factor, Double(Int32.max)))
  }
}

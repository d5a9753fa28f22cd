import Glibc
import ModelFiles
import Models
import StreamingAttention

extension Command {
  static let logits = Command(
    name: "logits", overview: "Log-probabilities of given tokens, and logits.",
    arguments: [("MODEL", "A GGUF file.")],
    options: [
      Option(
        "--token-ids", "FILE", "Ids, separated by white space or commas, or a JSON array. Required."
      ),
      Option("--json", "Print one JSON object."),
      Option(
        "--logits-out", "FILE", "Write tensor 'logits' [tokens, vocabulary] in f32 (safetensors)."),
      Option("--chunk", "N", "Tokens of a step, 1 or more. Default: 512."),
    ] + ModelOptions.all,
    run: LogitsRun.run)
}

/// `attend logits`: teacher forcing over the tokens of a file.
enum LogitsRun {
  @Sendable static func run(_ arguments: Arguments) async throws(CommandFailure) {
    guard let idPath = arguments.text("--token-ids") else {
      throw .usage("--token-ids FILE is missing")
    }
    let chunk = try arguments.integer("--chunk", in: 1...Int.max) ?? 512
    let options = try ModelOptions(arguments)
    let file = try ModelOptions.open(arguments.positionals[0])
    if let path = arguments.text("--logits-out") {
      let inputs = [idPath] + file.tensors.map(\.path)
      if let input = inputs.first(where: { InputFile.isSame(path, $0) }) {
        throw .usage("--logits-out \(path) would replace \(input), which this run reads")
      }
    }
    let ids = try TokenIDFile.read(idPath)
    let model = try options.load(file)
    if let bad = ids.first(where: { $0 >= model.vocabularySize }) {
      throw CommandFailure(
        ModelError.tokenOutOfRange(received: bad, allowed: 0..<model.vocabularySize))
    }
    var report = LogitsReport(ids: ids, hasALiBi: model.shape.alibi != nil)
    // From here on there may be a file to clean up; the decoder looks at the flag.
    Interrupt.begin {}
    let writer: SafetensorsWriter?
    if let path = arguments.text("--logits-out") {
      writer = try writing { () throws(ModelFileError) in
        try SafetensorsWriter(
          path: path, tensor: "logits", shape: [ids.count, model.vocabularySize])
      }
    } else {
      writer = nil
    }
    report.attention = try compute(ids, chunk: chunk, model: model, options: options) {
      (token: Int, logits: Span<Float>) throws(CommandFailure) in
      report.add(logits, ofToken: token)
      try writing { () throws(ModelFileError) in try writer?.append(logits) }
    }
    try writing { () throws(ModelFileError) in try writer?.finish() }
    try Terminal.write(arguments.has("--json") ? report.json : report.text)
  }

  private static func writing<Value>(
    _ body: () throws(ModelFileError) -> Value
  ) throws(CommandFailure) -> Value {
    do throws(ModelFileError) { return try body() } catch { throw CommandFailure(error) }
  }

  /// Hands out the logits of every token in order, and says what attention read.
  private static func compute(
    _ ids: [Int], chunk: Int, model: DecoderModel, options: ModelOptions,
    _ body: (Int, Span<Float>) throws(CommandFailure) -> Void
  ) throws(CommandFailure) -> AttentionReport {
    let decoder = try CommandFailure.wrapping { () throws(ModelError) in
      try Decoder(
        model: model, keyType: options.keyType, valueType: options.valueType,
        maximumContext: ids.count, extensionStart: options.extensionStart,
        alibiEpsilon: options.alibiEpsilon, workers: options.workers,
        memoryLimit: options.memoryLimit, fullPrecision: options.fullPrecision)
    }
    let sequence = try CommandFailure.wrapping { () throws(ModelError) in try decoder.makeSequence()
    }
    let bar = ProgressBar("reading", total: ids.count)
    var logits: [Float] = []
    var attention = AttentionReport()
    // As many rows at once as the output matrix's panels are worth reading for.
    let rowsAtOnce = 48
    defer { bar.finish() }
    var first = 0
    while first < ids.count {
      let last = first + decoder.stepCount(min(chunk, ids.count - first), from: first)
      try CommandFailure.wrapping { () throws(ModelError) in
        try decoder.step(
          [DecoderInput(sequence, Array(ids[first..<last]))], cancellation: Interrupt.flag)
      }
      attention.add(decoder.attentionReport)
      for row in stride(from: 0, to: last - first, by: rowsAtOnce) {
        let rows = row..<min(row + rowsAtOnce, last - first)
        try CommandFailure.wrapping { () throws(ModelError) in
          try decoder.logits(ofRows: rows, into: &logits, cancellation: Interrupt.flag)
        }
        for index in rows {
          let start = (index - row) * model.vocabularySize
          try body(
            first + index, logits.span.extracting(start..<start + model.vocabularySize))
        }
      }
      first = last
      bar.update(last)
    }
    return attention
  }
}

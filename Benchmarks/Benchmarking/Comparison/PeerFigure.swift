/// What some engine needed for a job, as a file of figures says (Benchmarks/peers/README.md).
package struct PeerFigure: Sendable, Equatable {
  package var engine: String
  package var version: String?
  package var job: ComparedJob
  package var keyType: String
  package var valueType: String
  package var medianMilliseconds: Double
  package var minimumMilliseconds: Double?
  package var relativeError: Double?

  package init(
    engine: String, version: String? = nil, job: ComparedJob, keyType: String, valueType: String,
    medianMilliseconds: Double, minimumMilliseconds: Double? = nil, relativeError: Double? = nil
  ) {
    self.engine = engine
    self.version = version
    self.job = job
    self.keyType = keyType
    self.valueType = valueType
    self.medianMilliseconds = medianMilliseconds
    self.minimumMilliseconds = minimumMilliseconds
    self.relativeError = relativeError
  }

  /// As ours are called in such files.
  package static let ours = "streaming-attention"

  /// Reads the lines of a file; what describes a machine, and our own figures, are passed over.
  ///
  /// - Parameters:
  ///   - text: The file's contents.
  ///   - path: For error messages.
  /// - Returns: At least one figure.
  /// - Throws: ``BenchmarkError/data(path:line:reason:)``.
  package static func read(_ text: String, path: String) throws(BenchmarkError) -> [PeerFigure] {
    var figures: [PeerFigure] = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
    where line.contains(where: { !$0.isWhitespace }) {
      guard let object = JSONLine(line) else {
        throw .data(path: path, line: index + 1, reason: "not a JSON object on a line of its own")
      }
      let engine = object.text("engine")
      if object.text("operation") == "machine" || engine == ours { continue }
      figures.append(try figure(object, engine: engine, path: path, line: index + 1))
    }
    guard !figures.isEmpty else {
      throw .data(path: path, line: 1, reason: "no figures of another engine")
    }
    return figures
  }

  private static func figure(
    _ object: JSONLine, engine: String?, path: String, line: Int
  ) throws(BenchmarkError) -> PeerFigure {
    func text(_ name: String) throws(BenchmarkError) -> String {
      guard let text = object.text(name) else {
        throw .data(path: path, line: line, reason: "\"\(name)\" is missing or no string")
      }
      return text
    }
    func count(_ name: String, in allowed: ClosedRange<Int>) throws(BenchmarkError) -> Int {
      guard let count = object.integer(name), allowed.contains(count) else {
        throw .data(
          path: path, line: line,
          reason: "\"\(name)\" is missing or no whole number, \(allowed.lowerBound) to "
            + "\(allowed.upperBound)")
      }
      return count
    }
    /// A number that may be missing.
    func number(
      _ name: String, _ allowed: String, _ holds: (Double) -> Bool
    ) throws(BenchmarkError) -> Double? {
      if object.lacks(name) { return nil }
      guard let number = object.number(name), holds(number) else {
        throw .data(path: path, line: line, reason: "\"\(name)\" is no number \(allowed)")
      }
      return number
    }
    let operation = try text("operation")
    guard ["decode", "prefill"].contains(operation) else {
      throw .data(
        path: path, line: line,
        reason: "\"operation\" is '\(operation)'; allowed: decode, prefill")
    }
    guard let median = object.number("medianMilliseconds"), median > 0 else {
      throw .data(
        path: path, line: line, reason: "\"medianMilliseconds\" is missing or not above 0")
    }
    let (name, variant) = (try text("engine"), object.text("variant"))
    var job = ComparedJob(
      operation: operation, context: try count("context", in: 1...ContextMix.longest),
      queryLength: try count("queryLength", in: BenchmarkOptions.allowedQueryLengths),
      threads: try count("threads", in: BenchmarkOptions.allowedThreads))
    guard operation == "decode" ? job.queryLength == 1 : job.queryLength <= job.context else {
      throw .data(
        path: path, line: line,
        reason: "\"queryLength\" is \(job.queryLength); allowed: 1 for decode, at most "
          + "\"context\" for prefill")
    }
    if let model = object.text("model") {
      job.model = model
      job.depth = try count("depth", in: 0...ContextMix.longest)
    } else {
      let shape = AttentionShape(
        queryHeads: try count("queryHeads", in: AttentionShape.allowedHeads),
        kvHeads: try count("kvHeads", in: AttentionShape.allowedHeads),
        headDimension: try count("headDimension", in: AttentionShape.allowedDimensions))
      guard shape.queryHeads.isMultiple(of: shape.kvHeads) else {
        throw .data(
          path: path, line: line,
          reason: "\"queryHeads\" is \(shape.queryHeads); allowed: multiples of \"kvHeads\", "
            + "\(shape.kvHeads)")
      }
      job.shape = shape
    }
    return PeerFigure(
      engine: variant.map { "\(name) (\($0))" } ?? name, version: object.text("version"), job: job,
      keyType: try text("keyType"), valueType: try text("valueType"), medianMilliseconds: median,
      minimumMilliseconds: try number("minimumMilliseconds", "above 0") { $0 > 0 },
      relativeError: try number("relativeError", "of 0 or more") { $0 >= 0 })
  }
}

/// What several engines did alike, whatever types they store.
package struct ComparedJob: Sendable, Hashable {
  package var operation: String
  package var context: Int
  package var queryLength: Int
  package var threads: Int
  /// Of attention alone; nil for a model.
  package var shape: AttentionShape?
  /// A model's file, without its folder; nil for attention alone.
  package var model: String?
  /// Of a model; nil for attention alone.
  package var depth: Int?

  package init(
    operation: String, context: Int, queryLength: Int, threads: Int, shape: AttentionShape? = nil,
    model: String? = nil, depth: Int? = nil
  ) {
    self.operation = operation
    self.context = context
    self.queryLength = queryLength
    self.threads = threads
    self.shape = shape
    self.model = model
    self.depth = depth
  }
}

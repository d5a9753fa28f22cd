import ModelFiles
import Models
import StreamingAttention

extension BenchmarkRun {
  /// `model`: tokens per second of a real model, decode and prefill, at several depths of its cache.
  func measureModel(_ path: String) throws(BenchmarkError) {
    for set in options.instructionSets {
      _ = try limits(set)
      for threads in options.threads {
        observer.progress("loading \(path)")
        let model = try load(path, set: set, workers: workers(threads))
        for depth in options.depths {
          for types in options.types {
            try checkInterrupt()
            try measure(model, path: path, depth: depth, types: types, workers: workers(threads))
          }
        }
      }
    }
  }

  private func load(
    _ path: String, set: InstructionSet, workers: Workers
  ) throws(BenchmarkError) -> DecoderModel {
    let weightType = options.weightType
    return try BenchmarkError.wrapping { () throws(ModelError) in
      let file: GGUFFile
      do throws(ModelFileError) { file = try GGUFFile(path: path) } catch { throw .file(error) }
      return try DecoderModel(
        file: file, weightType: weightType, workers: workers, instructionSet: set)
    }
  }

  /// Ids that any vocabulary has, the same for every run of a seed.
  private func tokens(_ count: Int, vocabulary: Int) -> [Int] {
    var state = options.seed
    return (0..<count).map { _ in
      // Knuth's linear congruential generator (The Art of Computer Programming 2, §3.3.4); its upper bits.
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % vocabulary
    }
  }

  private func measure(
    _ model: DecoderModel, path: String, depth: Int, types: StoredTypes, workers: Workers
  ) throws(BenchmarkError) {
    let decoded = options.repeats ?? 32
    let longest = options.queryLengths.reduce(max(decoded, LogitComparison.tokens)) { max($0, $1) }
    let decoder = try BenchmarkError.wrapping { () throws(ModelError) in
      try Decoder(
        model: model, keyType: types.key, valueType: types.value,
        maximumContext: depth + longest, workers: workers,
        fullPrecision: options.fullPrecision)
    }
    let subject = try ModelSubject(
      decoder: decoder, depth: depth, seed: options.seed, cancellation: cancellation,
      progress: observer.progress)
    let prompt = tokens(longest, vocabulary: model.vocabularySize)
    for rows in options.queryLengths {
      let hasCodes = types.key.isQuantized || types.value.isQuantized
      let mostInCodes =
        hasCodes
        ? AttentionEngine.mostRowsInCodes / (model.shape.queryHeads / model.shape.kvHeads) : nil
      let compared =
        rows == 1
        ? LogitComparison.tokens
        : LogitComparison.tokens(ofPrompt: rows, mostInCodes: mostInCodes)
      let isChecked = LogitComparison.hasOtherWay(
        rows: rows, compared: compared, mostInCodes: mostInCodes)
      let expected = try expectedLogits(
        subject, prompt[..<compared], rows: rows, mostInCodes: mostInCodes)
      let title = "\(rows == 1 ? "decode" : "prefill of \(rows)") at depth \(depth), \(types.name)"
      observer.progress(title)
      let measured = try steadily(workers: workers, instructionSet: model.instructionSet) {
        () throws(BenchmarkError) in
        rows == 1
          ? try decode(subject, prompt, count: decoded, expected: expected)
          : try prefill(subject, prompt[..<rows], compared: compared, expected: expected)
      }
      try finish(
        record(
          measured, model: model, name: Self.name(path), depth: depth, types: types, rows: rows,
          isChecked: isChecked, workers: workers))
    }
    try subject.end()
  }

  /// The logits after the first few tokens, read in the way that will not be timed, if there is one (`LogitComparison.hasOtherWay`).
  private func expectedLogits(
    _ subject: ModelSubject, _ tokens: ArraySlice<Int>, rows: Int, mostInCodes: Int?
  ) throws(BenchmarkError) -> [Float] {
    let sequence = try subject.restart()
    var (start, last) = (0, 0)
    while start < tokens.count {
      let end =
        rows > 1
        ? (mostInCodes == nil ? start + 1 : tokens.count)
        : LogitComparison.stepEnd(
          from: start, count: tokens.count, depth: subject.depth, mostInCodes: mostInCodes)
      _ = try subject.time(tokens[start..<end], to: sequence)
      (start, last) = (end, end - start - 1)
    }
    return try subject.row(last)
  }

  /// `count` tokens one by one, as many as are compared at least; only `count` are timed.
  private func decode(
    _ subject: ModelSubject, _ tokens: [Int], count: Int, expected: [Float]
  ) throws(BenchmarkError) -> ModelResult {
    var result = ModelResult()
    let sequence = try subject.restart()
    for index in 0..<max(count, LogitComparison.tokens) {
      let time = try subject.time(tokens[index...index], to: sequence)
      if index < count { result.samples.add(time) }
      if index == LogitComparison.tokens - 1 {
        result.difference = LogitComparison.difference(try subject.row(0), expected)
      }
    }
    result.report = subject.decoder.attentionReport
    return result
  }

  /// A prompt as often as asked, or three times if that takes no longer than ten seconds.
  private func prefill(
    _ subject: ModelSubject, _ tokens: ArraySlice<Int>, compared: Int, expected: [Float]
  ) throws(BenchmarkError) -> ModelResult {
    var result = ModelResult()
    var total: UInt64 = 0
    while result.samples.count < options.repeats ?? (total < 10_000_000_000 ? 3 : 1) {
      let time = try subject.time(tokens, to: try subject.restart())
      result.samples.add(time)
      total += time
    }
    result.difference = LogitComparison.difference(try subject.row(compared - 1), expected)
    result.report = subject.decoder.attentionReport
    return result
  }

  private func record(
    _ measured: Steadied<ModelResult>, model: DecoderModel, name: String, depth: Int,
    types: StoredTypes, rows: Int, isChecked: Bool, workers: Workers
  ) -> BenchmarkRecord {
    let shape = model.shape
    var record = BenchmarkRecord(operation: rows == 1 ? "decode" : "prefill")
    record.model = name
    record.depth = depth
    record.context = depth + rows
    record.queryLength = rows
    record.queryHeads = shape.queryHeads
    record.kvHeads = shape.kvHeads
    record.headDimension = shape.keyWidth
    record.keyType = types.key.name
    record.valueType = types.value.name
    record.weightType = model.weightType.name
    record.position =
      (shape.alibi != nil ? PositionKind.alibi : shape.rotary != nil ? .rope : .none).rawValue
    if shape.alibi != nil { record.alibiEpsilon = LayerAttention.defaultALiBiEpsilon }
    record.layers = shape.layers
    record.threads = workers.count
    record.instructionSet = model.instructionSet.rawValue
    record.describe(measured.value.samples)
    let seconds = measured.value.samples.medianMilliseconds / 1_000
    record.tokensPerSecond = Double(rows) / seconds
    record.threadScaling = measured.limits.threadScaling
    record.readLimitGigabytesPerSecond = measured.limits.read
    if rows == 1 {
      let report = measured.value.report
      record.keyValueBytesRead = report.keyValueBytesRead
      record.keyValueBytesSkipped = report.keyValueBytesSkipped
      record.skippedMassBound = Double(report.skippedMassBound)
      let bytes = model.weightBytes + report.keyValueBytesRead
      record.gigabytesPerSecond = Double(bytes) / seconds / 1e9
      let isInCache = !CyclePlan.exceedsCaches(
        bytes: bytes, cacheBytes: machine.lastLevelCacheBytes)
      record.inCache = isInCache
      if !isInCache {
        record.fractionOfReadLimit = (record.gigabytesPerSecond ?? .nan) / measured.limits.read
      }
    }
    record.weightBytes = model.weightBytes
    // Activations in 8 bits are about as coarse as bf16.
    let isCoarse = model.weightType == .bfloat16 || model.weightType == .file
    let narrowest =
      types.key == .int4 || types.value == .int4
      ? ElementType.int4
      : isCoarse || types.key == .bfloat16 || types.value == .bfloat16
        ? .bfloat16
        : types.key == .float32 && types.value == .float32
          && model.weightType == .float32 ? .float32 : .float16
    let isExact = LogitComparison.mustBeEqual(
      depth: depth, longest: max(rows, LogitComparison.tokens), window: shape.window != nil,
      hasCodes: types.isQuantized)
    let tolerance =
      isExact ? 0 : LogitComparison.tolerance(layers: shape.layers, narrowest: narrowest)
    if isChecked {
      record.selfCheck = CheckedAnswer(
        passed: measured.value.difference <= tolerance, maximumError: measured.value.difference,
        rowCount: 1)
    }
    record.isSteady = measured.isSteady
    record.attempts = measured.attempts
    return record
  }

  /// A file without its folder.
  static func name(_ path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }
}

/// Times of a model's steps, and how far two ways of reading the same tokens are apart.
private struct ModelResult {
  var samples = Samples()
  /// Infinite until something was compared.
  var difference = Double.infinity
  /// What attention read in the last step.
  var report = AttentionReport()
}

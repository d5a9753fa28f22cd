import StreamingAttention

/// What the figures of an attention record follow from.
enum AttentionRecord {
  /// The record of one encoding.
  ///
  /// - Parameters:
  ///   - operation: `decode` or `prefill`.
  ///   - work: What there was to do in one layer.
  ///   - result: What was measured of it.
  ///   - limits: The machine's limits around the measurement.
  ///   - layers: Layers that took turns.
  ///   - cacheBytes: Bytes of the last-level cache.
  /// - Returns: The record, without what names the variant.
  static func make(
    _ operation: String, work: AttentionWork, result: VariantResult, limits: MeasuredLimits,
    layers: Int, cacheBytes: Int
  ) -> BenchmarkRecord {
    var record = BenchmarkRecord(operation: operation)
    record.describe(work)
    record.layers = layers
    record.describe(result.samples)
    record.keyValueBytesRead = result.report.keyValueBytesRead
    record.keyValueBytesSkipped = result.report.keyValueBytesSkipped
    record.skippedMassBound = Double(result.report.skippedMassBound)
    record.threadScaling = limits.threadScaling
    record.selfCheck = result.checker.answer
    let nanoseconds = result.samples.medianMilliseconds * 1e6
    let peak = work.peak(limits)
    let bytes = result.report.keyValueBytesRead
    if operation == "decode" {
      // A horizon spares operations as it spares bytes.
      let part = Double(bytes) / Double(bytes + result.report.keyValueBytesSkipped)
      let readTime = Double(bytes) / limits.read
      let arithmeticTime = work.operations * part / peak
      record.gigabytesPerSecond = Double(bytes) / nanoseconds
      record.readLimitGigabytesPerSecond = limits.read
      let isInCache = !CyclePlan.exceedsCaches(bytes: layers * bytes, cacheBytes: cacheBytes)
      record.inCache = isInCache
      if !isInCache {
        record.fractionOfReadLimit = readTime / nanoseconds
        record.bindingLimit = readTime >= arithmeticTime ? .read : .arithmetic
        record.fractionOfBindingLimit = max(readTime, arithmeticTime) / nanoseconds
      }
    } else {
      record.gigaflopsPerSecond = work.operations / nanoseconds
      record.peakGigaflopsPerSecond = peak
      record.fractionOfPeak = work.operations / peak / nanoseconds
    }
    return record
  }
}

extension BenchmarkRecord {
  /// Fills in the shape, the types and the lengths.
  mutating func describe(_ work: AttentionWork) {
    context = work.context.largest
    let lengths = work.context.lengths
    if lengths.count > 1 {
      contexts = work.context.description
      batch = lengths.count
    }
    queryLength = work.rows
    queryHeads = work.shape.queryHeads
    kvHeads = work.shape.kvHeads
    headDimension = work.shape.headDimension
    keyType = work.types.key.name
    valueType = work.types.value.name
  }

  /// Fills in the times.
  mutating func describe(_ samples: Samples) {
    repetitions = samples.count
    minimumMilliseconds = samples.minimumMilliseconds
    medianMilliseconds = samples.medianMilliseconds
    p95Milliseconds = samples.p95Milliseconds
  }
}

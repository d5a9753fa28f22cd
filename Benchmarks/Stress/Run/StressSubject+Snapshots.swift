import Benchmarking
import Memory
import StreamingAttention

extension StressSubject {
  /// A checksum of what all layers answer when a sequence gets one token more; nothing stays of it.
  func answer(_ index: Int, _ cancellation: CancellationFlag) throws(StressError) -> UInt64 {
    let pair = pairs[index]
    do throws(AttentionError) {
      try engine.begin([StepRequest(pair.id, appending: 1, querying: 1)])
    } catch {
      throw StressError(error)
    }
    defer { engine.abandon() }
    var sums = ByteWriter()
    let width = options.shape.headDimension
    for layer in cache.layers.indices {
      rows.fill(
        layer: layer, tokens: [tokenCount], keys: &keys, values: &values, workers: engine.workers)
      do throws(AttentionError) {
        try engine.append(layer: layer, keys: keys.span, values: values.span)
      } catch {
        throw StressError(error)
      }
      var queries: [Float] = []
      for head in 0..<attention.queryHeads {
        var row = [Float](repeating: 0, count: width)
        var span = row.mutableSpan
        rows.fillQuery(&span, layer: layer, queryHead: head, number: Int(tokenCount))
        queries += row
      }
      let answer = try attend(layer: layer, queries: queries, cancellation)
      for number in answer.output { sums.append(number.bitPattern) }
      for number in answer.logSumExp { sums.append(number.bitPattern) }
    }
    return Checksum.of(sums.bytes)
  }

  /// What a snapshot of the subject holds beside the cache.
  func record(
    number: Int, _ cancellation: CancellationFlag
  ) throws(StressError) -> SnapshotRecord {
    var answers: [UInt64] = []
    for index in pairs.indices { answers.append(try answer(index, cancellation)) }
    return SnapshotRecord(
      number: number, tokenCount: tokenCount, lists: pairs.map(\.list), answers: answers)
  }

  /// Takes sequences in that were restored, and compares what they answer with what they answered before.
  ///
  /// - Returns: Checks made.
  func take(
    _ restored: RestoredSnapshot, _ record: SnapshotRecord, _ cancellation: CancellationFlag
  ) throws(StressError) -> Int {
    guard restored.sequences.count == record.lists.count else {
      throw .failed(
        "\(restored.sequences.count) sequences came back of \(record.lists.count)")
    }
    tokenCount = record.tokenCount
    for (id, list) in zip(restored.sequences, record.lists) { enter(id, list) }
    try checkBooks()
    for index in pairs.indices {
      guard try answer(index, cancellation) == record.answers[index] else {
        throw .failed(
          "sequence \(pairs[index].number) of \(pairs[index].list.count) tokens answers with other bits "
            + "once it is restored")
      }
    }
    return 1 + pairs.count
  }
}

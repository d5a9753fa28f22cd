/// Ours and others' figures for one job.
package enum Comparison {
  /// Our records, then the others', the fastest first; each with its time over that of our fastest that counts.
  ///
  /// Where none of ours counts nothing has such a ratio: what was unsteady or wrong is no measure of others.
  /// Several figures of one engine, version and type, such as rounds of one run, become their median.
  package static func records(
    ours: [BenchmarkRecord], peers: [PeerFigure]
  ) -> [BenchmarkRecord] {
    let best = ours.filter(\.counts).compactMap(\.medianMilliseconds).min()
    func compared(_ record: BenchmarkRecord, engine: String) -> BenchmarkRecord {
      var record = record
      record.engine = engine
      record.timesOurs = best.flatMap { best in record.medianMilliseconds.map { $0 / best } }
      return record
    }
    let own = ours.map { compared($0, engine: PeerFigure.ours) }
    let others = merged(peers).map { compared(record(of: $0), engine: $0.engine) }
    return own + others.sorted { ($0.medianMilliseconds ?? 0) < ($1.medianMilliseconds ?? 0) }
  }

  /// The rounds of each engine, version and type as one figure.
  static func merged(_ peers: [PeerFigure]) -> [PeerFigure] {
    var groups: [(figure: PeerFigure, medians: [Double])] = []
    for peer in peers {
      let same = groups.firstIndex {
        $0.figure.engine == peer.engine && $0.figure.version == peer.version
          && $0.figure.keyType == peer.keyType
          && $0.figure.valueType == peer.valueType && $0.figure.job == peer.job
      }
      if let same {
        groups[same].medians.append(peer.medianMilliseconds)
        if let minimum = peer.minimumMilliseconds {
          groups[same].figure.minimumMilliseconds =
            min(groups[same].figure.minimumMilliseconds ?? minimum, minimum)
        }
      } else {
        groups.append((peer, [peer.medianMilliseconds]))
      }
    }
    return groups.map { group in
      var figure = group.figure
      let sorted = group.medians.sorted()
      figure.medianMilliseconds = (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
      return figure
    }
  }

  private static func record(of peer: PeerFigure) -> BenchmarkRecord {
    let job = peer.job
    var record = BenchmarkRecord(operation: job.operation)
    record.engineVersion = peer.version
    record.model = job.model
    record.context = job.context
    record.depth = job.depth
    record.queryLength = job.queryLength
    record.threads = job.threads
    record.queryHeads = job.shape?.queryHeads
    record.kvHeads = job.shape?.kvHeads
    record.headDimension = job.shape?.headDimension
    record.keyType = peer.keyType
    record.valueType = peer.valueType
    record.medianMilliseconds = peer.medianMilliseconds
    record.minimumMilliseconds = peer.minimumMilliseconds
    record.relativeError = peer.relativeError
    if job.depth != nil {
      record.tokensPerSecond = Double(job.queryLength) * 1_000 / peer.medianMilliseconds
    }
    return record
  }
}

import Memory
import StreamingAttention

extension BenchmarkRun {
  /// `compare`: measures what a file of other engines' figures is about, and hands out both.
  func compare(_ path: String) throws(BenchmarkError) {
    guard let text = SystemText.read(path) else {
      throw .unreadable(path)
    }
    let figures = try PeerFigure.read(text, path: path)
    var jobs: [ComparedJob] = []
    for figure in figures where !jobs.contains(figure.job) { jobs.append(figure.job) }
    for job in jobs {
      try checkInterrupt()
      let peers = figures.filter { $0.job == job }
      for record in Comparison.records(ours: try ours(job, beside: peers), peers: peers) {
        try finish(record)
      }
    }
  }

  /// Our records for a job, in the others' types where we have them, else in both of 16 bits.
  private func ours(
    _ job: ComparedJob, beside peers: [PeerFigure]
  ) throws(BenchmarkError) -> [BenchmarkRecord] {
    let asked = options
    defer { options = asked }
    let known = ElementType.allCases.filter { type in
      peers.contains { $0.keyType == type.name && $0.valueType == type.name }
    }
    options.types = (known.isEmpty ? [.float16, .bfloat16] : known).map {
      StoredTypes(key: $0, value: $0)
    }
    options.threads = [job.threads]
    options.queryLengths = [job.queryLength]
    held = []
    defer { held = nil }
    if let depth = job.depth {
      guard let model = options.model else {
        throw .option(
          name: "--model", received: "",
          allowed: "the GGUF file that the figures are about")
      }
      options.depths = [depth]
      try measureModel(model)
    } else {
      options.mode = job.operation == "decode" ? .decode : .prefill
      options.contexts = [ContextMix(job.context)]
      options.shape = job.shape ?? options.shape
      options.positions = [.none]
      try measureAttention()
    }
    return held ?? []
  }
}

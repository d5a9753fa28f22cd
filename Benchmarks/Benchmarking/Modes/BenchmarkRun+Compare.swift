import StreamingAttention

extension BenchmarkRun {
  /// `compare`: measures what a file of other engines' figures is about, and hands out both.
  func compare(_ path: String) throws(BenchmarkError) {
    let figures = try PeerFigure.read(try FigureFile.read(path), path: path)
    var jobs: [ComparedJob] = []
    for figure in figures where !jobs.contains(figure.job) { jobs.append(figure.job) }
    try checkModel(of: jobs)
    for job in jobs {
      try checkInterrupt()
      let peers = figures.filter { $0.job == job }
      for record in Comparison.records(ours: try ours(job, beside: peers), peers: peers) {
        try finish(record)
      }
    }
  }

  /// Throws unless `--model` is there where figures need it, and names the file that all of them are about.
  private func checkModel(of jobs: [ComparedJob]) throws(BenchmarkError) {
    let names = Set(jobs.compactMap(\.model)).sorted()
    let received = options.model.map(Self.name)
    guard names != [received].compactMap(\.self) else { return }
    let allowed =
      names.isEmpty
      ? "nothing: no figure is about a model"
      : names.count == 1
        ? "the GGUF file that the figures are about, \(names[0])"
        : "one model's file, and no figures of another; these are about \(names.joined(separator: ", "))"
    throw .option(name: "--model", received: options.model ?? "", allowed: allowed)
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
    if let depth = job.depth, let model = options.model {
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

import Benchmarking
import Generation
import StreamingAttention

extension StressRun {
  /// Prompts go in by so many tokens.
  static let chunk = 512
  /// The most sequences of a decode step.
  private static let batch = 8

  /// One operation after the other, until the run is over; where there are several seasons, they take turns.
  func operate(_ seasons: [StressSeason]) throws(StressError) {
    while !isOver {
      try checkInterrupt()
      let (season, step) = figures.steps.quotientAndRemainder(dividingBy: StressSeason.length)
      // A season's beginning is part of its first operation: a replay up to that one comes to it too.
      figures.steps += 1
      if step == 0 {
        try persist { () throws(StressError) in try begin(seasons[season % seasons.count]) }
      }
      try attempt(self.season.mix.operation(at: random.uniform()))
    }
  }

  private func attempt(_ operation: StressOperation) throws(StressError) {
    try attempt { () throws(StressError) in try perform(operation) }
  }

  /// Does something; where memory ends, a sequence is dropped and the run goes on.
  ///
  /// - Returns: Whether it was done.
  @discardableResult
  func attempt(_ body: () throws(StressError) -> Void) throws(StressError) -> Bool {
    do throws(StressError) {
      try body()
      return true
    } catch {
      // Where not even one token found room, nothing can be made of it.
      guard error.isOutOfMemory, figures.tokensAppended > 0 || subject.longest > 0 else {
        throw error
      }
      figures.refusals += 1
      try subject.checkBooks()
      figures.checksPassed += 1
      if !subject.pairs.isEmpty { try dropOne(anyPair()) }
      return false
    }
  }

  /// Does something that the run cannot go on without: where memory ends, one sequence after the other is dropped for it.
  ///
  /// - Throws: ``StressError``, also where memory ends with all of them dropped.
  func persist(_ body: () throws(StressError) -> Void) throws(StressError) {
    while !subject.pairs.isEmpty {
      if try attempt(body) { return }
    }
    try body()
  }

  func perform(_ operation: StressOperation) throws(StressError) {
    guard !subject.pairs.isEmpty || operation == .arrive else { return try arrive() }
    switch operation {
    case .arrive: try arrive()
    case .extend: try extend()
    case .decode: try decode()
    case .drop: try dropOne(anyPair())
    case .fork: try fork()
    case .shift: try shift(anyPair())
    case .evict: try evict(anyPair())
    case .truncate: try truncate()
    case .rebase: try rebase()
    case .pin: try pin()
    case .unpin: try unpin()
    case .check: try compareSome(longest: 1 << 16)
    case .save: try saveAndRestore()
    }
  }

  func anyPair() -> Int { Int.random(in: subject.pairs.indices, using: &random) }

  /// The longest sequence of this run; presets without one of their own are told before.
  var longestContext: Int { options.context ?? 16_384 }

  /// A number between 1 and `most`, such that every size is as frequent as its double.
  func length(upTo most: Int) -> Int {
    let bits = Int.random(
      in: 0...Int.bitWidth - 1 - max(most, 1).leadingZeroBitCount, using: &random)
    return min(Int.random(in: 1 << bits...(2 << bits) - 1, using: &random), max(most, 1))
  }

  // MARK: Operations

  /// A new sequence with a prompt, an old one making room where there are enough.
  ///
  /// Some begin at high positions.
  private func arrive() throws(StressError) {
    if subject.pairs.count >= mostSequences { try dropOne(anyPair()) }
    let isHigh = Int.random(in: 0..<4, using: &random) == 0
    let position = isHigh ? Int.random(in: 0...262_143, using: &random) : 0
    try subject.add(startingAt: position)
    try append(length(upTo: longestContext - 1), to: subject.pairs.count - 1)
  }

  private func extend() throws(StressError) {
    let index = anyPair()
    let room = longestContext - subject.pairs[index].list.liveCount
    if room > 0 { try append(length(upTo: room), to: index) }
  }

  func append(_ count: Int, to index: Int) throws(StressError) {
    var rest = count
    while rest > 0 {
      try checkInterrupt()
      let chunk = min(rest, Self.chunk)
      rest -= chunk
      // The last part of a prompt asks, as a model would for its first answer.
      try step([StepWork(index: index, appended: chunk, asks: rest == 0)])
    }
  }

  /// Some sequences get one token each and ask; those that are full make room.
  private func decode() throws(StressError) {
    let count = min(Int.random(in: 1...Self.batch, using: &random), subject.pairs.count)
    var chosen = Array(subject.pairs.indices).shuffled(using: &random).prefix(count).sorted()
    let full = chosen.filter { subject.pairs[$0].list.liveCount >= longestContext }
    chosen.removeAll(where: full.contains)
    if !chosen.isEmpty {
      let step = try step(chosen.map { StepWork(index: $0, appended: 1, asks: true) })
      figures.addAppend(step)
      figures.addDecode(step)
    }
    for index in full.reversed() { try makeRoom(index) }
  }

  func dropOne(_ index: Int) throws(StressError) {
    try timed("drop") { () throws(StressError) in try subject.drop(index) }
    figures.drops += 1
  }

  /// Does an operation of the cache and takes its time.
  func timed(_ name: String, _ body: () throws(StressError) -> Void) throws(StressError) {
    try orUnchanged { () throws(StressError) in figures.add(name, try Stopwatch.time(body)) }
  }

  /// Compares one head of a sequence with its naive list, and recounts the books.
  func compareSome(longest: Int) throws(StressError) {
    figures.take(subject.cache.statistics())
    try subject.checkBooks()
    figures.checksPassed += 1
    let index = anyPair()
    let list = subject.pairs[index].list
    guard list.liveCount > 0, list.liveCount <= longest, list.isWhole(window: subject.window) else {
      return
    }
    try subject.checkOracle(
      index, layer: Int.random(in: 0..<options.layers, using: &random),
      kvHead: Int.random(in: 0..<options.shape.kvHeads, using: &random), number: figures.steps,
      cancellation)
    figures.checksPassed += 1
  }
}

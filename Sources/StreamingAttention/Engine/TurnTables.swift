/// The rotations of one step, for the layers that share frequencies and a page table.
///
/// With R the rotation of the sequence's own epoch and R′ that of an older one (none for keys that are stored unturned), a
/// key k at position p = base + slot that is stored as k′ = R′(p − anchor)·k gives, with a query q at position t,
///
///     q·R(p − t)·k = R(t − base)·R′(base − anchor)·q · R(slot)·R′(−slot)·k′
///
/// so that one table of slots serves all pages of an epoch, and what depends on the page goes to the query, once per
/// page. Keys of the sequence's own epoch need R(t − anchor)·q only, once per run of equal anchors.
///
/// Where frequencies follow the length of a sequence, R is that of its length at the end of the step, and all keys are of
/// another epoch: unturned, or turned by the frequencies that the embedding was made with.
final class TurnTables {
  /// Frequencies of epoch 1, epoch 2 and so on.
  let embeddings: [RotaryEmbedding]
  let table: Int
  /// R(position − anchor of run 0) of each row, `[position][cos: pairs | sin: pairs]`.
  var tokens: GrowingBuffer<Float>
  /// R(anchor of run 0 − anchor of run i)·R′(offset of run i), `[run][cos | sin]`.
  var runs: GrowingBuffer<Float>
  /// R(slot)·R′(−slot), `[slot table][pair][cos: 64 slots | sin: 64 slots]`.
  var slots: GrowingBuffer<Float>
  /// a² of each request's epoch.
  var scales: GrowingBuffer<Float>
  /// What `runs` and `slots` hold: most of it is as it was a step ago.
  private var filledRuns: GrowingBuffer<RunTurn>
  private var filledSlots: GrowingBuffer<SlotTable>
  /// The latest frequencies of a length.
  private var latest: (epoch: Int32, length: Int, embedding: RotaryEmbedding)?

  /// What a row of `runs` follows from.
  private struct RunTurn: BitwiseCopyable, Equatable {
    var epoch: Int32
    var length: Int
    var distance: Int
    var keyEpoch: Int32
    var offset: Int
  }

  init(embeddings: [RotaryEmbedding], table: Int) throws(AttentionError) {
    self.embeddings = embeddings
    self.table = table
    tokens = try GrowingBuffer()
    runs = try GrowingBuffer()
    slots = try GrowingBuffer()
    scales = try GrowingBuffer()
    filledRuns = try GrowingBuffer()
    filledSlots = try GrowingBuffer()
  }

  /// Fills all tables for a plan: once per step, whatever the number of layers.
  func fill(for plan: borrowing Plan) throws(AttentionError) {
    try checkEpochs(of: plan)
    try fillTokens(plan)
    try fillRuns(plan)
    try fillSlots(plan)
  }

  private func checkEpochs(of plan: borrowing Plan) throws(AttentionError) {
    func check(_ epoch: Int32) throws(AttentionError) {
      guard epoch <= embeddings.count else {
        throw .cache(
          .invalidEpoch(
            received: Int(epoch), allowed: Int(PageSet.firstEpoch)...embeddings.count))
      }
    }
    for r in 0..<plan.requests.count {
      try check(plan.requests[r].epoch)
      let planned = plan.tables[table * plan.requests.count + r]
      for run in planned.runs { try check(plan.runs[run].epoch) }
    }
  }

  /// The frequencies of an epoch; nil for keys that are stored unturned.
  private func embedding(_ epoch: Int32) -> RotaryEmbedding? {
    epoch == PageSet.unturned ? nil : embeddings[Int(epoch - PageSet.firstEpoch)]
  }

  /// What turns the queries of a sequence of that epoch and, where frequencies follow it, length.
  private func embedding(_ epoch: Int32, length: Int) -> RotaryEmbedding {
    let own = embeddings[Int(epoch - PageSet.firstEpoch)]
    guard length > 0, own.followsLength else { return own }
    if let latest, latest.epoch == epoch, latest.length == length { return latest.embedding }
    let resolved = own.resolved(forLength: length)
    latest = (epoch, length, resolved)
    return resolved
  }

  private func fillTokens(_ plan: borrowing Plan) throws(AttentionError) {
    let width = 2 * embeddings[0].pairCount
    try tokens.discardAndResize(to: plan.positions.count * width)
    scales.removeAll()
    for r in 0..<plan.requests.count {
      let request = plan.requests[r]
      let planned = plan.tables[table * plan.requests.count + r]
      let anchor = planned.runCount > 0 ? plan.runs[planned.firstRun].anchor : 0
      let embedding = embedding(request.epoch, length: request.length)
      try scales.append(Float(embedding.attentionFactor * embedding.attentionFactor))
      for index in request.firstPosition..<request.firstPosition + request.positionCount {
        let distance = plan.positions[index] - anchor
        tokens.withMutableSpan {
          embedding.fillTurn(
            distance: distance, after: nil, by: 0, at: index * width, into: &$0)
        }
      }
    }
  }

  /// Runs are numbered over all tables, so that a table's `firstRun` finds its own; only these are filled.
  private func fillRuns(_ plan: borrowing Plan) throws(AttentionError) {
    let width = 2 * embeddings[0].pairCount
    let count = plan.runs.count
    try Self.makeRoom(
      &filledRuns, &runs, count: count, width: width,
      nothing: RunTurn(epoch: -1, length: 0, distance: 0, keyEpoch: -1, offset: 0))
    for r in 0..<plan.requests.count {
      let (epoch, length) = (plan.requests[r].epoch, plan.requests[r].length)
      let embedding = embedding(epoch, length: length)
      let planned = plan.tables[table * plan.requests.count + r]
      for index in planned.runs {
        let run = plan.runs[index]
        let turn = RunTurn(
          epoch: epoch, length: length, distance: plan.runs[planned.firstRun].anchor - run.anchor,
          keyEpoch: run.epoch, offset: run.offset)
        guard filledRuns[index] != turn else { continue }
        filledRuns[index] = turn
        let other = run.offset == 0 ? nil : self.embedding(run.epoch)
        runs.withMutableSpan {
          embedding.fillTurn(
            distance: turn.distance, after: other, by: run.offset, at: index * width, into: &$0)
        }
      }
    }
  }

  /// Room for `count` rows; where their number changes, what they held is forgotten.
  private static func makeRoom<Content>(
    _ filled: inout GrowingBuffer<Content>, _ rows: inout GrowingBuffer<Float>, count: Int,
    width: Int, nothing: Content
  ) throws(AttentionError) {
    guard filled.count != count else { return }
    filled.removeAll()
    try rows.discardAndResize(to: count * width)
    try filled.discardAndResize(to: count)
    for index in 0..<count { filled[index] = nothing }
  }

  private func fillSlots(_ plan: borrowing Plan) throws(AttentionError) {
    let width = 2 * embeddings[0].pairCount * PageLayout.slots
    let count = plan.slotTables.count
    try Self.makeRoom(
      &filledSlots, &slots, count: count, width: width,
      nothing: SlotTable(epoch: -1, length: 0, keyEpoch: -1))
    for index in 0..<count where filledSlots[index] != plan.slotTables[index] {
      let wanted = plan.slotTables[index]
      filledSlots[index] = wanted
      // What another table's pages hold is none of these layers' business.
      guard max(wanted.epoch, wanted.keyEpoch) <= embeddings.count else { continue }
      let embedding = embedding(wanted.epoch, length: wanted.length)
      let other = self.embedding(wanted.keyEpoch)
      slots.withMutableSpan {
        embedding.fillSlotTurns(after: other, at: index * width, into: &$0)
      }
    }
  }
}

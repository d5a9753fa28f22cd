/// The rotations of one step, for the layers that share frequencies and a page table.
final class TurnTables {
  let embedding: RotaryEmbedding
  let table: Int
  /// R(position − anchor of run 0) of each row, `[position][cos: pairs | sin: pairs]`.
  var tokens: GrowingBuffer<Float>
  /// R(anchor of run 0 − anchor of run i), `[run][cos | sin]`.
  var runs: GrowingBuffer<Float>
  private var distances: GrowingBuffer<Int>

  init(embedding: RotaryEmbedding, table: Int) throws(AttentionError) {
    self.embedding = embedding
    self.table = table
    tokens = try GrowingBuffer()
    runs = try GrowingBuffer()
    distances = try GrowingBuffer()
  }

  /// Fills both tables for a plan: once per step, whatever the number of layers.
  func fill(for plan: borrowing Plan) throws(AttentionError) {
    let width = 2 * embedding.pairCount
    distances.removeAll()
    for r in 0..<plan.requests.count {
      let request = plan.requests[r]
      let planned = plan.tables[table * plan.requests.count + r]
      let anchor = planned.runCount > 0 ? plan.anchors[planned.firstRun] : 0
      for index in 0..<request.positionCount {
        try distances.append(plan.positions[request.firstPosition + index] - anchor)
      }
    }
    try tokens.discardAndResize(to: distances.count * width)
    fill(&tokens)

    distances.removeAll()
    // Runs are numbered over all tables, so that a table's `firstRun` finds its own.
    for index in 0..<plan.anchors.count { try distances.append(-plan.anchors[index]) }
    for t in 0..<plan.tables.count where plan.tables[t].runCount > 0 {
      let planned = plan.tables[t]
      let anchor = plan.anchors[planned.firstRun]
      for run in planned.firstRun..<(planned.firstRun + planned.runCount) {
        distances[run] = anchor - plan.anchors[run]
      }
    }
    try runs.discardAndResize(to: distances.count * width)
    fill(&runs)
  }

  private func fill(_ turns: inout GrowingBuffer<Float>) {
    let embedding = embedding
    distances.withSpan { distances in
      turns.withMutableSpan { embedding.fillTurns(distances: distances, into: &$0) }
    }
  }
}

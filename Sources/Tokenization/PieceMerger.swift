/// Merges the bytes of one piece into tokens; its arrays serve all pieces of a text.
///
/// Sennrich et al. 2016, arXiv:1508.07909, §3.2: of all neighbours that merge, those with the lowest rank do, the
/// leftmost first, until none is left. A heap of the candidates makes a piece of n bytes cost O(n log n).
struct PieceMerger {
  private static let positionBits: UInt64 = 40

  /// The token that starts at each byte, −1 for a byte that has none; stale where a token covers the byte.
  private var tokens: [Int32] = []
  /// The rank of the merge of the token here with the next one; `MergeTable.none` also where a token covers the byte.
  private var ranks: [UInt32] = []
  /// The byte at which the next token starts.
  private var next: [Int] = []
  /// The byte at which the token before starts; −1 at the first.
  private var previous: [Int] = []
  /// Rank × 2⁴⁰ + place of merges to try, the least one first; one whose rank no longer stands in `ranks` is stale.
  private var candidates = MinimumHeap()

  /// Appends the tokens of a piece that starts as these single-byte tokens.
  ///
  /// Bytes without a token (−1) are left out.
  mutating func merge(_ piece: Span<UInt8>, with tables: Tokenizer.Tables, into output: inout [Int])
  {
    let count = piece.count
    tokens.removeAll(keepingCapacity: true)
    next.removeAll(keepingCapacity: true)
    previous.removeAll(keepingCapacity: true)
    ranks.removeAll(keepingCapacity: true)
    candidates.removeAll()
    for index in 0..<count {
      tokens.append(tables.byteTokens[Int(piece[index])])
      next.append(index + 1)
      previous.append(index - 1)
      ranks.append(MergeTable.none)
    }
    for index in 0..<count { updateRank(at: index, tables.merges) }

    while let candidate = candidates.popLeast() {
      let place = Int(candidate & (1 << Self.positionBits - 1))
      let rank = UInt32(candidate >> Self.positionBits)
      guard ranks[place] == rank else { continue }
      let covered = next[place]
      tokens[place] = tables.merges.results[Int(rank)]
      ranks[covered] = MergeTable.none
      next[place] = next[covered]
      if next[place] < count { previous[next[place]] = place }
      updateRank(at: place, tables.merges)
      if previous[place] >= 0 { updateRank(at: previous[place], tables.merges) }
    }

    var place = 0
    while place < count {
      if tokens[place] >= 0 { output.append(Int(tokens[place])) }
      place = next[place]
    }
  }

  private mutating func updateRank(at place: Int, _ merges: MergeTable) {
    let follower = next[place]
    let rank =
      follower < tokens.count ? merges.rank(tokens[place], tokens[follower]) : MergeTable.none
    ranks[place] = rank
    if rank != MergeTable.none {
      candidates.insert(UInt64(rank) << Self.positionBits | UInt64(place))
    }
  }
}

import KernelTable

/// What layers must have in common to share one list of tiles.
struct PlanShape: Hashable {
  var table: Int
  var queryHeads: Int
  var kvHeads: Int
  var keyWidth: Int
  var valueWidth: Int
  var isCausal: Bool
  /// `Int.max` where there is none.
  var window: Int
  /// Keys after the query that it sees; `Int.max` where there is no such window.
  var rightWindow: Int = .max
  /// Whether leaves may be left unread because of their distance.
  var hasHorizon = false

  var group: Int { queryHeads / kvHeads }
  /// Floats from one row of a state's outputs to the next.
  var outputStride: Int { (valueWidth + 15) / 16 * 16 }
}

/// The rows of one request within a step.
struct PlannedRequest: BitwiseCopyable {
  /// First of its appended tokens, among those of all requests.
  var firstToken: Int
  var tokenCount: Int
  /// First of its query rows, among those of all requests.
  var firstQuery: Int
  var queryCount: Int
  /// First of its positions; it has `max(tokenCount, queryCount)`, aligned at the end.
  var firstPosition: Int
  /// Whose frequencies turn its queries.
  var epoch: Int32
  /// Tokens at the end of the step, where its frequencies follow them; 0 where they stand still.
  var length: Int
  var positionCount: Int { max(tokenCount, queryCount) }
  /// Index of the position of its first query row.
  var queryPosition: Int { firstPosition + positionCount - queryCount }
  /// Index of the position of its first appended token.
  var tokenPosition: Int { firstPosition + positionCount - tokenCount }
}

/// Which page table has been listed, and how often it had been changed otherwise than by growth.
struct ListedTable: BitwiseCopyable, Equatable {
  /// The serial number of the sequence.
  var sequence: UInt64
  var changes: Int
  var epoch: Int32
  var length: Int
}

/// Where a request's entries, leaves and runs of equal anchors lie, in one retention class.
struct PlannedTable: BitwiseCopyable {
  var source: ListedTable
  var firstEntry: Int
  var entryCount: Int
  /// Places for entries and leaves, those in use included: a table that grows need not be listed again.
  var entryRoom: Int
  var leafRoom = 0
  var firstLeaf: Int
  var leafCount: Int
  /// Leaves from it on are not those of the step before.
  var firstChangedLeaf = 0
  /// Runs are numbered from the newest entry's anchor, which is that of run 0; it may hold no entry.
  var firstRun: Int
  var runCount: Int
  var runs: Range<Int> { firstRun..<firstRun + runCount }
  /// Every token from this position on is live; the cache has released one just before.
  var keptFrom: Int
  /// Tokens after the last that has been evicted; `Int.max` where none has.
  var newestTokens: Int
  /// Live keys, and the first of the table's rows × keys among those of all requests.
  var keyCount: Int
  var firstBias: Int
}

/// Neighbouring entries for whose keys a query is turned alike: by R(position − anchor), and by R′(offset) of
/// their own epoch where that is not the sequence's (``TurnTables``).
struct PlannedRun: BitwiseCopyable, Equatable {
  var anchor: Int
  var epoch: Int32
  var offset: Int
}

/// Which frequencies the keys of a page are still to be turned by, and by which they have been.
struct SlotTable: BitwiseCopyable, Equatable {
  var epoch: Int32
  var length: Int
  var keyEpoch: Int32
}

/// Neighbouring live entries whose states are summed in one piece.
struct PlannedLeaf: BitwiseCopyable {
  /// Entry number ÷ leaf size.
  var number: Int
  var firstEntry: Int
  var entryCount: Int
  var firstPosition: Int
  var lastPosition: Int
  /// Entries whose page sets hold codes.
  var codedCount = 0
}

/// What one call of a worker covers: some neighbouring leaves of a job, or a job that finds its own.
struct PlannedTile: BitwiseCopyable {
  var job: Int
  /// Index at the level of the job's tiles; −1 for a job that sees nothing.
  var index: Int
  /// Which of the job's tiles, oldest leaves first; they follow one another in the list.
  var rank: Int
  var firstLeaf: Int
  var leafCount: Int
}

/// Pages that are read.
struct EntryCounts: BitwiseCopyable {
  var plain = 0
  var coded = 0
}

/// Everything decided before the first multiply: rows, leaves, tiles and their order.
///
/// A plan depends on shapes, tables and the number of workers (for the cut, never for the bits), not on
/// values, so one plan serves all layers that share a table and a shape.
struct Plan: ~Copyable {
  /// Whether a layer has frequencies that may follow the length of a sequence.
  var followsLength = false
  /// Query rows of one job at most: they stay in L2 beside a page, and share what it costs to widen one.
  static let rowsPerJob = 384
  /// Rows of a request over one KV head, counting query heads, that meet quantised pages as they are; more widen them.
  static let mostRowsInCodes = 12

  var requests: GrowingBuffer<PlannedRequest>
  /// Position of each row, `[request][max(tokenCount, queryCount)]`.
  var positions: GrowingBuffer<Int>
  /// `[class][request]`.
  var tables: GrowingBuffer<PlannedTable>
  /// `[class][request][entry]`, with room between.
  var entries: GrowingBuffer<LeafEntry>
  /// The entries as layers without a rotation see them, all in one run; empty where `entries` will do.
  var unturnedEntries: GrowingBuffer<LeafEntry>
  /// Number of each entry in its page table, beside `entries`.
  var numbers: GrowingBuffer<Int>
  /// `[class][request][leaf]`, with room between.
  var leaves: GrowingBuffer<PlannedLeaf>
  /// Which of `leaves` are equal, beside them.
  var sharing: GrowingBuffer<LeafSharing>
  /// While equal leaves are looked for, the last leaf that begins with a page; none at all other times.
  var leafOfPage: GrowingBuffer<Int32>
  /// Leaves that are equal to one before.
  var equalLeafCount = 0
  /// Whether `sharing` was found out without a failure.
  var knowsEqualLeaves = false
  /// `[class][request][run]`.
  var runs: GrowingBuffer<PlannedRun>
  /// What `LeafEntry.slotTurns` counts, for all requests.
  var slotTables: GrowingBuffer<SlotTable>
  /// For each shape: its jobs and tiles.
  var jobs: GrowingBuffer<PlannedJob>
  var tiles: GrowingBuffer<PlannedTile>
  /// First job of each shape, and one more.
  var shapeJobs: GrowingBuffer<Int>
  /// First tile of each shape, and one more.
  var shapeTiles: GrowingBuffer<Int>
  /// For each shape, the pages that its jobs see in all.
  var shapeEntries: GrowingBuffer<EntryCounts>
  /// For each shape, the first of its rows in `references`; empty unless it has a horizon.
  var shapeReferences: GrowingBuffer<Int>
  /// `[shape with a horizon][query row]`.
  var references: GrowingBuffer<RowReferences>
  var order: SizeOrder
  /// The jobs that passes compute leaves for, and the first leaf's number of each tile of these jobs' trees.
  var members: GrowingBuffer<PassMember>
  var nodes: GrowingBuffer<Int>
  var largestPassRows = 0
  /// Whether it is noted how much attention each page gets, and room that the largest shape needs for it.
  var notesAttention = false
  var recordCount = 0
  var shareCount = 0
  /// What is planned between the two runs of a layer with a horizon.
  var laterNeeds = LaterNeeds()
  /// Floats of partial states and number of counters that the largest shape needs.
  var stateFloats = 0
  var counterCount = 0
  var tokenCount = 0
  var queryCount = 0
  /// Whether `tables` and what they point at were listed without a failure.
  var isListed = false

  init() throws(AttentionError) {
    // Everything that can fail comes first: a half-made noncopyable value cannot be taken apart.
    let requests = try GrowingBuffer<PlannedRequest>()
    let positions = try GrowingBuffer<Int>()
    let tables = try GrowingBuffer<PlannedTable>()
    let entries = try GrowingBuffer<LeafEntry>()
    let numbers = try GrowingBuffer<Int>()
    let leaves = try GrowingBuffer<PlannedLeaf>()
    let unturnedEntries = try GrowingBuffer<LeafEntry>()
    let runs = try GrowingBuffer<PlannedRun>()
    let slotTables = try GrowingBuffer<SlotTable>()
    let jobs = try GrowingBuffer<PlannedJob>()
    let tiles = try GrowingBuffer<PlannedTile>()
    let shapeJobs = try GrowingBuffer<Int>()
    let shapeTiles = try GrowingBuffer<Int>()
    let shapeEntries = try GrowingBuffer<EntryCounts>()
    let shapeReferences = try GrowingBuffer<Int>()
    let references = try GrowingBuffer<RowReferences>()
    let order = try SizeOrder()
    let sharing = try GrowingBuffer<LeafSharing>()
    let leafOfPage = try GrowingBuffer<Int32>()
    let members = try GrowingBuffer<PassMember>()
    let nodes = try GrowingBuffer<Int>()
    self.requests = requests
    self.positions = positions
    self.tables = tables
    self.entries = entries
    self.numbers = numbers
    self.leaves = leaves
    self.unturnedEntries = unturnedEntries
    self.runs = runs
    self.slotTables = slotTables
    self.jobs = jobs
    self.tiles = tiles
    self.shapeJobs = shapeJobs
    self.shapeTiles = shapeTiles
    self.shapeEntries = shapeEntries
    self.shapeReferences = shapeReferences
    self.references = references
    self.order = order
    self.sharing = sharing
    self.leafOfPage = leafOfPage
    self.members = members
    self.nodes = nodes
  }

  /// Forgets the rows and tiles of the step before; what page tables held is kept, and used as far as it still holds.
  mutating func removeStep() {
    requests.removeAll()
    positions.removeAll()
    jobs.removeAll()
    tiles.removeAll()
    shapeJobs.removeAll()
    shapeTiles.removeAll()
    shapeEntries.removeAll()
    shapeReferences.removeAll()
    references.removeAll()
    members.removeAll()
    nodes.removeAll()
    laterNeeds = LaterNeeds()
    (equalLeafCount, largestPassRows) = (0, 0)
    (notesAttention, recordCount, shareCount) = (false, 0, 0)
    (stateFloats, counterCount, tokenCount, queryCount) = (0, 0, 0, 0)
  }
}

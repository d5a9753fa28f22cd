/// What a snapshot says of a cache: everything but the pages, and where those are.
///
/// Documentation/Snapshots.md has the format byte by byte.
struct SnapshotManifest: Sendable {
  /// A file of pages.
  struct Segment: Sendable, Equatable {
    /// Its name's number.
    var id: UInt64
    /// Page sets in it, by shelf.
    var setCounts: [Int]
  }

  /// Where a page set's pages are, and how to know them.
  struct Place: Sendable, Equatable {
    /// Index into the snapshot's segments.
    var segment: Int
    /// Its number on its shelf there.
    var number: Int
    /// The checksum of its records, which hold those of its pages.
    var checksum: UInt64
  }

  /// A page set.
  struct StoredSet: Sendable, Equatable {
    var epoch: Int32
    var offset: Int
    var rewrites: Int32
    var form: StoredForm
    var place: Place
  }

  /// A page table; its entries name the snapshot's page sets.
  struct Table: Sendable {
    var nextNumber = 0
    var pagesWritten = 0
    var isRewound = false
    var hasEvicted = false
    var entries: [PageEntry] = []
  }

  /// A sequence.
  struct Sequence: Sendable {
    var startPosition = 0
    var nextPosition = 0
    var length = 0
    var sinkCount = 0
    var rotation = SequenceRotation.standard
    /// Whether tokens have been given up by `keep` or an eviction; files from before this was kept say so of evictions only.
    var isEvicting = false
    var pins: [Range<Int>] = []
    /// One for each pool.
    var tables: [Table] = []
  }

  /// Another one with each snapshot.
  var id: UInt64
  var layers: [SnapshotLayer]
  /// Radians per token, `[layer][epoch − 1][pair]`, as far as the cache knew them.
  var frequencies: [[[Double]]]
  var segments: [Segment] = []
  /// By pool.
  var sets: [[StoredSet]]
  var sequences: [Sequence] = []
  /// The caller's own.
  var attachment: [UInt8] = []

  static let magic = Array("attendKV".utf8)
  static let version = 3
  /// Magic, version, zeros, length and number of the snapshot.
  static let headerBytes = 32
  /// So many files of pages at most.
  static let mostSegments = 256
}

import Memory

extension SnapshotManifest {
  /// Takes a whole file apart; whatever is wrong with it, the error says.
  init(decoding content: FileContent, path: String) throws(SnapshotError) {
    let end = content.byteCount - 8
    let header = try Header(
      content.array(in: 0..<min(content.byteCount, Self.headerBytes)), path: path)
    try header.check(byteCount: content.byteCount, path: path)
    id = header.id
    let poolCount = header.poolCount
    do throws(ByteReader.Defect) {
      var sum = ByteReader(content, in: end..<content.byteCount)
      guard try sum.integer() == content.checksum(of: 0..<end) else {
        throw sum.defect("wrong checksum")
      }
      var body = ByteReader(content, in: Self.headerBytes..<end)
      (layers, frequencies) = try Self.layers(&body)
      let segmentCount = try body.count("files of pages", ofBytes: 8 + 16 * poolCount)
      guard segmentCount <= Self.mostSegments else {
        throw body.defect("\(segmentCount) files of pages")
      }
      for _ in 0..<segmentCount {
        var segment = Segment(id: try body.integer(), setCounts: [])
        for _ in 0..<2 * poolCount {
          segment.setCounts.append(try body.number("page sets", in: 0...1 << 40))
        }
        segments.append(segment)
      }
      sets = []
      for pool in 0..<poolCount { sets.append(try Self.sets(&body, of: segments, pool: pool)) }
      for _ in 0..<(try body.count("sequences", ofBytes: 56 + 32 * poolCount)) {
        sequences.append(try Self.sequence(&body, tableCount: poolCount))
      }
      attachment = try body.block()
      guard body.isAtEnd else { throw body.defect("something follows") }
    } catch {
      throw .damaged(path: path, offset: error.offset, reason: error.reason)
    }
  }

  private static func layers(
    _ body: inout ByteReader
  ) throws(ByteReader.Defect) -> ([SnapshotLayer], [[[Double]]]) {
    var layers: [SnapshotLayer] = []
    for _ in 0..<(try body.count("layers", ofBytes: 8)) {
      layers.append(try SnapshotLayer(&body))
    }
    var lists: [[[Double]]] = []
    for _ in 0..<(try body.count("lists of frequencies", ofBytes: 8)) {
      var list: [[Double]] = []
      for _ in 0..<(try body.count("epochs", ofBytes: 8)) {
        var epoch: [Double] = []
        for _ in 0..<(try body.count("frequencies", ofBytes: 8)) {
          epoch.append(try body.double())
        }
        list.append(epoch)
      }
      lists.append(list)
    }
    var frequencies: [[[Double]]] = []
    for _ in layers {
      let number = Int(try body.integer(UInt32.self))
      guard lists.indices.contains(number) else {
        throw body.defect("there is no list \(number) of frequencies")
      }
      frequencies.append(lists[number])
    }
    return (layers, frequencies)
  }

  private static func sets(
    _ body: inout ByteReader, of segments: [Segment], pool: Int
  ) throws(ByteReader.Defect) -> [StoredSet] {
    let count = try body.count("page sets", ofBytes: 36)
    guard count <= Int(Int32.max) else { throw body.defect("\(count) page sets") }
    var sets: [StoredSet] = []
    sets.reserveCapacity(count)
    for _ in 0..<count {
      let (epoch, rewrites) = (try body.integer(Int32.self), try body.integer(Int32.self))
      guard epoch >= 0, rewrites >= 0 else {
        throw body.defect("epoch \(epoch), \(rewrites) rewrites")
      }
      let number = try body.integer(UInt32.self)
      guard let form = StoredForm(rawValue: number) else {
        throw body.defect("there is no form \(number)")
      }
      let offset = try body.number("the offset of a page set", in: -1 << 60...1 << 60)
      let place = Place(
        segment: Int(try body.integer(UInt32.self)), number: Int(try body.integer(UInt32.self)),
        checksum: try body.integer())
      guard segments.indices.contains(place.segment),
        place.number
          < segments[place.segment].setCounts[SegmentLayout.shelf(ofPool: pool, form)]
      else { throw body.defect("there is no page set \(place.number) in file \(place.segment)") }
      sets.append(
        StoredSet(epoch: epoch, offset: offset, rewrites: rewrites, form: form, place: place))
    }
    return sets
  }

  private static func sequence(
    _ body: inout ByteReader, tableCount: Int
  ) throws(ByteReader.Defect) -> Sequence {
    let positions = 0...SequenceState.maximumPosition + 1
    var sequence = Sequence()
    sequence.startPosition = try body.number("the first position", in: positions)
    sequence.nextPosition = try body.number("the next position", in: positions)
    sequence.length = try body.number(
      "the number of tokens", in: 0...min(sequence.nextPosition, Int(Int32.max)))
    sequence.sinkCount = try body.number("the number of sinks", in: 0...sequence.length)
    let epoch = try body.number("the epoch", in: 1...Int(Int32.max))
    let state = try body.number("the way of turning, and whether it evicts,", in: 0...3)
    sequence.rotation = SequenceRotation(
      epoch: epoch, keys: state & 1 != 0 ? .whenRead : .whenStored)
    sequence.isEvicting = state & 2 != 0
    for _ in 0..<(try body.count("pins", ofBytes: 16)) {
      // Ranges in order that do not touch.
      let lowest = sequence.pins.last.map { $0.upperBound + 1 } ?? 0
      guard lowest < sequence.length else { throw body.defect("a pin behind the last token") }
      let start = try body.number("a pin's first token", in: lowest...sequence.length - 1)
      let end = try body.number("a pin's end", in: start + 1...sequence.length)
      sequence.pins.append(start..<end)
    }
    for _ in 0..<tableCount {
      let table = try table(&body)
      if table.hasEvicted { sequence.isEvicting = true }
      sequence.tables.append(table)
    }
    return sequence
  }

  private static func table(_ body: inout ByteReader) throws(ByteReader.Defect) -> Table {
    var table = Table()
    table.nextNumber = try body.number("the next entry", in: 0...1 << 30)
    table.pagesWritten = try body.number("the number of pages written", in: 0...1 << 40)
    let state = try body.number("whether it is rewound or has evicted", in: 0...3)
    (table.isRewound, table.hasEvicted) = (state & 1 != 0, state & 2 != 0)
    let count = try body.count("entries", ofBytes: 40)
    table.entries.reserveCapacity(count)
    for _ in 0..<count {
      table.entries.append(
        PageEntry(
          number: try body.integer(), page: try body.integer(),
          basePosition: try body.number(
            "a base position", in: -PageLayout.slots...SequenceState.maximumPosition),
          firstToken: try body.integer(), firstSlot: try body.integer(),
          endSlot: try body.integer(), mass: Double(bitPattern: try body.integer()),
          latestMass: Double(bitPattern: try body.integer())))
    }
    return table
  }
}

/// Jobs by the size of their tiles, largest first.
@safe struct SizeOrder: ~Copyable {
  private var order: GrowingBuffer<Int>

  init() throws(AttentionError) { order = try GrowingBuffer() }

  mutating func reserveCapacity(_ count: Int) throws(AttentionError) {
    try order.reserveCapacity(count)
  }

  /// Sorts the jobs of a range by octaves of their tiles' cost, within capacity reserved before.
  ///
  /// Within an octave they keep their order.
  mutating func sort(_ jobs: borrowing GrowingBuffer<PlannedJob>, _ range: Range<Int>) {
    order.removeAll()
    for _ in range { order.appendReserved(0) }
    var places = InlineArray<65, Int>(repeating: 0)
    for index in range { places[Self.octave(jobs[index]) + 1] += 1 }
    for octave in 1..<65 { places[octave] += places[octave - 1] }
    for index in range {
      let octave = Self.octave(jobs[index])
      order[places[octave]] = index
      places[octave] += 1
    }
  }

  /// 0 for the largest.
  private static func octave(_ job: PlannedJob) -> Int {
    job.tileCost.leadingZeroBitCount - (job.tileCost == 0 ? 1 : 0)
  }

  /// The index of the job in that place.
  subscript(place: Int) -> Int { order[place] }
}

import StreamingAttention

/// A token whose key answers the check queries of one direction.
struct Needle: Sendable, Equatable {
  var token: Int
  var direction: Int
}

/// What the planted keys of a layer look like, and what asks for them.
///
/// A direction is a vector w of ±1, the same at every place of a KV head. A needle's key is the one that, turned by its
/// position, becomes c·w; a check query the one that becomes s·w. So the product of the two is s·c·|w|² = s·c·d whatever
/// the positions; the signs of other directions differ by Walsh functions, whose products with w are zero where 8
/// divides d. c is rounded to five bits: it is stored exactly in every type, and no rounding of a turned key's channels
/// comes near a tie.
struct NeedleShape: Sendable {
  /// Half of what an ordinary query would have, so that ordinary keys score with deviation ½.
  static let queryAmplitude = 0.5
  /// The score of a needle in natural units.
  ///
  /// 262,144 keys of deviation ½, each below 8 deviations, weigh e^(12.5 + 4) at most: less than 1e-5 of one needle.
  static let score = 28.0

  let keyWidth: Int
  let keyAmplitude: Double
  /// Query heads of a group ask for different directions, up to 8 of them.
  let directionCount: Int

  init(_ attention: LayerAttention, stored: LayerShape) {
    keyWidth = stored.keyWidth
    let group = attention.queryHeads / stored.kvHeads
    directionCount = max(1, min(group, 8, stored.keyWidth / 2))
    let scale = attention.scale.map(Double.init) ?? 1 / Double(stored.keyWidth).squareRoot()
    let exact = Self.score / (Self.queryAmplitude * max(scale, 1e-3) * Double(stored.keyWidth))
    let unit = exact.ulp * 0x1p48
    keyAmplitude = (exact / unit).rounded() * unit
  }

  /// w of a direction in the caller's order of channels.
  func signs(
    _ values: SyntheticValues, layer: Int, kvHead: Int, direction: Int
  ) -> [Double] {
    var row = [Float](repeating: 0, count: keyWidth)
    var span = row.mutableSpan
    values.fill(
      &span, of: values.stream(.sign, layer: layer, head: kvHead, sequence: 0), token: 0)
    return row.indices.map { channel in
      let isFlipped = (channel & direction).nonzeroBitCount & 1 == 1
      return (row[channel] < 0) != isFlipped ? -1 : 1
    }
  }
}

/// Where the needles of one layer and sequence lie.
///
/// The first and the newest tokens, one of each direction, are needles of every KV head, and so are some within reach of
/// every query row. The borders of leaves, some borders of pages and the middle are shared out among KV heads and
/// directions, so that each head has few enough that one missing shows.
struct NeedlePlan: Sendable {
  /// `[kvHead]`, in ascending order.
  let heads: [[Needle]]

  init(
    _ shape: NeedleShape, kvHeads: Int, sequence: FillSequence, steepestSlope: Double, window: Int
  ) {
    let (length, directions) = (sequence.length, shape.directionCount)
    let newest = max(0, length - directions)..<length
    let oldest = 0..<min(directions, newest.lowerBound)
    // A needle r tokens back has lost slope·r: 8.5 leaves it 1e5 times what stands nearer.
    let reach = min(steepestSlope > 0 ? 8.5 / steepestSlope : 512, Double(window) / 2)
    let step = max(1, min(61, Int(reach) / directions))
    // Rows begin at `length - queries`; what lies before them is within reach of the first.
    let first = max(oldest.upperBound, length - sequence.queries - step * directions)
    let tail = sequence.queries > 1 ? min(first, newest.lowerBound)..<newest.lowerBound : 0..<0
    let places = Self.places(length: length).filter {
      $0 >= oldest.upperBound && $0 < newest.lowerBound && !tail.contains($0)
    }
    let sharing = max(1, min(kvHeads, 16 / directions, places.count / (8 * directions)))
    heads = (0..<kvHeads).map { head in
      var needles: [Needle] = []
      for (index, token) in places.enumerated() where index % sharing == head % sharing {
        needles.append(
          Needle(token: token, direction: (index / sharing + head) % directions))
      }
      for token in tail where token % step == 0 {
        needles.append(Needle(token: token, direction: token / step % directions))
      }
      for token in oldest { needles.append(Needle(token: token, direction: token)) }
      for token in newest { needles.append(Needle(token: token, direction: length - 1 - token)) }
      return needles.sorted { $0.token < $1.token }
    }
  }

  /// Both sides of every leaf's border, some pages' borders, the middle, the first slot of the last page.
  private static func places(length: Int) -> [Int] {
    let slots = PageLayout.slots
    let entries = (length + slots - 1) / slots
    let leaf = SummationOrder.leafEntries(liveEntries: entries) * slots
    var places: Set = [slots - 1, slots, 3 * slots - 1, length / 2 + 31, (entries - 1) * slots]
    for border in stride(from: leaf, to: length, by: leaf) {
      places.insert(border - 1)
      places.insert(border)
    }
    return places.sorted()
  }
}

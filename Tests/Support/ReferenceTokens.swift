/// A naive list of tokens: what the slow twin attends to.
package struct ReferenceTokens: Sendable {
  package let keyWidth: Int
  package let valueWidth: Int
  // [token, channel]
  package private(set) var keys: [Double] = []
  /// What bounds each key channel's rounding errors.
  ///
  /// It is |key|, or the length of the pair that was turned.
  package private(set) var keyMagnitudes: [Double] = []
  package private(set) var values: [Double] = []
  /// What bounds each value channel's share in the rounding errors of sums.
  package private(set) var valueMagnitudes: [Double] = []
  /// What is known of tokens in codes; nil for others.
  package private(set) var codes: [ReferenceCodes?] = []
  package private(set) var positions: [Int] = []
  /// A key has been turned by (position − anchor).
  package private(set) var anchors: [Int] = []
  /// Whether the code under test turns the stored key once more, in f32, before a query that is not rounded meets it.
  package private(set) var areTurnedWhenRead: [Bool] = []

  package init(keyWidth: Int, valueWidth: Int) {
    (self.keyWidth, self.valueWidth) = (keyWidth, valueWidth)
  }

  package var count: Int { positions.count }

  /// Appends a token whose key is as stored: turned by (position − anchor), or not to be turned at all.
  package mutating func append(
    storedKey key: [Float], value: [Float], at position: Int, anchor: Int = 0
  ) {
    precondition(key.count == keyWidth && value.count == valueWidth)
    for channel in key {
      keys.append(Double(channel))
      keyMagnitudes.append(Double(channel.magnitude))
    }
    appendValue(value.map(Double.init))
    positions.append(position)
    anchors.append(anchor)
    areTurnedWhenRead.append(false)
  }

  /// Appends a token in codes, as it is decoded: turned by (position − anchor), or not to be turned at all.
  ///
  /// Magnitudes are |zero| + scale·code, `[channel]`: roundings of a sum are relative to these, not to what is left of them.
  package mutating func append(
    decodedKey key: [Double], value: [Double], keyMagnitudes sizes: [Double],
    valueMagnitudes valueSizes: [Double], at position: Int, anchor: Int, codes: ReferenceCodes
  ) {
    precondition(key.count == keyWidth && value.count == valueWidth)
    keys += key
    keyMagnitudes += sizes
    appendValue(value, magnitudes: valueSizes, codes)
    positions.append(position)
    anchors.append(anchor)
    areTurnedWhenRead.append(false)
  }

  private mutating func appendValue(
    _ value: some Collection<Double>, magnitudes: (some Collection<Double>)? = [Double]?.none,
    _ own: ReferenceCodes? = nil
  ) {
    values += value
    if let magnitudes {
      valueMagnitudes += magnitudes
    } else {
      for number in value { valueMagnitudes.append(number.magnitude) }
    }
    codes.append(own)
  }

  /// Appends a token of another list, where its key is as stored: turned by (position − anchor) and `old`, or by nobody; the
  /// code under test still has to make of it what `new` would have turned.
  package mutating func append(
    _ token: Int, of other: ReferenceTokens, turnedBy old: ReferenceRotation?,
    nowBy new: ReferenceRotation
  ) {
    let key = Array(other.key(token))
    let (position, anchor) = (other.positions[token], other.anchors[token])
    let original = old?.turned(key, by: anchor - position) ?? key
    keys += new.turned(original, by: position)
    keyMagnitudes += new.magnitudes(
      of: Array(other.keyMagnitudes[token * keyWidth..<(token + 1) * keyWidth]))
    var own = other.codes[token]
    // Queries meet it in f32.
    own?.scoreUnit = 0
    appendValue(other.value(token), magnitudes: other.valueSizes(token), own)
    positions.append(position)
    anchors.append(0)
    areTurnedWhenRead.append(true)
  }

  /// Appends a token whose key is as stored: turned by (position − anchor) and `old`, or by nobody; the code under test
  /// still has to make of it what `new` would have turned.
  package mutating func append(
    storedKey key: [Double], value: [Double], at position: Int, anchor: Int,
    turnedBy old: ReferenceRotation?, nowBy new: ReferenceRotation
  ) {
    precondition(key.count == keyWidth && value.count == valueWidth)
    let original = old?.turned(key, by: anchor - position) ?? key
    keys += new.turned(original, by: position)
    keyMagnitudes += new.magnitudes(of: key)
    appendValue(value)
    positions.append(position)
    anchors.append(0)
    areTurnedWhenRead.append(true)
  }

  /// Appends a token of another list as it is.
  package mutating func append(_ token: Int, of other: ReferenceTokens) {
    keys += other.key(token)
    keyMagnitudes += other.keyMagnitudes[token * keyWidth..<(token + 1) * keyWidth]
    appendValue(other.value(token), magnitudes: other.valueSizes(token), other.codes[token])
    positions.append(other.positions[token])
    anchors.append(other.anchors[token])
    areTurnedWhenRead.append(other.areTurnedWhenRead[token])
  }

  /// Appends a token whose key is as the caller gave it: it is turned here, exactly.
  package mutating func append(
    key: [Float], value: [Float], at position: Int, turnedBy rotation: ReferenceRotation?
  ) {
    precondition(key.count == keyWidth && value.count == valueWidth)
    let key = key.map(Double.init)
    keys += rotation?.turned(key, by: position) ?? key
    keyMagnitudes += rotation?.magnitudes(of: key) ?? key.map(\.magnitude)
    appendValue(value.map(Double.init))
    positions.append(position)
    anchors.append(0)
    areTurnedWhenRead.append(false)
  }

  package func key(_ token: Int) -> ArraySlice<Double> {
    keys[token * keyWidth..<(token + 1) * keyWidth]
  }

  package func value(_ token: Int) -> ArraySlice<Double> {
    values[token * valueWidth..<(token + 1) * valueWidth]
  }

  private func valueSizes(_ token: Int) -> ArraySlice<Double> {
    valueMagnitudes[token * valueWidth..<(token + 1) * valueWidth]
  }

  /// The same tokens in another order.
  package func reordered(_ order: [Int]) -> ReferenceTokens {
    var result = ReferenceTokens(keyWidth: keyWidth, valueWidth: valueWidth)
    for token in order { result.append(token, of: self) }
    return result
  }
}

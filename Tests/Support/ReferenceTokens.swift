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
  package private(set) var positions: [Int] = []
  /// A key has been turned by (position − anchor).
  package private(set) var anchors: [Int] = []

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
    for channel in value { values.append(Double(channel)) }
    positions.append(position)
    anchors.append(anchor)
  }

  /// Appends a token whose key is as the caller gave it: it is turned here, exactly.
  package mutating func append(
    key: [Float], value: [Float], at position: Int, turnedBy rotation: ReferenceRotation?
  ) {
    precondition(key.count == keyWidth && value.count == valueWidth)
    let key = key.map(Double.init)
    keys += rotation?.turned(key, by: position) ?? key
    keyMagnitudes += rotation?.magnitudes(of: key) ?? key.map(\.magnitude)
    for channel in value { values.append(Double(channel)) }
    positions.append(position)
    anchors.append(0)
  }

  package func key(_ token: Int) -> ArraySlice<Double> {
    keys[token * keyWidth..<(token + 1) * keyWidth]
  }

  package func value(_ token: Int) -> ArraySlice<Double> {
    values[token * valueWidth..<(token + 1) * valueWidth]
  }

  /// The same tokens in another order.
  package func reordered(_ order: [Int]) -> ReferenceTokens {
    var result = ReferenceTokens(keyWidth: keyWidth, valueWidth: valueWidth)
    for token in order {
      result.keys += key(token)
      result.keyMagnitudes += keyMagnitudes[token * keyWidth..<(token + 1) * keyWidth]
      result.values += value(token)
      result.positions.append(positions[token])
      result.anchors.append(anchors[token])
    }
    return result
  }
}

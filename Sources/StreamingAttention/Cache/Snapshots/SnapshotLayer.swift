/// A layer's shape as a snapshot names it: in words where a number could come to mean something else.
struct SnapshotLayer: Sendable, Equatable {
  /// Names and values in the order of the file.
  private(set) var parts: [(name: String, value: String)]

  init(_ shape: LayerShape, _ precision: FullPrecision) {
    let positions =
      switch shape.keyPositions {
      case .rotary(let pairs, let pairing):
        "\(pairs) rotary pairs, \(pairing == .halves ? "halves" : "interleaved")"
      case .none: "none"
      case .absolute: "absolute"
      }
    let retention =
      switch shape.retention {
      case .everything: "everything"
      case .window(let length): "a window of \(length)"
      }
    parts = [
      ("KV heads", "\(shape.kvHeads)"), ("key width", "\(shape.keyWidth)"),
      ("value width", "\(shape.valueWidth)"), ("key type", shape.keyType.name),
      ("value type", shape.valueType.name), ("positions", positions), ("retention", retention),
    ]
    if shape.isQuantized {
      parts += [
        ("first tokens in full precision", "\(precision.first)"),
        ("last tokens in full precision", "\(precision.last)"),
      ]
    }
    if shape.pageTable != 0 { parts.append(("page table", "\(shape.pageTable)")) }
  }

  init(_ reader: inout ByteReader) throws(ByteReader.Defect) {
    parts = []
    for _ in 0..<(try reader.count("parts of a layer", ofBytes: 16)) {
      parts.append((try reader.text(), try reader.text()))
    }
  }

  func write(to writer: inout ByteWriter) {
    writer.append(UInt64(parts.count))
    for part in parts {
      writer.append(text: part.name)
      writer.append(text: part.value)
    }
  }

  /// The first part that is not as in `other`.
  func difference(from other: SnapshotLayer) -> (part: String, received: String, allowed: String)? {
    for index in 0..<max(parts.count, other.parts.count) {
      let own = parts.indices.contains(index) ? parts[index] : ("", "nothing")
      let wanted = other.parts.indices.contains(index) ? other.parts[index] : ("", "nothing")
      if own != wanted {
        return (wanted.0.isEmpty ? own.0 : wanted.0, own.1, wanted.1)
      }
    }
    return nil
  }

  static func == (one: SnapshotLayer, other: SnapshotLayer) -> Bool {
    one.difference(from: other) == nil
  }
}

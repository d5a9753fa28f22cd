import Memory

extension SnapshotManifest {
  /// The manifest as bytes, the last eight of which are the checksum of all others.
  func encoded() -> [UInt8] {
    var body = ByteWriter()
    body.append(UInt64(layers.count))
    for layer in layers { layer.write(to: &body) }
    encodeFrequencies(&body)
    body.append(UInt64(segments.count))
    for segment in segments {
      body.append(segment.id)
      for count in segment.setCounts { body.append(UInt64(count)) }
    }
    for sets in sets {
      body.append(UInt64(sets.count))
      for set in sets {
        body.append(set.epoch)
        body.append(set.rewrites)
        body.append(set.form.rawValue)
        body.append(number: set.offset)
        body.append(UInt32(set.place.segment))
        body.append(UInt32(set.place.number))
        body.append(set.place.checksum)
      }
    }
    body.append(UInt64(sequences.count))
    for sequence in sequences { encode(sequence, &body) }
    body.append(block: attachment)

    var file = ByteWriter()
    for byte in Self.magic { file.append(byte) }
    file.append(UInt32(Self.version))
    file.append(UInt32(sets.count))
    file.append(UInt64(Self.headerBytes + body.bytes.count + 8))
    file.append(id)
    file.append(bytes: body.bytes)
    file.append(Checksum.of(file.bytes))
    return file.bytes
  }

  /// Layers with the same frequencies name the same list.
  private func encodeFrequencies(_ body: inout ByteWriter) {
    var lists: [[[Double]]] = []
    var numbers: [Int] = []
    for layer in frequencies {
      let number = lists.firstIndex(of: layer) ?? lists.count
      if number == lists.count { lists.append(layer) }
      numbers.append(number)
    }
    body.append(UInt64(lists.count))
    for list in lists {
      body.append(UInt64(list.count))
      for epoch in list {
        body.append(UInt64(epoch.count))
        for frequency in epoch { body.append(frequency) }
      }
    }
    for number in numbers { body.append(UInt32(number)) }
  }

  private func encode(_ sequence: Sequence, _ body: inout ByteWriter) {
    body.append(number: sequence.startPosition)
    body.append(number: sequence.nextPosition)
    body.append(number: sequence.length)
    body.append(number: sequence.sinkCount)
    body.append(number: sequence.rotation.epoch)
    body.append(
      UInt64((sequence.rotation.keys == .whenRead ? 1 : 0) | (sequence.isEvicting ? 2 : 0)))
    body.append(UInt64(sequence.pins.count))
    for pin in sequence.pins {
      body.append(number: pin.lowerBound)
      body.append(number: pin.upperBound)
    }
    for table in sequence.tables {
      body.append(number: table.nextNumber)
      body.append(number: table.pagesWritten)
      body.append(UInt64((table.isRewound ? 1 : 0) | (table.hasEvicted ? 2 : 0)))
      body.append(UInt64(table.entries.count))
      for entry in table.entries {
        body.append(entry.number)
        body.append(entry.page)
        body.append(number: entry.basePosition)
        body.append(entry.firstToken)
        body.append(entry.firstSlot)
        body.append(entry.endSlot)
        body.append(entry.mass.bitPattern)
        body.append(entry.latestMass.bitPattern)
      }
    }
  }
}

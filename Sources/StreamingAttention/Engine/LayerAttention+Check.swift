extension LayerAttention {
  /// Throws what does not fit the layer's stored shape or has no meaning.
  func check(
    layer: Int, stored: LayerShape, rotation rule: AttentionEngine.RotationRule
  ) throws(AttentionError) {
    func demand(_ holds: Bool, _ name: String, _ received: some Any, _ allowed: String)
      throws(AttentionError)
    {
      guard holds else {
        throw .setting(layer: layer, name: name, received: "\(received)", allowed: allowed)
      }
    }
    guard queryHeads > 0, queryHeads % stored.kvHeads == 0 else {
      throw .queryHeads(layer: layer, received: queryHeads, kvHeads: stored.kvHeads)
    }
    try demand(
      queryHeads <= LayerShape.widest, "number of query heads", queryHeads,
      "at most \(LayerShape.widest)")
    if let scale { try demand(scale.isFinite, "scale", scale, "a finite number") }
    if let window { try demand(window > 0, "window", window, "1 or more, or none") }
    if let rightWindow {
      try demand(
        rightWindow >= 0 && mask == .full, "right window", rightWindow,
        "0 or more with the full mask, or none")
    }
    if case .window(let kept) = stored.retention {
      try demand(
        window.map { $0 <= kept } ?? false, "window", window.map(String.init) ?? "none",
        "at most \(kept), which is what the cache keeps")
    }
    if let softcap {
      try demand(softcap > 0 && softcap.isFinite, "softcap", softcap, "a finite number above 0")
    }
    if let sinks {
      try demand(
        sinks.count == queryHeads, "number of sinks", sinks.count,
        "one for each of \(queryHeads) query heads")
      for sink in sinks { try demand(sink < .infinity, "sink", sink, "a finite number or −∞") }
    }
    if let alibi {
      try demand(
        alibi.slopes.count == queryHeads, "number of ALiBi slopes", alibi.slopes.count,
        "one for each of \(queryHeads) query heads")
    }
    try demand(
      alibiEpsilon >= 0 && alibiEpsilon < 1, "ALiBi epsilon", alibiEpsilon,
      "a number from 0 on, below 1")
    for rotary in [rotary].compactMap(\.self) + laterRotary {
      // It may be narrower: that of keys whose other channels never turn, by a head dimension of their own.
      try demand(
        rotary.headDimension <= stored.keyWidth, "head dimension of the rotation",
        rotary.headDimension, "at most the width of a key, \(stored.keyWidth)")
      try demand(
        stored.rotaryPairs == rotary.pairCount && stored.rotaryPairing == rotary.pairing,
        "rotation", "\(rotary.pairCount) pairs, \(rotary.pairing)",
        "what the cache stores: \(stored.rotaryPairs) pairs, \(stored.rotaryPairing)")
    }
    if rotary == nil, !laterRotary.isEmpty || rule == .asStored {
      try demand(
        stored.rotaryPairs == 0, "rotation", "none",
        "what the cache stores: \(stored.rotaryPairs) pairs")
    }
  }
}

import StreamingAttention
import Testing

/// Layers that a step has not appended to: their new slots hold what another sequence has left there.
@Suite("A layer that the step's tokens have not been appended to")
struct UnwrittenLayerTests {
  /// Two layers of two heads that are 16 wide, without positions.
  private struct Fixture {
    let engine: AttentionEngine
    var cache: KVCache { engine.cache }

    init() throws {
      let shape = LayerShape(
        kvHeads: 2, keyWidth: 16, keyType: .float32, valueType: .float32, keyPositions: .none)
      let cache = try KVCache(layers: [shape, shape], memoryLimit: 1 << 26)
      engine = try AttentionEngine(
        cache: cache, layers: [LayerAttention(queryHeads: 2), LayerAttention(queryHeads: 2)],
        workers: Workers(count: 1))
    }

    func append(layer: Int, _ count: Int, values value: Float) throws(AttentionError) {
      let keys = [Float](repeating: 1, count: count * 32)
      let values = [Float](repeating: value, count: count * 32)
      try engine.append(layer: layer, keys: keys.span, values: values.span)
    }

    /// The output of one row.
    func attend(layer: Int) throws(AttentionError) -> [Float] {
      let queries = [Float](repeating: 1, count: 32)
      var output = [Float](repeating: .nan, count: 32)
      var span = output.mutableSpan
      try engine.attend(layer: layer, queries: queries.span, into: &span)
      return output
    }

    func bounds(layer: Int) throws(AttentionError) -> [Float] {
      let queries = [Float](repeating: 1, count: 32)
      var bounds: [Float] = [.nan, .nan]
      var span = bounds.mutableSpan
      try engine.quantizationBounds(layer: layer, queries: queries.span, into: &span)
      return bounds
    }

    /// A sequence of equal values in both layers.
    func sequence(_ count: Int, values: Float) throws -> SequenceID {
      let sequence = try cache.makeSequence()
      try engine.begin([StepRequest(sequence, appending: count, querying: 0)])
      for layer in 0..<2 { try append(layer: layer, count, values: values) }
      engine.commit()
      return sequence
    }
  }

  private func missing(_ count: Int, call: String = "attend", layer: Int = 1) -> AttentionError {
    .notAppended(layer: layer, call: call, tokenCount: count)
  }

  @Test("is not read, whatever its memory held before")
  func unwritten() throws {
    let fixture = try Fixture()
    let secret = try fixture.sequence(256, values: 42)
    _ = try fixture.sequence(64, values: 1)
    try fixture.cache.drop(secret)
    let sequence = try fixture.cache.makeSequence()
    for commits in [false, true] {
      try fixture.engine.begin([StepRequest(sequence, appending: 256, querying: 1)])
      #expect(throws: missing(256, layer: 0)) { try fixture.attend(layer: 0) }
      try fixture.append(layer: 0, 256, values: 7)
      #expect(try fixture.attend(layer: 0) == Array(repeating: 7, count: 32))
      #expect(throws: missing(256)) { try fixture.attend(layer: 1) }
      #expect(throws: missing(256, call: "quantizationBounds")) { try fixture.bounds(layer: 1) }
      // What was refused has written nothing.
      #expect(throws: AttentionError.self) { try fixture.append(layer: 1, 255, values: 7) }
      #expect(throws: missing(256)) { try fixture.attend(layer: 1) }
      try fixture.append(layer: 1, 256, values: 7)
      #expect(try fixture.attend(layer: 1) == Array(repeating: 7, count: 32))
      // A step given up leaves nothing that the next one could take for its own.
      if commits { fixture.engine.commit() } else { fixture.engine.abandon() }
    }
    // Every step again.
    try fixture.engine.begin([StepRequest(sequence, appending: 1)])
    #expect(throws: missing(1)) { try fixture.attend(layer: 1) }
    fixture.engine.abandon()
    #expect(fixture.cache.checkInvariants().isEmpty)
  }

  @Test("is read by a step without new tokens, which need not ask it")
  func nothingNew() throws {
    let fixture = try Fixture()
    let sequence = try fixture.sequence(70, values: 3)
    try fixture.engine.begin([StepRequest(sequence, appending: 0, querying: 1)])
    #expect(try fixture.attend(layer: 1) == Array(repeating: 3, count: 32))
    fixture.engine.commit()
    #expect(try fixture.cache.length(of: sequence) == 70)
  }

  @Test("keeps the step from being committed")
  func commit() async {
    await #expect(processExitsWith: .failure) {
      let fixture = try Fixture()
      let sequence = try fixture.cache.makeSequence()
      try fixture.engine.begin([StepRequest(sequence, appending: 5)])
      fixture.engine.commit()
    }
    await #expect(processExitsWith: .failure) {
      let fixture = try Fixture()
      let sequence = try fixture.sequence(70, values: 3)
      try fixture.engine.begin([StepRequest(sequence, appending: 5)])
      try fixture.append(layer: 0, 5, values: 3)
      fixture.engine.commit()
    }
    // As the ones above, but for the layer that they lack.
    await #expect(processExitsWith: .success) {
      let fixture = try Fixture()
      let sequence = try fixture.sequence(70, values: 3)
      try fixture.engine.begin([StepRequest(sequence, appending: 5)])
      for layer in 0..<2 { try fixture.append(layer: layer, 5, values: 3) }
      fixture.engine.commit()
    }
  }
}

import StreamingAttention
import TestSupport
import Testing

@Suite("Growth in steps of any size")
struct GrowthTests {
  @Test("puts pages where one-token appends over the same layers put them")
  func placement() throws {
    let lengths = [5_000, 4_200]
    func grow(by stepLengths: [Int]) throws -> [[UInt]] {
      let harness = try CacheHarness()
      let sequences = try lengths.map { _ in try harness.cache.makeSequence() }
      var held = [0, 0]
      while held != lengths {
        var requests: [SlotRequest] = []
        for (index, sequence) in sequences.enumerated() {
          let count = min(stepLengths[index], lengths[index] - held[index])
          held[index] += count
          requests.append(SlotRequest(sequence, appending: count))
        }
        harness.cache.commit(try harness.cache.reserve(requests))
      }
      #expect(harness.cache.checkInvariants() == [])
      // From the first page of each layer, since two caches lie at different addresses.
      return harness.cache.layers.indices.map { layer in
        let addresses = sequences.flatMap { sequence in
          harness.entries(of: sequence, table: harness.cache.table(ofLayer: layer)).flatMap {
            entry in
            (0..<harness.cache.layers[layer].kvHeads).map {
              harness.address(layer: layer, head: $0, page: entry.page)
            }
          }
        }
        let first = addresses.min() ?? 0
        return addresses.map { $0 - first }
      }
    }
    let byToken = try grow(by: [1, 1])
    #expect(try grow(by: [64, 64]) == byToken)
  }
}

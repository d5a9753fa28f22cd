#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import KernelTable

extension AttentionEngine {
  /// Bounds how far quantised pages move the outputs of the step's rows in one layer: ‖Δoutput‖ against the same pages before
  /// they were quantised.
  ///
  /// With q a query, e and f the largest distances of a key and of a value from what was written (which each page records), and
  /// V the largest norm of a value, no score moves by more than δ = |scale|·‖q‖·e; a softcap, ALiBi and a bias leave that as it
  /// is. Weights of sum 1 whose logarithms move by δ at most before they are normalised change by Σ|Δw| ≤ 2·tanh(δ ÷ 2): the worst
  /// case raises a half of them by δ and lowers the other. So
  ///
  ///     ‖Δoutput‖ ≤ 2·tanh(δ ÷ 2)·V + f
  ///
  /// It holds for the worst of keys and values, which real ones are far from. The rounding of queries and probabilities, as
  /// every type has it, is not counted. 0 where nothing that the row may see is quantised.
  ///
  /// - Parameters:
  ///   - layer: The layer, whose keys and values of this step have been appended.
  ///   - queries: `[row][queryHead][keyWidth]`, as for ``attend(layer:queries:into:cancellation:)``.
  ///   - bounds: `[row][queryHead]`, overwritten.
  /// - Throws: ``AttentionError`` for a wrong length, without a step, or for a layer that the step's tokens have not been appended to.
  /// - Complexity: O(entries × KV heads + queries). It allocates nothing.
  public func quantizationBounds(
    layer: Int, queries: Span<Float>, into bounds: inout MutableSpan<Float>
  ) throws(AttentionError) {
    try checkStep(layer: layer, for: "quantizationBounds")
    let settings = settings[layer]
    let shape = shapes[settings.shape]
    let rows = plan.queryCount * shape.queryHeads
    try checkLength("queries", queries.count, rows * shape.keyWidth)
    try checkLength("bounds", bounds.count, rows)
    try checkWritten(layer: layer, for: "quantizationBounds")
    for r in 0..<plan.requests.count {
      let request = plan.requests[r]
      var turnScale = 1.0
      if settings.rotation >= 0 {
        turnScale = max(1, Double(turns[settings.rotation].scales[r]).magnitude)
      }
      for kvHead in 0..<shape.kvHeads where request.queryCount > 0 {
        let worst = worstPage(layer: layer, request: r, kvHead: kvHead)
        for query in request.firstQuery..<request.firstQuery + request.queryCount {
          for head in kvHead * shape.group..<(kvHead + 1) * shape.group {
            let row = query * shape.queryHeads + head
            var square = 0.0
            for channel in row * shape.keyWidth..<(row + 1) * shape.keyWidth {
              square += Double(queries[channel]) * Double(queries[channel])
            }
            let delta =
              Double(settings.scale).magnitude * turnScale * square.squareRoot() * worst.key
            let moved = delta > 0 ? 2 * tanh(delta / 2) * worst.norm : 0
            // Rounded up, and more than Double is off.
            bounds[row] = moved + worst.value > 0 ? Float((moved + worst.value) * 1.0001) : 0
          }
        }
      }
    }
  }

  /// The largest errors of a request's keys and values of one KV head, and the largest norm of a value.
  private func worstPage(
    layer: Int, request: Int, kvHead: Int
  ) -> (key: Double, value: Double, norm: Double) {
    let settings = settings[layer]
    let table = plan.tables[settings.table * plan.requests.count + request]
    guard cache.layers[layer].isQuantized, table.entryCount > 0 else { return (0, 0, 0) }
    let errors = unsafe cache.pageErrors(layer: layer, kvHead: kvHead)
    let norms = unsafe cache.pageNorms(layer: layer, kvHead: kvHead)
    var (key, value, norm): (Float, Float, Float) = (0, 0, 0)
    for index in table.firstEntry..<table.firstEntry + table.entryCount {
      let page = Int(plan.entries[index].page)
      // SAFETY: both columns have a place for every page of the plan, which stands while the step does.
      key = max(key, unsafe errors[page].key)
      value = max(value, unsafe errors[page].value)
      norm = max(norm, unsafe norms[page].value)
    }
    return (Double(key), Double(value), Double(norm))
  }
}

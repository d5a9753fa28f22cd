import Glibc
import KernelTable

extension TileRunner {
  /// Normalises a job's complete state into the caller's output: o / ℓ, with the sink in ℓ.
  ///
  /// The state is spent: its denominators become the rows' factors.
  /// A row that saw nothing gives zeros and, without a sink, a log-sum-exp of −∞.
  static func finish(_ run: UnsafePointer<LayerRun>, job: PlannedJob, state: StateRows) {
    let shape = unsafe run.pointee.shape
    let request = unsafe run.pointee.requests[job.request]
    let firstHead = job.kvHead * shape.group
    unsafe noteShares(run, job: job, state: state)
    // SAFETY: the engine checked that output and logSumExp cover every token and query head, and the state is this call's alone.
    let firstToken = request.firstQuery + job.firstQuery
    for row in 0..<job.rowCount {
      let token = firstToken + row / shape.group
      let head = firstHead + row % shape.group
      let sink = unsafe run.pointee.sinks.map { unsafe $0[head] }
      let (factor, lse) = unsafe normalisation(
        maximum: state.maxima[row], denominator: state.denominators[row], sink: sink)
      unsafe state.denominators[row] = factor
      unsafe run.pointee.logSumExp?[token * shape.queryHeads + head] = lse
    }
    var task = unsafe OutputTask(
      rowCount: job.rowCount, group: shape.group, width: shape.valueWidth,
      outputs: state.outputs, outputStride: shape.outputStride, factors: state.denominators,
      target: run.pointee.output
        + (firstToken * shape.queryHeads + firstHead) * shape.valueWidth,
      tokenStride: shape.queryHeads * shape.valueWidth)
    unsafe run.pointee.kernels.writeOutputs(&task)
  }

  /// What the outputs of a state are multiplied by, and its natural log-sum-exp, sink included.
  ///
  /// The state's maximum is in units of log2; the sink z is a natural logit: with M = max(m, z·log2 e),
  /// ℓ' = ℓ·2^(m−M) + 2^(z·log2 e − M), and the factor is 2^(m−M) / ℓ'. Evaluated in Double: once per row.
  static func normalisation(maximum: Float, denominator: Float, sink: Float?)
    -> (factor: Float, logSumExp: Float)
  {
    let (m, l) = (Double(maximum), Double(denominator))
    guard let sink else {
      if l == 0 { return (0, -.infinity) }
      return (Float(1 / l), Float((m + log2(l)) * M_LN2))
    }
    let z = Double(sink) * M_LOG2E
    if l == 0 { return (0, sink) }
    let top = max(m, z)
    let scaled = exp2(m - top)
    let sum = l * scaled + exp2(z - top)
    return (Float(scaled / sum), Float((top + log2(sum)) * M_LN2))
  }
}

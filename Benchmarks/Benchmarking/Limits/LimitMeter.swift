import KernelTable
package import StreamingAttention

/// Where the limits around a record come from: the probes, or numbers that a test gives.
package protocol LimitSource: AnyObject {
  /// The limits now, with these workers.
  func sample(_ workers: Workers) -> LimitSample
}

/// Measures the limits of the machine.
package final class LimitMeter: LimitSource {
  private let probe: MachineProbe
  private let one = Workers(count: 1)

  init(memory: ProbeMemory, instructionSet: InstructionSet) {
    probe = MachineProbe(memory: memory, instructionSet: instructionSet)
  }

  package func sample(_ workers: Workers) -> LimitSample {
    func best(_ passes: [Double]) -> Double? { passes.max() }
    let one = best(probe.arithmeticPasses(.multiplyAdd, one)) ?? .nan
    let all = workers.count == 1 ? one : best(probe.arithmeticPasses(.multiplyAdd, workers)) ?? .nan
    return LimitSample(
      read: best(probe.readPasses(workers)) ?? .nan, multiplyAdd: all, multiplyAddOfOne: one,
      bfloatDot: best(probe.arithmeticPasses(.bfloatDot, workers)),
      byteDot: best(probe.arithmeticPasses(.byteDot, workers)))
  }

  /// The limits of the machine for one number of threads, each with all of its passes.
  package func passes(_ workers: Workers) -> [(limit: MachineLimit, passes: [Double])] {
    MachineLimit.allCases.compactMap { limit in
      let passes =
        switch limit {
        case .read: probe.readPasses(workers)
        case .multiplyAdd: probe.arithmeticPasses(.multiplyAdd, workers)
        case .bfloatDot: probe.arithmeticPasses(.bfloatDot, workers)
        case .byteDot: probe.arithmeticPasses(.byteDot, workers)
        }
      return passes.isEmpty ? nil : (limit, passes)
    }
  }
}

/// What `limits` measures.
package enum MachineLimit: String, Sendable, CaseIterable {
  /// Reading memory.
  case read
  /// f32 multiply-add.
  case multiplyAdd
  /// bf16 dot products.
  case bfloatDot
  /// int8 dot products.
  case byteDot
}

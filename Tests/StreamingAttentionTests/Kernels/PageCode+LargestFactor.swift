import KernelTable
import StreamingAttention

extension PageCode {
  /// The largest integer that a query or a probability becomes where it meets these codes; infinite where it stays a number.
  func largestFactor(on instructionSet: InstructionSet) -> Double {
    switch self {
    case .none: .infinity
    case .int4 where instructionSet == .avx512bf16: 127
    case .int4, .int8: 32_639
    }
  }
}

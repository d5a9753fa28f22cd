import CKernelShim
package import KernelTable
import KernelsBaseline

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
import KernelsAVX512BF16
#endif

/// The instruction sets that the kernels are built for, from the most portable to the fastest.
///
/// All of them read and write the same pages; their results differ in the last bits.
public enum InstructionSet: String, Sendable, CaseIterable, Comparable {
  /// Any CPU.
  case baseline
  /// x86-64-v3: AVX2, FMA, F16C.
  case avx2
  /// x86-64-v4: AVX-512 F, BW, CD, DQ, VL.
  case avx512
  /// x86-64-v4 with the bf16 and int8 dot products.
  case avx512bf16

  /// Orders by speed.
  public static func < (left: InstructionSet, right: InstructionSet) -> Bool {
    left.rank < right.rank
  }

  private var rank: Int {
    switch self {
    case .baseline: 0
    case .avx2: 1
    case .avx512: 2
    case .avx512bf16: 3
    }
  }

  /// The fastest one that this CPU and its operating system support, by CPUID.
  public static let detected: InstructionSet = {
    switch attention_instruction_set_level() {
    case 3: .avx512bf16
    case 2: .avx512
    case 1: .avx2
    default: .baseline
    }
  }()

  /// Whether this CPU runs it.
  public var isAvailable: Bool { self <= .detected }

  /// Throws if a machine whose fastest one is `detected` lacks it.
  func check(on detected: InstructionSet) throws(AttentionError) {
    guard self <= detected else {
      throw .unavailable(self, allowed: Self.allCases.filter { $0 <= detected })
    }
  }

  /// The one to use, given the value of `ATTEND_ISA`, which may ask for a lower one than detected.
  ///
  /// - Throws: ``AttentionError/instructionSet(received:allowed:)`` for a word that names none, or one that
  ///   this CPU lacks.
  public static func selected(by name: String?) throws(AttentionError) -> InstructionSet {
    guard let name, !name.isEmpty else { return detected }
    guard let wanted = InstructionSet(rawValue: name.lowercased()), wanted.isAvailable else {
      throw .instructionSet(
        received: name, allowed: allCases.filter(\.isAvailable).map(\.rawValue))
    }
    return wanted
  }

  /// The kernels of this instruction set, which must be available.
  package var kernels: KernelTable {
    precondition(isAvailable, "this CPU lacks \(rawValue)")
    return switch self {
    #if arch(x86_64)
    case .avx2: KernelsAVX2.kernelTable()
    case .avx512: KernelsAVX512.kernelTable()
    case .avx512bf16: KernelsAVX512BF16.kernelTable()
    #endif
    default: KernelsBaseline.kernelTable()
    }
  }
}

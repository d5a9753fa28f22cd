import KernelTable
import StreamingAttention
import Testing

@testable import Benchmarking

@Suite("Probes of the machine's limits")
struct ProbeTests {
  /// Runs one piece over `words`, which are aligned and followed by nothing.
  private func run(
    _ probe: Probe, _ kernels: KernelTable, words: [UInt32], iterations: Int = 0
  ) -> ProbeResult {
    var result = ProbeResult()
    let byteCount = words.count * 4
    let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
    defer { unsafe memory.deallocate() }
    for (index, word) in words.enumerated() {
      unsafe memory.storeBytes(of: word, toByteOffset: 4 * index, as: UInt32.self)
    }
    var task = unsafe ProbeTask(
      probe: probe, start: memory, byteCount: byteCount, iterations: iterations, result: &result)
    unsafe kernels.probe(&task)
    return result
  }

  @Test(
    "every word is read, wherever it stands",
    arguments: InstructionSet.allCases.filter(\.isAvailable), [Probe.read, .readInFour, .readAhead])
  func reading(set: InstructionSet, probe: Probe) {
    for index in 0..<1_024 {
      var words = [UInt32](repeating: 0, count: 1_024)
      words[index] = 0x8000_0001
      let result = run(probe, set.kernels, words: words)
      #expect(result.digest == 0x8000_0001, "word \(index)")
      #expect(result.operations == 0)
    }
  }

  @Test(
    "operations are counted where the instruction set has them",
    arguments: InstructionSet.allCases.filter(\.isAvailable))
  func arithmetic(set: InstructionSet) {
    let words = [UInt32](repeating: 0x3f3f_3f3f, count: 256)
    let registers =
      switch set {
      case .baseline: 3
      case .avx2: 6
      default: 12
      }
    let multiplyAdd = run(.multiplyAdd, set.kernels, words: words, iterations: 10)
    #expect(multiplyAdd.operations == 10 * registers * 16 * 2)
    let hasDots = set == .avx512bf16
    for (probe, operations) in [(Probe.bfloatDot, 16 * 4), (.byteDot, 12 * 8)] {
      let result = run(probe, set.kernels, words: words, iterations: 10)
      #expect(result.operations == (hasDots ? 10 * 16 * operations : 0))
      #expect((result.digest != 0) == hasDots)
    }
  }

  @Test("dots of bytes are unsigned times signed, in fours")
  func byteDots() {
    guard InstructionSet.avx512bf16.isAvailable else { return }
    // 255 · −1 four times is −1020 per iteration in every register.
    var words = [UInt32](repeating: 0, count: 256)
    words[0] = 0xffff_ffff
    words[1] = 0xffff_ffff
    let once = run(.byteDot, InstructionSet.avx512bf16.kernels, words: words, iterations: 1)
    // Registers begin with 1…12: the digest is that of the same sums.
    let v = (1...12).map { UInt32(bitPattern: Int32($0) - 1020) }
    let sum =
      (v[0] ^ v[1] ^ v[2] ^ v[3]) | (v[4] ^ v[5] ^ v[6] ^ v[7]) | (v[8] ^ v[9] ^ v[10] ^ v[11])
    #expect(once.digest == sum | v[0] | v[4] | v[8])
  }
}

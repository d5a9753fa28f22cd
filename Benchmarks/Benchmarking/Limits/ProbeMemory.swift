import KernelTable
import Memory
import StreamingAttention

/// A gigabyte in huge pages that the probes read, written once.
@safe final class ProbeMemory {
  /// Bytes that one pass reads.
  static let passBytes = 1 << 30
  /// Bytes of one piece of a pass: two groups, so that workers end together and jumps in the stream are rare.
  static let pieceBytes = 2 << 20

  private let buffer: Buffer<UInt8>

  /// Takes the memory and touches all of it.
  init(workers: Workers) throws(BenchmarkError) {
    buffer = try Self.allocate()
    unsafe Self.fill(buffer.baseAddress, workers)
  }

  private static func allocate() throws(BenchmarkError) -> Buffer<UInt8> {
    do throws(MemoryError) { return try Buffer<UInt8>(count: passBytes) } catch {
      throw .memory(error)
    }
  }

  private static func fill(_ start: UnsafeMutablePointer<UInt8>, _ workers: Workers) {
    // 0x3f3f3f3f is 0.75 as f32 and 0x3f3f as bf16: no probe computes with denormals or infinities.
    _ = unsafe workers.run(passBytes / pieceBytes, context: UnsafeMutableRawPointer(start)) {
      context, piece, _ in
      // SAFETY: each piece is written by one worker, within the buffer.
      unsafe (context + piece * ProbeMemory.pieceBytes)
        .initializeMemory(as: UInt8.self, repeating: 0x3f, count: ProbeMemory.pieceBytes)
    }
  }

  var start: UnsafeRawPointer { unsafe UnsafeRawPointer(buffer.baseAddress) }
}

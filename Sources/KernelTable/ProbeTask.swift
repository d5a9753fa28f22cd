/// What a probe measures the machine's limit of.
package enum Probe: UInt8, Sendable, BitwiseCopyable, CaseIterable {
  /// Reading memory in one stream.
  case read
  /// Reading memory in four streams, a quarter of the bytes each.
  case readInFour
  /// Reading memory in one stream, each line asked for 4 KiB ahead.
  case readAhead
  /// f32 multiply and add, fused where the instruction set has it.
  case multiplyAdd
  /// bf16 dot products of pairs, into f32.
  case bfloatDot
  /// int8 dot products of fours, unsigned times signed, into int32.
  case byteDot
}

/// What a probe has done, for the caller to divide by its time.
package struct ProbeResult: Sendable, BitwiseCopyable {
  /// Arithmetic operations, an addition and a multiplication being two; 0 where the instruction set has none such.
  package var operations = 0
  /// Follows from all that was read or computed, so that nothing can be left out.
  package var digest: UInt32 = 0

  package init() {}
}

/// A piece of a probe: bytes to read, or iterations to compute, on one thread.
@unsafe package struct ProbeTask {
  package var probe: Probe
  /// Bytes to read, at least 64 in any case: 64-byte aligned.
  package var start: UnsafeRawPointer
  /// A multiple of 1,024.
  package var byteCount: Int
  /// How often the arithmetic probes use each of their registers.
  package var iterations: Int
  package var result: UnsafeMutablePointer<ProbeResult>

  package init(
    probe: Probe, start: UnsafeRawPointer, byteCount: Int, iterations: Int,
    result: UnsafeMutablePointer<ProbeResult>
  ) {
    unsafe self.probe = probe
    unsafe self.start = start
    unsafe self.byteCount = byteCount
    unsafe self.iterations = iterations
    unsafe self.result = result
  }
}

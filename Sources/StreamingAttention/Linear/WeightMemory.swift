import Memory

/// Memory for weight matrices, in large blocks of huge pages.
///
/// A small matrix on the heap would lie in 4 KiB pages, at whose ends the processor's prefetchers stop. Matrices that follow one
/// another in a block are read as one stream.
package final class WeightMemory {
  /// A block that matrices share.
  final class Block: Sendable {
    let bytes: Buffer<UInt8>

    init(byteCount: Int) throws(MemoryError) { bytes = try Buffer(count: byteCount) }
  }

  /// Bytes of a block that several matrices share; a larger matrix has a block of its own.
  private static let blockBytes = 32 << 20

  private var block: Block?
  private var usedBytes = 0

  /// Memory of no block yet.
  package init() {}

  /// Zeroed bytes at a multiple of 64 in a block; throws for want of memory.
  func take(_ byteCount: Int) throws(MemoryError) -> (block: Block, offset: Int) {
    let rounded = (byteCount + 63) / 64 * 64
    if let block, usedBytes + rounded <= block.bytes.count {
      defer { usedBytes += rounded }
      return (block, usedBytes)
    }
    let fresh = try Block(byteCount: max(Self.blockBytes, rounded))
    block = fresh
    usedBytes = rounded
    return (fresh, 0)
  }
}

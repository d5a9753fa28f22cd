/// Memory of a kernel test, aligned as the cache's is; full of 0xFF, which is NaN in every element type.
@safe final class RawBlock {
  let start: UnsafeMutableRawPointer
  let byteCount: Int

  init(byteCount: Int) {
    self.byteCount = byteCount
    unsafe start = .allocate(byteCount: max(byteCount, 64), alignment: 64)
    unsafe start.initializeMemory(as: UInt8.self, repeating: 0xFF, count: max(byteCount, 64))
  }

  /// A copy of some numbers.
  convenience init<Number: BitwiseCopyable>(_ numbers: [Number]) {
    self.init(byteCount: numbers.count * MemoryLayout<Number>.stride)
    for (index, number) in numbers.enumerated() { store(number, index) }
  }

  deinit { unsafe start.deallocate() }

  var floats: UnsafeMutablePointer<Float> { unsafe start.assumingMemoryBound(to: Float.self) }

  func store<Number: BitwiseCopyable>(_ number: Number, _ index: Int) {
    precondition(index * MemoryLayout<Number>.stride < byteCount)
    unsafe start.storeBytes(
      of: number, toByteOffset: index * MemoryLayout<Number>.stride, as: Number.self)
  }

  func byte(_ offset: Int) -> Int {
    precondition(offset < byteCount)
    return unsafe Int(start.load(fromByteOffset: offset, as: UInt8.self))
  }

  func half(_ offset: Int) -> Double {
    precondition(offset + 1 < byteCount)
    return unsafe Double(Float16(bitPattern: start.load(fromByteOffset: offset, as: UInt16.self)))
  }

  func float(_ index: Int) -> Float {
    precondition(4 * index + 3 < byteCount)
    return unsafe start.load(fromByteOffset: 4 * index, as: Float.self)
  }

  var bytes: [UInt8] { (0..<byteCount).map { UInt8(byte($0)) } }
}

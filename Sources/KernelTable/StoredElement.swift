/// How one number is stored in a page or in a weight panel.
package enum StoredElement: UInt8, Sendable, BitwiseCopyable, CaseIterable {
  case float32 = 0
  case float16 = 1
  /// Stored in pairs that share a 32-bit lane, as the bf16 dot product reads them.
  case bfloat16 = 2
}

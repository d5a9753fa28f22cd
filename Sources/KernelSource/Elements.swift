import KernelTable

/// Comparisons by pattern: `==` of an enum with raw values is generic, and its weak witness accessors would
/// be linked into code for every processor (tools/check-isa).
extension StoredElement {
  @inline(__always) var isFloat16: Bool { if case .float16 = self { true } else { false } }
  @inline(__always) var isBFloat16: Bool { if case .bfloat16 = self { true } else { false } }
}

extension PageCode {
  @inline(__always) var isNone: Bool { if case .none = self { true } else { false } }
  @inline(__always) var isInt4: Bool { if case .int4 = self { true } else { false } }
}

extension GELUForm {
  @inline(__always) var isExact: Bool { if case .exact = self { true } else { false } }
}

extension PairOrder {
  @inline(__always) var isInterleaved: Bool { if case .interleaved = self { true } else { false } }
}

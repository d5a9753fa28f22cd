import KernelTable

/// Rows on their way into products, in every form that the matrices ahead read.
@safe struct LeftRows: ~Copyable {
  private(set) var count = 0
  private(set) var width = 0
  private(set) var forms: RowForms = []
  /// `[row][width]`; holds values on their way to the other forms too.
  private var plain: GrowingBuffer<Float>
  private var pairs: GrowingBuffer<UInt8>
  private var codes: GrowingBuffer<UInt8>

  init() throws(AttentionError) {
    let plain = try GrowingBuffer<Float>()
    let pairs = try GrowingBuffer<UInt8>()
    let codes = try GrowingBuffer<UInt8>()
    self.plain = plain
    self.pairs = pairs
    self.codes = codes
  }

  /// Makes room; throws for want of memory.
  mutating func resize(count: Int, width: Int, forms: RowForms) throws(AttentionError) {
    precondition(
      !forms.contains(.codes) || width % CodeFormat.blockInputs == 0, "codes of \(width) numbers")
    try plain.discardAndResize(to: count * width)
    self.width = width
    if forms.contains(.pairs) { try pairs.discardAndResize(to: count * pairsRowBytes) }
    if forms.contains(.codes) { try codes.discardAndResize(to: count * codesRowBytes) }
    self.count = count
    self.forms = forms
  }

  @unsafe var plainRows: UnsafeMutablePointer<Float> { unsafe plain.baseAddress }
  @unsafe var pairsRows: UnsafeMutableRawPointer {
    unsafe UnsafeMutableRawPointer(pairs.baseAddress)
  }
  @unsafe var codesRows: UnsafeMutableRawPointer {
    unsafe UnsafeMutableRawPointer(codes.baseAddress)
  }
  var pairsRowBytes: Int { unsafe PanelTask.rowBytes(inputWidth: width) }
  var codesRowBytes: Int { unsafe QuantizeTask.rowBytes(width: width) }

  /// The rows as a matrix of this format reads them, and the bytes from one to the next.
  @unsafe func rows(for format: WeightFormat) -> (start: UnsafeRawPointer, rowBytes: Int) {
    precondition(forms.isSuperset(of: format.rowForm), "rows were not loaded for \(format)")
    return switch format {
    case .elements(.bfloat16): unsafe (UnsafeRawPointer(pairsRows), pairsRowBytes)
    case .elements: unsafe (UnsafeRawPointer(plainRows), width * 4)
    case .codes: unsafe (UnsafeRawPointer(codesRows), codesRowBytes)
    }
  }
}

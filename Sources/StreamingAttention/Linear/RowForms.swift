import KernelTable

/// The forms in which products read their left factors.
package struct RowForms: OptionSet {
  package let rawValue: UInt8

  package init(rawValue: UInt8) { self.rawValue = rawValue }

  /// f32.
  package static let plain = RowForms(rawValue: 1)
  /// bf16 pairs, as `KernelTable.packRows` makes them.
  package static let pairs = RowForms(rawValue: 2)
  /// 8-bit codes, as `KernelTable.quantizeRows` makes them.
  package static let codes = RowForms(rawValue: 4)
}

extension WeightFormat {
  /// What a product with such a matrix reads.
  package var rowForm: RowForms {
    switch self {
    case .elements(.bfloat16): .pairs
    case .elements: .plain
    case .codes: .codes
    }
  }
}

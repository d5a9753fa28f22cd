/// How the keys, or the values, of a quantised page are stored: as unsigned codes, x = zero + scale·code.
///
/// Scales and zeros are f16 and lie where a kernel reads them (`CodedPageLayout`). The other half of the page may
/// have another code, or none.
package enum PageCode: UInt8, Sendable, BitwiseCopyable, CaseIterable {
  /// Not quantised: a `StoredElement`, as in plain pages.
  case none = 0
  /// Codes of 4 bits, eight to a 32-bit lane.
  case int4 = 4
  /// Codes of 8 bits, four to a 32-bit lane.
  case int8 = 8
}

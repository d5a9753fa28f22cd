import KernelTable

/// The forms of GELU, x·Φ(x), that models are trained with (Hendrycks & Gimpel 2016, arXiv:1606.08415, §2).
///
/// They differ by up to 5e-4, so a model needs its own.
package enum GELU: Sendable, CaseIterable {
  /// Φ of the normal distribution.
  case exact
  /// Φ(x) ≈ ½ + ½ tanh(√(2/π)·(x + 0.044715 x³)).
  case tanh

  var form: GELUForm {
    switch self {
    case .exact: .exact
    case .tanh: .tanh
    }
  }
}

/// What happens to rows on their way into products.
package struct RowNormalization: Sendable {
  /// How a row is normalised.
  package enum Kind: Sendable {
    /// x · weight / √(mean x² + ε) (Zhang & Sennrich 2019, arXiv:1910.07467).
    case rootMeanSquare
    /// (x − mean x) · weight / √(variance x + ε) + bias (Ba, Kiros & Hinton 2016, arXiv:1607.06450).
    case layer
  }

  let kind: Kind
  let weight: [Float]
  let bias: [Float]
  let epsilon: Float

  /// One weight for each channel, and one bias or none at all.
  package init(_ kind: Kind, weight: [Float], bias: [Float], epsilon: Float) {
    self.kind = kind
    self.weight = weight
    self.bias = bias
    self.epsilon = epsilon
  }

  func check(width: Int) {
    precondition(weight.count == width, "\(weight.count) weights for rows of \(width)")
    precondition(bias.isEmpty || bias.count == width, "\(bias.count) biases for rows of \(width)")
  }

  /// The same as kernels read it.
  @unsafe struct Pointers {
    var kind: Kind
    var weight: UnsafePointer<Float>
    /// nil for none.
    var bias: UnsafePointer<Float>?
    var epsilon: Float
  }

  /// Lends the weights, or nil for no normalisation.
  static func withPointers(to normalization: RowNormalization?, _ body: (Pointers?) -> Void) {
    guard let normalization else { return body(nil) }
    unsafe normalization.weight.withUnsafeBufferPointer { weight in
      unsafe normalization.bias.withUnsafeBufferPointer { bias in
        unsafe body(
          weight.baseAddress.map {
            unsafe Pointers(
              kind: normalization.kind, weight: $0, bias: bias.isEmpty ? nil : bias.baseAddress,
              epsilon: normalization.epsilon)
          })
      }
    }
  }
}

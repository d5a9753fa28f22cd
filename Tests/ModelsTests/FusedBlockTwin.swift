import Foundation

/// The slow, obvious twin of BLOOM's and MPT's forward pass: whole, without a cache, in one type of number throughout.
///
/// Written after the models' papers and definitions, not after the code under test.
struct FusedBlockTwin {
  var layers: Int
  var width: Int
  var queryHeads: Int
  var kvHeads: Int
  var keyWidth: Int
  var feedForwardWidth: Int
  var maximumBias: Double
  var clamp: Double?
  var usesTanh: Bool
  /// By name; what is not there is left out.
  var tensors: [String: [Float]]

  private let epsilon = Double(Float(1e-5))

  /// Logits of all tokens, `[token][vocabulary]`.
  func logits<Number: BinaryFloatingPoint>(of tokens: [Int], in _: Number.Type) -> [Number] {
    let embedding = vector("token_embd.weight", Number.self) ?? []
    var hidden = tokens.map { Array(embedding[$0 * width..<($0 + 1) * width]) }
    if tensors["token_embd_norm.weight"] != nil {
      hidden = hidden.map { normalized($0, "token_embd_norm") }
    }
    for layer in 0..<layers {
      let prefix = "blk.\(layer)."
      let attended = attention(hidden.map { normalized($0, prefix + "attn_norm") }, prefix)
      for token in tokens.indices {
        hidden[token] = sum(hidden[token], product(attended[token], prefix + "attn_output"))
        let inner = product(normalized(hidden[token], prefix + "ffn_norm"), prefix + "ffn_up")
        hidden[token] = sum(hidden[token], product(inner.map(gelu), prefix + "ffn_down"))
      }
    }
    let output = tensors["output.weight"] == nil ? "token_embd" : "output"
    return hidden.flatMap { product(normalized($0, "output_norm"), output) }
  }

  private func attention<Number: BinaryFloatingPoint>(
    _ rows: [[Number]], _ prefix: String
  ) -> [[Number]] {
    let fused = rows.map { row in
      product(row, prefix + "attn_qkv").map { value in
        clamp.map { Swift.min(Swift.max(value, Number(-$0)), Number($0)) } ?? value
      }
    }
    let (queryCount, keyCount) = (queryHeads * keyWidth, kvHeads * keyWidth)
    func part(_ first: Int, _ count: Int, _ norm: String?) -> [[Number]] {
      fused.map { row in
        let part = Array(row[first..<first + count])
        guard let norm, tensors[prefix + norm + ".weight"] != nil else { return part }
        return normalized(part, prefix + norm)
      }
    }
    let queries = part(0, queryCount, "attn_q_norm")
    let keys = part(queryCount, keyCount, "attn_k_norm")
    let values = part(queryCount + keyCount, keyCount, nil)
    return rows.indices.map { token in
      (0..<queryHeads).flatMap { head -> [Number] in
        let shared = head * kvHeads / queryHeads * keyWidth
        let scores = (0...token).map { other -> Number in
          var score: Number = 0
          for channel in 0..<keyWidth {
            score += queries[token][head * keyWidth + channel] * keys[other][shared + channel]
          }
          return score / Number(keyWidth).squareRoot()
            - Number(slope(ofHead: head)) * Number(token - other)
        }
        let largest = scores.max() ?? 0
        let weights = scores.map { Number(exp(Double($0 - largest))) }
        let total = weights.reduce(0, +)
        return (0..<keyWidth).map { channel in
          var result: Number = 0
          for other in 0...token { result += weights[other] * values[other][shared + channel] }
          return result / total
        }
      }
    }
  }

  /// MPT's recipe: the slopes of the next power of two, every second one first, then the others, cut to the heads.
  private func slope(ofHead head: Int) -> Double {
    var count = 1
    while count < queryHeads { count *= 2 }
    let all = (1...count).map { exp2(-maximumBias * Double($0) / Double(count)) }
    if count == queryHeads { return all[head] }
    let odd = all.indices.filter { $0 % 2 == 1 }
    let even = all.indices.filter { $0 % 2 == 0 }
    return all[(odd + even)[head]]
  }

  private func gelu<Number: BinaryFloatingPoint>(_ x: Number) -> Number {
    guard usesTanh else { return x * Number(0.5 * (1 + erf(Double(x) / 2.0.squareRoot()))) }
    let inner = Number((2 / Double.pi).squareRoot()) * (x + Number(0.044715) * x * x * x)
    return x * Number(0.5 * (1 + tanh(Double(inner))))
  }

  private func normalized<Number: BinaryFloatingPoint>(
    _ row: [Number], _ name: String
  ) -> [Number] {
    let weight = vector(name + ".weight", Number.self) ?? []
    let bias = vector(name + ".bias", Number.self)
    let mean = row.reduce(0, +) / Number(row.count)
    let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Number(row.count)
    let factor = 1 / (variance + Number(epsilon)).squareRoot()
    return row.indices.map { (row[$0] - mean) * factor * weight[$0] + (bias?[$0] ?? 0) }
  }

  /// Row · matrixᵀ, and the bias of the same name.
  private func product<Number: BinaryFloatingPoint>(_ row: [Number], _ name: String) -> [Number] {
    let matrix = tensors[name + ".weight"] ?? []
    let bias = tensors[name + ".bias"]
    return (0..<matrix.count / row.count).map { output in
      var result = Number(bias?[output] ?? 0)
      for input in row.indices { result += row[input] * Number(matrix[output * row.count + input]) }
      return result
    }
  }

  private func vector<Number: BinaryFloatingPoint>(
    _ name: String, _: Number.Type
  ) -> [Number]? {
    tensors[name]?.map { Number($0) }
  }

  private func sum<Number: BinaryFloatingPoint>(_ one: [Number], _ other: [Number]) -> [Number] {
    zip(one, other).map { $0 + $1 }
  }
}

import Glibc
import ModelFiles
import StreamingAttention

/// What `attend logits` prints.
struct LogitsReport {
  private let ids: [Int]
  private let hasALiBi: Bool
  /// log p of token i + 1 given tokens 0…i.
  private var logprobs: [Double] = []
  /// What attention read.
  var attention = AttentionReport()
  private var last: [(id: Int, logit: Float)] = []

  /// Best tokens that are listed for the last position.
  private static let listed = 64

  init(ids: [Int], hasALiBi: Bool) {
    self.ids = ids
    self.hasALiBi = hasALiBi
  }

  /// Takes the logits after token number `token`.
  mutating func add(_ logits: Span<Float>, ofToken token: Int) {
    guard token + 1 < ids.count else {
      list(logits)
      return
    }
    var maximum = -Double.infinity
    for index in logits.indices { maximum = max(maximum, Double(logits[index])) }
    var sum = 0.0
    for index in logits.indices { sum += exp(Double(logits[index]) - maximum) }
    logprobs.append(Double(logits[ids[token + 1]]) - maximum - log(sum))
  }

  private mutating func list(_ logits: Span<Float>) {
    let best = logits.indices.map { (id: $0, logit: logits[$0]) }.sorted {
      // A NaN is worst of all; equal logits stand in the order of their ids.
      ($0.logit.isNaN ? -.infinity : $0.logit, $1.id) > (
        $1.logit.isNaN ? -.infinity : $1.logit, $0.id
      )
    }
    last = Array(best.prefix(Self.listed))
  }

  private var meanNLL: Double {
    logprobs.isEmpty ? .nan : -logprobs.reduce(0, +) / Double(logprobs.count)
  }

  var json: String {
    JSONText.object([
      ("tokens", "\(ids.count)"),
      ("logprob", JSONText.array(logprobs.map { JSONText.number($0) })),
      ("meanNLL", JSONText.number(meanNLL)),
      ("perplexity", JSONText.number(exp(meanNLL))),
      ("keyValueBytesRead", "\(attention.keyValueBytesRead)"),
      ("keyValueBytesSkipped", "\(attention.keyValueBytesSkipped)"),
      ("skippedMassBound", JSONText.number(attention.skippedMassBound)),
      (
        "last",
        JSONText.object([
          ("ids", JSONText.array(last.map { "\($0.id)" })),
          ("logits", JSONText.array(last.map { JSONText.number($0.logit) })),
        ])
      ),
    ]) + "\n"
  }

  var text: String {
    var lines = ["tokens: \(ids.count)"]
    if !logprobs.isEmpty {
      lines.append("mean negative log-likelihood: \(meanNLL) nats per token")
      lines.append("perplexity: \(exp(meanNLL))")
    }
    if hasALiBi { lines.append(attention.text) }
    lines.append("best after the last token (id, logit):")
    lines += last.prefix(5).map { "  \($0.id)  \($0.logit)" }
    return lines.joined(separator: "\n") + "\n"
  }
}

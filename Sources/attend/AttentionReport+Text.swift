import StreamingAttention

extension AttentionReport {
  /// `ALiBi left out 12.3 of 45.6 MiB of keys and values, at most 8.1e-08 of a row's softmax`.
  var text: String {
    let mebibyte = Double(1 << 20)
    let skipped = Double(keyValueBytesSkipped) / mebibyte
    let whole = skipped + Double(keyValueBytesRead) / mebibyte
    return
      "ALiBi left out \(Answer.decimal(skipped)) of \(Answer.decimal(whole)) MiB of keys and values, "
      + "at most \(skippedMassBound) of a row's softmax"
  }
}

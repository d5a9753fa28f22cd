package import StreamingAttention

/// Reads the values of options, each as what it should be.
package struct ValueReader {
  /// By option name; empty for a flag.
  package let values: [String: String]

  package init(values: [String: String]) { self.values = values }

  /// A whole number within a range.
  package func integer(_ name: String, in allowed: ClosedRange<Int>) throws(BenchmarkError) -> Int?
  {
    guard let text = values[name] else { return nil }
    return try integer(text, name, allowed)
  }

  /// Tokens within a range, `K` and `M` standing for 2^10 and 2^20 of them.
  package func tokens(_ name: String, in allowed: ClosedRange<Int>) throws(BenchmarkError) -> Int? {
    try value(
      name, "a whole number such as 512 or 8K, \(allowed.lowerBound) to \(allowed.upperBound)"
    ) { text in
      (text == "0" ? 0 : ContextMix.length(text[...])).flatMap { allowed.contains($0) ? $0 : nil }
    }
  }

  /// Bytes, `K`, `M`, `G` and `T` standing for 2^10 to 2^40 of them.
  package func bytes(_ name: String) throws(BenchmarkError) -> Int? {
    try value(name, "bytes, such as 1073741824, 512M or 8G, above 0", Self.byteCount)
  }

  /// What `parse` makes of a value; nil where it is not given, and refused where that is nil.
  private func value<Value>(
    _ name: String, _ allowed: String, _ parse: (String) -> Value?
  ) throws(BenchmarkError) -> Value? {
    guard let text = values[name] else { return nil }
    guard let value = parse(text) else {
      throw .option(name: name, received: text, allowed: allowed)
    }
    return value
  }

  /// What ``bytes(_:)`` makes of a text; nil for anything else.
  package static func byteCount(_ text: String) -> Int? {
    let units: [Character: Int] = ["K": 10, "M": 20, "G": 30, "T": 40]
    let shift = text.last.flatMap { units[Character($0.uppercased())] } ?? 0
    guard let number = Int(shift == 0 ? text[...] : text.dropLast()), number > 0,
      number <= Int.max >> shift
    else { return nil }
    return number << shift
  }

  /// Whole numbers within a range, separated by commas.
  package func integers(_ name: String, in allowed: ClosedRange<Int>) throws(BenchmarkError)
    -> [Int]?
  {
    try list(name, "whole numbers, \(allowed.lowerBound) to \(allowed.upperBound)") { word in
      (word == "0" ? 0 : ContextMix.length(word)).flatMap { allowed.contains($0) ? $0 : nil }
    }
  }

  private func integer(
    _ text: String, _ name: String, _ allowed: ClosedRange<Int>
  ) throws(BenchmarkError) -> Int {
    guard let value = Int(text), allowed.contains(value) else {
      throw .option(
        name: name, received: text,
        allowed: "a whole number, \(allowed.lowerBound) to \(allowed.upperBound)")
    }
    return value
  }

  /// A number within a range.
  package func number(
    _ name: String, in allowed: ClosedRange<Double>
  ) throws(BenchmarkError) -> Double? {
    try value(name, "a number, \(allowed.lowerBound) to \(allowed.upperBound)") { text in
      Double(text).flatMap { allowed.contains($0) ? $0 : nil }
    }
  }

  /// A seed: any whole number of 64 bits without sign.
  package func seed(_ name: String) throws(BenchmarkError) -> UInt64? {
    try value(name, "a whole number, 0 to \(UInt64.max)") { UInt64($0) }
  }

  /// One of some words.
  package func choice<Value>(
    _ name: String, _ choices: [(String, Value)]
  ) throws(BenchmarkError) -> Value? {
    try value(name, BenchmarkOptions.names(choices.map(\.0))) { text in
      choices.first { $0.0 == text }?.1
    }
  }

  /// Some of some words, separated by commas.
  package func choices<Value>(
    _ name: String, _ choices: [(String, Value)]
  ) throws(BenchmarkError) -> [Value]? {
    try list(name, BenchmarkOptions.names(choices.map(\.0)) + ", separated by commas") { word in
      choices.first { $0.0 == word }?.1
    }
  }

  /// A list of what `element` makes of its words.
  package func list<Value>(
    _ name: String, _ allowed: String, _ element: (Substring) -> Value?
  ) throws(BenchmarkError) -> [Value]? {
    guard let text = values[name] else { return nil }
    var result: [Value] = []
    for word in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard let value = element(word) else {
        throw .option(name: name, received: text, allowed: allowed)
      }
      result.append(value)
    }
    return result
  }

  /// What a quantised cache keeps in 16 bits; refused where none is quantised.
  package func fullPrecision(
    over precision: FullPrecision, isQuantized: Bool
  ) throws(BenchmarkError) -> FullPrecision {
    var precision = precision
    for (name, part) in [
      ("--full-precision-first", \FullPrecision.first), ("--full-precision-last", \.last),
    ] {
      guard let count = try integer(name, in: 0...ContextMix.longest) else { continue }
      guard isQuantized else {
        throw .option(
          name: name, received: "\(count)",
          allowed: "nothing without --key-type or --value-type int8 or int4")
      }
      precision[keyPath: part] = count
    }
    return precision
  }

  /// Heads and widths: those of `--shape`, or else of `shape`, and in their place what single options say.
  package func shape(over shape: AttentionShape) throws(BenchmarkError) -> AttentionShape {
    var shape =
      try choice("--shape", AttentionShape.named.map { ($0.name, $0.shape) }) ?? shape
    shape.queryHeads =
      try integer("--query-heads", in: AttentionShape.allowedHeads) ?? shape.queryHeads
    shape.kvHeads = try integer("--kv-heads", in: AttentionShape.allowedHeads) ?? shape.kvHeads
    shape.headDimension =
      try integer("--head-dimension", in: AttentionShape.allowedDimensions) ?? shape.headDimension
    guard shape.queryHeads.isMultiple(of: shape.kvHeads) else {
      throw .option(
        name: "--query-heads", received: "\(shape.queryHeads)",
        allowed: "a multiple of the \(shape.kvHeads) KV heads")
    }
    return shape
  }
}

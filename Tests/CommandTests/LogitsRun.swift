import Foundation
import TestSupport
import Testing

/// Runs of `attend logits`, as another program would use it.
enum LogitsRun {
  /// What `--json` prints.
  struct Report: Decodable {
    struct Last: Decodable {
      let ids: [Int]
      let logits: [Double]
    }
    let tokens: Int
    /// `logprob[i]` belongs to token i + 1.
    let logprob: [Double]
    let meanNLL: Double
    let perplexity: Double
    let last: Last
  }

  /// What `--json` prints about attention.
  struct Attention: Decodable {
    let keyValueBytesRead: Int
    let keyValueBytesSkipped: Int
    let skippedMassBound: Double
  }

  /// Weights, keys and values in f32.
  static let single = ["--weight-type", "f32", "--key-type", "f32", "--value-type", "f32"]

  static func report(
    model: String, ids: [Int], _ options: [String], timeLimit: Duration = .seconds(300)
  ) throws -> Report {
    let folder = try TemporaryFolder()
    let file = try folder.write(ids.map(String.init).joined(separator: "\n"), to: "ids.txt")
    let outcome = try Attend.run(
      ["logits", model, "--token-ids", file, "--json"] + options, timeLimit: timeLimit)
    try #require(outcome.exitStatus == 0, "\(outcome.errorText)")
    return try JSONDecoder().decode(Report.self, from: Data(outcome.output))
  }

  static func logits(
    model: String, ids: [Int], _ options: [String], timeLimit: Duration = .seconds(300)
  ) throws -> LogitsFile {
    try run(model: model, ids: ids, options, timeLimit: timeLimit).logits
  }

  /// The logits, and what attention read for them.
  static func run(
    model: String, ids: [Int], _ options: [String], timeLimit: Duration = .seconds(300)
  ) throws -> (logits: LogitsFile, attention: Attention) {
    let folder = try TemporaryFolder()
    let file = try folder.write(ids.map(String.init).joined(separator: ","), to: "ids.txt")
    let written = folder.path + "/logits.safetensors"
    let outcome = try Attend.run(
      ["logits", model, "--token-ids", file, "--logits-out", written, "--json"] + options,
      timeLimit: timeLimit)
    try #require(outcome.exitStatus == 0, "\(outcome.errorText)")
    let logits = try LogitsFile(path: written)
    try #require(logits.rowCount == ids.count)
    return (logits, try JSONDecoder().decode(Attention.self, from: Data(outcome.output)))
  }
}

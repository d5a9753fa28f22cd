import Benchmarking
import ModelFiles
import StreamingAttention

/// What a run was and what came of it, as JSON.
package struct StressSummary: Sendable {
  package var options: StressOptions
  package var figures: StressFigures
  /// What failed, if anything.
  package var failure: String?
  package var memoryLimit: Int

  /// One JSON object, without the end of the line.
  package var json: String {
    let figures = figures
    var members: [(String, String)] = [
      ("operation", JSONText.string("stress")),
      ("preset", JSONText.string(options.preset.rawValue)),
      ("queryHeads", "\(options.shape.queryHeads)"), ("kvHeads", "\(options.shape.kvHeads)"),
      ("headDimension", "\(options.shape.headDimension)"), ("layers", "\(options.layers)"),
      ("keyType", JSONText.string(options.types.key.name)),
      ("valueType", JSONText.string(options.types.value.name)),
      ("position", JSONText.string(options.position.rawValue)),
      ("policy", JSONText.string(options.policy.rawValue)),
      ("threads", "\(options.threads)"),
      ("instructionSet", JSONText.string(options.instructionSet.rawValue)),
      ("seed", "\(options.seed)"), ("sequences", "\(options.sequences)"),
      ("context", "\(figures.longestContext)"), ("memoryLimitBytes", "\(memoryLimit)"),
      ("seconds", JSONText.number(figures.seconds)), ("steps", "\(figures.steps)"),
      ("tokensAppended", "\(figures.tokensAppended)"), ("forks", "\(figures.forks)"),
      ("shifts", "\(figures.shifts)"), ("evictions", "\(figures.evictions)"),
      ("truncations", "\(figures.truncations)"), ("drops", "\(figures.drops)"),
      ("merges", "\(figures.merges)"), ("copies", "\(figures.copies)"),
      ("rewrites", "\(figures.rewrites)"), ("evictedPages", "\(figures.evictedPages)"),
      ("pins", "\(figures.pins)"), ("releasedTokens", "\(figures.releasedTokens)"),
      ("emptiedExtents", "\(figures.emptiedExtents)"),
      ("movedPageSets", "\(figures.movedPageSets)"),
      ("pageFill", JSONText.number(figures.pageFill)),
      ("snapshots", "\(figures.snapshots)"), ("restorations", "\(figures.restorations)"),
      ("kills", "\(figures.kills)"),
      ("faultsInjected", "\(figures.faultsInjected)"), ("refusals", "\(figures.refusals)"),
      ("checksPassed", "\(figures.checksPassed)"), ("checksFailed", "\(figures.checksFailed)"),
      ("appendMicroseconds", byContext(Self.append)),
      ("decodeMilliseconds", byContext(Self.decode)), ("memoryBytes", byContext(Self.memory)),
    ]
    members.append(("operationMicroseconds", operations))
    members += [
      ("residentBytes", Self.number(figures.residentBytes)),
      ("formulaBytes", "\(figures.formulaBytes)"),
      ("committedBytes", "\(figures.committedBytes)"),
      ("peakFormulaBytes", "\(figures.peakFormulaBytes)"),
      ("peakCommittedBytes", "\(figures.peakCommittedBytes)"),
      ("peakResidentBytes", Self.number(figures.peakResidentBytes)),
      ("residentBytesAtStart", Self.number(figures.residentBytesAtStart)),
      ("sampleBytes", "\(figures.sampleBytes)"), ("tableBytes", "\(figures.tableBytes)"),
      ("committedBytesAfterDrop", Self.number(figures.committedBytesAfterDrop)),
      ("residentBytesAfterDrop", Self.number(figures.residentBytesAfterDrop)),
    ]
    if let history = figures.history {
      members.append(
        (
          "afterHistory",
          JSONText.object([
            ("sequences", "\(history.sequences)"), ("tokens", "\(history.tokens)"),
            ("turnsPer2048Slots", JSONText.number(history.turnsPer2048Slots)),
            ("pageFill", JSONText.number(history.pageFill)),
            ("bytesOfGrown", JSONText.number(history.bytesOfGrown)),
            ("gigabytesPerSecond", JSONText.number(history.gigabytesPerSecond)),
            ("grownGigabytesPerSecond", JSONText.number(history.grownGigabytesPerSecond)),
            ("ratio", JSONText.number(history.ratio)),
          ])
        ))
    }
    if let speed = figures.snapshotSpeed { members.append(("snapshotSpeed", speed.json)) }
    if figures.residentBytesByNode.count > 1 {
      let nodes = figures.residentBytesByNode.sorted { $0.key < $1.key }
      members.append(
        ("residentBytesByNode", JSONText.object(nodes.map { ("\($0.key)", "\($0.value)") })))
    }
    if let failure { members.append(("failure", JSONText.string(failure))) }
    return JSONText.object(members)
  }

  private static func number(_ value: Int?) -> String { value.map { "\($0)" } ?? "null" }

  /// An object by context, of contexts that have something to say.
  private func byContext(_ text: (ContextFigures) -> String?) -> String {
    JSONText.object(
      figures.contexts.sorted { $0.key < $1.key }.compactMap { context, figures in
        text(figures).map { ("\(context)", $0) }
      })
  }

  private static func append(_ figures: ContextFigures) -> String? {
    guard figures.appendWithCommits.count > 0 else { return nil }
    let (plain, all) = (figures.append.quantiles, figures.appendWithCommits.quantiles)
    return JSONText.object([
      ("p50", microseconds(plain.medianMilliseconds)),
      ("p99", microseconds(plain.p99Milliseconds)),
      ("maximum", "\(Double(figures.append.maximumNanoseconds) / 1e3)"),
      ("p99WithCommits", microseconds(all.p99Milliseconds)),
      ("maximumWithCommits", "\(Double(figures.appendWithCommits.maximumNanoseconds) / 1e3)"),
      ("count", "\(figures.append.count)"),
      ("commits", "\(figures.appendWithCommits.count - figures.append.count)"),
    ])
  }

  private static func decode(_ figures: ContextFigures) -> String? {
    guard figures.decode.count > 0 else { return nil }
    let samples = figures.decode.quantiles
    return JSONText.object([
      ("p50", JSONText.number(samples.medianMilliseconds)),
      ("p95", JSONText.number(samples.p95Milliseconds)),
      ("p99", JSONText.number(samples.p99Milliseconds)), ("count", "\(figures.decode.count)"),
      ("gigabytesPerSecond", JSONText.number(figures.gigabytesPerSecond ?? .nan)),
    ])
  }

  private static func memory(_ figures: ContextFigures) -> String? {
    JSONText.object([
      ("formula", "\(figures.formulaBytes)"), ("committed", "\(figures.committedBytes)"),
      ("resident", number(figures.residentBytes)),
    ])
  }

  private var operations: String {
    JSONText.object(
      figures.operations.sorted { $0.key < $1.key }.map { name, samples -> (String, String) in
        let quantiles = samples.quantiles
        return (
          name,
          JSONText.object([
            ("p50", Self.microseconds(quantiles.medianMilliseconds)),
            ("p99", Self.microseconds(quantiles.p99Milliseconds)),
            ("maximum", "\(Double(samples.maximumNanoseconds) / 1e3)"),
            ("count", "\(samples.count)"),
          ])
        )
      })
  }

  private static func microseconds(_ milliseconds: Double) -> String {
    JSONText.number((milliseconds * 1e6).rounded() / 1e3)
  }
}

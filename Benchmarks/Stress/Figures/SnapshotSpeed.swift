import Benchmarking
import ModelFiles

/// Saving and restoring one long sequence, beside what the disk does with as many bytes.
package struct SnapshotSpeed: Sendable, Equatable {
  package var tokens: Int
  /// Of the pages.
  package var bytes: Int
  package var saveSeconds: Double
  /// A file of as many bytes, written and synchronised.
  package var writeSeconds: Double
  /// With nothing of the files in memory.
  package var coldRestoreSeconds: Double
  /// The file, likewise.
  package var readSeconds: Double
  /// With all of the files in memory; the fastest of three.
  package var warmRestoreSeconds: Double
  /// The next step after that, one token in all layers.
  package var firstStepSeconds: Double

  /// From the beginning of a restoration to the end of the next step.
  package var firstTokenSeconds: Double { warmRestoreSeconds + firstStepSeconds }

  private func rate(_ seconds: Double) -> Double { Double(bytes) / seconds / 1e9 }

  var json: String {
    JSONText.object([
      ("tokens", "\(tokens)"), ("bytes", "\(bytes)"),
      ("saveGigabytesPerSecond", JSONText.number(rate(saveSeconds))),
      ("writeGigabytesPerSecond", JSONText.number(rate(writeSeconds))),
      ("coldRestoreGigabytesPerSecond", JSONText.number(rate(coldRestoreSeconds))),
      ("readGigabytesPerSecond", JSONText.number(rate(readSeconds))),
      ("warmRestoreGigabytesPerSecond", JSONText.number(rate(warmRestoreSeconds))),
      ("firstTokenSeconds", JSONText.number(firstTokenSeconds)),
    ])
  }

  var lines: [String] {
    func text(_ seconds: Double) -> String {
      "\(DecimalText.fixed(seconds, 2)) s, \(DecimalText.fixed(rate(seconds), 2)) GB/s"
    }
    func ratio(_ own: Double, _ disk: Double) -> String { DecimalText.fixed(disk / own, 2) }
    return [
      "snapshot of \(StressTable.length(tokens)) tokens, \(StressTable.bytes(bytes)):",
      "  saved in \(text(saveSeconds)), \(ratio(saveSeconds, writeSeconds)) of the disk's "
        + "(\(text(writeSeconds)))",
      "  restored cold in \(text(coldRestoreSeconds)), \(ratio(coldRestoreSeconds, readSeconds)) of the "
        + "disk's (\(text(readSeconds)))",
      "  restored warm in \(text(warmRestoreSeconds)), next step "
        + "\(DecimalText.fixed(firstTokenSeconds, 2)) s after its beginning",
    ]
  }
}

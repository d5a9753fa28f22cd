/// Decode after a run's history, beside decode of sequences of the same lengths that only grew and forked.
package struct HistoryFigures: Sendable, Equatable {
  /// Of the sequences compared.
  package var sequences: Int
  package var tokens: Int
  /// How often a query is turned anew for every 2,048 slots, beyond the first time.
  package var turnsPer2048Slots: Double
  /// Live slots of all slots of live pages, over all sequences of the run.
  package var pageFill: Double
  /// Bytes of the pages read, of those that the grown ones read.
  package var bytesOfGrown: Double
  /// Over the bytes of the pages read; medians of steps that took turns.
  package var gigabytesPerSecond: Double
  package var grownGigabytesPerSecond: Double

  package var ratio: Double { gigabytesPerSecond / grownGigabytesPerSecond }
}

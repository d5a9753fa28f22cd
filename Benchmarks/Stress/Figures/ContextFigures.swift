/// What was measured while the longest sequence of a step had up to so many tokens.
struct ContextFigures: Sendable {
  /// Steps of one token for each sequence that commit no page memory.
  var append = TimeSamples()
  /// Those steps and the others.
  var appendWithCommits = TimeSamples()
  var decode = TimeSamples()
  /// Of the decode steps, in all.
  var decodeNanoseconds: UInt64 = 0
  var bytesRead = 0
  /// At the last look.
  var formulaBytes = 0
  var committedBytes = 0
  var residentBytes: Int?

  var gigabytesPerSecond: Double? {
    decodeNanoseconds > 0 ? Double(bytesRead) / Double(decodeNanoseconds) : nil
  }
}

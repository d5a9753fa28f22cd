import ModelFiles

/// Whether a run gave the right answers.
package struct CheckedAnswer: Sendable, Equatable {
  package var passed: Bool
  /// The largest difference from the right answer.
  package var maximumError: Double
  /// Pairs of a row and a query head, or rows of logits, that were compared.
  package var rowCount: Int

  package init(passed: Bool, maximumError: Double, rowCount: Int) {
    self.passed = passed
    self.maximumError = maximumError
    self.rowCount = rowCount
  }

  /// Adds what another check found.
  mutating func add(_ check: SelfCheck) {
    passed = passed && check.passed
    maximumError = max(maximumError, check.maximumError)
    rowCount += check.rowCount
  }

  init(_ check: SelfCheck) {
    self.init(
      passed: check.passed, maximumError: check.maximumError, rowCount: check.rowCount)
  }
}

/// What takes longer in a record: reading its bytes, or its arithmetic.
package enum BindingLimit: String, Sendable {
  case read
  case arithmetic
}

/// One line of results; fields that have no meaning for its operation are nil and not written.
package struct BenchmarkRecord: Sendable, Equatable {
  package var operation: String
  /// Who made the figures, in a comparison.
  package var engine: String?
  package var engineVersion: String?
  /// A model's file.
  package var model: String?
  /// Tokens in the model's cache before the step.
  package var depth: Int?
  package var context: Int?
  /// The lengths of all sequences where there are several.
  package var contexts: String?
  package var queryLength: Int?
  package var queryHeads: Int?
  package var kvHeads: Int?
  package var headDimension: Int?
  package var keyType: String?
  package var valueType: String?
  /// How a model's weights are held.
  package var weightType: String?
  package var position: String?
  /// How rotary keys are stored, unless turned by the queries' frequencies.
  package var keyRotation: String?
  /// Slots after which the anchor of rotary keys changes, where it does.
  package var anchorRun: Int?
  /// What the keys hold, unless some have a known answer.
  package var keys: String?
  package var alibiEpsilon: Float?
  /// Sequences of a step.
  package var batch: Int?
  /// Layers that the run cycles through.
  package var layers: Int?
  package var threads: Int?
  package var instructionSet: String?
  package var repetitions: Int?
  package var minimumMilliseconds: Double?
  package var medianMilliseconds: Double?
  package var p95Milliseconds: Double?
  package var p99Milliseconds: Double?
  package var tokensPerSecond: Double?
  package var weightBytes: Int?
  package var keyValueBytesRead: Int?
  package var keyValueBytesSkipped: Int?
  package var skippedMassBound: Double?
  /// Of the bytes read, at the median time.
  package var gigabytesPerSecond: Double?
  package var readLimitGigabytesPerSecond: Double?
  package var fractionOfReadLimit: Double?
  package var bindingLimit: BindingLimit?
  package var fractionOfBindingLimit: Double?
  package var gigaflopsPerSecond: Double?
  package var peakGigaflopsPerSecond: Double?
  package var fractionOfPeak: Double?
  package var threadScaling: Double?
  /// Median time over the median time without positions, of the repetitions taken in turns with this record's.
  package var relativeToNone: Double?
  /// Median time of the dense record before it over this one's, where a horizon leaves keys unread.
  package var speedupOverDense: Double?
  /// Median time over that of our fastest record for the same job that counts; nil where none does.
  package var timesOurs: Double?
  /// Relative L2 error of some rows against Double over the values as stored.
  package var relativeError: Double?
  package var selfCheck: CheckedAnswer?
  /// Whether all that was read fits in eight times the last-level cache.
  package var inCache: Bool?
  /// Whether the machine held still.
  package var isSteady: Bool?
  /// How often the record was measured.
  package var attempts: Int?
  /// Fields of single modes, as JSON.
  package var others: [Field] = []

  /// A field that only one mode has.
  package struct Field: Sendable, Equatable {
    package var name: String
    package var json: String
    /// For people.
    package var text: String

    package init(_ name: String, _ value: Double) {
      self.name = name
      text = DecimalText.short(value)
      json = JSONText.number(value)
    }

    package init(_ name: String, _ value: Int) {
      self.name = name
      text = "\(value)"
      json = "\(value)"
    }

    package init(_ name: String, _ value: String) {
      self.name = name
      text = value
      json = JSONText.string(value)
    }
  }

  package init(operation: String) { self.operation = operation }

  /// Whether it may be compared with others: steady, and its answer right.
  package var counts: Bool { isSteady != false && selfCheck?.passed != false }

  /// One JSON object, without the end of the line.
  package var json: String {
    var members = [("operation", JSONText.string(operation))]
    func add(_ name: String, _ value: Int?) {
      if let value { members.append((name, "\(value)")) }
    }
    func add(_ name: String, _ value: String?) {
      if let value { members.append((name, JSONText.string(value))) }
    }
    func add(_ name: String, _ value: Double?) {
      if let value { members.append((name, JSONText.number(value))) }
    }
    func add(_ name: String, _ value: Bool?) {
      if let value { members.append((name, "\(value)")) }
    }
    add("engine", engine)
    add("version", engineVersion)
    add("model", model)
    add("depth", depth)
    add("context", context)
    add("contexts", contexts)
    add("queryLength", queryLength)
    add("queryHeads", queryHeads)
    add("kvHeads", kvHeads)
    add("headDimension", headDimension)
    add("keyType", keyType)
    add("valueType", valueType)
    add("weightType", weightType)
    add("position", position)
    add("keyRotation", keyRotation)
    add("anchorRun", anchorRun)
    add("keys", keys)
    if let alibiEpsilon { members.append(("alibiEpsilon", JSONText.number(alibiEpsilon))) }
    add("batch", batch)
    add("layers", layers)
    add("threads", threads)
    add("instructionSet", instructionSet)
    add("repetitions", repetitions)
    add("minimumMilliseconds", minimumMilliseconds)
    add("medianMilliseconds", medianMilliseconds)
    add("p95Milliseconds", p95Milliseconds)
    add("p99Milliseconds", p99Milliseconds)
    add("tokensPerSecond", tokensPerSecond)
    add("weightBytes", weightBytes)
    add("keyValueBytesRead", keyValueBytesRead)
    add("keyValueBytesSkipped", keyValueBytesSkipped)
    add("skippedMassBound", skippedMassBound)
    add("gigabytesPerSecond", gigabytesPerSecond)
    add("readLimitGigabytesPerSecond", readLimitGigabytesPerSecond)
    add("fractionOfReadLimit", fractionOfReadLimit)
    add("bindingLimit", bindingLimit?.rawValue)
    add("fractionOfBindingLimit", fractionOfBindingLimit)
    add("gigaflopsPerSecond", gigaflopsPerSecond)
    add("peakGigaflopsPerSecond", peakGigaflopsPerSecond)
    add("fractionOfPeak", fractionOfPeak)
    add("threadScaling", threadScaling)
    add("relativeToNone", relativeToNone)
    add("speedupOverDense", speedupOverDense)
    add("timesOurs", timesOurs)
    add("relativeError", relativeError)
    members += others.map { ($0.name, $0.json) }
    if let selfCheck {
      members.append(
        (
          "selfCheck",
          JSONText.object([
            ("passed", "\(selfCheck.passed)"),
            ("maximumError", JSONText.number(selfCheck.maximumError)),
            ("rows", "\(selfCheck.rowCount)"),
          ])
        ))
    }
    add("inCache", inCache)
    add("steady", isSteady)
    add("attempts", attempts)
    return JSONText.object(members)
  }
}

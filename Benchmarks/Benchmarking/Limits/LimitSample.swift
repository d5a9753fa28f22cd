/// The machine's limits at one moment, with a given number of threads.
package struct LimitSample: Sendable, Equatable {
  /// Read bandwidth with the threads of the record, GB/s.
  package var read: Double
  /// f32 multiply-add with the threads of the record, GFLOP/s.
  package var multiplyAdd: Double
  /// The same with one thread.
  package var multiplyAddOfOne: Double
  /// bf16 dot products with the threads of the record, GFLOP/s; nil where the instruction set has none.
  package var bfloatDot: Double?
  /// int8 dot products likewise, billions of operations per second.
  package var byteDot: Double?

  package init(
    read: Double, multiplyAdd: Double, multiplyAddOfOne: Double, bfloatDot: Double? = nil,
    byteDot: Double? = nil
  ) {
    self.read = read
    self.multiplyAdd = multiplyAdd
    self.multiplyAddOfOne = multiplyAddOfOne
    self.bfloatDot = bfloatDot
    self.byteDot = byteDot
  }
}

/// The limits before and after a record, and whether the machine held still between them.
package struct MeasuredLimits: Sendable, Equatable {
  package var before: LimitSample
  package var after: LimitSample

  package init(before: LimitSample, after: LimitSample) {
    self.before = before
    self.after = after
  }

  /// The largest difference of the two read limits that counts as steady, as a part of their mean.
  package static let tolerance = 0.10
  /// The least part of perfect scaling that counts as steady.
  package static let leastScaling = 0.9

  /// Mean of before and after, GB/s.
  package var read: Double { (before.read + after.read) / 2 }
  /// Mean of before and after, GFLOP/s.
  package var multiplyAdd: Double { (before.multiplyAdd + after.multiplyAdd) / 2 }
  /// Mean of before and after, GFLOP/s.
  package var bfloatDot: Double? {
    guard let first = before.bfloatDot, let second = after.bfloatDot else { return nil }
    return (first + second) / 2
  }
  /// Mean of before and after, billions of operations per second.
  package var byteDot: Double? {
    guard let first = before.byteDot, let second = after.byteDot else { return nil }
    return (first + second) / 2
  }

  /// FMA of all threads ÷ FMA of one, the smaller of before and after.
  package var threadScaling: Double {
    min(
      before.multiplyAdd / before.multiplyAddOfOne, after.multiplyAdd / after.multiplyAddOfOne)
  }

  /// Whether a record measured between these limits counts.
  package func isSteady(threads: Int) -> Bool {
    abs(before.read - after.read) <= Self.tolerance * read
      && threadScaling >= Self.leastScaling * Double(threads)
  }
}

/// A measurement with the limits around it.
package struct Steadied<Value> {
  package var value: Value
  package var limits: MeasuredLimits
  /// How often it was measured in all.
  package var attempts: Int
  package var isSteady: Bool

  /// Measures, and measures again while the machine does not hold still, at most `attempts` times in all.
  ///
  /// The limits after one attempt are those before the next. The last attempt is kept if none was steady.
  package static func measuring<Failure: Error>(
    threads: Int, attempts: Int, limits: () throws(Failure) -> LimitSample,
    _ body: () throws(Failure) -> Value
  ) throws(Failure) -> Steadied {
    precondition(attempts >= 1, "\(attempts) attempts; at least one is needed")
    var before = try limits()
    var attempt = 1
    while true {
      let value = try body()
      let after = try limits()
      let around = MeasuredLimits(before: before, after: after)
      let isSteady = around.isSteady(threads: threads)
      if isSteady || attempt == attempts {
        return Steadied(value: value, limits: around, attempts: attempt, isSteady: isSteady)
      }
      before = after
      attempt += 1
    }
  }
}

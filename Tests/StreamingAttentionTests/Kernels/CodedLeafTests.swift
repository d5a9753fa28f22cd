import Glibc
import KernelTable
import StreamingAttention
import TestSupport
import Testing

@Suite("Attention over quantised pages against Double")
struct CodedLeafTests {
  static let instructionSets = InstructionSet.allCases.filter(\.isAvailable)

  /// The largest error in units of its bound over all rows.
  static func worstRatio(
    _ leaf: CodedLeaf, _ instructionSet: InstructionSet, using generator: inout SeededGenerator
  ) -> Double {
    worstRatio(leaf, leaf.draw(instructionSet.kernels, using: &generator), instructionSet)
  }

  private static func worstRatio(
    _ leaf: CodedLeaf, _ numbers: CodedLeaf.Numbers, _ instructionSet: InstructionSet
  ) -> Double {
    let result = leaf.run(numbers, instructionSet.kernels)
    let twin = CodedLeafTwin(leaf, numbers, instructionSet)
    var worst = 0.0
    for row in 0..<leaf.rowCount {
      let expected = twin.row(row)
      let denominator = Double(result.denominators[row])
      if expected.logSumExp == -.infinity {
        let isEmpty = denominator == 0 && result.outputs[row].allSatisfy { $0 == 0 }
        worst = max(worst, isEmpty ? 0 : .infinity)
        continue
      }
      let lse = Double(result.maxima[row]) * log(2) + log(denominator)
      worst = max(
        worst, ReferenceRow.ratio(lse, expected.logSumExp, expected.logSumExpBound))
      for channel in 0..<leaf.form.valueWidth {
        worst = max(
          worst,
          ReferenceRow.ratio(
            Double(result.outputs[row][channel]) / denominator, expected.output[channel],
            expected.outputBound[channel]))
      }
    }
    return worst
  }

  @Test("head dimensions, groups and codes", arguments: instructionSets)
  func shapes(instructionSet: InstructionSet) {
    var generator = SeededGenerator(seed: 71)
    for (index, (keyWidth, valueWidth)) in CodedPageTests.widths.enumerated() {
      for (number, (keyCode, valueCode)) in CodedPageTests.codes.enumerated() {
        var leaf = CodedLeaf()
        let pairs = [0, keyWidth / 2, keyWidth / 4][(index + number) % 3]
        leaf.form = PageForm(
          keyWidth: keyWidth, valueWidth: valueWidth,
          keyElement: StoredElement.allCases[(index + number) % 3],
          valueElement: StoredElement.allCases[(index + 2 * number) % 3], keyCode: keyCode,
          valueCode: valueCode, pairs: pairs, order: index % 2 == 0 ? .halves : .interleaved)
        leaf.group = [1, 3, 4, 8][(index + number) % 4]
        leaf.nearAhead = [0, 2048, 8192][number % 3]
        leaf.asksNextPage = index % 2 == 0
        leaf.entries = [(0..<64, true), (0..<64, true), (3..<61, true), (0..<50, false)]
        leaf.secondRun = number % 2 == 0 ? 2 : .max
        let worst = Self.worstRatio(leaf, instructionSet, using: &generator)
        #expect(worst <= 1, "\(instructionSet) \(leaf.form) group \(leaf.group)")
      }
    }
  }

  @Test("all codes and factors at their largest", arguments: instructionSets)
  func largest(instructionSet: InstructionSet) {
    var generator = SeededGenerator(seed: 76)
    for code in [PageCode.int8, .int4] {
      for width in [8, 32, 40, 80, 128, 256] {
        var leaf = CodedLeaf()
        leaf.form = PageForm(
          keyWidth: width, valueWidth: width, keyCode: code, valueCode: code)
        // Every other key is all ones, the rest zeros; values are ones but for one in each scale group.
        let slots = 0..<64
        let plain = CodedPage(leaf.form.plain)
        plain.write(
          keys: slots.flatMap { [Float](repeating: $0 % 2 == 0 ? 1 : 0, count: width) },
          values: slots.flatMap { [Float](repeating: $0 % 32 == 0 ? 0 : 1, count: width) },
          from: 0, by: instructionSet.kernels)
        let coded = CodedPage(leaf.form)
        _ = coded.quantize(plain, slots: slots, by: instructionSet.kernels)
        var numbers = leaf.draw(instructionSet.kernels, using: &generator)
        numbers.pages = [coded]
        // Scores hardly differ, so that probabilities are at their largest too.
        for sign: Float in [1, -1] {
          numbers.queries = [Float](repeating: sign * 0x1p-10, count: leaf.rowCount * width)
          let worst = Self.worstRatio(leaf, numbers, instructionSet)
          #expect(worst <= 1, "\(instructionSet) \(code) \(width) channels, sign \(sign)")
        }
      }
    }
  }

  @Test("what a row sees, softcap, ALiBi and biases; several tokens", arguments: instructionSets)
  func masks(instructionSet: InstructionSet) {
    var generator = SeededGenerator(seed: 72)
    for (keyCode, valueCode) in [(PageCode.int8, PageCode.int8), (.int4, .int4), (.int8, .int4)] {
      for variant in 0..<8 {
        var leaf = CodedLeaf()
        leaf.form = PageForm(
          keyWidth: 64, valueWidth: 64, keyCode: keyCode, valueCode: valueCode, pairs: 16)
        leaf.group = [1, 3, 4, 8][variant % 4]
        leaf.tokens = [1, 3, 70, 5][variant % 4]
        leaf.basePosition = 262_143 - 4 * 64
        leaf.entries = [(7..<64, true), (0..<64, true), (9..<10, true), (0..<64, true)]
        leaf.visibility = Visibility(
          isCausal: true, window: [Int.max, 100, 31, .max][variant / 2])
        if variant % 2 == 1 { leaf.softcap = 3 }
        if variant % 3 != 1 { leaf.slopes = (0..<leaf.group).map { 0.5 / Float(1 + $0) } }
        leaf.hasBias = variant % 3 == 2
        leaf.ahead = variant == 5 ? 40 : 0
        if variant == 6 { leaf.hiddenRows = [0, leaf.rowCount - 1] }
        leaf.deviation = 2
        let worst = Self.worstRatio(leaf, instructionSet, using: &generator)
        #expect(worst <= 1, "\(instructionSet) \(keyCode) \(valueCode) variant \(variant)")
      }
    }
  }

  @Test(
    "pages that are widened for many rows, or whose keys are still to be turned",
    arguments: instructionSets)
  func widened(instructionSet: InstructionSet) {
    var generator = SeededGenerator(seed: 73)
    for (keyCode, valueCode) in CodedPageTests.codes {
      for variant in 0..<12 {
        var leaf = CodedLeaf()
        // From the seventh on, few rows: plain keys that are still to be turned are turned in their tile.
        let isFew = variant >= 6
        leaf.form = PageForm(
          keyWidth: 40, valueWidth: 80,
          keyElement: isFew
            ? StoredElement.allCases[variant % 3] : variant == 4 ? .bfloat16 : .float16,
          keyCode: keyCode, valueCode: valueCode, pairs: 20,
          order: variant % 2 == 0 ? .halves : .interleaved)
        leaf.group = isFew ? 3 : 4
        leaf.tokens = isFew ? 1 + variant / 3 % 2 : variant < 3 ? 20 : 2
        leaf.nearAhead = isFew && variant % 2 == 0 ? 8192 : 0
        leaf.entries = [(0..<64, true), (0..<64, true), (0..<20, false)]
        leaf.widensCodes = variant != 3 && variant != 5 && variant < 9
        leaf.widensPages = variant == 1
        if variant >= 2 { leaf.turnedEntries = variant == 5 || isFew ? [0, 1, 2] : [0] }
        if isFew && variant % 4 == 3 { leaf.turnedEntries = [0, 2] }
        let worst = Self.worstRatio(leaf, instructionSet, using: &generator)
        #expect(worst <= 1, "\(instructionSet) \(keyCode) \(valueCode) variant \(variant)")
      }
    }
  }

  @Test("a row has the same bits whatever rows stand beside it", arguments: instructionSets)
  func bits(instructionSet: InstructionSet) {
    var generator = SeededGenerator(seed: 74)
    for (keyCode, valueCode) in [(PageCode.int8, PageCode.int8), (.int4, .int4)] {
      var leaf = CodedLeaf()
      leaf.form = PageForm(keyWidth: 80, valueWidth: 80, keyCode: keyCode, valueCode: valueCode)
      leaf.group = 1
      leaf.tokens = 30
      leaf.entries = [(0..<64, true), (0..<64, true), (5..<64, true)]
      leaf.visibility.window = 90
      let numbers = leaf.draw(instructionSet.kernels, using: &generator)
      let all = leaf.run(numbers, instructionSet.kernels)
      for token in [0, 1, 7, 24, 29] {
        var alone = leaf
        alone.tokens = 1
        var own = numbers
        own.queries = Array(numbers.queries[token * 80..<(token + 1) * 80])
        own.positions = [numbers.positions[token]]
        let row = alone.run(own, instructionSet.kernels)
        #expect(row.maxima[0] == all.maxima[token])
        #expect(row.denominators[0] == all.denominators[token])
        #expect(row.outputs[0] == all.outputs[token])
      }
    }
  }

  @Test("what is asked for ahead changes no bit, whatever follows", arguments: instructionSets)
  func requests(instructionSet: InstructionSet) {
    var generator = SeededGenerator(seed: 78)
    for (keyCode, valueCode) in [(PageCode.int8, PageCode.int8), (.int4, .int4), (.none, .int4)] {
      for group in [1, 4, 8, 20] {
        var leaf = CodedLeaf()
        leaf.form = PageForm(keyWidth: 64, valueWidth: 80, keyCode: keyCode, valueCode: valueCode)
        leaf.group = group
        leaf.entries = [
          (0..<64, true), (0..<64, true), (0..<64, false), (0..<64, true), (0..<64, true),
          (0..<30, false),
        ]
        let numbers = leaf.draw(instructionSet.kernels, using: &generator)
        let plain = leaf.run(numbers, instructionSet.kernels)
        for (nearAhead, asksNextPage) in [(2048, true), (8192, false)] {
          for (codedPagesAhead, followingCount) in [(1, 0), (1, 1), (2, 3), (6, 2)] {
            leaf.nearAhead = nearAhead
            leaf.asksNextPage = asksNextPage
            leaf.codedPagesAhead = codedPagesAhead
            leaf.followingCount = followingCount
            let asking = leaf.run(numbers, instructionSet.kernels)
            let areSame =
              asking.maxima == plain.maxima && asking.denominators == plain.denominators
              && asking.outputs == plain.outputs
            #expect(areSame, "\(leaf.form), group \(group)")
          }
        }
      }
    }
  }

  @Test(
    "any number of rows, in one tile or several, has the bits of each alone",
    arguments: instructionSets)
  func tiles(instructionSet: InstructionSet) {
    var generator = SeededGenerator(seed: 76)
    let codes = [(PageCode.int8, PageCode.int8), (.int4, .int4), (.int8, .int4), (.int4, .int8)]
    for (index, (keyWidth, valueWidth)) in [(80, 48), (33, 16), (40, 80), (16, 208)].enumerated() {
      for (number, (keyCode, valueCode)) in codes.enumerated() {
        var leaf = CodedLeaf()
        leaf.form = PageForm(
          keyWidth: keyWidth, valueWidth: valueWidth, keyCode: keyCode, valueCode: valueCode)
        leaf.group = 1
        leaf.tokens = 33
        leaf.entries = [(0..<64, true), (0..<64, true), (5..<64, true)]
        leaf.nearAhead = [0, 2048, 8192][(index + number) % 3]
        leaf.asksNextPage = number % 2 == 1
        let numbers = leaf.draw(instructionSet.kernels, using: &generator)
        func run(_ tokens: Range<Int>) -> CodedLeaf.Result {
          var part = leaf
          part.tokens = tokens.count
          var own = numbers
          own.queries = Array(
            numbers.queries[tokens.lowerBound * keyWidth..<tokens.upperBound * keyWidth])
          own.positions = Array(numbers.positions[tokens])
          return part.run(own, instructionSet.kernels)
        }
        let alone = (0..<33).map { run($0..<$0 + 1) }
        for count in 2...33 {
          let rows = run(0..<count)
          let areSame = (0..<count).allSatisfy { row -> Bool in
            let own = alone[row]
            return rows.maxima[row] == own.maxima[0]
              && rows.denominators[row] == own.denominators[0]
              && rows.outputs[row] == own.outputs[0]
          }
          #expect(areSame, "\(instructionSet) \(leaf.form), \(count) rows")
        }
      }
    }
  }

  @Test("a number that is not finite reaches exactly its row", arguments: instructionSets)
  func notFinite(instructionSet: InstructionSet) {
    var generator = SeededGenerator(seed: 75)
    for (keyCode, valueCode) in [(PageCode.int8, PageCode.int8), (.int4, .int4)] {
      for (index, number) in [Float.nan, .infinity, -.infinity, .nan].enumerated() {
        var leaf = CodedLeaf()
        leaf.form = PageForm(keyWidth: 48, valueWidth: 48, keyCode: keyCode, valueCode: valueCode)
        // Four rows and two, or twice four.
        leaf.group = index == 3 ? 4 : 3
        leaf.tokens = 2
        leaf.entries = [(0..<64, true), (0..<64, true)]
        var numbers = leaf.draw(instructionSet.kernels, using: &generator)
        let good = leaf.run(numbers, instructionSet.kernels)
        // Of a channel whose keys differ: where all are equal, −∞ times them may be −∞ for every slot.
        numbers.queries[4 * 48 + 18] = number
        let result = leaf.run(numbers, instructionSet.kernels)
        for row in 0..<leaf.rowCount where row != 4 {
          #expect(result.outputs[row] == good.outputs[row])
        }
        // Not 0, which a row that sees nothing has.
        #expect(result.denominators[4].isNaN, "\(instructionSet) \(number)")
      }
    }
  }

  @Test("a score that is not a number in a later page reaches its rows", arguments: instructionSets)
  func laterScore(instructionSet: InstructionSet) {
    var generator = SeededGenerator(seed: 77)
    for (keyCode, valueCode) in [(PageCode.int8, PageCode.int8), (.int4, .int4)] {
      for number in [Float.nan, .infinity] {
        var leaf = CodedLeaf()
        leaf.form = PageForm(keyWidth: 48, valueWidth: 48, keyCode: keyCode, valueCode: valueCode)
        leaf.group = 3
        leaf.tokens = 2
        leaf.entries = [(0..<64, true), (0..<64, true), (0..<64, true)]
        leaf.hasBias = true
        var numbers = leaf.draw(instructionSet.kernels, using: &generator)
        let good = leaf.run(numbers, instructionSet.kernels)
        // Of the second token, in the second page.
        numbers.bias[3 * 64 + 70] = number
        let result = leaf.run(numbers, instructionSet.kernels)
        for row in 0..<3 {
          #expect(result.outputs[row] == good.outputs[row])
          #expect(result.denominators[row] == good.denominators[row])
        }
        for row in 3..<6 {
          #expect(result.denominators[row].isNaN, "\(instructionSet) \(number) \(row)")
        }
      }
    }
  }

  /// m = −3 and a score of 5 + 2^−21 are such a pair: their difference rounds to 8, m + 8 is less than the score.
  @Test(
    "a row's maximum follows alike alone and beside rows whose maxima follow",
    arguments: instructionSets)
  func slack(instructionSet: InstructionSet) {
    var generator = SeededGenerator(seed: 78)
    let log2e: Float = 1.44269504088896340736
    var edges: [(first: Float, later: Float)] = []
    while edges.count < 8 {
      let first = Float(-6 * generator.uniform())
      var later = (first * log2e + 8) / log2e
      later = later.nextDown.nextDown
      for _ in 0..<5 {
        let (m, best) = (first * log2e, later * log2e)
        if best > m + 8 && best - m <= 8 { edges.append((first, later)) }
        later = later.nextUp
      }
    }
    for (keyCode, valueCode) in [(PageCode.int8, PageCode.int8), (.int4, .int4)] {
      for edge in edges {
        var leaf = CodedLeaf()
        leaf.form = PageForm(keyWidth: 32, valueWidth: 32, keyCode: keyCode, valueCode: valueCode)
        leaf.group = 1
        leaf.tokens = 4
        leaf.entries = [(0..<64, true), (0..<64, true)]
        leaf.visibility = Visibility(isCausal: false, window: .max)
        leaf.hasBias = true
        var numbers = leaf.draw(instructionSet.kernels, using: &generator)
        // Scores are the biases, of both pages: those of the other three rows climb by far more.
        numbers.queries = numbers.queries.map { _ in 0 }
        let others = [Float](repeating: 0, count: 64) + [Float](repeating: 30, count: 64)
        let own =
          [Float](repeating: edge.first, count: 64) + [Float](repeating: edge.later, count: 64)
        numbers.bias = own + others + others + others
        let together = leaf.run(numbers, instructionSet.kernels)
        leaf.tokens = 1
        let alone = leaf.run(numbers, instructionSet.kernels)
        #expect(together.maxima[0] == alone.maxima[0], "\(instructionSet) \(edge)")
        #expect(together.denominators[0] == alone.denominators[0], "\(instructionSet) \(edge)")
        #expect(together.outputs[0] == alone.outputs[0], "\(instructionSet) \(edge)")
      }
    }
  }

  /// Twins that are wrong in one place must be told apart, or the bounds are worth nothing.
  @Test(
    "bounds are narrow enough to see one scale a quarter too large",
    arguments: instructionSets)
  func mistakes(instructionSet: InstructionSet) {
    var generator = SeededGenerator(seed: 76)
    var leaf = CodedLeaf()
    leaf.form = PageForm(keyWidth: 64, valueWidth: 64)
    leaf.entries = [(0..<64, true), (0..<64, true)]
    let numbers = leaf.draw(instructionSet.kernels, using: &generator)
    let result = leaf.run(numbers, instructionSet.kernels)
    // The first key channel's scale, a quarter larger.
    let scale = Float16(numbers.pages[0].memory.half(0))
    numbers.pages[0].memory.store((scale * (1 + 0x1p-2)).bitPattern, 0)
    let twin = CodedLeafTwin(leaf, numbers, instructionSet)
    var worst = 0.0
    for row in 0..<leaf.rowCount {
      let expected = twin.row(row)
      for channel in 0..<64 {
        worst = max(
          worst,
          ReferenceRow.ratio(
            Double(result.outputs[row][channel] / result.denominators[row]),
            expected.output[channel], expected.outputBound[channel]))
      }
    }
    #expect(worst > 1, "\(instructionSet)")
  }

  @Test(
    "errors of int8 and int4 against exact attention stay within the project's bars",
    arguments: instructionSets)
  func accuracy(instructionSet: InstructionSet) {
    // 2,048 keys of normal data, scores of standard deviation 1: the median of 8 seeds.
    for (code, bar) in [(PageCode.int8, 9e-3), (.int4, 0.125)] {
      let errors = (0..<8).map { seed in
        AccuracyCase(code: code).relativeError(instructionSet, seed: UInt64(80 + seed))
      }.sorted()
      #expect(errors[3] + errors[4] <= 2 * bar, "\(instructionSet) \(code) \(errors)")
    }
  }
}

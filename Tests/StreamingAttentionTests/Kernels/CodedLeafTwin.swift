import Glibc
import KernelTable
import StreamingAttention

/// The slow twin of a leaf with quantised pages: one row in Double, and how far the kernel may be off.
///
/// **Queries** meet int8 and int4 keys as integers. For each scale group (page, or half a page), with t = q̃·scale over the
/// channels and `top` the largest integer, the query is round(t·top ÷ max|t|) times max|t| ÷ top. The twin rounds likewise; where
/// f32 errors of 2⁻¹⁹ in t·top ÷ max|t| (12 roundings for q̃, 20 in all) might round the other way, one unit joins the bound.
/// **Scores** beside that: (width + 40)·u of Σ|q̃|·(|zero| + scale·code), worst case. **Probabilities** of quantised values are integers
/// too, off by half a unit of the page's largest: with p̂ for it, half of p̂ ÷ top for each slot, and 2⁻¹² of that for f32. Weights
/// are those of the rounded ones in numerator and denominator alike, so the output moves by Σ|Δw|·|v − o| ÷ Σw, times 1 + 2·Σ|Δw| ÷ Σw
/// for second order. **Sums** in f32: (slots + 20 a page)·u of Σ w·(|zero| + scale·code), and of the denominator.
struct CodedLeafTwin {
  let leaf: CodedLeaf
  let numbers: CodedLeaf.Numbers
  let instructionSet: InstructionSet
  private let pages: [DecodedPage]

  init(_ leaf: CodedLeaf, _ numbers: CodedLeaf.Numbers, _ instructionSet: InstructionSet) {
    (self.leaf, self.numbers, self.instructionSet) = (leaf, numbers, instructionSet)
    pages = numbers.pages.map(DecodedPage.init)
  }

  struct Row {
    var output: [Double]
    var outputBound: [Double]
    /// ln Σ e^score.
    var logSumExp: Double
    var logSumExpBound: Double
  }

  private struct Seen {
    var entry: Int
    var slot: Int
    var score: Double
    var error: Double
  }

  private func top(_ code: PageCode) -> Double { code.largestFactor(on: instructionSet) }

  private func turn(_ row: inout [Double], _ cosine: (Int) -> Float, _ sine: (Int) -> Float) {
    for pair in 0..<leaf.form.pairs {
      let (a, b) =
        leaf.form.order == .halves ? (pair, pair + leaf.form.pairs) : (2 * pair, 2 * pair + 1)
      let (c, s) = (Double(cosine(pair)), Double(sine(pair)))
      (row[a], row[b]) = (row[a] * c - row[b] * s, row[a] * s + row[b] * c)
    }
  }

  func row(_ row: Int) -> Row {
    let (token, head) = (row / leaf.group, row % leaf.group)
    let position = numbers.positions[token]
    var seen: [Seen] = []
    for (index, entry) in leaf.entries.enumerated() where !leaf.hiddenRows.contains(row) {
      let query = preparedQuery(row, token, entry: index)
      let base = leaf.basePosition + 64 * index
      let scores = products(query, entry: index)
      for slot in entry.slots {
        let p = base + slot
        let isSeen =
          (!leaf.visibility.isCausal || p <= position)
          && (leaf.visibility.window == .max || position - p < leaf.visibility.window)
        guard isSeen else { continue }
        var (score, error) = scores[slot]
        if leaf.softcap > 0 {
          score = Double(leaf.softcap) * tanh(score / Double(leaf.softcap))
          error += 18 * 0x1p-24 * Double(leaf.softcap)
        }
        var extra = 0.0
        if let slopes = leaf.slopes {
          extra = -Double(slopes[head]) * Double((position - p).magnitude)
        }
        if leaf.hasBias {
          extra += Double(numbers.bias[token * 64 * leaf.entries.count + 64 * index + slot])
        }
        guard extra > -.infinity else { continue }
        error += 6 * 0x1p-24 * (score.magnitude + extra.magnitude)
        seen.append(Seen(entry: index, slot: slot, score: score + extra, error: error))
      }
    }
    return normalised(seen)
  }

  /// A query in natural units, turned for the entry's run.
  private func preparedQuery(_ row: Int, _ token: Int, entry: Int) -> [Double] {
    let width = leaf.form.keyWidth
    let pairs = leaf.form.pairs
    var query = numbers.queries[row * width..<(row + 1) * width].map {
      Double($0) * Double(leaf.scale)
    }
    turn(
      &query, { numbers.tokenTurns[token * 2 * pairs + $0] },
      { numbers.tokenTurns[token * 2 * pairs + pairs + $0] })
    if entry >= leaf.secondRun {
      turn(&query, { numbers.runTurns[2 * pairs + $0] }, { numbers.runTurns[3 * pairs + $0] })
    }
    return query
  }

  /// Scores of an entry's 64 slots, and how far they may be off.
  private func products(_ query: [Double], entry: Int) -> [(score: Double, error: Double)] {
    let page = pages[entry]
    let width = leaf.form.keyWidth
    let isTurned = leaf.turnedEntries.contains(entry)
    let isCoded = leaf.entries[entry].isCoded && leaf.form.keyCode != .none
    let meetsIntegers = isCoded && !isTurned && !leaf.widensCodes
    // What rounding of q̃ can be off by, relative to the length of a channel's pair.
    let lengths = pairLengths(query)
    var result: [(score: Double, error: Double)] = []
    var rounded: [Double] = []
    var jumps: [Double] = []
    for slot in 0..<64 {
      if meetsIntegers && (slot == 0 || (slot == 32 && leaf.form.keyCode == .int4)) {
        (rounded, jumps) = integers(query, lengths, page, slot)
      }
      var key = (0..<width).map { page.key(channel: $0, slot: slot) }
      var sizes = key.map(\.magnitude)
      if isTurned {
        turn(
          &key, { numbers.slotTurns[128 * $0 + slot] }, { numbers.slotTurns[128 * $0 + 64 + slot] })
        sizes = pairLengths(key)
      }
      var (score, size, jump) = (0.0, 0.0, 0.0)
      for channel in 0..<width {
        if meetsIntegers, let code = page.keyCode(channel: channel, slot: slot) {
          score += query[channel] * code.zero + rounded[channel] * Double(code.code)
          jump += jumps[channel] * Double(code.code)
          size += lengths[channel] * (code.zero.magnitude + code.scale * Double(code.code))
        } else {
          score += query[channel] * key[channel]
          size += lengths[channel] * sizes[channel]
        }
      }
      result.append((score, jump + Double(width + 40) * 0x1p-24 * size))
    }
    return result
  }

  /// |x| of each channel, of a rotary one the length of its pair.
  private func pairLengths(_ row: [Double]) -> [Double] {
    var lengths = row.map(\.magnitude)
    for pair in 0..<leaf.form.pairs {
      let (a, b) =
        leaf.form.order == .halves ? (pair, pair + leaf.form.pairs) : (2 * pair, 2 * pair + 1)
      let length = (row[a] * row[a] + row[b] * row[b]).squareRoot()
      (lengths[a], lengths[b]) = (length, length)
    }
    return lengths
  }

  /// q̃·scale rounded to multiples of its unit, and how far each may jump.
  private func integers(
    _ query: [Double], _ lengths: [Double], _ page: DecodedPage, _ slot: Int
  ) -> (rounded: [Double], jumps: [Double]) {
    let scales = query.indices.map { page.keyCode(channel: $0, slot: slot)?.scale ?? 0 }
    let scaled = zip(query, scales).map(*)
    let largest = scaled.map(\.magnitude).max() ?? 0
    guard largest > 0 else { return (scaled, scaled) }
    // A unit is a fraction of the largest, so its own error is relative and part of the score's.
    let unit = largest / top(leaf.form.keyCode)
    var (rounded, jumps) = ([Double](), [Double]())
    for (channel, x) in scaled.enumerated() {
      let doubt =
        20 * 0x1p-24 * (lengths[channel] * scales[channel] + 2 * x.magnitude) / unit
      let units = x / unit
      rounded.append(units.rounded(.toNearestOrEven) * unit)
      let isNear = (units + doubt).rounded() != (units - doubt).rounded()
      jumps.append(isNear ? unit : 0)
    }
    return (rounded, jumps)
  }

  private func normalised(_ seen: [Seen]) -> Row {
    let width = leaf.form.valueWidth
    guard let maximum = seen.map(\.score).max() else {
      let zeros = [Double](repeating: 0, count: width)
      return Row(output: zeros, outputBound: zeros, logSumExp: -.infinity, logSumExpBound: 0)
    }
    var pageMaxima = [Double](repeating: -.infinity, count: leaf.entries.count)
    for one in seen { pageMaxima[one.entry] = max(pageMaxima[one.entry], one.score) }
    let u = 0x1p-24
    let isRounded = leaf.form.valueCode != .none && !leaf.widensCodes
    let half = 0.5 * (1 + 0x1p-12) / top(leaf.form.valueCode)
    let rescalings = Double(5 * leaf.entries.count)
    var (weights, errors, total, moved) = ([Double](), [Double](), 0.0, 0.0)
    for one in seen {
      let weight = exp(one.score - maximum)
      // As `ReferenceArithmetic` has it: 8·ln 2 for scores above m, 3 for 2^x.
      var error = weight * (one.error + u * (max(maximum - one.score, 5.6) + 3 + rescalings))
      // Turned entries keep their values in codes.
      if isRounded && leaf.entries[one.entry].isCoded {
        error += half * exp(pageMaxima[one.entry] - maximum)
      }
      weights.append(weight)
      errors.append(error)
      total += weight
      moved += error
    }
    var output = [Double](repeating: 0, count: width)
    var bound = output
    let second = 1 + 2 * moved / total
    let additions = Double(seen.count + 20 * leaf.entries.count) * u
    for channel in 0..<width {
      var (sum, size) = (0.0, 0.0)
      var values: [Double] = []
      for (one, weight) in zip(seen, weights) {
        let page = pages[one.entry]
        let value = page.value(channel: channel, slot: one.slot)
        values.append(value)
        sum += weight * value
        let code = page.valueCode(channel: channel, slot: one.slot)
        size +=
          weight
          * (code.map { $0.zero.magnitude + $0.scale * Double($0.code) } ?? value.magnitude)
      }
      output[channel] = sum / total
      var shift = 0.0
      for (value, error) in zip(values, errors) {
        shift += error * (value - output[channel]).magnitude
      }
      bound[channel] =
        second * shift / total + additions * (size / total + output[channel].magnitude) + 1e-30
    }
    return Row(
      output: output, outputBound: bound, logSumExp: maximum + log(total),
      logSumExpBound: second * moved / total + additions + 4 * u * maximum.magnitude + 1e-30)
  }
}

/// A page read once by the slow reader, `[slot][channel]`.
private struct DecodedPage {
  let keyWidth: Int
  let valueWidth: Int
  let keyCodes: [StoredCode?]
  let keys: [Double]
  let valueCodes: [StoredCode?]
  let values: [Double]

  init(_ page: CodedPage) {
    (keyWidth, valueWidth) = (page.form.keyWidth, page.form.valueWidth)
    let keyPlaces = (0..<64).flatMap { slot in (0..<page.form.keyWidth).map { ($0, slot) } }
    let valuePlaces = (0..<64).flatMap { slot in (0..<page.form.valueWidth).map { ($0, slot) } }
    keyCodes = keyPlaces.map { page.keyCode(channel: $0.0, slot: $0.1) }
    keys = keyPlaces.map { page.key(channel: $0.0, slot: $0.1) }
    valueCodes = valuePlaces.map { page.valueCode(channel: $0.0, slot: $0.1) }
    values = valuePlaces.map { page.value(channel: $0.0, slot: $0.1) }
  }

  func keyCode(channel: Int, slot: Int) -> StoredCode? { keyCodes[slot * keyWidth + channel] }
  func key(channel: Int, slot: Int) -> Double { keys[slot * keyWidth + channel] }
  func valueCode(channel: Int, slot: Int) -> StoredCode? { valueCodes[slot * valueWidth + channel] }
  func value(channel: Int, slot: Int) -> Double { values[slot * valueWidth + channel] }
}

import KernelTable
import StreamingAttention
import TestSupport
import Testing

@Suite("Quantised pages against the slow reader")
struct CodedPageTests {
  static let instructionSets = InstructionSet.allCases.filter(\.isAvailable)

  /// Head dimensions of real models, and odd ones; values wider and narrower than keys.
  static let widths = [
    (32, 32), (64, 64), (59, 45), (80, 80), (96, 200), (128, 128), (256, 256), (1, 3), (20, 130),
  ]

  static let codes: [(PageCode, PageCode)] = [
    (.int8, .int8), (.int4, .int4), (.int8, .int4), (.int4, .int8), (.int4, .none), (.none, .int8),
    (.int8, .none), (.none, .int4),
  ]

  /// A plain page whose live slots hold normal numbers, with a mean and a spread of its own for each channel.
  static func plainPage(
    _ form: PageForm, slots: Range<Int>, kernels: KernelTable,
    using generator: inout SeededGenerator
  ) -> CodedPage {
    let page = CodedPage(form.plain)
    func rows(_ width: Int) -> [Float] {
      let means = generator.normalFloats(width, deviation: 2)
      let spreads = (0..<width).map { channel in
        channel % 7 == 3 ? 0 : Float(0.05) + 3 * Float(generator.uniform())
      }
      return slots.flatMap { _ in
        (0..<width).map { means[$0] + spreads[$0] * Float(generator.normal()) }
      }
    }
    let keys = rows(form.keyWidth)
    let values = rows(form.valueWidth)
    page.write(keys: keys, values: values, from: slots.lowerBound, by: kernels)
    return page
  }

  @Test(
    "codes lie within half a scale of their numbers, whatever the dead slots hold; errors are bounded",
    arguments: instructionSets)
  func quantized(instructionSet: InstructionSet) {
    var generator = SeededGenerator(seed: 61)
    let kernels = instructionSet.kernels
    for (index, (keyWidth, valueWidth)) in Self.widths.enumerated() {
      for (number, (keyCode, valueCode)) in Self.codes.enumerated() {
        let element = StoredElement.allCases[(index + number) % 3]
        let slots = [0..<64, 0..<33, 17..<64, 5..<6][(index + number) % 4]
        let pairs = [0, keyWidth / 2, keyWidth / 4][number % 3]
        let form = PageForm(
          keyWidth: keyWidth, valueWidth: valueWidth, keyElement: element, valueElement: element,
          keyCode: keyCode, valueCode: valueCode, pairs: pairs,
          order: number % 2 == 0 ? .halves : .interleaved)
        let plain = Self.plainPage(form, slots: slots, kernels: kernels, using: &generator)
        let coded = CodedPage(form)
        let errors = coded.quantize(plain, slots: slots, by: kernels)
        let name = "\(instructionSet) \(form) \(slots)"
        expectCodes(coded, plain, slots, name)
        expectErrors(errors, coded, plain, slots, name)
        expectWidened(coded, kernels, slots, name)
      }
    }
  }

  private func expectCodes(
    _ coded: CodedPage, _ plain: CodedPage, _ slots: Range<Int>, _ name: String
  ) {
    let form = coded.form
    var groups: [(numbers: [Double], codes: [StoredCode], top: Double)] = []
    for channel in 0..<form.keyWidth where form.keyCode != .none {
      for part in form.keyCode == .int8 ? [0..<64] : [0..<32, 32..<64] {
        let live = part.clamped(to: slots)
        groups.append(
          (
            live.map { plain.key(channel: channel, slot: $0) },
            live.compactMap { coded.keyCode(channel: channel, slot: $0) },
            form.keyCode == .int8 ? 255 : 15
          ))
      }
    }
    for channel in 0..<form.valueWidth where form.valueCode != .none {
      for part in form.valueCode == .int8 ? [0..<64] : [0..<32, 32..<64] {
        let live = part.clamped(to: slots)
        groups.append(
          (
            live.map { plain.value(channel: channel, slot: $0) },
            live.compactMap { coded.valueCode(channel: channel, slot: $0) },
            form.valueCode == .int8 ? 255 : 15
          ))
      }
    }
    var isGood = true
    for group in groups {
      guard let low = group.numbers.min(), let high = group.numbers.max() else { continue }
      let code = group.codes[0]
      // The zero is the next f16 below, the scale at most one unit of f16 above what reaches the largest number.
      let reach = (high - code.zero) / group.top
      isGood = isGood && code.zero <= low && low - code.zero <= low.magnitude * 0x1p-10 + 0x1p-24
      isGood = isGood && code.scale <= reach * (1 + 0x1p-10) + 0x1p-23
      for (number, code) in zip(group.numbers, group.codes) {
        // Rounding in f32 moves a number by 2⁻²² of the largest magnitude at most.
        let size = max(code.zero.magnitude, (code.zero + group.top * code.scale).magnitude)
        let error = (code.value - number).magnitude
        isGood = isGood && error <= code.scale * 0.5 + size * 0x1p-22
      }
    }
    #expect(isGood, "\(name)")
    // Every slot, live or not, decodes to a finite number, and what fills up is zero.
    let all = (0..<64).allSatisfy { slot in
      (0..<form.keyWidth).allSatisfy {
        coded.keyCode(channel: $0, slot: slot)?.value.isFinite ?? true
      }
        && (0..<form.valueWidth).allSatisfy {
          coded.valueCode(channel: $0, slot: slot)?.value.isFinite ?? true
        }
    }
    #expect(all, "\(name)")
  }

  private func expectErrors(
    _ errors: PageErrors, _ coded: CodedPage, _ plain: CodedPage, _ slots: Range<Int>,
    _ name: String
  ) {
    func largest(_ width: Int, _ difference: (Int, Int) -> Double) -> Double {
      slots.map { slot in
        (0..<width).reduce(0.0) { sum, channel in
          let x = difference(channel, slot)
          return sum + x * x
        }.squareRoot()
      }.max() ?? 0
    }
    let key = largest(coded.form.keyWidth) {
      plain.key(channel: $0, slot: $1) - coded.key(channel: $0, slot: $1)
    }
    let value = largest(coded.form.valueWidth) {
      plain.value(channel: $0, slot: $1) - coded.value(channel: $0, slot: $1)
    }
    // The bound adds 2⁻²² of magnitudes below 32 to each of up to 256 channels, and relative roundings.
    #expect(Double(errors.key) >= key && Double(errors.key) <= key * 1.001 + 2e-4, "\(name)")
    #expect(
      Double(errors.value) >= value && Double(errors.value) <= value * 1.001 + 2e-4, "\(name)")
  }

  private func expectWidened(
    _ coded: CodedPage, _ kernels: KernelTable, _ slots: Range<Int>, _ name: String
  ) {
    let form = coded.form
    let back = CodedPage(form.plain)
    coded.widen(to: back, by: kernels)
    var isGood = true
    for slot in slots {
      for channel in 0..<form.keyWidth {
        let number = SlotTwin.rounded(
          Float(coded.key(channel: channel, slot: slot)), form.keyElement)
        isGood = isGood && Double(number) == back.key(channel: channel, slot: slot)
      }
      for channel in 0..<form.valueWidth {
        let number = SlotTwin.rounded(
          Float(coded.value(channel: channel, slot: slot)), form.valueElement)
        isGood = isGood && Double(number) == back.value(channel: channel, slot: slot)
      }
    }
    #expect(isGood, "\(name) widened")
  }

  @Test("pages with numbers that codes cannot hold say so", arguments: instructionSets)
  func unusable(instructionSet: InstructionSet) {
    var generator = SeededGenerator(seed: 62)
    let kernels = instructionSet.kernels
    for (keyCode, valueCode) in [(PageCode.int8, PageCode.int8), (.int4, .int4)] {
      for number in [Float.nan, .infinity, -.infinity, 1e30, -70_000] {
        for slot in [0, 31, 40, 63] {
          let form = PageForm(
            keyWidth: 24, valueWidth: 40, keyElement: .float32, valueElement: .float32,
            keyCode: keyCode, valueCode: valueCode)
          let plain = Self.plainPage(form, slots: 0..<64, kernels: kernels, using: &generator)
          // Key channel 5; value channel 39 of one panel that is 48 wide.
          let places = [64 * 5 + slot, 64 * 24 + 48 * slot + 39]
          let coded = CodedPage(form)
          plain.memory.store(number, places[0])
          let key = coded.quantize(plain, slots: 0..<64, by: kernels)
          #expect(key.key == .infinity && key.value < 100, "\(instructionSet) \(number) \(slot)")
          plain.memory.store(Float(1), places[0])
          plain.memory.store(number, places[1])
          let value = coded.quantize(plain, slots: 0..<64, by: kernels)
          #expect(
            value.key < 100 && value.value == .infinity, "\(instructionSet) \(number) \(slot)")
          // Not live, it does not matter.
          let live = slot < 32 ? 32..<64 : 0..<32
          let rest = coded.quantize(plain, slots: live, by: kernels)
          #expect(rest.key < 100 && rest.value < 100, "\(instructionSet) \(number) \(slot)")
        }
      }
    }
  }

  @Test("pages take the bytes that their codes and scales need")
  func layout() {
    func bytes(_ width: Int, _ key: PageCode, _ value: PageCode) -> [Int] {
      let layout = PageForm(keyWidth: width, valueWidth: width, keyCode: key, valueCode: value)
        .layout
      return [layout.valueOffset, layout.pageBytes]
    }
    // 128 channels: 272 and 160 bytes a token.
    #expect(bytes(128, .int8, .int8) == [8_704, 17_408])
    #expect(bytes(128, .int4, .int4) == [5_120, 10_240])
    #expect(bytes(64, .int8, .int8) == [4_352, 8_704])
    // 59 channels: 60 and 64 rows of keys, 64 scales; 64 columns of values.
    #expect(bytes(59, .int8, .int8) == [256 + 3_840, 256 + 3_840 + 4_352])
    #expect(bytes(59, .int4, .int4) == [512 + 2_048, 512 + 2_048 + 2_560])
    #expect(bytes(80, .int8, .none) == [320 + 5_120, 320 + 5_120 + 10_240])
    #expect(bytes(80, .none, .int4) == [10_240, 10_240 + 3_200])
    for width in 1...260 {
      for (key, value) in Self.codes {
        #expect(bytes(width, key, value).allSatisfy { $0 % 64 == 0 })
      }
    }
  }
}

import StreamingAttention
import TestSupport
import Testing

/// What a slow twin gets wrong, to show that the bounds tell it apart from an engine that is right.
struct TwinMistake: Sendable, CustomTestStringConvertible {
  var testDescription: String
  /// A case in which the mistake shows.
  var example: AttentionCase
  /// Added to the position of every query.
  var positionShift = 0
  /// Added to the number of the head whose slope and sink are taken.
  var headShift = 0
  /// Keys by which the biases are off.
  var biasShift = 0
  var change: @Sendable (inout ReferenceAttention) -> Void = { _ in }

  static let all = [
    TwinMistake(testDescription: "a window one wider", example: example(.window, .none)) {
      $0.window? += 1
    },
    TwinMistake(testDescription: "a window one narrower", example: example(.window, .halves)) {
      $0.window? -= 1
    },
    TwinMistake(
      testDescription: "a row that does not see its own token", example: example(.causal, .none),
      positionShift: -1),
    TwinMistake(
      testDescription: "a query turned by one position more", example: example(.full, .partial),
      positionShift: 1),
    TwinMistake(
      testDescription: "the slope of the next head", example: example(.causal, .alibi),
      headShift: 1),
    TwinMistake(
      testDescription: "the sink of the next head", example: example(.sinks, .none), headShift: 1),
    TwinMistake(
      testDescription: "the bias of the next head", example: biased, headShift: 1),
    TwinMistake(testDescription: "the bias of the next key", example: biased, biasShift: 1),
    TwinMistake(testDescription: "a right window one wider", example: ahead) {
      $0.rightWindow? += 1
    },
    TwinMistake(testDescription: "no softcap", example: example(.softcap, .none)) {
      $0.softcap = nil
    },
    TwinMistake(testDescription: "the other pairing", example: example(.causal, .halves)) {
      $0.rotation?.pairing = .interleaved
    },
    TwinMistake(testDescription: "YaRN's factor left out", example: example(.causal, .scaled)) {
      $0.rotation?.attentionFactor = 1
    },
    TwinMistake(
      testDescription: "frequencies off by 1e-5", example: example(.causal, .interleaved)
    ) {
      $0.rotation?.frequencies[2] *= 1 + 1e-5
    },
    TwinMistake(testDescription: "a scale off by 1e-4", example: example(.causal, .none)) {
      $0.scale *= 1.0001
    },
  ]

  private static var biased: AttentionCase {
    var result = example(.causal, .none)
    result.bias = .perHead
    return result
  }

  private static var ahead: AttentionCase {
    var result = example(.full, .none)
    result.rightWindow = 2
    return result
  }

  /// Both bf16 on the widest vectors there are, where the bounds are the widest.
  private static func example(
    _ masking: AttentionCase.Masking, _ positions: AttentionCase.Positions
  ) -> AttentionCase {
    AttentionCase(
      instructionSet: .detected, keyType: .bfloat16, valueType: .float16, masking: masking,
      positions: positions, group: 3, length: 300, base: 1000, rows: 5, seed: 5)
  }
}

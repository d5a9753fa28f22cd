import Generation
import Testing

@Suite("Sampling options")
struct SamplingTests {
  @Test("values inside the ranges, their ends included, are taken")
  func accepted() throws {
    for temperature in [0, Double.leastNonzeroMagnitude, 1, .greatestFiniteMagnitude] {
      #expect(try Sampling(temperature: temperature).temperature == temperature)
    }
    for topK in [0, 1, Int.max] { #expect(try Sampling(topK: topK).topK == topK) }
    for topP in [Double.leastNonzeroMagnitude, 1] { #expect(try Sampling(topP: topP).topP == topP) }
    for minP in [0.0, 1] { #expect(try Sampling(minP: minP).minP == minP) }
    for penalty in [0.01, 1, 100] {
      #expect(try Sampling(repetitionPenalty: penalty).repetitionPenalty == penalty)
    }
    #expect(Sampling.greedy.temperature == 0)
    #expect(try Sampling(temperature: 0) == .greedy)
  }

  @Test(
    "values outside the ranges are refused by name",
    arguments: [
      ("temperature", [-0.1, .infinity, .nan]), ("top p", [0, -1, 1.0001, .nan]),
      ("min p", [-0.0001, 1.5, .nan]), ("repetition penalty", [0, -1, 0.009, 101, .nan]),
      ("top k", [-1]),
    ])
  func refused(option: String, values: [Double]) {
    for value in values {
      let error = #expect(throws: SamplingError.self) {
        switch option {
        case "temperature": try Sampling(temperature: value)
        case "top p": try Sampling(topP: value)
        case "min p": try Sampling(minP: value)
        case "repetition penalty": try Sampling(repetitionPenalty: value)
        default: try Sampling(topK: Int(value))
        }
      }
      guard case .optionOutOfRange(option, _, _) = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(error?.description.hasPrefix(option + " is ") == true)
    }
  }
}

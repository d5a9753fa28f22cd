import TestSupport
import Testing

@Suite("Model files as people have met them")
struct FieldCaseTests {
  private struct Case: Decodable {
    enum Expectation: String, Decodable { case logits, error, either }
    /// One exit status or several.
    struct Statuses: Decodable {
      let allowed: [Int32]
      init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let single = try? container.decode(Int32.self) {
          allowed = [single]
        } else {
          allowed = try container.decode([Int32].self)
        }
      }
    }
    let arguments: [String]
    let expect: Expectation
    let exit: Statuses?
    let words: [String]?
    let tolerance: Double?
    let logits_key: String?
    let columns: [Int]?
  }

  private static let names = (try? Fixtures.names(in: "field-cases"))?.filter { !$0.contains(".") }

  @Test("every case is there")
  func count() throws {
    #expect(try #require(Self.names).count == 101)
  }

  @Test("right logits or a clean refusal", arguments: names ?? [])
  func fieldCase(name: String) throws {
    let fieldCase = try Fixtures.json("field-cases/\(name)/case.json", as: Case.self)
    let scratch = try TemporaryFolder()
    let (folder, written) = (Fixtures.path("field-cases/\(name)"), scratch.path + "/logits")
    let arguments = fieldCase.arguments.map {
      $0.replacing("{dir}", with: folder).replacing("{out}", with: written)
    }
    let outcome = try Attend.run(arguments, timeLimit: .seconds(30))
    #expect(!outcome.timedOut)
    #expect(outcome.signal == nil)
    #expect(outcome.peakResidentBytes < 1 << 30)
    if outcome.exitStatus == 0 {
      #expect(fieldCase.expect != .error, "accepted")
      try compare(written, with: fieldCase, in: folder)
    } else {
      #expect(fieldCase.expect != .logits, "\(outcome.errorText)")
      let status = try #require(outcome.exitStatus)
      #expect(fieldCase.exit?.allowed.contains(status) == true, "exit status \(status)")
      #expect(outcome.output.isEmpty)
      #expect(try scratch.names() == [], "half-written output")
      #expect(
        (1...(status == 64 ? 2 : 1)).contains(outcome.errorLines.count), "\(outcome.errorText)")
      let words = fieldCase.words ?? []
      let said = outcome.errorText.lowercased()
      #expect(
        words.isEmpty || words.contains { said.contains($0.lowercased()) },
        "'\(outcome.errorText)' names none of \(words)")
    }
  }

  private func compare(_ file: String, with fieldCase: Case, in folder: String) throws {
    let key = try #require(fieldCase.logits_key)
    let tolerance = try #require(fieldCase.tolerance)
    let references = try SafetensorsFixture(path: folder + "/refs.safetensors")
    let (expected, expectedShape) = (try references.floats(key), try references.shape(key))
    let result = try SafetensorsFixture(path: file)
    let (values, shape) = (try result.floats("logits"), try result.shape("logits"))
    try #require(shape.count == 2 && shape[0] == expectedShape[0])
    #expect((fieldCase.columns ?? [expectedShape[1]]).contains(shape[1]), "width \(shape[1])")
    var worst = 0.0
    for row in 0..<shape[0] {
      for column in 0..<min(shape[1], expectedShape[1]) {
        let value = values[row * shape[1] + column]
        let reference = expected[row * expectedShape[1] + column]
        if reference.isNaN {
          #expect(!value.isFinite, "row \(row) is not finite in the reference")
        } else {
          let difference = Double((value - reference).magnitude)
          worst = difference.isNaN ? .infinity : max(worst, difference)
        }
      }
    }
    #expect(worst <= tolerance)
  }
}

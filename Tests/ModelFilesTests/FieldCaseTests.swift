import ModelFiles
import TestSupport
import Testing

/// The field cases as far as reading files goes; `attend` is held to the whole of them elsewhere.
@Suite("Field cases: files")
struct FieldCaseTests {
  struct FieldCase: Decodable {
    enum Status: Decodable {
      case one(Int)
      case several([Int])

      init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let status = try? container.decode(Int.self) {
          self = .one(status)
        } else {
          self = .several(try container.decode([Int].self))
        }
      }

      var all: [Int] {
        switch self {
        case .one(let status): [status]
        case .several(let statuses): statuses
        }
      }
    }

    let name: String
    let kind: String
    let expect: String
    let exit: Status
    let words: [String]
    let arguments: [String]

    var modelPath: String {
      Fixtures.path("field-cases/\(name)/")
        + (arguments.dropFirst().first ?? "").replacing("{dir}/", with: "")
    }
  }

  /// Files in order whose model is not: the reader takes them, the loader must not.
  static let modelErrors: Set = ["embedding-transposed", "missing-ffn-down", "vocabulary-only"]

  static let cases = Result {
    try Fixtures.names(in: "field-cases").filter { !$0.hasSuffix(".md") }
      .map { try Fixtures.json("field-cases/\($0)/case.json", as: FieldCase.self) }
  }

  /// What `attend` exits with.
  private func status(_ error: ModelFileError) -> Int {
    switch error {
    case .notFound, .unreadable, .missingShard: 66
    default: 65
    }
  }

  @Test("files are read to the last byte, or refused with the words that help")
  func files() throws {
    let kinds = ["container", "corrupt file", "not a model"]
    let cases = try Self.cases.get().filter { kinds.contains($0.kind) }
    #expect(cases.count == 46)
    for fieldCase in cases {
      let path = fieldCase.modelPath
      switch Reading(path) {
      case .opened:
        #expect(
          fieldCase.expect != "error" || Self.modelErrors.contains(fieldCase.name),
          "\(fieldCase.name) was opened")
      case .refused(let error):
        #expect(fieldCase.expect != "logits", "\(error)")
        #expect(!Self.modelErrors.contains(fieldCase.name), "\(error)")
        #expect(error.isOneLine(about: path))
        #expect(fieldCase.exit.all.contains(status(error)), "\(error)")
        // Without the path, which holds the case's name and with it some of the words.
        let message = error.description.dropFirst(path.count).lowercased()
        #expect(
          fieldCase.words.contains { message.contains($0.lowercased()) },
          "\(message) has none of \(fieldCase.words)")
      }
    }
  }

  @Test("all other cases have files that can be read")
  func models() throws {
    let kinds = ["hyper-parameters", "rope", "token ids", "weights"]
    for fieldCase in try Self.cases.get() where kinds.contains(fieldCase.kind) {
      if case .refused(let error) = Reading(fieldCase.modelPath) {
        Issue.record("\(fieldCase.name): \(error)")
      }
    }
  }
}

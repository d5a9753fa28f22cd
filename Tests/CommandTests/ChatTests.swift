import Foundation
import ModelFiles
import TestSupport
import Testing
import Tokenization

@Suite("attend chat")
struct ChatTests {
  @Test("a second turn reads its own tokens only, and answers as a fresh run would")
  func turns() throws {
    let model = try Models.smolLM2()
    let lines = ["What is the capital of France?", "And of Italy?"]
    let options = ["--max-tokens", "40"] + LogitsRun.single
    let chat = try Attend.run(
      ["chat", model] + options, input: lines.joined(separator: "\n") + "\n")
    try #require(chat.exitStatus == 0, "\(chat.errorText)")
    #expect(chat.errorLines.count == 2)

    // The transcript as the model's template puts it, turn by turn.
    let opening =
      "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    let first = "<|im_start|>user\n\(lines[0])<|im_end|>\n<|im_start|>assistant\n"
    let second = "<|im_start|>user\n\(lines[1])<|im_end|>\n<|im_start|>assistant\n"
    func answer(to prompt: String) throws -> (text: String, isEnded: Bool) {
      let folder = try TemporaryFolder()
      let outcome = try Attend.run(
        ["generate", model, "--prompt-file", try folder.write(prompt, to: "prompt.txt")] + options)
      try #require(outcome.exitStatus == 0)
      return (String(outcome.text.dropLast()), !outcome.errorText.contains("; 40 answer tokens"))
    }
    let one = try answer(to: opening + first)
    try #require(one.isEnded, "the first answer should end by itself: \(one.text)")
    let two = try answer(to: opening + first + one.text + "<|im_end|>\n" + second)
    #expect(chat.text == one.text + "\n" + two.text + "\n")

    // The end token of the first answer was chosen and not read; the rest of the turn is new.
    let tokenizer = try Tokenizer(try Vocabulary(metadata: GGUFFile(path: model).metadata))
    let new = tokenizer.encode("<|im_end|>\n" + second, specialTokens: .parsed).count
    #expect(chat.errorLines[1].hasPrefix("\(new) prompt tokens, "), "\(chat.errorLines[1])")
  }

  @Test("a model's file that is cut while it is in use ends with one line and 74")
  func shortenedFile() throws {
    let folder = try TemporaryFolder()
    let model = folder.path + "/model.gguf"
    try FileManager.default.copyItem(atPath: try Models.smolLM2(), toPath: model)
    let chat = try Attend.start(["chat", model, "--max-tokens", "4"])
    chat.write("What is the capital of France?\n")
    try #require(chat.waitForOutput { $0.last == UInt8(ascii: "\n") })
    // The rows of its embedding are read from the file when a token wants them.
    unsafe truncate(model, 4_096)
    chat.write("And of Italy?\n")
    let outcome = chat.wait()
    #expect(outcome.exitStatus == 74)
    #expect(
      outcome.errorLines.last?.hasPrefix("attend: a model or session file became shorter") == true,
      "\(outcome.errorText)")
  }

  @Test("empty lines are passed over; no line, no answer")
  func emptyInput() throws {
    for input in ["", "\n\n"] {
      let outcome = try Attend.run(["chat", try Models.smolLM2()], input: input)
      #expect(outcome.exitStatus == 0)
      #expect(outcome.output.isEmpty)
      #expect(outcome.errorOutput.isEmpty)
    }
  }
}

/// The Jinja source of a ChatML template, recognised by its text: no Jinja is run.
///
/// Two shapes are known: messages one after the other, and the same with a system message of the template's own
/// in front of a conversation that has none. Line ends may stand as such or as `\n`.
struct ChatMLSource {
  static let start = "<|im_start|>"
  static let end = "<|im_end|>"
  static let supported = "ChatML as in SmolLM2 (<|im_start|>role, text, <|im_end|>)"

  private static let loop = "{% for message in messages %}"
  private static let defaultHead =
    loop + "{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
  private static let defaultTail = "<|im_end|>\n' }}{% endif %}" + messages
  private static let messages =
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

  /// The system message of the template's own.
  let defaultSystem: String?

  init(_ template: String) throws(TokenizationError) {
    let source = template.split(separator: "\\n", omittingEmptySubsequences: false)
      .joined(separator: "\n")
    if source == Self.loop + Self.messages {
      defaultSystem = nil
      return
    }
    let (head, tail) = (Self.defaultHead, Self.defaultTail)
    guard source.hasPrefix(head), source.hasSuffix(tail), source.count >= head.count + tail.count
    else { throw .unsupportedChatTemplate(found: template, allowed: Self.supported) }
    let system = source.dropFirst(head.count).dropLast(tail.count)
    // A quotation mark would end the literal, and a backslash begins an escape.
    guard !system.contains("'"), !system.contains("\\") else {
      throw .unsupportedChatTemplate(found: template, allowed: Self.supported)
    }
    defaultSystem = String(system)
  }
}

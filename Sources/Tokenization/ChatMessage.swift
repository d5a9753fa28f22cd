/// One message of a conversation.
public struct ChatMessage: Sendable, Equatable {
  /// Who speaks.
  public enum Role: String, Sendable, CaseIterable {
    /// Instructions that stand above the conversation.
    case system
    /// The person.
    case user
    /// The model.
    case assistant
  }

  /// Who speaks.
  public var role: Role
  /// What is said, taken as it is: no white space is cut off.
  public var text: String

  /// A message.
  public init(_ role: Role, _ text: String) {
    self.role = role
    self.text = text
  }
}

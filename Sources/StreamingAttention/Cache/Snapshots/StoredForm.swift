/// What the pages of a set are in a snapshot.
enum StoredForm: UInt32, Sendable {
  /// As they were written.
  case plain = 0
  /// Codes, where their layers are quantised.
  case coded = 1
  /// As they were written, with a number that codes cannot stand for.
  case uncodable = 2
}

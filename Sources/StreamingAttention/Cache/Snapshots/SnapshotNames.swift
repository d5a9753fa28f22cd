import Memory

/// The files of a snapshot: a manifest of the snapshot's own name, files of pages beside it.
///
/// Beside `NAME` stand `NAME.0123456789abcdef.pages`, and for as long as it is written `NAME.0123456789abcdef.part`.
struct SnapshotNames: Sendable {
  /// As the caller gave it, for messages.
  let path: String
  /// With all links followed: what is replaced.
  let target: String
  let folder: String
  private let name: String

  init(_ path: String) {
    self.path = path
    target = FileFolder.resolved(path)
    (folder, name) = FileFolder.split(target)
  }

  func pages(_ id: UInt64) -> String { "\(target).\(Self.digits(id)).pages" }

  func part(_ id: UInt64) -> String { "\(target).\(Self.digits(id)).part" }

  /// The number's 16 hexadecimal digits.
  private static func digits(_ id: UInt64) -> String {
    let digits = String(id, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// Removes what earlier snapshots have left, but for the pages of some numbers.
  ///
  /// What cannot be removed stays; the next snapshot tries again.
  func removeOthers(than kept: Set<UInt64>) {
    guard let names = try? FileFolder.names(in: folder) else { return }
    for other in names where other.hasPrefix(name + ".") {
      let parts = other.dropFirst(name.count + 1).split(
        separator: ".", omittingEmptySubsequences: false)
      guard parts.count == 2, parts[0].utf8.count == 16, let id = UInt64(parts[0], radix: 16),
        Self.digits(id) == parts[0], parts[1] == "part" || parts[1] == "pages" && !kept.contains(id)
      else { continue }
      FileFolder.remove("\(target).\(other.dropFirst(name.count + 1))")
    }
  }
}

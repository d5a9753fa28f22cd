import Glibc

/// A folder: the names in it, what can be done to them, and whose turn it is.
package enum FileFolder {
  /// Who may be at work in a folder at once.
  package enum Access {
    /// Any number, while nobody has it alone.
    case shared
    case alone
  }

  /// A turn in a folder, among all processes that ask for one; it ends with its owner, however that ends.
  package struct Turn: ~Copyable {
    private let descriptor: Int32

    /// Waits for a turn; file systems without locks give it at once.
    ///
    /// Throws `notFound` or `unreadable` for the folder, `refused` where the task's `TurnPatience` is over.
    package init(in folder: String, _ access: Access) throws(MemoryError) {
      let opened = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      guard opened >= 0 else {
        throw errno == ENOENT || errno == ENOTDIR
          ? .notFound(path: folder) : .unreadable(path: folder, errno: errno)
      }
      let kind = access == .shared ? LOCK_SH : LOCK_EX
      guard let patience = TurnPatience.current else {
        while flock(opened, kind) != 0, errno == EINTR {}
        descriptor = opened
        return
      }
      // The system cannot wait for a lock and an interrupt at once.
      while flock(opened, kind | LOCK_NB) != 0, errno == EINTR || errno == EWOULDBLOCK {
        guard !patience.isOver() else {
          close(opened)
          throw .refused(operation: "waiting for a turn in \(folder)", errno: TurnPatience.givenUp)
        }
        usleep(10_000)
      }
      descriptor = opened
    }

    deinit { close(descriptor) }

    /// Returns when the names in the folder are on the disk as they are now.
    package borrowing func synchronize(_ folder: String) throws(MemoryError) {
      while fsync(descriptor) != 0 {
        // Some file systems cannot, and need not.
        if errno == EINVAL || errno == EROFS { return }
        guard errno == EINTR else { throw .unwritable(path: folder, errno: errno) }
      }
    }
  }

  /// The folder that a path's last part stands in, and that part.
  package static func split(_ path: String) -> (folder: String, name: String) {
    guard let slash = path.lastIndex(of: "/") else { return (".", path) }
    let folder = path[..<slash]
    return (folder.isEmpty ? "/" : String(folder), String(path[path.index(after: slash)...]))
  }

  /// The path with all links followed, or as it is where nothing stands.
  package static func resolved(_ path: String) -> String {
    guard let resolved = unsafe realpath(path, nil) else { return path }
    // SAFETY: realpath returned a terminated string that is this function's to free.
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
  }

  /// All names in a folder.
  package static func names(in folder: String) throws(MemoryError) -> [String] {
    guard let stream = unsafe opendir(folder) else {
      throw .unreadable(path: folder, errno: errno)
    }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
      // SAFETY: the name lies in the entry, terminated; an entry may be shorter than its type, so it is not copied.
      guard let offset = MemoryLayout<dirent>.offset(of: \.d_name) else { continue }
      let name = unsafe UnsafeRawPointer(entry).advanced(by: offset)
        .assumingMemoryBound(to: CChar.self)
      unsafe names.append(String(cString: name))
    }
    return names
  }

  /// Gives a file another name, in place of what had it.
  package static func rename(_ path: String, to other: String) throws(MemoryError) {
    guard unsafe Glibc.rename(path, other) == 0 else {
      throw .unwritable(path: other, errno: errno)
    }
  }

  /// Makes a folder of its own in a folder, or else among the temporary files.
  package static func temporary(in folder: String? = nil) throws(MemoryError) -> String {
    // SAFETY: getenv returns a string of the environment, which nothing in this program changes.
    let variable = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) }
    let parent = folder ?? variable ?? "/tmp"
    var name = Array("\(parent)/attend-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&name) != nil else { throw .unwritable(path: parent, errno: errno) }
    return String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Removes a folder and the files in it.
  package static func removeFolder(_ folder: String) {
    for name in (try? names(in: folder)) ?? [] where name != "." && name != ".." {
      remove("\(folder)/\(name)")
    }
    unsafe rmdir(folder)
  }

  /// Removes a file, if it is there and may be removed.
  package static func remove(_ path: String) { unsafe unlink(path) }
}

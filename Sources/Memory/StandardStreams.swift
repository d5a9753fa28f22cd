import Glibc

/// Descriptors 0, 1 and 2, which a process may be started without.
package enum StandardStreams {
  /// Takes the numbers that are free, before a file, or a queue of the system's, gets one and is written into in place of it.
  ///
  /// All are opened for reading: a closed standard input is at its end, and whoever writes to a closed standard output or standard
  /// error is told so (EBADF), as if they were still closed. Call first thing in the process.
  package static func hold() {
    for stream in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
    where fcntl(stream, F_GETFD) < 0 && errno == EBADF {
      // The lowest number that is free, which is this one. Where /dev/null is missing, nothing can be done.
      _ = unsafe open("/dev/null", O_RDONLY)
    }
  }
}

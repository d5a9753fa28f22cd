import Foundation

/// The real models that tests run on; `tools/test` downloads them before it starts.
package enum Models {
  package struct Missing: Error, CustomStringConvertible {
    package let path: String
    package var description: String {
      "no model at \(path); run tools/test, or tools/fetch-model, which downloads it"
    }
  }

  /// SmolLM2-135M-Instruct, Q4_1, 98 MB: where `tools/fetch-model` keeps it.
  ///
  /// Throws when the file is not there: a test that needs it fails, and is never skipped.
  package static func smolLM2() throws -> String {
    let environment = ProcessInfo.processInfo.environment
    let cache = environment["XDG_CACHE_HOME"].flatMap { $0.isEmpty ? nil : $0 }
    let path =
      (cache ?? NSHomeDirectory() + "/.cache")
      + "/streaming-attention/SmolLM2-135M-Instruct.Q4_1.gguf"
    guard FileManager.default.fileExists(atPath: path) else { throw Missing(path: path) }
    return path
  }
}

package import Memory
import ModelFiles
package import StreamingAttention

/// The first line of saved results: on what, by what and how they were made.
package struct MachineRecord: Sendable, Equatable {
  package var command: String
  package var note: String?
  package var version: String
  package var processor: String
  package var cpus: Int
  package var memoryBytes: Int
  package var lastLevelCacheBytes: Int
  package var instructionSet: String

  /// This machine, and a command that runs on it.
  package init(
    command: String, note: String?, version: String, topology: Topology = .current,
    instructionSet: InstructionSet = .detected
  ) {
    self.command = command
    self.note = note
    self.version = version
    processor = ProcessorFacts.name ?? "unknown"
    cpus = topology.allowedCPUs.count
    memoryBytes = topology.memoryBytes
    lastLevelCacheBytes = ProcessorFacts.largestCacheBytes ?? 0
    self.instructionSet = instructionSet.rawValue
  }

  /// One JSON object, without the end of the line.
  package var json: String {
    JSONText.object(
      [
        ("operation", JSONText.string("machine")), ("command", JSONText.string(command)),
        ("version", JSONText.string(version)), ("processor", JSONText.string(processor)),
        ("cpus", "\(cpus)"), ("memoryBytes", "\(memoryBytes)"),
        ("lastLevelCacheBytes", "\(lastLevelCacheBytes)"),
        ("instructionSet", JSONText.string(instructionSet)),
      ] + (note.map { [("note", JSONText.string($0))] } ?? []))
  }
}

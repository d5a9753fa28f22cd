import Glibc
import Memory
import StreamingAttention

/// Fills a cache in every placement that the machine has, asks the kernel where its pages are, and prints the outputs.
///
/// `NUMACheck [NODES]`: a line for each placement, and one `output` line for each instruction set up to AVX2, which
/// is the same on every machine. Exits 1 when a page is not where it was meant to be, when a placement changes an
/// output, or when the machine has another number of nodes with memory.
@main enum NUMACheck {
  static func main() throws {
    let topology = Topology.current
    for node in topology.nodes {
      print("node \(node.number): CPUs \(node.cpus), \(node.memoryBytes >> 20) MiB")
    }
    let nodes = topology.memoryNodes
    if CommandLine.argc > 1, Int(CommandLine.arguments[1]) != nodes.count {
      print("memory on nodes \(nodes), not on \(CommandLine.arguments[1])")
      exit(1)
    }
    var failures = 0
    let workers = Workers()
    for instructionSet in InstructionSet.allCases where instructionSet <= min(.detected, .avx2) {
      var outputs: Set<UInt64> = []
      for placement in placements(over: nodes) {
        let example = try FilledCache(placement, workers: workers, instructionSet: instructionSet)
        outputs.insert(example.outputBits)
        if nodes.count > 1 {
          failures += try report(
            example.audit(), of: placement, over: nodes, instructionSet: instructionSet)
        }
      }
      if outputs.count > 1 { failures += 1 }
      for output in outputs {
        print("output \(instructionSet.rawValue) \(String(output, radix: 16))")
      }
    }
    exit(failures == 0 ? 0 : 1)
  }

  private static func placements(over nodes: [Int]) -> [CachePlacement] {
    nodes.count > 1 ? nodes.map { .bind(node: $0) } + [.interleave] : [.automatic]
  }

  /// Prints how many pages lie where; returns how many are wrong, or 1 where a node that should have some has none.
  private static func report(
    _ pages: [FilledCache.Page], of placement: CachePlacement, over nodes: [Int],
    instructionSet: InstructionSet
  ) -> Int {
    let wrong = pages.count { $0.actual != $0.intended }
    let counts = nodes.map { node in pages.count { $0.actual == node } }
    let isEverywhere = placement != .interleave || !counts.contains(0)
    print(
      "\(instructionSet.rawValue), \(placement): \(pages.count) pages, by node \(counts), "
        + "\(wrong) not where they were meant to be")
    return wrong > 0 ? wrong : isEverywhere && !pages.isEmpty ? 0 : 1
  }
}

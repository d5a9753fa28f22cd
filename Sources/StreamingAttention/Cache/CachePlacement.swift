/// On which memory nodes the cache's pages lie.
///
/// Where there is one node, nothing of it shows. Placement changes no bit of any result.
public enum CachePlacement: Sendable, Equatable {
  /// Over all nodes that have memory and CPUs for this process, or over all with memory if none has both.
  case automatic
  /// On one node.
  case bind(node: Int)
  /// Over all nodes that have memory.
  case interleave
}

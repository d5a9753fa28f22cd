/// How far back a layer's keys and values are kept.
///
/// Layers with the same retention share a page table, unless ``LayerShape/pageTable`` tells them apart.
public enum Retention: Sendable, Hashable {
  /// Nothing is released before the sequence is dropped.
  case everything
  /// At least the newest `n` tokens and one page more are kept; older pages are given back at each commit.
  case window(Int)
}

extension AttentionEngine {
  /// Brings in the memory of a prompt's pages, layers side by side.
  ///
  /// All heads of a layer may lie in one huge page. At its first touch, in `append`, one worker would fill it with zeros while
  /// the others wait.
  func populatePages() {
    // A token that decoding adds touches a page that is there, or one that is not worth a step of the workers.
    let requestCount = plan.requests.count
    guard (0..<requestCount).contains(where: { plan.requests[$0].tokenCount >= PageLayout.slots })
    else { return }
    // SAFETY: the workers only read the cache, whose step is in progress.
    nonisolated(unsafe) let cache = cache
    let kernels = kernels
    unsafe workers.forEachIndex(below: cache.layers.count) { layer, _ in
      for request in 0..<requestCount {
        unsafe cache.slotWriter(request: request, layer: layer, kernels: kernels).populate()
      }
    }
  }
}

/// Who holds memory for the steps of a cache, which nobody needs once its last sequence is dropped.
protocol ScratchOwner: AnyObject {
  func releaseScratch()
}

/// One whose life the cache does not prolong.
struct WeakScratchOwner {
  weak var owner: (any ScratchOwner)?
}

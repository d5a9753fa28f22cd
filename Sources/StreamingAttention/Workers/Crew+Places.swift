import Dispatch
import Memory
import Synchronization

extension Crew {
  /// Sends a block to its node's queue for every worker that is not there.
  ///
  /// Dispatch may begin them late or, on few CPUs, not at all while others run; no step waits for them.
  func startMissing() {
    guard executors == .dispatch, !isStopped.load(ordering: .relaxed) else { return }
    for worker in 1..<count where occupy(worker) {
      let node = topology.nodes.firstIndex { $0.number == nodes[worker] } ?? 0
      queues[node].async { [self] in
        serveOnDispatch(as: worker, on: topology.nodes[node].cpus)
        leave(worker)
      }
    }
  }

  /// Confines the thread to the node's CPUs while it serves.
  private func serveOnDispatch(as worker: Int, on cpus: [Int]) {
    let before = ThreadAffinity.current
    let own = ThreadAffinity(cpus)
    let isPinned = !cpus.isEmpty && before != own && own.apply()
    // Dispatch lends the thread: a block parked for this long gives it back.
    serve(as: worker, patience: .seconds(1))
    if isPinned { _ = before?.apply() }
  }

  /// Takes the first free place for a thread of the embedding program.
  func occupyAny() -> Int? {
    places.withLock { places in
      guard let worker = places.firstIndex(of: false) else { return nil }
      places[worker] = true
      live.value.wrappingAdd(1, ordering: .relaxed)
      return worker
    }
  }

  private func occupy(_ worker: Int) -> Bool {
    places.withLock { places in
      if places[worker] { return false }
      places[worker] = true
      live.value.wrappingAdd(1, ordering: .relaxed)
      return true
    }
  }

  func leave(_ worker: Int) {
    places.withLock { places in
      places[worker] = false
      live.value.wrappingSubtract(1, ordering: .relaxed)
    }
  }
}

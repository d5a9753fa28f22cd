import Dispatch
public import Memory
import Synchronization

/// The threads that share the work of a step: the caller and others that wait, pinned to the nodes' CPUs.
///
/// Worker 0 is whichever thread calls; the others are long-lived blocks on one Dispatch queue per memory node. They
/// spin for a millisecond after a step (most of it letting others go first), then sleep, and after a second asleep go
/// back to Dispatch until they are needed. A step is shared by whoever is there and never waits for a worker that is
/// not: results do not depend on their number. With a count of 1 there is no other thread. Two steps at once get on
/// side by side: the second runs on its caller's thread alone. In a child after fork() every step runs on its caller's
/// thread alone.
public final class Workers: Sendable {
  /// Whose threads do the work beside the caller's.
  public enum Executors: Sendable {
    /// Blocks on Dispatch queues.
    case dispatch
    /// Threads of the embedding program that have called `participate()`.
    case provided
  }

  /// Who takes the next index of a step.
  package enum Sharing: Sendable {
    /// Whoever asks first.
    case firstCome
    /// Nobody takes a second one before every worker there has taken one: for tests that compare worker counts.
    case everyWorkerOnce
  }

  /// Shared by everyone who does not ask for workers of their own: as many as `Topology.defaultWorkerCount` says.
  public static let shared = Workers()

  let crew: Crew

  /// Prepares for `count` workers, the calling thread included; by default what the topology recommends.
  ///
  /// Threads start with the first step that has work for them.
  ///
  /// - Precondition: `count` is at least 1.
  public convenience init(
    count: Int? = nil, executors: Executors = .dispatch, topology: Topology = .current
  ) {
    self.init(count: count, executors: executors, sharing: .firstCome, topology: topology)
  }

  package init(count: Int?, executors: Executors, sharing: Sharing, topology: Topology = .current) {
    let count = count ?? topology.defaultWorkerCount
    precondition(count >= 1, "\(count) workers; at least 1 is needed")
    precondition(
      sharing == .firstCome || executors == .provided,
      "blocks that Dispatch has not begun cannot take an index each")
    crew = Crew(count: count, executors: executors, sharing: sharing, topology: topology)
  }

  deinit { crew.stop() }

  /// Workers, the calling thread included.
  public var count: Int { crew.count }

  /// Makes the calling thread one of the workers until `stop()`; false at once when all places are taken.
  ///
  /// Only for `Executors.provided`. The thread is not pinned: that is its owner's affair.
  @discardableResult
  public func participate() -> Bool {
    precondition(crew.executors == .provided, "these workers bring their own threads")
    guard let worker = crew.occupyAny() else { return false }
    while !crew.isStopped.load(ordering: .acquiring) {
      crew.serve(as: worker, patience: .seconds(1))
    }
    crew.leave(worker)
    return true
  }

  /// Sends the other threads home for good; later steps run on their caller's thread.
  public func stop() { crew.stop() }

  /// A function that computes one index of a step: (context, index, worker).
  ///
  /// Worker numbers lie in 0..<count and differ between the threads of one step.
  package typealias Body = @convention(c) (UnsafeMutableRawPointer, Int, Int) -> Void

  /// Calls `body` for every index in 0..<count exactly once, shared among the workers, and returns when all is done.
  ///
  /// Indices are taken in ascending order, in short runs; with `hasTwoEnds` odd workers take the last ones first, so that in steps
  /// over the same rows a worker mostly meets those that it has in its caches. Allocates, locks and retains nothing, but for starting or
  /// waking workers that have slept. Returns false if `cancellation` was found set before some index; that index and
  /// others have then been left out, and none is running any more.
  ///
  /// - Precondition: `context` suits `body`, which may be called on several threads at once; `count` is below 2³².
  @unsafe package func run(
    _ count: Int, context: UnsafeMutableRawPointer, hasTwoEnds: Bool = false,
    cancellation: CancellationFlag? = nil, _ body: Body
  ) -> Bool {
    precondition(
      count >= 0 && count <= UInt32.max, "a step of \(count) indices; below 2³² are allowed")
    // SAFETY: the flag is an argument, and kept alive until the step has ended.
    let isComplete = unsafe crew.run(
      StepTask(
        body: body, context: context, count: count, hasTwoEnds: hasTwoEnds,
        cancellation: cancellation?.flag))
    extendLifetime(cancellation)
    return isComplete
  }

  /// How many indices each worker has taken since the last reset; exact when no step is running.
  package var takenCounts: [Int] { crew.takenCounts }

  /// Sets `takenCounts` to zero.
  package func resetTakenCounts() { crew.resetTakenCounts() }

  /// How many workers beside the caller are there or on their way.
  package var liveCount: Int { crew.live.value.load(ordering: .relaxed) }

  /// How many workers are asleep.
  package var parkedCount: Int { crew.parked.value.load(ordering: .relaxed) }
}

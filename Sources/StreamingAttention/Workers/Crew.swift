import Dispatch
import Glibc
import Memory
import Synchronization

/// What the workers share: the current step, who is parked, which blocks are on their way.
///
/// Blocks on Dispatch queues hold a crew, never the `Workers` that stands before it; so the last reference to the
/// latter can stop them.
@safe final class Crew: Sendable {
  /// Workers, the calling thread included.
  let count: Int
  let executors: Workers.Executors
  let sharing: Workers.Sharing
  /// The node of each worker.
  let nodes: [Int]
  let topology: Topology
  let forkCount = ForkCount.begin()

  // MARK: The step
  private let word = PaddedAtomic<UInt64>(0)
  /// Indices of the step that are done or skipped.
  private let finished = PaddedAtomic<Int>(0)
  /// Workers that have taken an index of the step.
  private let joined = PaddedAtomic<Int>(0)
  /// Whether a caller has a step running.
  private let isBusy = PaddedAtomic<Bool>(false)
  private let wasCut = Atomic<Bool>(false)
  /// Indices that even workers have taken from the beginning of a step with two ends, and odd ones from its end.
  private let takenFirst = PaddedAtomic<Int>(0)
  private let takenLast = PaddedAtomic<Int>(0)
  // SAFETY: written by the caller that holds `isBusy`, before it stores `word`; read by workers that have taken an
  // index from that word, which keeps the step from ending until they report it in `finished`.
  private nonisolated(unsafe) var task: StepTask?
  /// Indices taken since the last reset, by worker.
  // SAFETY: `count` initialised elements, freed in `deinit`, atomics all.
  private nonisolated(unsafe) let taken: UnsafeMutablePointer<PaddedAtomic<Int>>

  // MARK: Idle workers
  let parked = PaddedAtomic<Int>(0)
  let isStopped = Atomic<Bool>(false)
  let semaphore = DispatchSemaphore(value: 0)
  /// Workers other than the caller that are there or on their way.
  let live = PaddedAtomic<Int>(0)
  let places: Mutex<[Bool]>
  let queues: [DispatchQueue]

  init(
    count: Int, executors: Workers.Executors, sharing: Workers.Sharing, topology: Topology
  ) {
    self.count = count
    self.executors = executors
    self.sharing = sharing
    self.topology = topology
    nodes = topology.nodesOfWorkers(count: count)
    places = Mutex([true] + Array(repeating: false, count: count - 1))
    queues =
      executors == .dispatch && count > 1
      ? topology.nodes.map {
        // A quality of service of its own: long blocks of the default one starve the global queues and tasks.
        DispatchQueue(
          label: "streaming-attention.node\($0.number)", qos: .userInteractive,
          attributes: .concurrent)
      } : []
    unsafe taken = .allocate(capacity: count)
    for worker in 0..<count { unsafe (taken + worker).initialize(to: PaddedAtomic(0)) }
  }

  deinit {
    unsafe taken.deinitialize(count: count)
    unsafe taken.deallocate()
  }

  /// Runs a step as worker 0, or alone where another step is running, nobody else is there or one index is all.
  func run(_ task: StepTask) -> Bool {
    guard count > 1, unsafe task.count > 1, ForkCount.current == forkCount,
      isBusy.value.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    else { return unsafe runAlone(task) }
    unsafe self.task = task
    finished.value.store(0, ordering: .relaxed)
    joined.value.store(0, ordering: .relaxed)
    wasCut.store(false, ordering: .relaxed)
    takenFirst.value.store(0, ordering: .relaxed)
    takenLast.value.store(0, ordering: .relaxed)
    let last = StepWord(rawValue: word.value.load(ordering: .relaxed))
    let next = unsafe StepWord(step: last.step &+ 1, remaining: task.count)
    // Sequentially consistent, as is the look at `parked`: a worker that parks either sees this word or is seen.
    word.value.store(next.rawValue, ordering: .sequentiallyConsistent)
    if live.value.load(ordering: .relaxed) < count - 1 { startMissing() }
    unsafe wake(task.count - 1)
    takeIndices(as: 0)
    unsafe waitForOthers(task.count)
    let isComplete = !wasCut.load(ordering: .relaxed)
    isBusy.value.store(false, ordering: .releasing)
    return isComplete
  }

  private func runAlone(_ task: StepTask) -> Bool {
    var index = 0
    while unsafe index < task.count {
      if unsafe task.isCancelled { return false }
      unsafe task.body(task.context, index, 0)
      index += 1
    }
    unsafe (taken + 0).pointee.value.wrappingAdd(index, ordering: .relaxed)
    return true
  }

  /// Whether a step has indices that nobody has taken.
  var hasWork: Bool {
    StepWord(rawValue: word.value.load(ordering: .sequentiallyConsistent)).remaining > 0
  }

  /// Takes runs of indices until the step has none left, and reports them done.
  func takeIndices(as worker: Int) {
    var done = 0
    var current = StepWord(rawValue: word.value.load(ordering: .acquiring))
    while current.remaining > 0 {
      let run = runLength(current.remaining)
      let (isTaken, found) = word.value.weakCompareExchange(
        expected: current.rawValue, desired: current.taking(run).rawValue,
        successOrdering: .acquiringAndReleasing, failureOrdering: .acquiring)
      guard isTaken else {
        current = StepWord(rawValue: found)
        continue
      }
      // SAFETY: a run of the step is taken and not reported, so the step goes on and its task stands.
      guard let task = unsafe task else { fatalError("a step without a task") }
      if done == 0 { joined.value.wrappingAdd(1, ordering: .releasing) }
      let first = unsafe task.count - current.remaining
      unsafe perform(task, first..<first + run, as: worker)
      done += run
      if sharing == .everyWorkerOnce { waitUntilAllHaveJoined() }
      current = StepWord(rawValue: word.value.load(ordering: .acquiring))
    }
    // The last touch of the step: after it the caller may go on to the next.
    if done > 0 { finished.value.wrappingAdd(done, ordering: .releasing) }
  }

  private func perform(_ task: StepTask, _ indices: Range<Int>, as worker: Int) {
    var index = indices.lowerBound
    while index < indices.upperBound {
      if unsafe task.isCancelled { return cut() }
      let place = unsafe task.hasTwoEnds ? nextPlace(of: task.count, for: worker) : index
      unsafe task.body(task.context, place, worker)
      index += 1
    }
    // SAFETY: `worker` is below `count`, as every place is.
    unsafe (taken + worker).pointee.value.wrappingAdd(indices.count, ordering: .relaxed)
  }

  /// The next index from the worker's end of a step.
  ///
  /// Whoever asks has taken one of the step's `count` indices, so that no more than these are ever asked for: both ends meet.
  private func nextPlace(of count: Int, for worker: Int) -> Int {
    worker & 1 == 0
      ? takenFirst.value.wrappingAdd(1, ordering: .relaxed).oldValue
      : count - 1 - takenLast.value.wrappingAdd(1, ordering: .relaxed).oldValue
  }

  /// Takes all that is left, unperformed.
  private func cut() {
    wasCut.store(true, ordering: .relaxed)
    while true {
      let current = StepWord(rawValue: word.value.load(ordering: .relaxed))
      guard current.remaining > 0 else { return }
      if word.value.compareExchange(
        expected: current.rawValue, desired: current.taking(current.remaining).rawValue,
        ordering: .relaxed
      ).exchanged {
        finished.value.wrappingAdd(current.remaining, ordering: .releasing)
        return
      }
    }
  }

  /// Runs keep neighbouring indices on one worker; they shrink so that all workers end together.
  private func runLength(_ remaining: Int) -> Int {
    sharing == .everyWorkerOnce ? 1 : min(8, max(1, remaining / (8 * count)))
  }

  private func waitForOthers(_ indexCount: Int) {
    var turns = 0
    while finished.value.load(ordering: .acquiring) < indexCount {
      turns += 1
      // Whoever holds an index may be waiting for this very CPU.
      if turns < 4_000 { pauseWhileWaiting() } else { sched_yield() }
    }
  }

  private func waitUntilAllHaveJoined() {
    while joined.value.load(ordering: .acquiring) <= live.value.load(ordering: .relaxed), hasWork {
      sched_yield()
    }
  }

  /// Indices that each worker has taken since the last reset.
  var takenCounts: [Int] {
    (0..<count).map { unsafe taken[$0].value.load(ordering: .relaxed) }
  }

  func resetTakenCounts() {
    for worker in 0..<count { unsafe taken[worker].value.store(0, ordering: .relaxed) }
  }
}

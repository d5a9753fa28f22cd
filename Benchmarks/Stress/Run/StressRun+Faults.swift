import Memory
import StreamingAttention

extension StressRun {
  /// Does something after each of its requests for memory has failed once: whatever was refused must have left the cache
  /// as it was, to the last byte of every page.
  func throughFaults<Value>(
    _ body: () throws(StressError) -> Value
  ) throws(StressError) -> Value {
    let before = subject.cache.fingerprint(includingPages: true)
    var request = 1
    while true {
      let (outcome, isRequested) = Self.failing(request, body)
      guard case .failure(let error) = outcome, error.isOutOfMemory, isRequested else {
        return try outcome.get()
      }
      figures.faultsInjected += 1
      guard subject.cache.fingerprint(includingPages: true) == before else {
        throw .failed("request \(request) for memory was refused (\(error)), and the cache changed")
      }
      try subject.checkBooks()
      figures.checksPassed += 2
      request += 1
    }
  }
  /// Does something, one of whose requests for memory fails; how it ends, and whether it comes to that request.
  static func failing<Value>(
    _ request: Int, _ body: () throws(StressError) -> Value
  ) -> (outcome: Result<Value, StressError>, isRequested: Bool) {
    let faults = AllocationFaults(failing: request)
    let outcome = AllocationFaults.$current.withValue(faults) { Result(catching: body) }
    return (outcome, faults.requestCount >= request)
  }
}

import Testing

@testable import StreamingAttention

@Suite struct RowTests {
  @Test("rows are written by several threads, each once and whole", arguments: [1, 2, 5, 8])
  func rows(workerCount: Int) {
    let threads = ProvidedThreads(count: workerCount)
    for (rowCount, width) in [(0, 3), (1, 1), (7, 5), (100, 16), (33, 1)] {
      var elements = [Float](repeating: 1, count: rowCount * width)
      var span = elements.mutableSpan
      let isComplete = threads.workers.forEachRow(of: &span, rowWidth: width) { row, _, elements in
        for index in elements.indices { elements[index] += Float(row * width + index) }
      }
      #expect(isComplete)
      #expect(elements == (0..<rowCount * width).map { Float($0 + 1) })
    }
  }

  @Test("a buffer that is not whole rows is a bug")
  func notWholeRows() async {
    await #expect(processExitsWith: .failure) {
      var elements: [Float] = [1, 2, 3]
      var span = elements.mutableSpan
      Workers(count: 1).forEachRow(of: &span, rowWidth: 2) { _, _, _ in }
    }
  }
}

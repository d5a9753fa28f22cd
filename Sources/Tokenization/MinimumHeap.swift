/// A binary heap of integers that hands out the least one.
struct MinimumHeap {
  private var elements: [UInt64] = []

  mutating func removeAll() { elements.removeAll(keepingCapacity: true) }

  /// Adds an element; O(log n).
  mutating func insert(_ element: UInt64) {
    var place = elements.count
    elements.append(element)
    while place > 0, element < elements[(place - 1) / 2] {
      elements[place] = elements[(place - 1) / 2]
      place = (place - 1) / 2
    }
    elements[place] = element
  }

  /// Takes out the least element, nil when there is none; O(log n).
  mutating func popLeast() -> UInt64? {
    guard let least = elements.first, let last = elements.popLast() else { return nil }
    guard !elements.isEmpty else { return least }
    var place = 0
    while 2 * place + 1 < elements.count {
      var child = 2 * place + 1
      if child + 1 < elements.count, elements[child + 1] < elements[child] { child += 1 }
      guard elements[child] < last else { break }
      elements[place] = elements[child]
      place = child
    }
    elements[place] = last
    return least
  }
}

import TestSupport
import Testing

@testable import StreamingAttention

@Suite("The tree that joins leaf states")
struct MergeTreeTests {
  /// An expression of leaves, as the order of joining makes it: "((0 1) 2)".
  private typealias Expression = String

  private static func join(_ left: Expression, _ right: Expression) -> Expression {
    "(\(left) \(right))"
  }

  /// The slow twin: a node is its halves joined, or the one of them that holds a leaf.
  private static func twin(_ leaves: [Int], level: Int, index: Int) -> Expression? {
    guard leaves.contains(where: { $0 >> level == index }) else { return nil }
    guard level > 0 else { return "\(index)" }
    let left = twin(leaves, level: level - 1, index: 2 * index)
    let right = twin(leaves, level: level - 1, index: 2 * index + 1)
    guard let left, let right else { return left ?? right }
    return join(left, right)
  }

  private static func twin(_ leaves: [Int]) -> Expression? { twin(leaves, level: 24, index: 0) }

  /// What a tile's sweep does, with expressions for states.
  private static func sweep(_ leaves: [Int]) -> Expression {
    var stack: [(node: MergeNode, state: Expression)] = []
    for leaf in leaves {
      var node = MergeNode(level: 0, index: leaf)
      var state = "\(leaf)"
      var waiting = false
      while !waiting {
        switch node.step(below: stack.last?.node) {
        case .join(let parent):
          state = join(stack.removeLast().state, state)
          node = parent
        case .promote(let parent): node = parent
        case .wait: waiting = true
        }
      }
      stack.append((node, state))
    }
    while stack.count > 1 {
      let right = stack.removeLast().state
      stack[stack.count - 1].state = join(stack[stack.count - 1].state, right)
    }
    return stack[0].state
  }

  /// What workers do with the tiles of a job, arriving in any order.
  private static func tiles(
    _ leaves: [Int], level: Int, using generator: inout SeededGenerator
  ) -> Expression? {
    let span = MergeSpan(
      tileLevel: level, firstTile: leaves[0] >> level, lastTile: leaves[leaves.count - 1] >> level)
    var slots = [Expression?](repeating: nil, count: span.tileCount)
    var counters = [Int](repeating: 0, count: span.innerNodeCount)
    var result: Expression?
    for tile in (span.firstTile...span.lastTile).shuffled(using: &generator) {
      slots[span.slot(height: 0, index: tile)] = sweep(leaves.filter { $0 >> level == tile })
      var (height, index) = (0, tile)
      while height < span.levelCount {
        if span.holds(height: height, index: index ^ 1) {
          let counter = span.counter(height: height + 1, index: index >> 1)
          counters[counter] += 1
          if counters[counter] == 1 { break }
          let left = span.slot(height: height, index: index & ~1)
          let right = span.slot(height: height, index: index | 1)
          if let a = slots[left], let b = slots[right] { slots[left] = join(a, b) }
          counters[counter] = 0
        }
        height += 1
        index >>= 1
      }
      if height == span.levelCount {
        // Exactly one worker comes out at the top.
        guard result == nil else { return nil }
        result = slots[0]
      }
    }
    return counters.allSatisfy { $0 == 0 } ? result : nil
  }

  @Test("any run of leaves is joined as the recursive twin joins it, whoever arrives first")
  func order() {
    var generator = SeededGenerator(seed: 71)
    for first in 0..<18 {
      for count in 1...35 {
        let leaves = Array(first..<first + count)
        let expected = Self.twin(leaves)
        #expect(Self.sweep(leaves) == expected, "\(leaves)")
        for level in 0...5 {
          let tiled = Self.tiles(leaves, level: level, using: &generator)
          #expect(tiled == expected, "\(leaves) in tiles of level \(level)")
        }
      }
    }
  }

  @Test("inner nodes have counters of their own, and states slots of their own")
  func numbering() {
    for first in 0..<20 {
      for last in first..<first + 40 {
        let span = MergeSpan(tileLevel: 3, firstTile: first, lastTile: last)
        var counters: [Int] = []
        for height in stride(from: 1, through: span.levelCount, by: 1) {
          for index in (first >> height)...(last >> height) {
            counters.append(span.counter(height: height, index: index))
            #expect((0..<span.tileCount).contains(span.slot(height: height, index: index)))
          }
        }
        #expect(counters == Array(0..<span.innerNodeCount))
        #expect(first >> span.levelCount == last >> span.levelCount)
      }
    }
  }
}

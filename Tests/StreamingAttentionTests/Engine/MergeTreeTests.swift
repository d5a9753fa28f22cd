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
    var waiting = MergeStack()
    var states: [Expression] = []
    func join() {
      waiting.join()
      let right = states.removeLast()
      states[states.count - 1] = Self.join(states[states.count - 1], right)
    }
    for leaf in leaves {
      while waiting.joinsTop(before: leaf) { join() }
      states.append("\(leaf)")
      waiting.push(leaf)
    }
    while waiting.count > 1 { join() }
    return states[0]
  }

  /// What workers do with the tiles of a job, arriving in any order.
  private static func tiles(
    _ leaves: [Int], level: Int, using generator: inout SeededGenerator
  ) -> Expression? {
    let numbers = Set(leaves.map { $0 >> level }).sorted()
    var slots = [Expression?](repeating: nil, count: numbers.count)
    var counters = [Int](repeating: 0, count: numbers.count - 1)
    var result: Expression?
    for rank in numbers.indices.shuffled(using: &generator) {
      slots[rank] = sweep(leaves.filter { $0 >> level == numbers[rank] })
      var node = MergeNode(tiles: rank..<rank + 1)
      var isLast = true
      while let join = node.join(tileCount: numbers.count, { numbers[$0] }) {
        counters[join.counter] += 1
        if counters[join.counter] == 1 {
          isLast = false
          break
        }
        if let a = slots[join.left], let b = slots[join.right] {
          slots[join.left] = Self.join(a, b)
        }
        counters[join.counter] = 0
        node = join.parent
      }
      if isLast {
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

  @Test("leaves with holes between them are joined at their lowest common node")
  func holes() {
    var generator = SeededGenerator(seed: 72)
    for round in 0..<400 {
      let most = [8, 40, 1 << 12, 1 << 23][round % 4]
      var chosen = Set(
        (0..<generator.integer(in: 1..<24)).map { _ in generator.integer(in: 0..<most) })
      if round % 3 == 0 { chosen.formUnion([0, most - 1]) }
      let leaves = chosen.sorted()
      let expected = Self.twin(leaves)
      #expect(Self.sweep(leaves) == expected, "\(leaves)")
      for level in [0, 1, 3, 9, MergeTree.wholeLevel] {
        let tiled = Self.tiles(leaves, level: level, using: &generator)
        #expect(tiled == expected, "\(leaves) in tiles of level \(level)")
      }
    }
  }

  @Test("a stack of any leaves that can be holds its states")
  func depth() {
    // The worst: every level has a left half that waits.
    let bits = 28
    var leaves: [Int] = []
    for level in stride(from: bits - 1, through: 0, by: -1) {
      leaves.append((leaves.last ?? 0) + (level == bits - 1 ? 0 : 1 << (level + 1)))
    }
    leaves.append((leaves.last ?? 0) + 1)
    var waiting = MergeStack()
    var most = 0
    for leaf in leaves {
      while waiting.joinsTop(before: leaf) { waiting.join() }
      waiting.push(leaf)
      most = max(most, waiting.count)
    }
    #expect(most == bits + 1 && most <= MergeStack.mostStates)
  }
}

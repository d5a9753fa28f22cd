/// Which pages of a sequence are kept when there are to be fewer.
public struct EvictionPolicy: Sendable {
  /// Takes the live pages, oldest first, and how many are to be left; gives the indices of those to keep.
  ///
  /// Protected pages are kept whether it names them or not, and count among those that are left.
  public typealias Choice = @Sendable (_ pages: [CachedPage], _ count: Int) -> [Int]

  let choice: Choice

  /// A policy of one's own.
  public init(keeping choice: @escaping Choice) { self.choice = choice }

  /// The newest pages.
  public static let recent = EvictionPolicy { pages, count in
    best(of: pages, count: count) { Double($0) }
  }

  /// Half of what is left are the newest pages, the rest those that have had most attention in all steps that noted it.
  ///
  /// Zhang et al. 2023, arXiv:2306.14048 (H2O), §4, algorithm 1: by pages in place of tokens, and for all heads of a page table
  /// together in place of each head.
  public static let heavyHitters = EvictionPolicy { pages, count in
    let recent = pages.count - min((count + 1) / 2, pages.count)
    return best(of: pages, count: count) { index in
      index >= recent ? .infinity : pages[index].mass
    }
  }

  /// The pages that had most attention in the latest step that noted it, each with the most of its neighbours'.
  ///
  /// Li et al. 2024, arXiv:2404.14469 (SnapKV), §4: the rows of that step are the observation window, and scores are pooled by their
  /// maximum so that what surrounds a hit stays; by pages in place of tokens, for all heads of a page table together.
  public static let observationWindow = observationWindow(pooling: 1)

  /// As ``observationWindow``, each page with the most attention among `pooling` neighbours on either side.
  public static func observationWindow(pooling: Int) -> EvictionPolicy {
    EvictionPolicy { pages, count in
      best(of: pages, count: count) { index in
        let reach = min(max(pooling, 0), pages.count)
        var most = 0.0
        for near in max(index - reach, 0)...min(index + reach, pages.count - 1) {
          most = max(most, pages[near].latestMass)
        }
        return most
      }
    }
  }

  /// The protected pages, and those with the highest scores until there are `count`; of equal ones the newer.
  private static func best(
    of pages: [CachedPage], count: Int, _ score: (Int) -> Double
  ) -> [Int] {
    let scores = pages.indices.map { pages[$0].isProtected ? .infinity : score($0) }
    let ranked = pages.indices.sorted { left, right in
      if pages[left].isProtected != pages[right].isProtected { return pages[left].isProtected }
      return scores[left] == scores[right] ? left > right : scores[left] > scores[right]
    }
    return Array(ranked.prefix(max(count, 0)))
  }
}

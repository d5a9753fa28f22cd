/// How positions enter the scores.
package enum PositionKind: String, Sendable, CaseIterable {
  case none
  case rope
  case alibi
  case ropeAndALiBi = "rope+alibi"

  package var turns: Bool { self == .rope || self == .ropeAndALiBi }
  package var isBiased: Bool { self == .alibi || self == .ropeAndALiBi }
}

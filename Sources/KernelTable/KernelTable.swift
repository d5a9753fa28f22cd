/// What every instruction set provides: one C function that runs the operation asked for.
///
/// One C function and no context, so a call neither retains nor allocates, and an instruction-set module has no weak
/// symbol: closures and `@convention(c)` thunks of Swift functions would be ones. Kernels check nothing; the callers
/// (`Plan`, the slot writer, the linear layer) have checked every shape and length.
@safe package struct KernelTable: Sendable, BitwiseCopyable {
  /// (raw value of a `KernelOperation`, address of its task).
  package typealias Function = @convention(c) (UInt8, UnsafeRawPointer) -> Void

  let run: Function

  package init(_ run: @escaping Function) { unsafe self.run = run }

  /// Computes the softmax state of some rows over one leaf.
  package func attend(_ task: UnsafePointer<LeafTask>) {
    unsafe run(KernelOperation.attend.rawValue, task)
  }

  /// Merges softmax states.
  package func merge(_ task: UnsafePointer<MergeTask>) {
    unsafe run(KernelOperation.merge.rawValue, task)
  }

  /// Writes the outputs of complete softmax states.
  package func writeOutputs(_ task: UnsafePointer<OutputTask>) {
    unsafe run(KernelOperation.writeOutputs.rawValue, task)
  }

  /// Writes keys and values into a page.
  package func writeSlots(_ task: UnsafePointer<SlotTask>) {
    unsafe run(KernelOperation.writeSlots.rawValue, task)
  }

  /// Multiplies packed rows with packed panels.
  package func multiply(_ task: UnsafePointer<PanelTask>) {
    unsafe run(KernelOperation.multiply.rawValue, task)
  }

  /// Brings f32 rows into the form that `multiply` reads.
  package func packRows(_ task: UnsafePointer<PackTask>) {
    unsafe run(KernelOperation.packRows.rawValue, task)
  }

  /// Brings up to 64 f32 rows of a weight matrix into one panel.
  package func packPanel(_ task: UnsafePointer<PackTask>) {
    unsafe run(KernelOperation.packPanel.rawValue, task)
  }

  /// Root-mean-square normalisation of one row.
  package func normalize(_ task: UnsafePointer<NormalizeTask>) {
    unsafe run(KernelOperation.normalize.rawValue, task)
  }

  /// silu(gate) · up of one row.
  package func gate(_ task: UnsafePointer<GateTask>) {
    unsafe run(KernelOperation.gate.rawValue, task)
  }

  /// Layer normalisation of one row.
  package func standardize(_ task: UnsafePointer<StandardizeTask>) {
    unsafe run(KernelOperation.standardize.rawValue, task)
  }

  /// GELU of one row.
  package func gelu(_ task: UnsafePointer<GELUTask>) {
    unsafe run(KernelOperation.gelu.rawValue, task)
  }

  /// Reads or computes as fast as the instruction set can.
  package func probe(_ task: UnsafePointer<ProbeTask>) {
    unsafe run(KernelOperation.probe.rawValue, task)
  }

  /// Brings f32 rows into the codes that `multiplyCodes` reads.
  package func quantizeRows(_ task: UnsafePointer<QuantizeTask>) {
    unsafe run(KernelOperation.quantizeRows.rawValue, task)
  }

  /// Brings codes and factors of up to 32 outputs into one panel.
  package func packCodes(_ task: UnsafePointer<PackCodesTask>) {
    unsafe run(KernelOperation.packCodes.rawValue, task)
  }

  /// Multiplies quantised rows with panels of codes.
  package func multiplyCodes(_ task: UnsafePointer<CodeTask>) {
    unsafe run(KernelOperation.multiplyCodes.rawValue, task)
  }

  /// Quantises a plain page.
  package func quantizePage(_ task: UnsafeMutablePointer<CodedPageTask>) {
    unsafe run(KernelOperation.quantizePage.rawValue, task)
  }

  /// Widens a quantised page to a plain one.
  package func widenPage(_ task: UnsafePointer<CodedPageTask>) {
    unsafe run(KernelOperation.widenPage.rawValue, task)
  }
}

/// The operations of a `KernelTable`, with the task that each one takes.
package enum KernelOperation: UInt8, Sendable, BitwiseCopyable {
  /// `LeafTask`.
  case attend
  /// `MergeTask`.
  case merge
  /// `OutputTask`.
  case writeOutputs
  /// `SlotTask`.
  case writeSlots
  /// `PanelTask`.
  case multiply
  /// `PackTask`.
  case packRows
  /// `PackTask`.
  case packPanel
  /// `NormalizeTask`.
  case normalize
  /// `GateTask`.
  case gate
  /// `StandardizeTask`.
  case standardize
  /// `GELUTask`.
  case gelu
  /// `ProbeTask`.
  case probe
  /// `QuantizeTask`.
  case quantizeRows
  /// `PackCodesTask`.
  case packCodes
  /// `CodeTask`.
  case multiplyCodes
  /// `CodedPageTask`, which gets its errors.
  case quantizePage
  /// `CodedPageTask`.
  case widenPage
}

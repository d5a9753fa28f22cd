package import KernelTable

/// The kernels of this module's instruction set.
///
/// Call only after the CPUID check.
package func kernelTable() -> KernelTable { KernelTable(runKernel) }

/// The one function of the module that others call, by a C name of its own.
#if KERNELS_AVX512BF16
@c(attention_kernel_avx512bf16)
#elseif KERNELS_AVX512
@c(attention_kernel_avx512)
#elseif KERNELS_AVX2
@c(attention_kernel_avx2)
#else
@c(attention_kernel_baseline)
#endif
func runKernel(_ operation: UInt8, _ task: UnsafeRawPointer) {
  switch operation {
  case KernelOperation.attend.rawValue:
    attendLeaf(task.assumingMemoryBound(to: LeafTask.self))
  case KernelOperation.merge.rawValue:
    mergeStates(task.assumingMemoryBound(to: MergeTask.self))
  case KernelOperation.writeOutputs.rawValue:
    writeOutputs(task.assumingMemoryBound(to: OutputTask.self))
  case KernelOperation.writeSlots.rawValue:
    writePageSlots(task.assumingMemoryBound(to: SlotTask.self))
  case KernelOperation.multiply.rawValue:
    multiplyPanels(task.assumingMemoryBound(to: PanelTask.self))
  case KernelOperation.packRows.rawValue:
    packLeftRows(task.assumingMemoryBound(to: PackTask.self))
  case KernelOperation.packPanel.rawValue:
    packWeightPanel(task.assumingMemoryBound(to: PackTask.self))
  case KernelOperation.normalize.rawValue:
    normalizeRow(task.assumingMemoryBound(to: NormalizeTask.self))
  case KernelOperation.standardize.rawValue:
    standardizeRow(task.assumingMemoryBound(to: StandardizeTask.self))
  case KernelOperation.gelu.rawValue:
    geluRow(task.assumingMemoryBound(to: GELUTask.self))
  case KernelOperation.probe.rawValue:
    runProbe(task.assumingMemoryBound(to: ProbeTask.self))
  case KernelOperation.quantizeRows.rawValue:
    quantizeRows(task.assumingMemoryBound(to: QuantizeTask.self))
  case KernelOperation.packCodes.rawValue:
    packCodes(task.assumingMemoryBound(to: PackCodesTask.self))
  case KernelOperation.multiplyCodes.rawValue:
    multiplyCodes(task.assumingMemoryBound(to: CodeTask.self))
  case KernelOperation.quantizePage.rawValue:
    quantizePage(
      UnsafeMutableRawPointer(mutating: task).assumingMemoryBound(to: CodedPageTask.self))
  case KernelOperation.widenPage.rawValue:
    widenCodedPage(task.assumingMemoryBound(to: CodedPageTask.self))
  default:
    gateRow(task.assumingMemoryBound(to: GateTask.self))
  }
}

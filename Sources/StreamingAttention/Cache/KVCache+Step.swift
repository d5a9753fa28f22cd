extension KVCache {
  /// Reserves slots for all requests in all layers, or none.
  ///
  /// All copying, committing and refusing of a step happens here. Afterwards page tables show the new slots,
  /// each layer writes its own, and `commit` or `abandon` ends the step. In the steady state, a token in a
  /// page that has room, nothing is allocated.
  ///
  /// - Throws: ``CacheError``, with the cache as it was.
  package func reserve(_ requests: [SlotRequest]) throws(CacheError) -> Reservation {
    guard !isStepInProgress else { throw .stepInProgress }
    do throws(CacheError) {
      try admit(requests)
      for state in stepSequences {
        for table in state.tables {
          try table.reserve(
            state.reservedTokens, token: state.length, at: state.nextPosition, from: &budget)
          if table.changesForm { try rewriter.coder.prepare() }
        }
      }
    } catch {
      undoStep()
      throw refusal(error, of: requests)
    }
    widenPages()
    step += 1
    isStepInProgress = true
    return Reservation(step: step)
  }

  /// Makes the slots of the step live; pages that are no longer among the newest are quantised where their layers are, and those
  /// that have left every window are given back.
  ///
  /// - Precondition: The step is in progress.
  package func commit(_ reservation: Reservation) {
    precondition(isStepInProgress && reservation.step == step)
    for state in stepSequences { for table in state.tables { encodePages(of: table) } }
    finish()
  }

  /// As ``commit(_:)``, for pages that nobody has written yet: whoever does writes those in codes as codes.
  package func commitUnwritten(_ reservation: Reservation) {
    precondition(isStepInProgress && reservation.step == step)
    finish()
  }

  private func encodePages(of table: PageTable) {
    for index in 0..<table.codes.count {
      let code = table.codes[index]
      let entry = table.entries[code.entry]
      rewriter.coder.encode(
        entry.page, to: code.target, slots: Int(entry.firstSlot)..<Int(entry.endSlot),
        in: table.pool, kernels: rewriter.pageKernels)
    }
  }

  /// Widens the pages that tokens of the step go to, where they are in codes.
  private func widenPages() {
    for state in stepSequences {
      for table in state.tables {
        guard let widening = table.widening else { continue }
        rewriter.coder.widen(
          widening.source, to: widening.target, in: table.pool, kernels: rewriter.pageKernels)
      }
    }
  }

  private func finish() {
    budget.largestFormula = max(budget.largestFormula, formulaBytes)
    for state in stepSequences {
      state.length += state.reservedTokens
      state.nextPosition += state.reservedTokens
      for table in state.tables {
        let isCopied = table.commit(
          nextPosition: state.nextPosition, pins: state.pins, to: &budget)
        if isCopied { counters.copies += 1 }
      }
    }
    endStep()
  }

  /// Takes the step back: tables and memory are as if it had never been reserved.
  ///
  /// - Precondition: The step is in progress.
  package func abandon(_ reservation: Reservation) {
    precondition(isStepInProgress && reservation.step == step)
    undoStep()
  }

  /// Checks the requests and the memory that they need at least, and marks their sequences.
  private func admit(_ requests: [SlotRequest]) throws(CacheError) {
    var needed = formulaBytes
    budget.largestFormula = max(budget.largestFormula, needed)
    for pool in pools { pool.beginThinning() }
    for request in requests {
      let state = try state(of: request.sequence)
      guard !state.isInStep else { throw .repeatedSequence(request.sequence) }
      guard request.tokenCount >= 0 else {
        throw .invalidTokenCount(received: request.tokenCount)
      }
      guard request.tokenCount <= SequenceState.maximumPosition - state.nextPosition + 1 else {
        let (last, overflow) = state.nextPosition.addingReportingOverflow(request.tokenCount - 1)
        throw .positionOutOfRange(received: overflow ? .max : last, allowed: Self.positions)
      }
      state.isInStep = true
      state.reservedTokens = request.tokenCount
      stepSequences.append(state)
      for table in state.tables {
        table.begin()
        needed += table.newSets(for: request.tokenCount) * table.pool.setBytes
      }
    }
    guard needed <= memoryLimit else {
      throw .outOfMemory(needed: needed, allowed: memoryLimit)
    }
    budget.stepFormula = needed
  }

  /// The error of a step that has been taken back: one for want of memory names what the whole step needs.
  private func refusal(_ error: CacheError, of requests: [SlotRequest]) -> CacheError {
    guard case .outOfMemory(let needed, let allowed) = error else { return error }
    var newSets = [Int](repeating: 0, count: pools.count)
    for request in requests {
      guard let state = try? state(of: request.sequence) else { continue }
      for table in state.tables {
        newSets[table.pool.number] += table.newSets(for: request.tokenCount)
      }
    }
    let least = pools.reduce(0) { $0 + $1.leastCommittedBytes(adding: newSets[$1.number]) }
    return .outOfMemory(needed: max(needed, least), allowed: allowed)
  }

  private func undoStep() {
    for state in stepSequences.reversed() {
      for table in state.tables.reversed() { table.undo(to: &budget) }
    }
    endStep()
  }

  private func endStep() {
    for state in stepSequences {
      state.reservedTokens = 0
      state.isInStep = false
    }
    stepSequences.removeAll(keepingCapacity: true)
    isStepInProgress = false
  }
}

internal import Models
public import StreamingAttention
internal import Tokenization

/// Sessions that outlive their process.
extension Session {
  /// Saves the session: its tokens, its cache, and where its random choices are.
  ///
  /// A later call for the same path writes what has changed. See `SnapshotStore` for the files, and for what a process that is
  /// killed meanwhile leaves.
  ///
  /// - Parameters:
  ///   - path: The snapshot.
  ///   - replacesOthers: Whether a snapshot may be replaced that this session was not saved in or restored from last; if not,
  ///     one that another process has saved meanwhile is not lost.
  /// - Returns: What was written.
  /// - Throws: ``GenerationError/snapshot(_:)``; the last complete snapshot is still there then.
  @discardableResult
  public func save(
    to path: String, replacesOthers: Bool = true
  ) throws(GenerationError) -> SnapshotReport {
    let state = SessionState(
      maximumContext: maximumContext, fingerprint: model.fingerprint,
      isConversation: isConversation, seed: sampler.sampling.seed,
      randomState: sampler.randomState, heldBytes: assembler.heldBytes, readCount: readCount,
      tokens: tokens)
    do throws(SnapshotError) {
      let store = try store(at: path)
      self.store = store
      return try store.save(
        decoder.cache, sequences: [sequence], attachment: state.bytes,
        replacesOthers: replacesOthers)
    } catch {
      throw GenerationError(error)
    }
  }

  /// Throws what would keep `save` from beginning, as a folder that cannot be written; nothing is left behind.
  ///
  /// - Parameters:
  ///   - path: The snapshot.
  ///   - replacesOthers: As `save` is to be called.
  /// - Throws: ``GenerationError/snapshot(_:)``.
  public func checkSaving(
    to path: String, replacesOthers: Bool = true
  ) throws(GenerationError) {
    do throws(SnapshotError) {
      try store(at: path).checkSaving(replacesOthers: replacesOthers)
    } catch {
      throw GenerationError(error)
    }
  }

  /// The one that knows what is there, if the session was last saved or restored there.
  private func store(at path: String) throws(SnapshotError) -> SnapshotStore {
    if let store, store.path == path { return store }
    return try SnapshotStore(path: path)
  }

  /// Takes the place of another session that was saved: its tokens, its cache, and where its random choices were.
  ///
  /// What is generated next has the bits that it would have had there, on the same instruction set. Random choices go on where
  /// they were if the seed is the same; otherwise they begin anew.
  ///
  /// - Returns: What was read.
  /// - Throws: ``GenerationError``, with the session as it was: `snapshot` for a file that is missing, damaged or
  ///   made for another cache, `notSession`, `otherModel`, `otherFrequencies`, `contextExceeded`.
  @discardableResult
  public func restore(from path: String) throws(GenerationError) -> SnapshotReport {
    let store: SnapshotStore
    let attachment: [UInt8]
    do throws(SnapshotError) {
      store = try SnapshotStore(path: path)
      attachment = try store.attachment()
    } catch {
      throw GenerationError(error)
    }
    // Another model is refused before its pages are read.
    let saved = try state(in: attachment, path)
    let restored: RestoredSnapshot
    do throws(SnapshotError) {
      restored = try store.restore(into: decoder.cache, workers: decoder.engine.workers)
    } catch {
      let context = saved.maximumContext
      if case .frequencies = error, context > 0, context != maximumContext {
        throw .otherFrequencies(path: path, received: context, allowed: maximumContext)
      }
      throw GenerationError(error)
    }
    do throws(GenerationError) {
      try take(try state(in: restored.attachment, path), restored.sequences, path)
    } catch {
      for sequence in restored.sequences { try? decoder.cache.drop(sequence) }
      throw error
    }
    self.store = store
    return restored.report
  }

  /// What the bytes say, if it fits the model and the context.
  private func state(in bytes: [UInt8], _ path: String) throws(GenerationError) -> SessionState {
    guard let state = SessionState(bytes, vocabularySize: model.vocabularySize) else {
      throw .notSession(path: path)
    }
    guard state.fingerprint == model.fingerprint else { throw .otherModel(path: path) }
    guard state.tokens.count <= maximumContext else {
      throw .contextExceeded(received: state.tokens.count, allowed: maximumContext)
    }
    return state
  }

  /// Goes on as the state and its sequence say; throws with nothing changed.
  private func take(
    _ state: SessionState, _ sequences: [SequenceID], _ path: String
  ) throws(GenerationError) {
    let cache = decoder.cache
    guard sequences.count == 1, (try? cache.length(of: sequences[0])) == state.readCount else {
      throw .notSession(path: path)
    }
    var readCount = state.readCount
    if readCount > 0, readCount == state.tokens.count {
      // The logits of the last token were never asked for, and are gone: it is read again.
      readCount -= 1
      do throws(CacheError) { try cache.truncate(sequences[0], to: readCount) } catch {
        throw .snapshot(.cache(error))
      }
    }
    var sampler = Sampler(sampler.sampling, vocabularyCount: model.vocabularySize)
    do throws(SamplingError) { try sampler.observe(contentsOf: state.tokens) } catch {
      throw .sampling(error)
    }
    if sampler.sampling.seed == state.seed { sampler.resume(from: state.randomState) }
    self.sampler = sampler
    try? cache.drop(sequence)
    sequence = sequences[0]
    (tokens, self.readCount, isConversation) = (state.tokens, readCount, state.isConversation)
    figures = GenerationFigures()
    (stream, pendingRow) = (nil, nil)
    assembler = UTF8Assembler()
    _ = assembler.append(state.heldBytes)
  }
}

extension GenerationError {
  init(_ error: SnapshotError) { self = error == .cancelled ? .cancelled : .snapshot(error) }
}

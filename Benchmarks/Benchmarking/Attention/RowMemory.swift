import Memory

/// Memory for queries, outputs and appended rows, which are arrays: what an array cannot have ends the process.
enum RowMemory {
  /// Throws where the system would not hand out so many numbers of f32 now.
  ///
  /// It is asked for all of them and given them back, so that limits of the process count as well.
  static func demand(_ numbers: Int) throws(BenchmarkError) {
    do throws(MemoryError) { _ = try Buffer<Float>(count: numbers) } catch {
      throw .memory(error)
    }
  }
}

import Benchmarking

/// The benchmark without the command around it.
@main
enum Benchmark {
  static func main() {}
}

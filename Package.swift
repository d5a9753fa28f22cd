// swift-tools-version: 6.3
import PackageDescription

/// Every Swift target but the kernel modules: strict memory safety, warnings are errors.
let strict: [SwiftSetting] = [
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

/// The tile kernels: one source folder, one module per instruction set (a symlinked folder each).
///
/// `-march` names a portable level, never a CPU, so that the CPUID check covers every instruction used.
func kernels(_ name: String, _ flags: [String]) -> Target {
  .target(
    name: "Kernels\(name)",
    dependencies: ["CKernelShim", "KernelTable"],
    swiftSettings: [
      .define("KERNELS_\(name.uppercased())"),
      .enableUpcomingFeature("InternalImportsByDefault"),
      .treatAllWarnings(as: .error),
      // Vector arguments of always-inlined shim functions have no ABI that could change.
      .unsafeFlags(["-Ounchecked"] + (flags + ["-Wno-psabi"]).flatMap { ["-Xcc", $0] }),
    ])
}

#if arch(x86_64)
let kernelTargets = [
  kernels("Baseline", ["-mprefer-vector-width=128"]),
  kernels("AVX2", ["-march=x86-64-v3", "-mprefer-vector-width=256"]),
  kernels("AVX512", ["-march=x86-64-v4", "-mprefer-vector-width=512"]),
  kernels(
    "AVX512BF16",
    ["-march=x86-64-v4", "-mavx512vnni", "-mavx512bf16", "-mprefer-vector-width=512"]),
]
#else
let kernelTargets = [kernels("Baseline", [])]
#endif
let kernelNames = kernelTargets.map { Target.Dependency(stringLiteral: $0.name) }

func tests(_ module: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .testTarget(
    name: "\(module)Tests", dependencies: ["TestSupport"] + dependencies, swiftSettings: strict)
}

let package = Package(
  name: "streaming-attention",
  products: [
    .library(name: "StreamingAttention", targets: ["StreamingAttention"]),
    .library(
      name: "StreamingGeneration",
      targets: ["StreamingGeneration", "Generation", "Models", "Tokenization", "ModelFiles"]),
    .executable(name: "attend", targets: ["attend"]),
  ],
  targets: kernelTargets + [
    .target(name: "CNUMA"),
    .target(name: "CKernelShim"),
    .target(name: "KernelTable", swiftSettings: strict),
    .target(name: "Memory", dependencies: ["CNUMA"], swiftSettings: strict),
    .target(
      name: "StreamingAttention",
      dependencies: ["CKernelShim", "KernelTable", "Memory"] + kernelNames,
      swiftSettings: strict),
    .target(name: "ModelFiles", dependencies: ["Memory"], swiftSettings: strict),
    .target(name: "Tokenization", dependencies: ["ModelFiles"], swiftSettings: strict),
    .target(
      name: "Models", dependencies: ["Memory", "StreamingAttention", "ModelFiles"],
      swiftSettings: strict),
    .target(
      name: "Generation",
      dependencies: ["StreamingAttention", "ModelFiles", "Tokenization", "Models"],
      swiftSettings: strict),
    .target(
      name: "StreamingGeneration",
      dependencies: ["StreamingAttention", "ModelFiles", "Tokenization", "Models", "Generation"],
      swiftSettings: strict),
    .executableTarget(
      name: "attend",
      dependencies: [
        "Memory", "StreamingAttention", "ModelFiles", "Tokenization", "Models", "Generation",
        "Benchmarking", "Stress",
      ],
      swiftSettings: strict),

    .target(
      name: "Benchmarking",
      dependencies: ["KernelTable", "Memory", "StreamingAttention", "ModelFiles", "Models"],
      path: "Benchmarks/Benchmarking", swiftSettings: strict),
    .target(
      name: "Stress",
      dependencies: ["Benchmarking", "Generation", "Memory", "ModelFiles", "StreamingAttention"],
      path: "Benchmarks/Stress", swiftSettings: strict),
    .executableTarget(
      name: "Benchmark", dependencies: ["Benchmarking", "Memory", "StreamingAttention"],
      path: "Benchmarks/Benchmark",
      swiftSettings: strict),

    .target(name: "CAllocationCount", path: "Tests/Support/CAllocationCount"),
    .target(
      name: "TestSupport", dependencies: ["CAllocationCount"], path: "Tests/Support",
      exclude: ["CAllocationCount"],
      swiftSettings: strict + [.unsafeFlags(["-O"])]),
    .executableTarget(
      name: "NUMACheck", dependencies: ["StreamingAttention", "Memory"], path: "Tests/NUMACheck",
      swiftSettings: strict),
    tests("Support"),
    tests(
      "attend", ["attend", "Benchmarking", "Memory", "ModelFiles", "StreamingAttention", "Stress"]),
    tests("Tokenization", ["Tokenization", "ModelFiles"]),
    tests("ModelFiles", ["ModelFiles", "Memory"]),
    tests(
      "Generation",
      ["Generation", "ModelFiles", "Models", "StreamingAttention", "Tokenization"]),
    tests("Memory", ["Memory"]),
    tests("Command", ["attend", "Benchmark", "ModelFiles", "Tokenization"]),
    tests("Models", ["Models", "ModelFiles", "StreamingAttention"]),
    tests(
      "Benchmarking", ["Benchmarking", "KernelTable", "Memory", "Models", "StreamingAttention"]),
    tests("Stress", ["Stress", "Benchmarking", "Generation", "KernelTable", "StreamingAttention"]),
    tests("StreamingAttention", ["StreamingAttention", "KernelTable", "Memory", "CKernelShim"]),
  ]
)

// A build that tools/test makes for some of the test modules leaves out what none of them needs.
if let tests = Context.environment["STREAMING_ATTENTION_TESTS"] {
  var (names, needed) = (tests.split(separator: " ").map(String.init), Set<String>())
  while let name = names.popLast() {
    guard needed.insert(name).inserted else { continue }
    guard let target = package.targets.first(where: { $0.name == name }) else {
      fatalError("STREAMING_ATTENTION_TESTS: no target is called '\(name)'")
    }
    for case .byNameItem(let name, _) in target.dependencies { names.append(name) }
  }
  package.targets.removeAll { !needed.contains($0.name) }
  package.products = []
}

import Models
import StreamingAttention
import Testing

@testable import Benchmarking

@Suite("Options of the benchmark")
struct OptionTests {
  private func options(
    _ mode: String? = nil, _ argument: String? = nil, _ values: [String: String] = [:]
  ) throws(BenchmarkError) -> BenchmarkOptions {
    try BenchmarkOptions(
      mode: mode, argument: argument, values: values, threads: 2, instructionSet: .detected)
  }

  @Test(
    "the default run is decode and prefill of 128 rows at 128K and 256K, three types, three encodings"
  )
  func defaults() throws {
    let options = try options()
    #expect(options.mode == nil)
    #expect(options.contexts == [ContextMix(131_072), ContextMix(262_144)])
    #expect(options.types.map(\.name) == ["f32", "f16", "bf16"])
    #expect(options.positions == [.none, .rope, .alibi])
    #expect(options.queryLengths == [128])
    #expect(options.shape == AttentionShape(queryHeads: 32, kvHeads: 8, headDimension: 128))
    #expect(options.threads == [2])
    #expect(options.alibiEpsilon == nil)
  }

  @Test("quantised types are read as others are")
  func codes() throws {
    let read = try options(
      "decode", nil, ["--key-type": "int8,int4,f16", "--value-type": "int4,int4,bf16"])
    #expect(read.types.map(\.name) == ["int8/int4", "int4", "f16/bf16"])
    #expect(try options("append", nil, ["--key-type": "int8"]).types.map(\.name) == ["int8"])
  }

  @Test("every option is read")
  func everything() throws {
    let options = try options(
      nil, nil,
      [
        "--context": "4096,128K,31*1K+128K", "--query-heads": "12", "--kv-heads": "4",
        "--head-dimension": "80", "--key-type": "f16,bf16", "--value-type": "f32",
        "--position": "rope,rope+alibi", "--threads": "1,2", "--query-length": "1,64",
        "--instruction-set": "baseline", "--alibi-epsilon": "1e-6", "--anchor-run": "512",
        "--key-rotation": "in-tile",
        "--repeat": "7", "--attempts": "2", "--seed": "18446744073709551615",
      ])
    #expect(options.contexts.map(\.description) == ["4096", "131072", "31*1024+131072"])
    #expect(options.contexts[2].lengths.count == 32)
    #expect(options.contexts[2].largest == 131_072)
    #expect(options.contexts[2].total == 31 * 1_024 + 131_072)
    #expect(options.shape == AttentionShape(queryHeads: 12, kvHeads: 4, headDimension: 80))
    #expect(options.types.map(\.name) == ["f16/f32", "bf16/f32"])
    #expect(options.positions == [.rope, .ropeAndALiBi])
    #expect(options.threads == [1, 2])
    #expect(options.queryLengths == [1, 64])
    #expect(options.instructionSets == [.baseline])
    #expect(options.alibiEpsilon == 1e-6)
    #expect(options.anchorRun == 512)
    #expect(options.keyRotation == .inTile)
    #expect(options.repeats == 7)
    #expect(options.attempts == 2)
    #expect(options.seed == .max)
  }

  @Test("keys that are not stored turned are asked for with a rotation, unless they are plain")
  func keyRotation() throws {
    #expect(try options("decode").keyRotation == .stored)
    #expect(try options("decode", nil, ["--key-rotation": "old-epoch"]).positions == [.rope])
    let plain = try options("decode", nil, ["--key-rotation": "in-tile", "--keys": "plain"])
    #expect(plain.positions == [.none, .rope, .alibi])
  }

  @Test("a batch multiplies the sequences of every context")
  func batch() throws {
    let options = try options("decode", nil, ["--context": "4K,2*1K+2K", "--batch": "32"])
    #expect(options.contexts.map(\.description) == ["32*4096", "64*1024+32*2048"])
  }

  @Test(
    "shapes of models by name, and parts of them in place",
    arguments: AttentionShape.named.map { ($0.name, $0.shape) })
  func shapes(name: String, shape: AttentionShape) throws {
    #expect(try options("decode", nil, ["--shape": name]).shape == shape)
    var wider = shape
    wider.headDimension = 96
    let changed = try options("decode", nil, ["--shape": name, "--head-dimension": "96"])
    #expect(changed.shape == wider)
  }

  @Test("the shapes of known models are those of their configuration files")
  func knownShapes() {
    let shapes = AttentionShape.named.map {
      "\($0.name) \($0.shape.queryHeads)/\($0.shape.kvHeads)×\($0.shape.headDimension)"
    }
    #expect(
      shapes == [
        "llama-3-8b 32/8×128", "mistral-7b 32/8×128", "smollm2-135m 9/3×64", "gemma-3-270m 4/1×256",
        "qwen2.5-7b 28/4×128", "bloom-7b1 32/32×128", "mpt-7b 32/32×128",
      ])
  }

  @Test("prefill and model have defaults of their own")
  func modes() throws {
    let prefill = try options("prefill")
    #expect(prefill.contexts == [ContextMix(8_192), ContextMix(16_384)])
    #expect(prefill.queryLengths == [2_048])
    let model = try options("model", "m.gguf")
    #expect(model.argument == "m.gguf")
    #expect(model.depths == [0, 8_192, 32_768, 131_072])
    #expect(model.queryLengths == [1, 512])
    let short = try options(
      "model", "m.gguf", ["--depth": "0,8K", "--prompt-length": "0", "--weight-type": "f32"])
    #expect(short.depths == [0, 8_192])
    #expect(short.queryLengths == [1])
    #expect(short.weightType == .float32)
    // As tools/compare-peers asks for one operation at one depth.
    let single = try options("model", "m.gguf", ["--context": "32768", "--query-length": "512"])
    let long = try options("model", "m.gguf", ["--prompt-length": "1M"])
    #expect(long.queryLengths == [1, 1 << 20])
    #expect(single.depths == [32_768])
    #expect(single.queryLengths == [512])
  }

  @Test(
    "what is not allowed is named, with what is",
    arguments: [
      (nil, ["--context": "0"], "--context"), (nil, ["--context": "4096,"], "--context"),
      (nil, ["--context": "65M"], "--context"), (nil, ["--context": "0*4K"], "--context"),
      (nil, ["--context": "4K*2"], "--context"), (nil, ["--shape": "gpt-2"], "--shape"),
      (nil, ["--query-heads": "31"], "--query-heads"), (nil, ["--kv-heads": "0"], "--kv-heads"),
      (nil, ["--head-dimension": "1"], "--head-dimension"),
      (nil, ["--key-type": "f8"], "--key-type"),
      (nil, ["--key-type": "f16", "--value-type": "f16,f32"], "--value-type"),
      (nil, ["--position": "learned"], "--position"), (nil, ["--threads": "0"], "--threads"),
      (nil, ["--query-length": "200000"], "--query-length"),
      (nil, ["--instruction-set": "sse"], "--instruction-set"),
      (nil, ["--alibi-epsilon": "0.5"], "--alibi-epsilon"),
      (nil, ["--alibi-epsilon": "nan"], "--alibi-epsilon"),
      (nil, ["--key-rotation": "turned"], "--key-rotation"),
      ("limits", ["--key-rotation": "in-tile"], "--key-rotation"),
      ("fork-join", ["--context": "4K"], "--context"), ("limits", ["--repeat": "3"], "--repeat"),
      ("edits", ["--position": "alibi"], "--position"),
      ("append", ["--alibi-epsilon": "0"], "--alibi-epsilon"),
      ("decode", ["--key-rotation": "old-epoch", "--position": "none,rope"], "--position"),
      (nil, ["--anchor-run": "100"], "--anchor-run"), (nil, ["--repeat": "0"], "--repeat"),
      (nil, ["--seed": "-1"], "--seed"), (nil, ["--depth": "8K"], "--depth"),
      ("decode", ["--model": "m.gguf"], "--model"), ("sweep", [:], "mode"),
      ("model", [:], "MODEL"), ("compare", [:], "FILE"),
      ("decode", ["--context": "4096*64M", "--batch": "4096"], "--context"),
      ("append", ["--context": "4096*1", "--batch": "4096", "--repeat": "1000000"], "--context"),
      ("decode", ["--query-length": "64"], "--query-length"),
      ("edits", ["--context": "4*2K"], "--context"),
      ("forks", ["--context": "4*2K+1K"], "--context"),
    ] as [(String?, [String: String], String)])
  func refused(mode: String?, values: [String: String], name: String) {
    let error = #expect(throws: BenchmarkError.self) { try options(mode, nil, values) }
    guard case .option(let received, _, let allowed) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(received == name)
    #expect(!allowed.isEmpty)
  }

  @Test(
    "two names for one thing are refused together, and what a file of figures says is not asked for",
    arguments: [
      ("model", ["--depth": "8K", "--context": "4K"], "--depth"),
      ("model", ["--prompt-length": "4", "--query-length": "8"], "--prompt-length"),
      ("model", ["--prompt-length": "2M"], "--prompt-length"),
      ("compare", ["--context": "4K"], "--context"), ("compare", ["--threads": "1"], "--threads"),
      ("compare", ["--key-type": "f16"], "--key-type"), ("compare", ["--depth": "4K"], "--depth"),
    ] as [(String, [String: String], String)])
  func refusedWithFile(mode: String, values: [String: String], name: String) {
    let error = #expect(throws: BenchmarkError.self) { try options(mode, "file", values) }
    guard case .option(name, _, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test("an option that a mode does not have names all runs that have it, the default one too")
  func namedModes() {
    for (mode, values, allowed) in [
      ("decode", ["--query-length": "4"], "only without a mode, or with prefill, model"),
      ("decode", ["--forks": "4"], "only with forks"),
    ] {
      #expect(
        throws: BenchmarkError.option(
          name: values.keys.first ?? "", received: "4", allowed: allowed)
      ) { try options(mode, nil, values) }
    }
  }

  private func help(_ name: String) throws -> String {
    try #require(BenchmarkOptions.all.first { $0.name == name }).help
  }

  @Test("the help has the defaults of every mode, and what an option means to a model")
  func defaultsInHelp() throws {
    let repeats = try help("--repeat")
    for mode in BenchmarkMode.allCases
    where BenchmarkMode.optionNames(of: mode).contains("--repeat") {
      #expect(repeats.contains(mode.rawValue), "\(mode.rawValue)")
    }
    func types(_ options: BenchmarkOptions) -> String {
      options.types.map(\.name).joined(separator: ",")
    }
    let keyTypes = try help("--key-type")
    #expect(keyTypes.contains("Default: \(types(try options(nil)));"))
    #expect(keyTypes.contains("model: \(types(try options("model", "m.gguf")))"))
    for name in ["--context", "--query-length"] {
      #expect(try help(name).contains("For model:"), "\(name)")
    }
  }

  @Test("a mode without an argument refuses one")
  func surplusArgument() {
    #expect(throws: BenchmarkError.self) { try options("decode", "8192") }
  }
}

import StreamingAttention

extension BenchmarkOptions {
  /// Those that only a command with a file or a table to write has a use for.
  package static let outputNames: Set = ["--json", "--save", "--note"]

  /// All of them, in the order of the help.
  package static let all: [DriverOption] =
    [
      DriverOption(
        name: "--context", value: "LIST",
        help: "Live tokens of a sequence; K is 1024; 31*1K+128K puts 32 sequences into one step. "
          + "Default: 128K,256K; prefill alone: 8K,16K. For model: another name of --depth."),
      DriverOption(
        name: "--shape", value: "MODEL",
        help: "Heads and widths of a model: "
          + AttentionShape.named.map(\.name).joined(separator: ", ") + ". Default: llama-3-8b."),
    ] + DriverOption.heads + [
      DriverOption(
        name: "--key-type", value: "LIST",
        help:
          "How keys are stored: f32, f16, bf16, int8, int4. Default: f32,f16,bf16; model: f16,bf16. "
          + "compare takes the types of the figures that are among these, else f16,bf16."),
      DriverOption(
        name: "--value-type", value: "LIST",
        help: "How values are stored, one type or one for each key type. Default: as keys."),
    ]
    + DriverOption.fullPrecision(defaultFirst: FullPrecision.sinks.first).map {
      DriverOption(name: $0.name, value: $0.value, help: "For model. " + $0.help)
    } + [
      DriverOption(
        name: "--position", value: "LIST",
        help: "none, rope, alibi, rope+alibi, measured in turns on the same cache. "
          + "Default: none,rope,alibi."),
      DriverOption(
        name: "--threads", value: "LIST",
        help: "Threads that compute, a record for each. Default: one for each CPU."),
      DriverOption(
        name: "--batch", value: "N", help: "Sequences of each context in one step. Default: 1."),
      DriverOption(
        name: "--forks", value: "N",
        help: "For forks: sequences that share a context, 2 to 64. Default: 8."),
      DriverOption(
        name: "--query-length", value: "LIST",
        help: "Query rows of each sequence in prefill. Default: 128; prefill alone: 2048. "
          + "For model: tokens of each step, 1 for decode, in place of --prompt-length. Default: 1,512."
      ),
      DriverOption(
        name: "--instruction-set", value: "LIST",
        help: "baseline, avx2, avx512, avx512bf16, as far as this CPU has them. Default: the best."),
      DriverOption(
        name: "--alibi-epsilon", value: "E",
        help: "The part of the softmax mass that ALiBi may leave unread, 0 to 0.01; 0 reads all. "
          + "Default: 0, and a record of its own with 1e-7."),
      DriverOption(
        name: "--keys", value: "KIND",
        help:
          "planted: some keys have a known answer. plain: unit variance everywhere, as ALiBi's horizon "
          + "meets it; answers are compared with Double, and with dense ones. Default: planted."),
      DriverOption(
        name: "--anchor-run", value: "N",
        help:
          "Slots after which the anchor of rotary keys changes, a multiple of 64, as it would after "
          + "removals. Default: never."),
      DriverOption(
        name: "--key-rotation", value: "KIND",
        help:
          "How rotary keys are stored. stored: turned. in-tile: unturned, and turned by the tile that reads "
          + "them. old-epoch: turned by frequencies that the queries no longer have; half-old-epoch: the older half of them. "
          + "Unless keys are plain, only positions with rope can be checked then. Default: stored."),
      DriverOption(
        name: "--repeat", value: "N",
        help:
          "Timed repetitions of each record. Default: 15 for decode and forks, 3 for prefill, 512 tokens for append, "
          + "8 for edits, 20000 steps for fork-join; for model 32 tokens of decode, and 3 prompts, or fewer once they "
          + "have taken 10 s; for compare as for decode, prefill and model."),
      DriverOption(
        name: "--attempts", value: "N",
        help: "How often a record is measured at most until the machine held still. Default: 3."),
      DriverOption(
        name: "--seed", value: "N",
        help: "Seed of the keys and values, or of a model's tokens, 0 to 2^64 - 1. Default: 1."),
      DriverOption(
        name: "--depth", value: "LIST",
        help: "For model: tokens in the cache before the steps. Default: 0,8K,32K,128K."),
      DriverOption(
        name: "--prompt-length", value: "N",
        help: "For model: tokens of the prompt, 0 for none; K is 1024. Default: 512."),
      DriverOption(
        name: "--weight-type", value: "T",
        help: "For model and compare: how weights are held, as for generate."),
      DriverOption(
        name: "--model", value: "FILE",
        help: "For compare: the GGUF file that the other engine's figures of a model are about."),
      DriverOption(
        name: "--json", help: "Print one JSON object per line in place of the table."),
      DriverOption(
        name: "--save", value: "FILE",
        help: "Write the records as JSON too, after a line about the machine."),
      .note,
    ]
}

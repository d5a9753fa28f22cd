"""Times OpenVINO GenAI on a GGUF model at a depth.

    openvino_depth.py MODEL CACHE_TYPE DEPTH QUERY_LENGTH THREADS

CACHE_TYPE is f16, u8 or bf16. The prompt of DEPTH tokens is processed once, untimed; the timed
generations find it in the prefix cache. "decode" times the tokens after a generation's first, so
up to 16 positions beyond the depth; "prefill" the time to the first token of a prompt that has
QUERY_LENGTH new tokens after the DEPTH known ones.

Where DEPTH exceeds SPARSE_FROM, the prompt is filled with GenAI's own sparse prompt attention:
filling 131,072 positions densely takes most of an hour. Its last QUERY_LENGTH tokens, and every
generated one, still attend to everything.
"""

import pathlib
import sys
import time

import numpy as np
import openvino as ov
import openvino_genai as genai
from worker import serve

SPARSE_FROM = 16384
BLOCK = 32  # the prefix cache finds whole blocks


def main():
    model, cache_type, depth, queries, threads = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
    scheduler = genai.SchedulerConfig()
    scheduler.enable_prefix_caching = True
    # A prompt at once, as LLMPipeline does by itself; sparsity lies between pieces.
    scheduler.max_num_batched_tokens = 2048 if depth > SPARSE_FROM else depth + queries
    scheduler.dynamic_split_fuse = True
    if depth > SPARSE_FROM:
        scheduler.use_sparse_attention = True
        scheduler.sparse_attention_config = genai.SparseAttentionConfig(
            mode=genai.SparseAttentionMode.TRISHAPE,
            num_last_dense_tokens_in_prefill=queries,
            num_retained_start_tokens_in_cache=4 * BLOCK,
            num_retained_recent_tokens_in_cache=32 * BLOCK,
        )
    pipeline = genai.LLMPipeline(
        model,
        "CPU",
        scheduler_config=scheduler,
        INFERENCE_NUM_THREADS=threads,
        KV_CACHE_PRECISION=cache_type,
        PERFORMANCE_HINT="LATENCY",
    )

    def generate(tokens, count):
        inputs = genai.TokenizedInputs(
            ov.Tensor(tokens[None].astype(np.int64)),
            ov.Tensor(np.ones((1, len(tokens)), np.int64)),
        )
        config = genai.GenerationConfig()
        config.max_new_tokens = count
        config.ignore_eos = True
        config.do_sample = False
        return pipeline.generate(inputs, config).perf_metrics

    known = 100 + np.arange(max(depth, 8)) * 7919 % 20000
    random = np.random.default_rng(0)
    generate(known, 2)

    def durations_of(operation, seconds):
        durations = []
        began = time.perf_counter()
        while len(durations) < 3 or time.perf_counter() - began < seconds:
            if operation == "decode":
                durations += [
                    value / 1e3 for value in generate(known, 17).raw_metrics.m_durations[1:]
                ]
            else:
                tokens = random.integers(100, 20000, queries)
                prompt = np.concatenate([known[:depth], tokens]) if depth else tokens
                durations.append(generate(prompt, 1).get_ttft().mean)
        count = 1 if operation == "decode" else queries
        more = dict(
            context=depth + count,
            queryLength=count,
            tokensPerSecond=round(count * 1e3 / float(np.median(durations)), 4),
        )
        return durations, more

    fields = dict(
        engine="OpenVINO GenAI",
        version=genai.__version__.split("-")[0],
        model=pathlib.Path(model).name,
        depth=depth,
        queryHeads=9,
        kvHeads=3,
        headDimension=64,
        keyType=cache_type,
        valueType=cache_type,
        threads=threads,
    )
    serve(fields, durations_of)


main()

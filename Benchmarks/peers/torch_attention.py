"""Times attention in PyTorch, zentorch or vLLM's CPU kernels.

    torch_attention.py pytorch|zentorch|vllm TYPE CONTEXT QUERY_LENGTH THREADS

TYPE is f32, bf16 or f16. Several queries are causal: the last QUERY_LENGTH of CONTEXT positions.

PyTorch and zentorch hold keys and values head-major. For one query, the query heads of a group are
folded into rows of one KV head, a caller's trick that makes both several times faster than their
own handling of groups. zentorch with int8 dot products inside is TYPE bf16-int8: it quantises
query, key and probability anew in every call. vLLM's kernels are called as vLLM calls them, its
scheduler included, on a paged cache that its own operator has filled.
"""

import os
import pathlib
import sys

from worker import (
    GROUP,
    HEAD_DIMENSION,
    KV_HEADS,
    QUERY_HEADS,
    SCALE,
    reference,
    relative_error,
    serve_operator,
)

VLLM_BLOCK = 128


def inputs(torch, context, queries, dtype):
    """Queries, then keys and values, about N(0, 1).

    Shapes: [query, head, channel] and [position, KV head, channel].
    """
    generator = torch.Generator().manual_seed(0)
    # Slices of one random block: drawing 131,072 positions takes longer than measuring them.
    block = torch.randn(1 << 22, generator=generator).to(dtype)

    def filled(*shape):
        tensor = torch.empty(shape, dtype=dtype)
        flat = tensor.view(-1)
        for index, start in enumerate(range(0, flat.numel(), block.numel())):
            part = flat[start : start + block.numel()]
            part.copy_(block.roll(index * 12347 + len(flat) % 7919)[: part.numel()])
        return tensor

    keys = filled(context, KV_HEADS, HEAD_DIMENSION)
    values = filled(context, KV_HEADS, HEAD_DIMENSION).flip(0)
    return (
        torch.randn(queries, QUERY_HEADS, HEAD_DIMENSION, generator=generator).to(dtype),
        keys,
        values,
    )


def head_major_step(torch, attention, query, keys, values):
    """A call over [1, KV head, position, channel], and what brings its result back in order."""
    queries, context = query.shape[0], keys.shape[0]
    k, v = (tensor.transpose(0, 1).contiguous()[None] for tensor in (keys, values))
    if queries == 1:
        q = query.view(1, KV_HEADS, GROUP, HEAD_DIMENSION)
        return (lambda: attention(q, k, v, None)), lambda output: output.reshape(
            1, QUERY_HEADS, HEAD_DIMENSION
        )
    q = query.transpose(0, 1).contiguous()[None]
    # Both libraries' causal flags count from the top left, so a prompt's later part needs a mask.
    hidden = ~torch.ones(queries, context, dtype=torch.bool).tril(context - queries)
    mask = torch.zeros(queries, context, dtype=query.dtype).masked_fill(hidden, float("-inf"))
    return (lambda: attention(q, k, v, mask)), lambda output: output[0].transpose(0, 1)


def pytorch_step(torch, query, keys, values):
    sdpa = torch.nn.functional.scaled_dot_product_attention

    def attention(q, k, v, mask):
        return sdpa(q, k, v, attn_mask=mask, enable_gqa=mask is not None)

    return head_major_step(torch, attention, query, keys, values)


def zentorch_step(torch, query, keys, values):
    operator = torch.ops.zentorch.zentorch_sdpa

    def attention(q, k, v, mask):
        return operator(q, k, v, 0.0, False, attn_mask=mask)[0]

    return head_major_step(torch, attention, query, keys, values)


def load_vllm(torch):
    """Loads the library that vLLM itself takes for this processor."""
    if torch.cpu._is_avx512_bf16_supported():
        library = "_C.abi3.so"
    elif torch.cpu._is_avx512_supported():
        library = "_C_AVX512.abi3.so"
    else:
        library = "_C_AVX2.abi3.so"
    torch.ops.load_library(str(pathlib.Path(sys.prefix) / "kernels" / library))


def vllm_step(torch, query, keys, values):
    kernels = torch.ops._C
    amx = torch.cpu._is_amx_tile_supported() and query.dtype == torch.bfloat16
    tile = "amx" if amx else "vec"
    context, queries, dtype = keys.shape[0], query.shape[0], query.dtype
    blocks = context // VLLM_BLOCK
    cache = torch.zeros(blocks, KV_HEADS, 2 * VLLM_BLOCK, HEAD_DIMENSION, dtype=dtype)
    key_cache, value_cache = cache.chunk(2, dim=2)
    kernels.cpu_attn_reshape_and_cache(
        keys, values, key_cache, value_cache, torch.arange(context), tile, 1.0, 1.0, "auto"
    )
    output = torch.empty_like(query)
    starts = torch.tensor([0, queries], dtype=torch.int32)
    lengths = torch.tensor([context], dtype=torch.int32)
    table = torch.arange(blocks, dtype=torch.int32)[None]

    def step():
        shape = (1, QUERY_HEADS, KV_HEADS, HEAD_DIMENSION, lengths, dtype, starts)
        schedule = kernels.get_scheduler_metadata(*shape, True, -1, tile, True, None, "auto")
        kernels.cpu_attention_with_kv_cache(
            *(query, key_cache, value_cache, output, starts, lengths, SCALE, True, None, -1),
            *(table, 0.0, schedule, None, None, 1.0, 1.0, "auto"),
        )
        return output

    return step, lambda output: output


def main():
    engine, type_name, context, queries, threads = sys.argv[1:]
    context, queries, threads = int(context), int(queries), int(threads)
    stored_type, _, dots = type_name.partition("-")
    variant = "paged" if engine == "vllm" else "folded" if queries == 1 else "head-major"
    if dots == "int8":
        os.environ["ZENTORCH_SDPA_QK_QUANT"] = os.environ["ZENTORCH_SDPA_PV_QUANT"] = "1"
        variant += ", int8 dots"

    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[stored_type]
    if engine == "zentorch":
        import zentorch

        name, version = "zentorch", zentorch.__version__
    elif engine == "vllm":
        load_vllm(torch)
        name, version = (
            "vLLM",
            (pathlib.Path(sys.prefix) / "kernels" / "version").read_text().strip(),
        )
    else:
        name, version = "PyTorch", torch.__version__

    query, keys, values = inputs(torch, context, queries, dtype)
    prepare = {"pytorch": pytorch_step, "zentorch": zentorch_step, "vllm": vllm_step}[engine]
    step, unfold = prepare(torch, query, keys, values)
    result = unfold(step())[-1, 0].float().numpy()
    expected = reference(
        query[-1, 0].float().numpy(), keys[:, 0].float().numpy(), values[:, 0].float().numpy()
    )
    error = relative_error(result, expected)
    del keys, values
    serve_operator(name, version, variant, stored_type, context, queries, threads, step, error)


main()

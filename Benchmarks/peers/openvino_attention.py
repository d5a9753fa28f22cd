"""Times OpenVINO's PagedAttention operator, the one that OpenVINO GenAI serves with.

    openvino_attention.py COMPUTE_TYPE+CACHE_TYPE CONTEXT QUERY_LENGTH THREADS

As bf16+bf16 or f32+f16. Each call also appends its own keys and values to the cache, as the
operator always does. Several queries are causal: the last QUERY_LENGTH of CONTEXT positions.
"""

import sys

import numpy as np
import openvino as ov
from openvino import PartialShape, Type
from openvino import opset13 as op
from openvino._pyopenvino.op import _PagedAttentionExtension as PagedAttention
from worker import (
    HEAD_DIMENSION,
    KV_HEADS,
    QUERY_HEADS,
    SCALE,
    reference,
    relative_error,
    serve_operator,
)

BLOCK = 32
FILL_AT_ONCE = 4096


def model():
    """A graph of the operator alone; its inputs are those that change from call to call."""

    def parameter(name, shape, element_type=np.int32):
        return op.parameter(shape, element_type, name=name)

    def cache(name):
        result = ov.op.Parameter(Type.dynamic, PartialShape([-1] * 4))
        result.set_friendly_name(name)
        result.output(0).set_names({name})
        return result

    def constant(value, element_type=np.int32):
        return op.constant(np.array(value, element_type))

    query = parameter("query", [-1, QUERY_HEADS * HEAD_DIMENSION], np.float32)
    keys, values = (
        parameter(name, [-1, KV_HEADS * HEAD_DIMENSION], np.float32) for name in ("keys", "values")
    )
    caches = [cache("key_cache.0"), cache("value_cache.0")]
    tables = [parameter(name, [-1]) for name in ("past", "begins", "blocks", "block_begins")]
    longest = parameter("longest", [])
    # What this comparison leaves out: ALiBi, rotation, sparse attention, sinks and more.
    integers, floats, bytes_ = constant([]), constant([], np.float32), constant([], np.uint8)
    operands = [query, keys, values, *caches, *tables]
    operands += [constant(SCALE, np.float32), constant(0), floats, longest]
    operands += [integers, integers, integers, floats, floats, constant(64), constant(16), floats]
    operands += [constant(0), integers, integers, integers, integers, bytes_, integers]
    node = PagedAttention([operand.output(0) for operand in operands])
    shape = dict(
        num_k_heads=KV_HEADS,
        k_head_size=HEAD_DIMENSION,
        num_v_heads=KV_HEADS,
        v_head_size=HEAD_DIMENSION,
    )
    for name, value in shape.items():
        node.get_rt_info()[name] = value
    return ov.Model(
        [node.output(0)], [query, keys, values, *caches, *tables, longest], "attention"
    )


def main():
    types, context, queries, threads = sys.argv[1], *map(int, sys.argv[2:])
    compute_type, cache_type = types.split("+")
    compiled = ov.Core().compile_model(
        model(),
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": compute_type,
            "KV_CACHE_PRECISION": cache_type,
            "PERFORMANCE_HINT": "LATENCY",
        },
    )
    blocks = context // BLOCK
    request = compiled.create_infer_request()
    for port in compiled.inputs[3:5]:
        shape = [blocks] + [size.get_length() for size in list(port.get_partial_shape())[1:]]
        request.set_tensor(
            port.get_any_name(), ov.Tensor(port.get_element_type(), ov.Shape(shape))
        )

    def bind(query, keys, values, past, begins, block_table, block_begins):
        floats = dict(query=query, keys=keys, values=values)
        longest = max(np.diff(begins)) + max(past)
        integers = dict(
            past=past,
            begins=begins,
            blocks=block_table,
            block_begins=block_begins,
            longest=longest,
        )
        for name, value in floats.items():
            request.set_tensor(name, ov.Tensor(np.ascontiguousarray(value)))
        for name, value in integers.items():
            request.set_tensor(name, ov.Tensor(np.asarray(value, np.int32)))

    random = np.random.default_rng(0)

    def rows(count, heads):
        return random.standard_normal((count, heads * HEAD_DIMENSION), dtype=np.float32)

    # Many sequences of one block each fill the cache cheaply; the measured one then owns them all.
    first_head = [np.empty((context, HEAD_DIMENSION), np.float32) for _ in range(2)]
    for start in range(0, context, FILL_AT_ONCE):
        count = min(FILL_AT_ONCE, context - start)
        keys, values = rows(count, KV_HEADS), rows(count, KV_HEADS)
        for stored, new in zip(first_head, (keys, values), strict=True):
            stored[start : start + count] = new[:, :HEAD_DIMENSION]
        sequences = count // BLOCK
        bind(
            np.zeros((count, QUERY_HEADS * HEAD_DIMENSION), np.float32),
            keys,
            values,
            [0] * sequences,
            range(0, count + 1, BLOCK),
            range(start // BLOCK, start // BLOCK + sequences),
            range(sequences + 1),
        )
        request.infer()
    query = rows(queries, QUERY_HEADS)
    # The last rows are appended again, with the values that they have.
    bind(
        query,
        keys[-queries:],
        values[-queries:],
        [context - queries],
        [0, queries],
        range(blocks),
        [0, blocks],
    )
    request.infer()
    result = request.get_output_tensor(0).data[-1, :HEAD_DIMENSION]
    error = relative_error(result, reference(query[-1, :HEAD_DIMENSION], *first_head))
    version = ov.__version__.split("-")[0]
    variant = f"PagedAttention, {compute_type} compute"
    serve_operator(
        "OpenVINO", version, variant, cache_type, context, queries, threads, request.infer, error
    )


main()

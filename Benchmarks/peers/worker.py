"""What every Python program here shares: protocol, clock, record and reference.

A program sets its work up and hands it to `serve`, which prints "READY" and then reads lines
"decode SECONDS" or "prefill SECONDS" from standard input. For each it measures for about that long
and prints one record (README.md has its fields); it ends with its input. So the driver can set
several engines up at once and time them in turns.
"""

import json
import os
import statistics
import sys
import time

QUERY_HEADS, KV_HEADS, HEAD_DIMENSION = 32, 8, 128
GROUP = QUERY_HEADS // KV_HEADS
SCALE = HEAD_DIMENSION**-0.5


def measure(step, seconds, most=512):
    """Runs `step` for about `seconds`: three times at least, unless that takes 40 seconds."""
    durations = []
    began = time.perf_counter()
    elapsed = 0.0
    while (
        not durations
        or (len(durations) < 3 and elapsed < 40)
        or (len(durations) < most and elapsed < seconds)
    ):
        start = time.perf_counter()
        step()
        end = time.perf_counter()
        durations.append((end - start) * 1e3)
        elapsed = end - began
    return durations


def serve(fields, durations_of):
    """Answers the driver until its input ends.

    `durations_of(operation, seconds)` returns milliseconds, and fields that the operation decides.
    """
    print("READY", flush=True)
    for line in sys.stdin:
        operation, seconds = line.split()
        durations, more = durations_of(operation, float(seconds))
        record = dict(
            fields,
            operation=operation,
            medianMilliseconds=round(statistics.median(durations), 4),
            minimumMilliseconds=round(min(durations), 4),
            **more,
        )
        print(json.dumps(record), flush=True)
    os._exit(0)  # some engines' threads outlive an ordinary exit


def serve_operator(engine, version, variant, types, context, queries, threads, step, error):
    """`serve` for attention alone, at the shape above."""
    fields = dict(
        engine=engine,
        version=version,
        variant=variant,
        context=context,
        queryLength=queries,
        queryHeads=QUERY_HEADS,
        kvHeads=KV_HEADS,
        headDimension=HEAD_DIMENSION,
        keyType=types,
        valueType=types,
        threads=threads,
        relativeError=float(f"{error:.3g}"),
    )
    step()
    serve(fields, lambda operation, seconds: (measure(step, seconds), {}))


def reference(query, keys, values):
    """One query's attention in double precision; all three are NumPy arrays."""
    import numpy as np

    scores = keys.astype(np.float64) @ query.astype(np.float64) * SCALE
    probabilities = np.exp(scores - scores.max())
    return probabilities @ values.astype(np.float64) / probabilities.sum()


def relative_error(result, expected):
    """The L2 norm of the difference over that of the expected vector."""
    import numpy as np

    return float(np.linalg.norm(result.astype(np.float64) - expected) / np.linalg.norm(expected))

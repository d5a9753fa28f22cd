"""What is compared: the comparisons, the engines of each, and the bars that ours is held to."""

import dataclasses
import os
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
CACHE = CACHE / "streaming-attention"
PEERS = pathlib.Path(os.environ.get("PEERS") or CACHE / "peers")
MODEL = CACHE / "SmolLM2-135M-Instruct.Q4_1.gguf"

OURS = "streaming-attention"


@dataclasses.dataclass(frozen=True)
class Engine:
    """A program that sets itself up and then times what the driver asks for."""

    name: str
    stored: str  # how it holds keys and values
    command: tuple[str, ...]

    @property
    def is_installed(self):
        return pathlib.Path(self.command[0]).exists()

    @property
    def label(self):
        return f"{self.name} {self.stored}"


@dataclasses.dataclass(frozen=True)
class Bar:
    """What ours must reach: a multiple of the fastest peer's speed.

    Of all peers, or of those whose name, cache type included, begins with `peer`.
    """

    ratio: float
    types: tuple[str, ...]  # of our keys, each judged by itself; the fastest where it is empty
    peer: str = ""
    least_read_limit: float = 0  # GB/s, below which the bar asks for nothing
    fast: tuple[float, float] = (float("inf"), 0)  # above this read limit the ratio is the second


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One question; all of its engines are set up at once and timed in turns."""

    name: str
    operations: tuple[str, ...]
    context: int  # attention alone: with the new tokens; a model: the depth before them
    query_length: int
    model: bool
    engines: tuple[Engine, ...]
    bars: dict[str, tuple[Bar, ...]]
    decode_types: str = "f16,bf16"  # of our keys and values


def operator_engines(context, queries, threads, chosen):
    """`chosen` pairs an engine with its type and, for the two ggmls, its layout."""

    def engine(name, type_name, layout=""):
        numbers = (str(context), str(queries), str(threads))
        if name in ("llama.cpp", "ik_llama.cpp"):
            program = str(PEERS / name / "ggml_attention")
            return Engine(name, f"{type_name} {layout}", (program, type_name, *numbers, layout))
        if name == "OpenVINO":
            program = (str(PEERS / "openvino/bin/python"), str(HERE / "openvino_attention.py"))
            return Engine(name, type_name, (*program, type_name, *numbers))
        folder = "zentorch" if name == "zentorch" else "vllm"
        program = (str(PEERS / folder / "bin/python"), str(HERE / "torch_attention.py"))
        return Engine(name, type_name, (*program, name.lower(), type_name, *numbers))

    return tuple(engine(*choice) for choice in chosen)


def model_engines(depth, prompt, threads, chosen):
    def engine(name, cache_type):
        numbers = (str(depth), str(prompt), str(threads))
        if name == "OpenVINO GenAI":
            program = (str(PEERS / "openvino/bin/python"), str(HERE / "openvino_depth.py"))
            return Engine(name, cache_type, (*program, str(MODEL), cache_type, *numbers))
        program = str(PEERS / name / "llama_depth")
        return Engine(name, cache_type, (program, str(MODEL), cache_type, *numbers))

    return tuple(engine(*choice) for choice in chosen)


def comparisons(threads):
    """Every comparison, the shortest first."""
    decode = operator_engines(
        131072,
        1,
        threads,
        [
            ("ik_llama.cpp", "f16", "head-major"),
            ("ik_llama.cpp", "f16", "token-major"),
            ("vLLM", "bf16"),
            ("vLLM", "f32"),
            ("zentorch", "bf16"),
            ("OpenVINO", "bf16+bf16"),
            ("OpenVINO", "f32+f16"),
            ("PyTorch", "bf16"),
            ("llama.cpp", "f16", "head-major"),
            ("llama.cpp", "f16", "token-major"),
        ],
    )
    decode_in_8_bits = operator_engines(
        131072,
        1,
        threads,
        [
            ("ik_llama.cpp", "q8_KV", "head-major"),
            ("ik_llama.cpp", "q8_0", "head-major"),
            ("llama.cpp", "q8_0", "head-major"),
        ],
    )
    prefill = operator_engines(
        8192,
        2048,
        threads,
        [
            ("vLLM", "f32"),
            ("vLLM", "bf16"),
            ("OpenVINO", "bf16+bf16"),
            ("OpenVINO", "f32+f16"),
            ("zentorch", "bf16"),
            ("zentorch", "bf16-int8"),
            ("ik_llama.cpp", "f16", "head-major"),
            ("ik_llama.cpp", "bf16", "head-major"),
            ("PyTorch", "bf16"),
            ("llama.cpp", "f16", "head-major"),
        ],
    )
    result = [
        Comparison(
            "decode-128k",
            ("decode",),
            131072,
            1,
            False,
            decode,
            {"decode": (Bar(2, ("f16", "bf16"), least_read_limit=33, fast=(50, 3)),)},
        ),
        Comparison(
            "decode-128k-8-bit",
            ("decode",),
            131072,
            1,
            False,
            decode_in_8_bits,
            {"decode": (Bar(1.6, ("int8",), "ik_llama.cpp"),)},
            "int8",
        ),
        Comparison(
            "prefill-8k",
            ("prefill",),
            8192,
            2048,
            False,
            prefill,
            {"prefill": (Bar(1.08, ("f16", "bf16"), "vLLM"), Bar(1.2, ("bf16",), "OpenVINO"))},
        ),
    ]
    all_caches = [
        ("ik_llama.cpp", "f16"),
        ("ik_llama.cpp", "q8_0"),
        ("ik_llama.cpp", "q8_KV"),
        ("OpenVINO GenAI", "f16"),
        ("OpenVINO GenAI", "u8"),
        ("llama.cpp", "f16"),
        ("llama.cpp", "q8_0"),
    ]
    # At 131,072 all of these together would need more memory than most machines have.
    deep_caches = [
        ("ik_llama.cpp", "q8_0"),
        ("ik_llama.cpp", "q8_KV"),
        ("OpenVINO GenAI", "f16"),
        ("llama.cpp", "f16"),
        ("llama.cpp", "q8_0"),
    ]
    for name, depth, decode_bar, prefill_bar in [
        ("model-0", 0, Bar(1.15, ()), Bar(1.05, ("bf16",))),
        ("model-8k", 8192, Bar(1.6, ()), Bar(1.4, ("bf16",))),
        ("model-32k", 32768, Bar(1.4, ()), Bar(1.7, ("bf16",))),
        ("model-128k", 131072, Bar(3.5, ("f16", "bf16"), fast=(50, 5)), None),
    ]:
        operations = ("decode", "prefill") if prefill_bar else ("decode",)
        caches = all_caches if prefill_bar else deep_caches
        bars = {"decode": (decode_bar,)}
        if prefill_bar:
            bars["prefill"] = (prefill_bar,)
        types = "f16,bf16"
        if depth == 131072:
            types += ",int8,int4"
            bars["decode"] += (
                Bar(6, ("int8",), "ik_llama.cpp"),
                Bar(9, ("int8",), "llama.cpp q8_0"),
            )
        engines = model_engines(depth, 512, threads, caches)
        result.append(Comparison(name, operations, depth, 512, True, engines, bars, types))
    return result

"""Reads saved records: one JSON object per line, the first of them about the machine."""

import json
import re


class RecordsError(Exception):
    """A file that cannot be used; one line of what, where and why."""


def read(path, problem_of):
    """The records of a file, in its order, unless `problem_of` has something to say about one."""
    data = path.read_bytes()
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise RecordsError(f"{path}:{number}: not UTF-8 text") from None
    records = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise RecordsError(
                f"{path}:{number}: not JSON ({error.msg}, column {error.colno})"
            ) from None
        except (ValueError, RecursionError):
            raise RecordsError(f"{path}:{number}: a number too long, or too deep a list") from None
        if not isinstance(record, dict) or not isinstance(record.get("operation"), str):
            raise RecordsError(
                f"{path}:{number}: not a record; each line is an object with an 'operation'"
            )
        problem = problem_of(record)
        if problem:
            raise RecordsError(f"{path}:{number}: {problem}")
        records.append(record)
    return records


def machine_line(records):
    """The processor, the program and every note of the runs, for a figure's second line."""
    machines = [record for record in records if record["operation"] == "machine"]
    if not machines:
        return "machine not recorded"
    machine = machines[0]
    processor = re.sub(r"\((?:R|TM)\)|\bCPU\b", "", machine["processor"])
    parts = [" ".join(processor.split()), f"{machine['cpus']} CPUs"]
    parts += [machine["version"]] if "version" in machine else []
    parts += dict.fromkeys(run["note"] for run in machines if run.get("note"))
    return " · ".join(parts)


def type_of(record):
    """How keys and values are stored, as one name."""
    key, value = record["keyType"], record["valueType"]
    return key if key == value else f"{key}/{value}"


def encoding_of(record):
    """The fused encoding, with ALiBi's horizon, and what is unusual about the keys."""
    position = record.get("position", "none")
    if "keyRotation" in record:
        position += f", {record['keyRotation']} keys"
    if "anchorRun" in record:
        position += f", anchors of {record['anchorRun']}"
    if "keys" in record:
        position += f", {record['keys']} keys"
    epsilon = record.get("alibiEpsilon", 0)
    return f"{position}, ε = {epsilon:g}".replace("e-0", "e-") if epsilon else position


def count_label(value, _position=None):
    """131072 as 128K; numbers that are no multiple of 1024 as they are."""
    value = round(value)
    return f"{value // 1024}K" if value >= 1024 and value % 1024 == 0 else f"{value}"


def shape_of(record):
    """Heads, and the sequences of a step where there are several.

    Sequences of different lengths have no place on a line over context: each mix is a shape.
    """
    heads = f"{record['queryHeads']}/{record['kvHeads']} heads × {record['headDimension']}"
    batch = record.get("batch", 1)
    mix = [term.split("*") for term in record.get("contexts", "").split("+")]
    if len({term[-1] for term in mix}) > 1:
        terms = ["*".join([*term[:-1], count_label(int(term[-1]))]) for term in mix]
        return f"{heads}, {'+'.join(terms)} tokens"
    return heads if batch == 1 else f"{heads}, {batch} sequences"


def machinery_of(record):
    """Threads and instruction set."""
    threads = record["threads"]
    return f"{threads} thread{'' if threads == 1 else 's'}, {record['instructionSet']}"


def groups(records, *keys):
    """Records by the values of `keys`, each group and the order within as they come."""
    result = {}
    for record in records:
        result.setdefault(tuple(key(record) for key in keys), []).append(record)
    return result

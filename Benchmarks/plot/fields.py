"""What fields of a record have to hold, so that whoever draws or compares them need not ask."""

import re


def is_text(value):
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_count(value):
    return isinstance(value, int) and is_number(value) and 0 < value < 2**53


def is_depth(value):
    return is_count(value) or is_number(value) and value == 0


def is_positive(value):
    return is_number(value) and 1e-12 < value < 1e18


def is_amount(value):
    return is_number(value) and 0 <= value < 1e18


def is_mix(value):
    """Lengths of sequences, such as 31*1024+131072."""
    return is_text(value) and re.fullmatch(r"(\d{1,4}\*)?\d{1,9}(\+(\d{1,4}\*)?\d{1,9})*", value)


def is_check(value):
    return isinstance(value, dict) and isinstance(value.get("passed"), bool)


def is_distribution(value):
    """Numbers by their names, by context; null where nothing was measured."""
    return isinstance(value, dict) and all(
        re.fullmatch(r"[1-9]\d{0,8}", context)
        and isinstance(numbers, dict)
        and all(number is None or is_amount(number) for number in numbers.values())
        for context, numbers in value.items()
    )


TEXT = "text", is_text
COUNT = "a whole number above 0", is_count
DEPTH = "a whole number, 0 or more", is_depth
POSITIVE = "a number above 0", is_positive
AMOUNT = "a number, 0 or more", is_amount
ERROR = "a number, or null for what is none", lambda value: value is None or is_amount(value)
MIX = "lengths of sequences", is_mix
CHECK = "an object whose 'passed' is true or false", is_check
DISTRIBUTION = "numbers by context", is_distribution


def problem(record, needed, allowed=None):
    """The first of a record's fields that is missing or not what it should be, in words; or none.

    Both tables are of names and kinds; a field of `allowed` may be missing.
    """
    for name, (kind, holds) in {**(allowed or {}), **needed}.items():
        if name not in record:
            if name in needed:
                return f"a record has no '{name}'"
        elif not holds(record[name]):
            found = "null" if record[name] is None else repr(record[name])
            found = found if len(found) <= 40 else f"{found[:37]}..."
            return f"'{name}' is {ascii_only(found)}; it has to be {kind}"
    return None


def ascii_only(text):
    return text.encode("ascii", "backslashreplace").decode()


CHECKS = dict(selfCheck=CHECK, checksFailed=DEPTH)


def problem_of_answer(record):
    """Why a record's time is that of a wrong answer, or none; a record without checks has none."""
    found = problem(record, {}, CHECKS)
    if found:
        return found
    advice = "measure again, or take the line out"
    if "selfCheck" in record and not record["selfCheck"]["passed"]:
        return f"the answer was wrong ('selfCheck' has not passed); {advice}"
    if record.get("checksFailed"):
        return f"answers were wrong ('checksFailed' is {record['checksFailed']}); {advice}"
    return None


HEADS = dict(queryHeads=COUNT, kvHeads=COUNT, headDimension=COUNT)
TYPES = dict(keyType=TEXT, valueType=TEXT)
COMMON = {**HEADS, **TYPES, "threads": COUNT, "instructionSet": TEXT}
CONTEXT = {**COMMON, "context": COUNT, "medianMilliseconds": POSITIVE}
ENCODING = dict(position=TEXT, keyRotation=TEXT, anchorRun=COUNT, keys=TEXT, alibiEpsilon=AMOUNT)
SEQUENCES = {**ENCODING, "batch": COUNT, "contexts": MIX}
DRAWN = {
    "machine": (dict(processor=TEXT, cpus=COUNT), dict(version=TEXT, note=TEXT)),
    "decode": (CONTEXT, {**SEQUENCES, "fractionOfReadLimit": AMOUNT}),
    "prefill": (
        {
            **CONTEXT,
            "queryLength": COUNT,
            "gigaflopsPerSecond": POSITIVE,
            "fractionOfPeak": AMOUNT,
        },
        SEQUENCES,
    ),
    "append": ({**CONTEXT, "layers": COUNT}, {**SEQUENCES, "p99Milliseconds": POSITIVE}),
    "growth": (
        {
            **COMMON,
            "layers": COUNT,
            "sequences": COUNT,
            "decodeMilliseconds": DISTRIBUTION,
            "appendMicroseconds": DISTRIBUTION,
            "memoryBytes": DISTRIBUTION,
        },
        ENCODING,
    ),
    "model": (
        {**TYPES, "model": TEXT, "operation": TEXT, "tokensPerSecond": POSITIVE},
        dict(engine=TEXT, depth=DEPTH, context=DEPTH),
    ),
}


def drawing(record):
    """The name of the figure that shows a record, `machine`, or none."""
    operation = record["operation"]
    if "model" in record:
        return "model" if "tokensPerSecond" in record else None
    if operation == "machine":
        return "machine"
    if operation == "stress":
        return "growth" if record.get("preset") == "growth" else None
    # Ours alone: attention in other engines is tools/compare-peers' table.
    is_ours = "engine" not in record
    return operation if is_ours and operation in ("decode", "prefill", "append") else None


def problem_of_drawing(record):
    """Why a record cannot be drawn, or none; records that no figure shows have no problem."""
    name = drawing(record)
    if name is None:
        return None
    if name == "model" and "depth" not in record and "context" not in record:
        return "a record has no 'depth'"
    # The note of a gap would stay in the terminal, while the figure travels without it.
    return problem(record, *DRAWN[name]) or problem_of_answer(record)

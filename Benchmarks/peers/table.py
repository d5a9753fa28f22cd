"""The table of a comparison: speeds, how many times faster ours is, and whether bars are met."""

import statistics

import engines
import fields

COLUMNS = (
    "engine",
    "ms, median (range over rounds)",
    "tokens/s",
    "memory reads, GB/s",
    "error",
    "ours is faster by",
    "",
)
HEADER = "| " + " | ".join(COLUMNS).rstrip() + " |\n|" + "---|" * len(COLUMNS)


NEEDED = dict(
    comparison=fields.TEXT,
    engine=fields.TEXT,
    keyType=fields.TEXT,
    valueType=fields.TEXT,
    queryLength=fields.COUNT,
    threads=fields.COUNT,
    medianMilliseconds=fields.POSITIVE,
    round=fields.COUNT,
)
ALLOWED = dict(
    variant=fields.TEXT,
    relativeError=fields.ERROR,
    foreignCPU=fields.AMOUNT,
    readLimitGigabytesPerSecond=fields.AMOUNT,
)


def problem_of(record):
    """Why a record cannot stand in a table, or none; what belongs to no comparison does not."""
    if "comparison" not in record:
        return None
    return fields.problem(record, NEEDED, ALLOWED) or fields.problem_of_answer(record)


def key_of(record):
    """What the rounds of one engine have in common."""
    names = ("engine", "variant", "keyType", "valueType")
    return tuple(record.get(name, "") for name in names)


def name_of(key):
    engine, variant, key_type, value_type = key
    types = key_type if key_type == value_type else f"{key_type}, {value_type}"
    return f"{engine} {types}" + (f" ({variant})" if variant else "")


class Row:
    """An engine's rounds."""

    def __init__(self, key, records):
        self.key = key
        self.is_ours = key[0] == engines.OURS
        self.medians = [record["medianMilliseconds"] for record in records]
        self.milliseconds = statistics.median(self.medians)
        self.tokens = records[0]["queryLength"]
        errors = [record.get("relativeError") for record in records]
        self.error = next((error for error in errors if error is not None), None)
        self.foreign = max(record.get("foreignCPU", 0) for record in records)
        self.counts = all(record.get("steady", True) for record in records)
        limits = [record.get("readLimitGigabytesPerSecond") for record in records]
        self.limits = [limit for limit in limits if limit is not None]

    @property
    def speed(self):
        return self.tokens * 1e3 / self.milliseconds


def rows_of(records):
    """Ours first, then the fastest first."""
    keys = dict.fromkeys(key_of(record) for record in records)
    rows = [Row(key, [record for record in records if key_of(record) == key]) for key in keys]
    return sorted(rows, key=lambda row: (not row.is_ours, row.milliseconds))


def line(row, best_of_ours, is_model):
    span = f"{row.milliseconds:.2f} ({min(row.medians):.2f}–{max(row.medians):.2f})"
    speed = f"{row.speed:.1f}" if is_model else ""
    error = "" if row.error is None else f"{row.error:.1e}"
    ratio = ""
    if best_of_ours and not row.is_ours:
        ratio = f"{row.milliseconds / best_of_ours.milliseconds:.2f} ×"
    notes = [] if row.counts else ["not steady"]
    if row.foreign > 0.06:
        notes.append(f"{row.foreign:.0%} foreign CPU")
    limits = f"{min(row.limits):.0f}–{max(row.limits):.0f}" if row.limits else ""
    cells = (name_of(row.key), span, speed, limits, error, ratio, ", ".join(notes))
    return "| " + " | ".join(cells) + " |"


def required(bar, read_limit):
    """The ratio that a bar asks for at this read limit, or none."""
    if read_limit is not None and read_limit < bar.least_read_limit:
        return None
    threshold, ratio = bar.fast
    return ratio if read_limit is not None and read_limit > threshold else bar.ratio


def verdicts(bars, rows, read_limit):
    """A line for every bar, and type where it names some."""
    for bar, key_type in [(bar, name) for bar in bars for name in bar.types or (None,)]:
        ours = [row for row in rows if row.is_ours and key_type in (None, row.key[2])]
        peers = [row for row in rows if not row.is_ours and name_of(row.key).startswith(bar.peer)]
        if not ours or not peers:
            continue
        fastest = min(peers, key=lambda row: row.milliseconds)
        best = min(ours, key=lambda row: row.milliseconds)
        ratio = fastest.milliseconds / best.milliseconds
        asked = required(bar, read_limit)
        text = f"{name_of(best.key)}: {ratio:.2f} × {name_of(fastest.key)}"
        if asked is None:
            yield f"{text}; nothing is asked below {bar.least_read_limit:g} GB/s"
        else:
            word = "reached" if ratio >= asked else "MISSED"
            yield f"{text}; asked: {asked:g} ×: {word}"


def table(records, comparisons):
    """Markdown, a table for each comparison and operation that has records."""
    lines = []
    for comparison in comparisons:
        for operation in comparison.operations:
            own = [
                record
                for record in records
                if record.get("comparison") == comparison.name
                and record["operation"] == operation
            ]
            if not own:
                continue
            rows = rows_of(own)
            ours = [row for row in rows if row.is_ours]
            best = min(ours, key=lambda row: row.milliseconds, default=None)
            limits = [record.get("readLimitGigabytesPerSecond") for record in own]
            limits = [limit for limit in limits if limit is not None]
            read_limit = statistics.median(limits) if limits else None
            rounds = max(record["round"] for record in own)
            threads = own[0]["threads"]
            title = f"{comparison.name}, {operation}, threads: {threads}, rounds: {rounds}"
            if read_limit is not None:
                title += f", memory reads {read_limit:.1f} GB/s"
            lines += [title, ""]
            lines.append(HEADER)
            lines += [line(row, best, comparison.model) for row in rows]
            lines += ["", *verdicts(comparison.bars[operation], rows, read_limit), ""]
    return "\n".join(lines) if lines else "nothing was measured"

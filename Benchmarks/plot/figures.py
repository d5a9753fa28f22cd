"""The figures: decode, prefill, growth of the cache by one token and without end, a model."""

import statistics
import textwrap

import matplotlib
from fields import drawing
from matplotlib import ticker
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from records import (
    count_label,
    encoding_of,
    groups,
    machine_line,
    machinery_of,
    shape_of,
    type_of,
)

# Okabe and Ito's colours, which colour-blind people tell apart.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
KNOWN_TYPES = ["f32", "f16", "bf16", "int8"]
DASHES = ["-", "--", ":", "-.", (0, (1, 3)), (0, (5, 1, 1, 1, 1, 1))]
KNOWN_ENCODINGS = ["none", "rope", "alibi", "rope+alibi"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
OURS = "streaming-attention"

STYLE = {
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "text.parse_math": False,  # a dollar in a name is a dollar
    "svg.fonttype": "none",
    "svg.hashsalt": "streaming-attention",  # so that the same records give the same file
}


def plain_label(value, _position=None):
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"


def colour_map(names, known):
    """A colour for each, the same in every figure for those that are known."""
    order = known + sorted(set(names) - set(known))
    return {name: COLOURS[order.index(name) % len(COLOURS)] for name in names}


def line_map(names):
    """A dash and a marker for each encoding."""
    order = KNOWN_ENCODINGS + sorted(set(names) - set(KNOWN_ENCODINGS))
    indices = {name: order.index(name) for name in names}
    return {
        name: (DASHES[index % len(DASHES)], MARKERS[index % len(MARKERS)])
        for name, index in indices.items()
    }


def ordered(names, known):
    return sorted(
        set(names), key=lambda name: (known.index(name) if name in known else len(known), name)
    )


def count_axis(axis, values, label):
    """A logarithmic axis with a tick at each value that was measured."""
    axis.set_xscale("log", base=2)
    axis.set_xticks(sorted(set(values)))
    axis.xaxis.set_minor_locator(ticker.NullLocator())
    axis.xaxis.set_major_formatter(ticker.FuncFormatter(count_label))
    axis.set_xlabel(label)


def log_speed_axis(axis, label):
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_minor_locator(ticker.NullLocator())
    axis.yaxis.set_major_formatter(ticker.FuncFormatter(plain_label))
    axis.set_ylabel(label)


def fraction_axis(axis, values, label):
    """From zero, or from a half where nothing lies below it."""
    lowest = 0.5 if min(values, default=1) > 0.5 else 0
    axis.set_ylim(lowest, max([1.0, *values]) * 1.02)
    axis.axhline(1, color="#555555", linewidth=1)
    axis.yaxis.set_major_formatter(ticker.PercentFormatter(1, decimals=0))
    axis.set_ylabel(label)


def draw(axis, points, colour, dash="-", marker="o"):
    """A line through (x, y, steady), the median of several at one x; hollow if any unsteady."""
    measured = {}
    for x, y, steady in points:
        measured.setdefault(x, []).append((y, steady))
    points = [
        (x, statistics.median(y for y, _ in found), all(steady for _, steady in found))
        for x, found in sorted(measured.items())
    ]
    axis.plot([x for x, _, _ in points], [y for _, y, _ in points], color=colour, linestyle=dash)
    for x, y, steady in points:
        fill = (
            dict(markerfacecolor=colour, zorder=2)
            if steady
            else dict(markerfacecolor="white", zorder=3)
        )
        axis.plot(x, y, marker, color=colour, **fill)


def is_steady(record):
    return record.get("steady", True)


def coloured(colours):
    """Legend entries of colours."""
    return [
        Line2D([], [], color=colour, linewidth=3, label=name) for name, colour in colours.items()
    ]


def styled(styles):
    """Legend entries of dashes and markers, in grey."""
    return [
        Line2D([], [], color="#555555", linestyle=dash, marker=marker, label=name)
        for name, (dash, marker) in styles.items()
    ]


def canvas(title, machine, panels=2):
    """A figure with room for two lines above and for legends below."""
    width = 5.6 * panels
    figure = Figure(figsize=(width, 5), dpi=150)
    axes = figure.subplots(1, panels, squeeze=False)
    figure.text(0.07 / width, 0.985, title, va="top", fontsize=13, fontweight="bold")
    lines = textwrap.wrap(machine, 14 * round(width))
    figure.text(0.07 / width, 0.925, "\n".join(lines), va="top", fontsize=9, color="#555555")
    figure.machine_lines = len(lines)
    return figure, list(axes[0])


def finish(figure, legends, records):
    """Lays the figure out, a row of legend for each kind of entry."""
    if not all(is_steady(record) for record in records):
        hollow = dict(color="#555555", marker="o", linestyle="", markerfacecolor="white")
        legends = [
            *legends,
            [Line2D([], [], **hollow, label="hollow: the machine did not hold still")],
        ]
    bottom = 0.01
    for handles in reversed(legends):
        longest = max(len(handle.get_label()) for handle in handles)
        columns = max(1, int(figure.get_figwidth() / (0.8 + 0.075 * longest)))
        figure.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(0, bottom),
            ncols=min(columns, len(handles)),
            fontsize=9,
            handlelength=3.2,
            borderaxespad=0,
            borderpad=0.3,
        )
        bottom += 0.045 * -(-len(handles) // columns)
    figure.tight_layout(rect=(0, bottom + 0.01, 1, 0.94 - 0.035 * figure.machine_lines), w_pad=3)
    return figure


def decode(records, machine):
    """Speed and fraction of the read limit over context, by type and encoding."""
    for (shape, machinery), own in groups(records, shape_of, machinery_of).items():
        colours = colour_map(ordered(map(type_of, own), KNOWN_TYPES), KNOWN_TYPES)
        styles = line_map(ordered(map(encoding_of, own), KNOWN_ENCODINGS))
        figure, (speed, fraction) = canvas(f"Decode, {shape}", f"{machinery} · {machine}")
        fractions = []
        for (stored, encoding), line in groups(own, type_of, encoding_of).items():
            style = colours[stored], *styles[encoding]
            sequences = own[0].get("batch", 1)
            draw(
                speed,
                [
                    (r["context"], sequences * 1e3 / r["medianMilliseconds"], is_steady(r))
                    for r in line
                ],
                *style,
            )
            # A horizon leaves bytes unread; where the processor's caches hold all, nothing limits.
            limited = [r for r in line if "fractionOfReadLimit" in r and not r.get("alibiEpsilon")]
            draw(
                fraction,
                [(r["context"], r["fractionOfReadLimit"], is_steady(r)) for r in limited],
                *style,
            )
            fractions += [r["fractionOfReadLimit"] for r in limited]
        contexts = [record["context"] for record in own]
        for axis in (speed, fraction):
            count_axis(axis, contexts, "context, tokens")
        fraction.set_xlim(speed.get_xlim())
        speed.set_title("Speed of one layer's attention")
        log_speed_axis(speed, "tokens per second")
        fraction.set_title("Of what memory can deliver")
        fraction_axis(fraction, fractions, "bytes read per second ÷ read limit")
        yield (
            f"decode-{slug(shape)}-{slug(machinery)}",
            finish(figure, [coloured(colours), styled(styles)], own),
        )


def prefill(records, machine):
    """Speed and fraction of the peak over query length, by type, context and encoding."""
    for (shape, machinery), own in groups(records, shape_of, machinery_of).items():
        colours = colour_map(ordered(map(type_of, own), KNOWN_TYPES), KNOWN_TYPES)
        # Each line is an encoding at a context.
        names = sorted({(r["context"], encoding_of(r)) for r in own})
        styles = {
            name: (DASHES[index % len(DASHES)], MARKERS[index % len(MARKERS)])
            for index, name in enumerate(names)
        }
        figure, (speed, fraction) = canvas(f"Prefill, {shape}", f"{machinery} · {machine}")
        keys = (type_of, encoding_of, lambda record: record["context"])
        for (stored, encoding, context), line in groups(own, *keys).items():
            style = colours[stored], *styles[context, encoding]
            draw(
                speed,
                [(r["queryLength"], r["gigaflopsPerSecond"], is_steady(r)) for r in line],
                *style,
            )
            draw(
                fraction,
                [(r["queryLength"], r["fractionOfPeak"], is_steady(r)) for r in line],
                *style,
            )
        lengths = [record["queryLength"] for record in own]
        for axis in (speed, fraction):
            count_axis(axis, lengths, "query length, tokens")
        speed.set_title("Speed of one layer's attention")
        speed.set_ylim(0, max(record["gigaflopsPerSecond"] for record in own) * 1.08)
        speed.set_ylabel("GFLOP/s, visible pairs only")
        fraction.set_title("Of the arithmetic peak")
        fraction_axis(
            fraction,
            [record["fractionOfPeak"] for record in own],
            "GFLOP/s ÷ peak of the type's arithmetic",
        )
        entries = {
            f"context {count_label(c)}, {encoding}": styles[c, encoding] for c, encoding in names
        }
        yield (
            f"prefill-{slug(shape)}-{slug(machinery)}",
            finish(figure, [coloured(colours), styled(entries)], own),
        )


def append(records, machine):
    """What one more token costs a layer of the cache, over context, by type and encoding.

    A step goes through all layers.
    """
    for (shape, machinery), own in groups(records, shape_of, machinery_of).items():
        colours = colour_map(ordered(map(type_of, own), KNOWN_TYPES), KNOWN_TYPES)
        marks = line_map(ordered(map(encoding_of, own), KNOWN_ENCODINGS))
        figure, (axis,) = canvas(
            f"Growth by one token, {shape}", f"{machinery} · {machine}", panels=1
        )
        styles = {}
        for (stored, encoding), line in groups(own, type_of, encoding_of).items():
            for name, field, dash in [
                ("median", "medianMilliseconds", "-"),
                ("99th percentile", "p99Milliseconds", ":"),
            ]:
                points = [
                    (r["context"], r[field] * 1e3 / r["layers"], is_steady(r))
                    for r in line
                    if field in r
                ]
                if points:
                    styles[f"{encoding}, {name}"] = dash, marks[encoding][1]
                    draw(axis, points, colours[stored], *styles[f"{encoding}, {name}"])
        count_axis(axis, [record["context"] for record in own], "context, tokens")
        layers = sorted({record["layers"] for record in own})
        axis.set_title(f"Time of a step ÷ its layers ({', '.join(map(str, layers))})")
        log_speed_axis(axis, "microseconds per layer")
        legends = [coloured(colours), styled(styles)]
        yield f"append-{slug(shape)}-{slug(machinery)}", finish(figure, legends, own)


def model(records, machine):
    """Tokens per second of a whole model over the depth of its cache, by engine."""

    def engine_of(record):
        return f"{record.get('engine', OURS)} {type_of(record)}"

    def depth_of(record):
        return record["depth"] if "depth" in record else record["context"]

    for (name, operation), own in groups(
        records, lambda r: r["model"], lambda r: r["operation"]
    ).items():
        engines = ordered(map(engine_of, own), [])
        ours = [engine for engine in engines if engine.startswith(OURS)]
        styles = {
            engine: (COLOURS[index % len(COLOURS)], DASHES[index // len(COLOURS) % len(DASHES)])
            for index, engine in enumerate(ours + sorted(set(engines) - set(ours)))
        }
        depths = sorted(set(map(depth_of, own)))
        figure, (axis,) = canvas(f"{name}, {operation}", machine, panels=1)
        for (engine,), line in groups(own, engine_of).items():
            points = [
                (depths.index(depth_of(r)), r["tokensPerSecond"], is_steady(r)) for r in line
            ]
            draw(axis, points, *styles[engine])
        axis.set_xticks(range(len(depths)), [count_label(depth) for depth in depths])
        axis.set_xlabel("tokens already in the cache")
        axis.set_title("Speed of the whole model")
        log_speed_axis(axis, "tokens per second")
        entries = [
            Line2D([], [], color=colour, linestyle=dash, marker="o", label=engine)
            for engine, (colour, dash) in styles.items()
        ]
        yield f"model-{slug(name)}-{operation}", finish(figure, [entries], own)


GROWTH = [
    ("Decode", "milliseconds of a step", "decodeMilliseconds", ["p50", "p99"], 1),
    (
        "Growth by one token",
        "microseconds of a step",
        "appendMicroseconds",
        ["p50", "p99", "p99WithCommits"],
        1,
    ),
    ("Memory", "GiB", "memoryBytes", ["formula", "committed", "resident"], 1 / 2**30),
]
QUANTITIES = {
    "p50": "median",
    "p99": "99th percentile",
    "p99WithCommits": "with page commits",
    "formula": "live pages",
    "committed": "committed",
    "resident": "process",
}


def growth(records, machine):
    """Latency and memory over context, as a cache grew under `attend stress growth`."""

    def contents_of(record):
        sequences = record["sequences"]
        return (
            f"{type_of(record)}, {encoding_of(record)}, {record['layers']} layers"
            + (f", {sequences} sequences" if sequences > 1 else "")
        )

    for (shape, machinery), own in groups(records, shape_of, machinery_of).items():
        colours = colour_map(ordered(map(contents_of, own), []), [])
        figure, axes = canvas(f"Growth, {shape}", f"{machinery} · {machine}", panels=3)
        styles = {}
        for axis, (title, label, field, names, unit) in zip(axes, GROWTH):
            contexts = []
            for index, name in enumerate(names):
                style = DASHES[index], MARKERS[index]
                styles[QUANTITIES[name]] = style
                for record in own:
                    points = [
                        (int(context), values[name] * unit, True)
                        for context, values in record[field].items()
                        if values.get(name) is not None
                    ]
                    draw(axis, points, colours[contents_of(record)], *style)
                    contexts += [context for context, _, _ in points]
            axis.set_title(title)
            count_axis(axis, contexts, "context, tokens")
            axis.tick_params(axis="x", labelrotation=45)
            log_speed_axis(axis, label)
        yield (
            f"growth-{slug(shape)}-{slug(machinery)}",
            finish(figure, [coloured(colours), styled(styles)], own),
        )


def slug(text):
    """A part of a file's name."""
    kept = "".join(
        character if character.isalnum() else "-" for character in text.replace(" heads × ", "x")
    )
    return "-".join(part for part in kept.lower().split("-") if part)


def all_figures(records):
    """Pairs of a file's name and its figure, for whatever the records hold."""
    machine = machine_line(records)

    def of(name):
        return [record for record in records if drawing(record) == name]

    with matplotlib.rc_context(STYLE):
        yield from decode(of("decode"), machine)
        yield from prefill(of("prefill"), machine)
        yield from append(of("append"), machine)
        yield from growth(of("growth"), machine)
        yield from model(of("model"), machine)

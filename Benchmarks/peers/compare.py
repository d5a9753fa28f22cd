"""Times ours and its peers in turns, in one run, and prints how they compare.

tools/compare-peers starts it; README.md says what is compared and what a record holds.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shlex
import select
import subprocess
import sys
import tempfile
import time

import engines

sys.path.append(str(engines.HERE.parent / "plot"))  # whose reader of records this is
import records as saved
import table

MOST_FOREIGN = 0.06  # of the machine's CPU time, used by other processes during a measurement
ATTEMPTS = 3
SETTLE_SECONDS = 0.5  # so that the last engine's threads have stopped spinning
SETUP_SECONDS = 1800


class Parser(argparse.ArgumentParser):
    """Ends as every tool here does where it cannot make out its command line."""

    def error(self, message):
        self.exit(64, f"compare-peers: {message}; see tools/compare-peers --help\n")


class EngineError(Exception):
    """An engine could not be set up, or stopped; its last words."""


def environment(threads):
    """For all peers alike: the same threads, and huge pages where glibc hands the memory out."""
    names = dict(os.environ, OMP_NUM_THREADS=str(threads))
    names["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    return names


def busy_seconds():
    """CPU time that the whole machine has used."""
    fields = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, soft = map(int, fields[:7])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def process_seconds(process):
    """CPU time that one process has used, with its threads and the children it has waited for."""
    try:
        text = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:  # it has died, which its silence will tell
        return 0
    return sum(map(int, text[11:15])) / os.sysconf("SC_CLK_TCK")


class ForeignShare:
    """The share of the machine's CPU time that neither `process` nor we used while a block ran."""

    def __init__(self, process):
        self.process = process
        self.share = 0.0

    def own_seconds(self):
        own = process_seconds(os.getpid())
        return own + (process_seconds(self.process) if self.process else 0)

    def __enter__(self):
        self.began, self.busy, self.own = time.monotonic(), busy_seconds(), self.own_seconds()
        return self

    def __exit__(self, *_):
        elapsed = time.monotonic() - self.began
        foreign = (busy_seconds() - self.busy) - (self.own_seconds() - self.own)
        self.share = round(max(0.0, foreign / (elapsed * os.cpu_count())), 3)


class Worker:
    """An engine's process, set up and waiting."""

    def __init__(self, engine, threads):
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            engine.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=environment(threads),
            bufsize=1,
        )
        self.line_where(lambda line: line.strip() == "READY", SETUP_SECONDS)

    def line_where(self, is_wanted, seconds):
        """The next line of this kind; engines also print what nobody asked for."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            ready, _, _ = select.select([self.process.stdout], [], [], 1)
            if not ready:
                continue
            line = self.process.stdout.readline()
            if not line:
                raise EngineError(self.last_words())
            if is_wanted(line):
                return line
        raise EngineError(f"no answer in {seconds} seconds")

    def last_words(self):
        self.process.wait()
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors.read().splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {self.process.returncode}"

    def measure(self, operation, seconds):
        """One record, of the attempt that was disturbed least."""
        best = None
        for _ in range(ATTEMPTS):
            time.sleep(SETTLE_SECONDS)
            with ForeignShare(self.process.pid) as foreign:
                try:
                    self.process.stdin.write(f"{operation} {seconds}\n")
                except BrokenPipeError:
                    raise EngineError(self.last_words()) from None
                line = self.line_where(lambda line: line.startswith("{"), 600)
            record = dict(json.loads(line), foreignCPU=foreign.share)
            if best is None or record["foreignCPU"] < best["foreignCPU"]:
                best = record
            if best["foreignCPU"] <= MOST_FOREIGN:
                break
        return best

    def end(self):
        self.process.kill()
        self.process.wait()


def ours(attend, comparison, operation, threads):
    """Records of our own benchmark, which sets itself up in seconds."""
    common = ["--threads", str(threads), "--json"]
    if comparison.model:
        command = [attend, "bench", "model", str(engines.MODEL)]
        command += ["--depth", str(comparison.context)]
        command += [
            "--prompt-length",
            str(0 if operation == "decode" else comparison.query_length),
        ]
        types = comparison.decode_types if operation == "decode" else "f16,bf16"
        command += ["--key-type", types]
    else:
        command = [attend, "bench", operation, "--context", str(comparison.context)]
        types = comparison.decode_types if operation == "decode" else "f16,bf16"
        command += ["--key-type", types, "--position", "none"]
        if operation == "prefill":
            command += ["--query-length", str(comparison.query_length)]
    time.sleep(SETTLE_SECONDS)
    run = subprocess.run(command + common, capture_output=True, text=True)
    if run.returncode != 0:
        words = run.stderr.strip().splitlines() or [f"exit status {run.returncode}"]
        raise EngineError(words[-1])
    records = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    wanted = [record for record in records if record["operation"] == operation]
    return [dict(record, engine=engines.OURS) for record in wanted]


def read_limit(attend, threads):
    """What memory reads now, in GB/s: it may move from minute to minute."""
    command = [attend, "bench", "limits", "--threads", str(threads), "--json"]
    run = subprocess.run(command, capture_output=True, text=True)
    records = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    for record in records:
        if record.get("limit") == "read" and record.get("threads") == threads:
            return {"readLimitGigabytesPerSecond": record["best"]}
    raise EngineError(f"attend bench limits ended with {run.returncode} and no read limit")


def run_comparison(comparison, options, keep):
    """Sets the engines up, then times each in every round, in an order that turns."""
    workers = {}
    with contextlib.ExitStack() as stack:
        for engine in comparison.engines:
            if options.engine and engine.name not in options.engine:
                continue
            if not engine.is_installed:
                progress(f"{engine.name} is not installed; left out")
                continue
            progress(f"{comparison.name}: setting up {engine.label}")
            try:
                worker = Worker(engine, options.threads)
            except EngineError as failure:
                progress(f"{engine.label} failed: {failure}")
                continue
            stack.callback(worker.end)
            workers[engine] = worker

        turns = list(workers)
        if not options.engine or engines.OURS in options.engine:
            turns.insert(0, None)  # ours
        for number in range(options.rounds):
            for operation in comparison.operations:
                for engine in turns[number % len(turns) :] + turns[: number % len(turns)]:
                    label = engine.label if engine else engines.OURS
                    progress(f"{comparison.name}: round {number + 1}, {operation}, {label}")
                    try:
                        if engine is None:
                            records = ours(options.attend, comparison, operation, options.threads)
                        else:
                            record = workers[engine].measure(operation, options.seconds)
                            records = [record | read_limit(options.attend, options.threads)]
                    except EngineError as failure:
                        progress(f"{label} failed: {failure}")
                        continue
                    for record in records:
                        record = dict(record, comparison=comparison.name, round=number + 1)
                        problem = table.problem_of(record)
                        if problem:
                            progress(f"{label} failed: {problem}")
                        else:
                            keep(record)


def progress(text):
    print(f"compare-peers: {text}", file=sys.stderr, flush=True)


def show(text):
    """Prints a result; a reader that has gone is an error of one line too."""
    try:
        print(text, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        progress(f"standard output: {error.strerror}")
        sys.exit(74)


def whole_number(text):
    """A count of one or more, for the parser."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 4096:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1 to 4096")
    return int(text)


def seconds(text):
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"'{text}' is no number above 0, at most 3600")
    return value


def arguments(known):
    """The command line; `known` are the comparisons there are."""
    names = [comparison.name for comparison in known]
    peers = dict.fromkeys(engine.name for comparison in known for engine in comparison.engines)
    parser = Parser(prog="tools/compare-peers", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        choices=names,
        help=f"one comparison, repeat for several: {', '.join(names)}; default: all",
    )
    parser.add_argument(
        "--engine",
        action="append",
        metavar="NAME",
        choices=[engines.OURS, *peers],
        help=f"one engine, repeat for several: {engines.OURS} (ours), {', '.join(peers)}; "
        "default: all installed",
    )
    parser.add_argument("--rounds", type=whole_number, default=3, metavar="N", help="default: 3")
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=3,
        metavar="S",
        help="how long a peer is timed in each round, at least three steps; default: 3",
    )
    parser.add_argument(
        "--threads",
        type=whole_number,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="default: one for each CPU",
    )
    parser.add_argument(
        "--save",
        type=pathlib.Path,
        metavar="FILE",
        help="append the records here as they are made, one JSON object per line",
    )
    parser.add_argument(
        "--table", type=pathlib.Path, metavar="FILE", help="only print the table of saved records"
    )
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--attend", default="attend", help=argparse.SUPPRESS)
    return parser.parse_args()


def machine():
    """What the records were measured on, as `attend bench --save` describes it."""
    processor = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.split(":", 1)[1].strip()
            break
    words = sys.argv[1:]
    if words[:1] == ["--attend"]:  # which the tool has put there
        words = words[2:]
    # Files by their names: folders of this machine say nothing elsewhere.
    words = [os.path.basename(word) if os.sep in word else word for word in words]
    return {
        "operation": "machine",
        "command": shlex.join(["tools/compare-peers", *words]),
        "processor": processor,
        "cpus": len(os.sched_getaffinity(0)),
        "memoryBytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }


def main():
    known = engines.comparisons(len(os.sched_getaffinity(0)))
    options = arguments(known)
    if options.check:
        return
    chosen = [
        comparison
        for comparison in engines.comparisons(options.threads)
        if not options.only or comparison.name in options.only
    ]
    if options.table:
        try:
            records = saved.read(options.table, table.problem_of)
        except saved.RecordsError as error:
            progress(error)
            sys.exit(65)
        except OSError as error:
            progress(f"{error.filename}: {error.strerror}")
            sys.exit(66)
        show(table.table(records, known))
        return
    records = []

    def keep(record):
        records.append(record)
        if options.save:
            with options.save.open("a") as file:
                file.write(json.dumps(record) + "\n")

    keep(machine())
    try:
        for comparison in chosen:
            run_comparison(comparison, options, keep)
    except KeyboardInterrupt:
        progress("interrupted; this is what was measured")
    show(table.table(records, known))


main()

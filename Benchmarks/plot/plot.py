"""Turns saved records of `attend bench` and `stress` into PNG and SVG; tools/plot starts it."""

import argparse
import pathlib
import sys

import fields
import figures
import records


class Parser(argparse.ArgumentParser):
    """Ends as every tool here does where it cannot make out its command line."""

    def error(self, message):
        self.exit(64, f"plot: {message}; see tools/plot --help\n")


def main():
    parser = Parser(
        prog="tools/plot",
        description=__doc__.split(";")[0] + ".",
        epilog="A record whose answer was wrong (selfCheck, checksFailed) is refused with exit "
        "status 65: its time is that of another computation. One of a machine that did not hold "
        "still is drawn hollow.",
    )
    parser.add_argument(
        "results", type=pathlib.Path, nargs="+", help="what attend bench or stress --save wrote"
    )
    parser.add_argument(
        "--to",
        type=pathlib.Path,
        default=pathlib.Path("."),
        metavar="FOLDER",
        help="default: this folder",
    )
    options = parser.parse_args()
    try:
        found = [
            record
            for path in options.results
            for record in records.read(path, fields.problem_of_drawing)
        ]
        if not any(fields.drawing(record) not in (None, "machine") for record in found):
            raise records.RecordsError(
                f"{options.results[0]}: no record of decode, prefill, append, growth or a model"
            )
    except records.RecordsError as error:
        fail(65, error)
    except OSError as error:
        fail(66, f"{error.filename}: {error.strerror}")
    try:
        options.to.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.all_figures(found):
            for kind, metadata in (("png", {}), ("svg", {"Date": None})):
                path = options.to / f"{name}.{kind}"
                figure.savefig(path, metadata=metadata)
                print(path)
    except OSError as error:
        fail(74, f"{error.filename or options.to}: {error.strerror}")


def fail(status, reason):
    print(f"plot: {reason}", file=sys.stderr)
    sys.exit(status)


main()

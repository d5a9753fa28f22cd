"""Turns saved records of `attend bench` and `stress` into PNG and SVG; tools/plot starts it."""

import argparse
import pathlib
import sys

import figures
import records


class Parser(argparse.ArgumentParser):
    """Ends as every tool here does where it cannot make out its command line."""

    def error(self, message):
        self.exit(64, f"plot: {message}; see tools/plot --help\n")


def main():
    parser = Parser(prog="tools/plot", description=__doc__.split(";")[0] + ".")
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
        found = [record for path in options.results for record in records.read(path)]
        options.to.mkdir(parents=True, exist_ok=True)
        drawn = 0
        for name, figure in figures.all_figures(found):
            for kind, metadata in (("png", {}), ("svg", {"Date": None})):
                path = options.to / f"{name}.{kind}"
                figure.savefig(path, metadata=metadata)
                print(path)
            drawn += 1
        if drawn == 0:
            raise records.RecordsError(
                f"{options.results[0]}: no record of decode, prefill, append, growth or a model"
            )
    except records.RecordsError as error:
        print(f"plot: {error}", file=sys.stderr)
        sys.exit(65)
    except KeyError as error:
        print(f"plot: a record has no {error}", file=sys.stderr)
        sys.exit(65)
    except OSError as error:
        print(f"plot: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(66)


main()

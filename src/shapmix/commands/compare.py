"""Compare finished runs: mean and spread over seeds, and paired differences to the first."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

HELP = "compare finished runs"


def add_arguments(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Arguments of the command."""
    parser.add_argument("runs", type=Path, nargs="+", help="run folders; the first is the baseline")
    parser.add_argument(
        "--epoch",
        choices=["last", "best"],
        default="last",
        help="compare the last epochs, or those selected on validation clips",
    )
    parser.add_argument(
        "--format", choices=["table", "markdown", "csv"], default="table", help="how to print"
    )


def run(args: Namespace) -> None:
    """Print a table of the methods and one of their differences to the first."""
    from rich.console import Console

    from shapmix.reporting import compare_table, difference_table, load_run

    runs = [load_run(folder) for folder in args.runs]
    for table in (compare_table(runs, args.epoch), difference_table(runs, args.epoch)):
        if not table.rows:
            continue
        if args.format == "table":
            Console().print(table)
        else:
            print(table.markdown() if args.format == "markdown" else table.csv())

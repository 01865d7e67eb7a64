"""Write one HTML page on one or more finished runs; open it in any browser, with no network.

  shapmix report runs/mine
  shapmix report runs/cross-entropy runs/shapmix-0 runs/shapmix-1 --out comparison.html

The page says how good the runs are, with intervals; which classes and pairs of classes fail, with
clips to watch; which parts of the body carry each action; what the mixed clips look like; and how
to repeat each run. The first run is what the others are compared with: runs that differ only in
their seeds count as one method, and differences are taken on the same test clips and seeds.

Everything comes from the run folders. Runs of older versions lack the clips and the saliency of
the trained model: `shapmix evaluate RUN` adds them.
"""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

HELP = "write a page on finished runs, to open in a browser"


def add_arguments(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Arguments of the command."""
    parser.add_argument("runs", type=Path, nargs="+", help="run folders; the first is the baseline")
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="the page to write")
    parser.add_argument(
        "--epoch",
        choices=["last", "best"],
        default="last",
        help="report on the last epochs, or on those selected on validation clips",
    )


def run(args: Namespace) -> None:
    """Write the page and say where it is."""
    from shapmix.commands.overwriting import PAGE, check_replaceable
    from shapmix.reporting.report import write_report

    check_replaceable(args.out, PAGE)
    path = write_report(args.runs, args.out, args.epoch).resolve()
    print(f"page to open: {path} ({path.stat().st_size / 1e6:.1f} MB)")

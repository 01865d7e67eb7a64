"""Figures of finished runs for print, a file each: PDF with embedded fonts, PNG or SVG.

Several runs are drawn together; runs that differ only in their seeds count as one method. Colours
are told apart by the colour-blind, sizes are those of one or two columns of a paper, and the same
runs always give the same files.

    shapmix figures runs/shapmix --out figures
    shapmix figures runs/ce runs/shapmix --only groups accuracy --format png --columns 1
    shapmix figures runs/shapmix --only bodies --classes drink wave

Figures (--only): accuracy (of every class above its training clips), groups (many, medium and
few-shot classes), reliability, training, confusion; and of runs that know them coalitions, bodies,
interactions (Shapley values of body parts) and mix (a mixed clip as a strip).
"""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

HELP = "draw finished runs for print"


def add_arguments(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Arguments of the command."""
    parser.add_argument("runs", type=Path, nargs="+", help="run folders with the same classes")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder of the figures")
    parser.add_argument("--format", choices=["pdf", "png", "svg"], default="pdf", help="of files")
    parser.add_argument(
        "--columns",
        type=int | None,
        help="1 (3.4 inches wide) or 2 (7 inches); by default what suits each figure",
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="FIGURE", help="not all figures")
    parser.add_argument(
        "--classes",
        nargs="+",
        default=[],
        metavar="CLASS",
        help="classes whose saliency is shown; by default the four with the fewest training clips",
    )
    parser.add_argument(
        "--epoch",
        choices=["last", "best"],
        default="last",
        help="the last epoch, or the one selected on validation clips",
    )


def run(args: Namespace) -> None:
    """Write the figures and name them."""
    from shapmix.reporting.figures import write_figures

    if args.columns not in (None, 1, 2):
        raise ValueError(f"--columns is {args.columns}; expected 1 or 2")
    written = write_figures(
        args.runs,
        args.out,
        kind=args.format,
        columns=args.columns,
        only=args.only,
        classes=args.classes,
        which=args.epoch,
    )
    for path in written.files:
        print(path)
    for reason in written.left_out:
        print(f"not drawn: {reason}")

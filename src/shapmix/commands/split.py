"""Decide which clips train, validate and test, and cut the training part to a long tail.

Without options it is the archive's own protocol. With --imbalance the training part is cut to a
long tail; the clips that the cut leaves out are where validation clips come from, so neither they
nor the test clips are trained on. The same archive, options and seed give the same split.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

HELP = "decide which clips train, validate and test; make a long tail"


def add_arguments(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Arguments of the command."""
    parser.add_argument("archive", help="an .arrow file made by `shapmix import`")
    parser.add_argument("--out", type=Path, required=True, help="the split to write, a .json file")
    parser.add_argument("--protocol", type=str | None, help="one of the archive's protocols")
    parser.add_argument(
        "--train",
        type=str | None,
        help="in place of a protocol, what may train: an expression over the columns, such as "
        '"view != 3 and subject in (1, 2)", or a list of names (.txt, .json); no comparison holds '
        "where a value is unknown",
    )
    parser.add_argument("--test", type=str | None, help="likewise, what tests")
    parser.add_argument(
        "--train_list",
        type=Path | None,
        help="a published list of the long-tailed training clips (.txt, .json)",
    )
    parser.add_argument(
        "--imbalance", type=float | None, help="clips of the largest class per clip of the smallest"
    )
    parser.add_argument("--n_max", type=int | None, help="clips of the largest class")
    parser.add_argument(
        "--profile",
        choices=["exponential", "step", "pareto"],
        default="exponential",
        help="how the counts fall from class to class",
    )
    parser.add_argument(
        "--order",
        choices=["label", "size", "permuted"],
        default="label",
        help="which classes stay large: the first by label, the largest, or as drawn from the seed",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument(
        "--val_per_class",
        type=int,
        default=20,
        help="with a long tail: most validation clips of a class",
    )
    parser.add_argument(
        "--val_fraction",
        type=float,
        default=0.1,
        help="without one: share of the training clips that validates",
    )
    parser.add_argument(
        "--drop_copies",
        choices=["train", "test"],
        help="where the same recording (exact, near and altered copies) is in what may train and "
        "in what tests, leave it out of the one or the other; and of the validation part where "
        "the training part has it",
    )


def run(args: Namespace) -> None:
    """Make the split, save it, print its classes."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from shapmix.commands.overwriting import SPLIT, check_replaceable
    from shapmix.commands.showing import printable
    from shapmix.counts import shot_bins
    from shapmix.data.archive import Archive
    from shapmix.data.splits import make_split, unknown_values

    check_replaceable(args.out, SPLIT)
    archive = Archive(args.archive)
    options = {k: v for k, v in vars(args).items() if k not in ("archive", "out")}
    split = make_split(archive, **options)
    split.save(args.out)
    counts = split.counts
    shots = {k: name for name, classes in shot_bins(counts["train"]).items() for k in classes}
    table = Table("label", "class", "train", "validate", "test", "shots")
    for k, name in enumerate(archive.info.class_names):
        row = [str(counts[part][k]) for part in ("train", "val", "test")]
        table.add_row(str(k), Text(printable(name)), *row, shots[k])
    totals = [str(counts[part].sum()) for part in ("train", "val", "test")]
    table.add_section()
    table.add_row("", "all", *totals, f"imbalance {split.imbalance_factor:.3g}")
    console = Console()
    console.print(table)
    for column, number in unknown_values(archive, split).items():
        console.print(
            f"{column} is unknown for {number} clips, which are therefore in no part.",
            style="yellow",
        )
    validated = counts["val"]
    cut = args.imbalance is not None or args.train_list is not None
    if cut and len(set(validated.tolist())) > 1:
        console.print(
            f"Validation has {validated.min()} to {validated.max()} clips a class: the long tail "
            "left no more of some. A class with few weighs as much as the others in the mean-class "
            "accuracy that selects the epoch.",
            style="yellow",
        )
    trained = counts["train"]
    if args.imbalance is not None and args.order == "label" and (np.diff(trained) > 0).any():
        console.print(
            "Not every class had as many clips as its place in the long tail asks for: classes are "
            "in the order of their labels. `--order size` keeps the largest ones large.",
            style="yellow",
        )
    console.print(f"split: {args.out}", soft_wrap=True, markup=False)
    train = ["shapmix", "train", "--archive", args.archive, "--split", str(args.out)]
    console.print(f"next: {shlex.join(train)}", soft_wrap=True, markup=False)

"""Give a finished run a new classifier: the second stage of two-stage methods for long tails.

The backbone stays as it is. What is made is a run folder of its own, which `shapmix compare` and
`shapmix evaluate` take like any other.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from shapmix.commands.opening import add_device_argument, add_model_argument, check_device
from shapmix.training.config import Options

HELP = "give a finished run a new classifier"

KINDS = ("crt", "lws", "maxnorm", "tau-norm", "logit-adjustment")


def add_arguments(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Arguments of the command."""
    parser.add_argument("run", type=Path, help="a run folder made by `shapmix train`")
    parser.add_argument(
        "--kind",
        choices=KINDS,
        required=True,
        help="classifier re-training, learnable weight scaling, weight balancing, "
        "tau-normalisation or post-hoc logit adjustment",
    )
    parser.add_argument(
        "--options",
        type=Options,
        default={},
        help="options of the kind, such as --options.epochs 5 or --options.tau validation",
    )
    parser.add_argument(
        "--out", type=Path | None, help="the new run folder; <run>-<kind> when not given"
    )
    add_device_argument(parser)
    add_model_argument(parser)


def run(args: Namespace) -> None:
    """Make the second stage, print what was found and the table of the new run."""
    from rich.console import Console

    from shapmix.reporting import load_run, run_table
    from shapmix.training.second_stage import second_stage, second_stage_folder

    check_device(args.device)
    folder = second_stage_folder(args.run, args.out, args.kind)
    given = {"device": args.device, "model": args.model}
    second_stage(args.run, folder, args.kind, args.options, **given)
    found = json.loads((folder / "second_stage.json").read_text())["found"]
    for name in ("tau", "max_norm"):
        if name in found:
            chosen = ", the best on the validation clips" if "search" in found else ""
            print(f"{name}: {found[name]:.3g}{chosen}")
    Console().print(run_table(load_run(folder)))
    print(f"run: {folder}")

"""Evaluate a finished run once more, from its weights, and print its table.

    shapmix evaluate runs/mine
    shapmix evaluate runs/mine --classes

The metrics, the scores and what reports show are written anew; a run of an older version gets what
it lacks. If the weights give other scores than when they were trained, because another version of
this program computes something else from them, nothing is written: --renew accepts the new scores.
"""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from shapmix.commands.opening import add_device_argument, add_model_argument, check_device

HELP = "evaluate a finished run once more, and renew what its report shows"


def add_arguments(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Arguments of the command."""
    parser.add_argument("run", type=Path, help="a run folder made by `shapmix train`")
    add_device_argument(parser)
    add_model_argument(parser)
    parser.add_argument("--renew", action="store_true", help="accept other scores than the run has")
    parser.add_argument("--classes", action="store_true", help="print every class too")


def run(args: Namespace) -> None:
    """Evaluate, write metrics, scores and what reports show, print the table."""
    from rich.console import Console

    from shapmix.reporting import class_table, load_run, run_table
    from shapmix.training.evaluation import evaluate_run

    check_device(args.device)
    evaluate_run(args.run, args.device, renew=args.renew, model=args.model)
    run = load_run(args.run)
    Console().print(run_table(run))
    if args.classes:
        Console().print(class_table(run))

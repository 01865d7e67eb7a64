"""Fail on what would make training silently useless."""

from collections.abc import Sequence

from jsonargparse import ArgumentParser, Namespace

HELP = "fail on what would make training silently useless"


def add_arguments(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Arguments of the command."""
    parser.add_argument("archive", help="an .arrow file made by `shapmix import`")


def run(args: Namespace) -> None:
    """Check the archive."""
    raise NotImplementedError

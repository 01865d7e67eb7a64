"""Fail on what would make training silently useless.

Exit status 1 when anything is found that would (labels off by one, copies of training clips in the
test part, joints in another order than the layout says, empty coordinates, ...), with the clips,
the reason and the remedy; 0 when there are warnings and notes only. Without --split the archive's
own first protocol is checked, as training would use it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from shapmix.commands.showing import print_findings, progress

if TYPE_CHECKING:
    from shapmix.data.archive import Archive
    from shapmix.data.health import Finding
    from shapmix.data.splits import Split
    from shapmix.training.config import TrainConfig

HELP = "fail on what would make training silently useless"


def add_arguments(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Arguments of the command."""
    parser.add_argument("archive", help="an .arrow file made by `shapmix import`")
    parser.add_argument("--split", type=Path | None, help="a .json file made by `shapmix split`")
    parser.add_argument(
        "--config",
        type=Path | None,
        help="a YAML file for `shapmix train`, to check against the clips; its split is taken "
        "when none is given",
    )


def run(args: Namespace) -> None:
    """Print all findings; ValueError when there is an error among them."""
    from rich.console import Console

    from shapmix.data.archive import Archive
    from shapmix.data.health import Plan, examine

    archive = Archive(args.archive)
    archive.verify()
    config = None if args.config is None else _read_config(args.config, archive)
    plan = None
    if config is not None:
        plan = Plan(config.num_frames, config.num_persons, config.batch_size, config.drop_last)
    chosen = args.split if args.split is not None or config is None else config.split
    split, findings = read_split(archive, chosen)
    with progress(len(archive)) as on_progress:
        _, found = examine(archive, split, plan=plan, on_progress=on_progress)
    findings += found
    print_findings(findings, Console())
    errors = sum(finding.severity == "error" for finding in findings)
    if errors:
        what = "1 error" if errors == 1 else f"{errors} errors"
        raise ValueError(f"{what} found: see why, and what to do, above")


def read_split(archive: "Archive", path: Path | None) -> "tuple[Split | None, list[Finding]]":
    """The split of a file, or the archive's own protocol; and what is wrong with it.

    Raises:
        ValueError: there is no such file.
    """
    from shapmix.data.health import Finding
    from shapmix.data.splits import Split, SplitError, make_split

    if path is None and not archive.info.splits:
        return None, []
    if path is not None and not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ValueError(f"{path} {what}; expected a split, a .json file made by `shapmix split`")
    try:
        return Split.load(path, archive) if path else make_split(archive), []
    except SplitError as error:
        why = "results of a split that is not sound say nothing; training refuses it"
        remedy = "make it again with `shapmix split`"
        return None, [Finding("error", str(error), why, remedy)]


def _read_config(path: Path, archive: "Archive") -> "TrainConfig":
    """The settings that `shapmix train ARCHIVE --config PATH` would have."""
    from dataclasses import fields

    from shapmix.commands import train
    from shapmix.commands.cli import Parser
    from shapmix.settings import SettingError
    from shapmix.training.config import TrainConfig

    parser = Parser()
    train.add_arguments(parser, ())
    try:
        settings = parser.parse_args(["--archive", str(archive.path), "--config", str(path)])
    except ArgumentError as error:
        raise SettingError(f"{path}: {error}") from error
    config = TrainConfig(**{field.name: settings[field.name] for field in fields(TrainConfig)})
    if config.archive.absolute() != archive.path:
        raise ValueError(
            f"{path} trains on {config.archive}, not on {archive.path}; give that archive, or "
            "correct the configuration"
        )
    return config

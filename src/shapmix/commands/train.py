"""Train a recogniser and evaluate it.

Settings come from a YAML file (--config), from flags, or both; flags win. The run folder then
holds the configuration, versions, metrics, scores, saliency, logs and weights. `--resume RUN` goes
on with a run that was stopped.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from shapmix.commands.settings_file import SettingsFile
from shapmix.training.config import TrainConfig

HELP = "train a recogniser and evaluate it"


def add_arguments(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Arguments of the command."""
    parser.add_argument("--config", action=SettingsFile, help="settings from a YAML file")
    parser.add_class_arguments(TrainConfig)


def prepare(words: list[str]) -> list[str]:
    """A run that is resumed starts from its own configuration."""
    for i, word in enumerate(words):
        folder = word.partition("=")[2] or (words[i + 1] if i + 1 < len(words) else "")
        if word.partition("=")[0] != "--resume":
            continue
        if not (Path(folder) / "config.yaml").is_file():
            raise ValueError(f"{folder!r} is no run folder: it has no config.yaml to go on with")
        if any((Path(folder) / name).exists() for name in ("second_stage.json", "ensemble.json")):
            raise ValueError(
                f"{folder!r} is a second stage or an ensemble, which are not trained step by step: "
                "give the command that made it again"
            )
        return ["--config", str(Path(folder) / "config.yaml"), *words]
    return words


def run(args: Namespace) -> None:
    """Train, then print the table of the run."""
    config = TrainConfig(**{field.name: args[field.name] for field in fields(TrainConfig)})
    from rich.console import Console

    from shapmix.reporting import load_run, run_table
    from shapmix.training.files import find_data
    from shapmix.training.run import train

    for given in args.config or ():  # that of a run, whose data may lie where it was made
        made = Path(str(given)).parent
        split = config.split and find_data(config.split, made)
        config = replace(config, archive=find_data(config.archive, made), split=split)
    if train(config) is not None:
        Console().print(run_table(load_run(config.folder)))
        print(f"run: {config.folder}")

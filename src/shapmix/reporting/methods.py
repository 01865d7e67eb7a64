"""Runs as methods: which runs differ only in their seeds, and what tells the methods apart."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shapmix.reporting.files import RunError
from shapmix.reporting.runs import Run

# Settings that may differ between runs of one method: the seed, and how a run was run.
NOT_THE_METHOD = frozenset(
    {"seed", "out", "accelerator", "threads", "workers", "resume", "progress"}
    | {"artefacts", "compile", "cuda_graphs"}
)
# Settings whose values speak for themselves.
_PROPER_NAMES = ("second_stage", "mixer", "loss", "sampler", "model", "stream")


@dataclass(frozen=True)
class Method:
    """Runs that differ only in their seeds.

    Attributes:
        name: what tells it from the other methods.
        runs: at least one.
    """

    name: str
    runs: tuple[Run, ...]

    def by_seed(self) -> dict[Any, Run]:
        """The runs by seed; the last one where a seed occurs twice."""
        return {run.config.get("seed"): run for run in self.runs}


def group_methods(runs: Sequence[Run]) -> tuple[Method, ...]:
    """Runs as methods, in order of first appearance.

    Raises:
        RunError: there are no runs.
    """
    if not runs:
        raise RunError("there are no runs to compare: give at least one run folder")
    groups: dict[str, list[Run]] = {}
    for run in runs:
        key = json.dumps(_settings(run), sort_keys=True, default=str)
        groups.setdefault(key, []).append(run)
    names = _names([members[0] for members in groups.values()])
    return tuple(
        Method(name, tuple(members)) for name, members in zip(names, groups.values(), strict=True)
    )


def _settings(run: Run) -> dict[str, Any]:
    """The settings that make the method, nested ones by dotted keys."""
    config = {key: value for key, value in run.config.items() if key not in NOT_THE_METHOD}
    return dict(_flat(config))


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _names(runs: Sequence[Run]) -> list[str]:
    """Names made of the settings in which methods differ: `"shapmix + ce (tau=0.4)"`.

    A method that has none of these settings, or is alone, is named by its mixer and loss.
    """
    settings = [_settings(run) for run in runs]
    keys = sorted({key for setting in settings for key in setting})
    telling = [key for key in keys if len({repr(setting.get(key)) for setting in settings}) > 1]
    return [
        _name(setting, telling) or _name(setting, ("mixer", "loss")) or run.name
        for run, setting in zip(runs, settings, strict=True)
    ]


def _name(setting: Mapping[str, Any], telling: Sequence[str]) -> str:
    given = [key for key in telling if setting.get(key) is not None]
    words = " + ".join(str(setting[key]) for key in _PROPER_NAMES if key in given)
    rest = [f"{key.rpartition('.')[2]}={setting[key]}" for key in given if key not in _PROPER_NAMES]
    if words and rest:
        return f"{words} ({', '.join(rest)})"
    return words or ", ".join(rest)

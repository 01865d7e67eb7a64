"""The tasks of a suite: one training run each, or a second stage on the weights of one.

The key of a task is a hash of all that decides its result: settings, data and split, not paths, and
not the names that the suite gives them. Two suites that ask for the same share its result.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from shapmix.benchmarking.suite import DataSpec, Method, Settings, Suite, SuiteError
from shapmix.data.importers import IMPORTERS, load_importer
from shapmix.data.splits import make_split
from shapmix.data.synthetic import write_synthetic
from shapmix.suggest import did_you_mean
from shapmix.training.build import accepted_options
from shapmix.training.config import RUNTIME_FIELDS, TrainConfig
from shapmix.training.files import config_dict

# Raised when the same settings no longer give the same result.
KEY_FORMAT = 1
# Fields that `TrainConfig` gained since then, with what holds for results from before: no part of a
# key while they have that value, so that those results stay valid. Nor without a mixer, where both
# mean nothing.
LATER_FIELDS: dict[str, object] = {"mixed_view": "same", "mix_from": 0.0}

# What the suite itself decides about a run, or what has no place in one.
DECIDED = {"archive", "split", "out", "seed", "resume", "init_from", "fast_dev_run", "progress"}
DECIDED |= {"devices", "artefacts"}


@dataclass(frozen=True, eq=False)
class Task:
    """One row of the table of results.

    Attributes:
        key: sixteen hexadecimal digits, see the top of the module.
        fold: the protocol of a data set with folds, else "".
        recipe: the canonical JSON that the key is the hash of.
        config: of the training; its paths are placeholders until `prepare` sets them.
        data: the data set.
        split: arguments of `make_split`.
        base: the task whose weights a second stage starts from.
        second_stage: its kind and options.
    """

    key: str
    suite: str
    method: str
    dataset: str
    backbone: str
    seed: int
    fold: str
    recipe: str
    config: TrainConfig
    data: DataSpec
    split: Settings
    base: Task | None = None
    second_stage: Settings | None = None

    @property
    def name(self) -> str:
        """Such as ce-sbu-ctrgcn-s0-fold1."""
        parts = (self.method, self.dataset, self.backbone, f"s{self.seed}", self.fold)
        return "-".join(filter(None, parts))


@dataclass(frozen=True)
class Chosen:
    """A part of a suite: tasks with one of these names each; None is all of them."""

    methods: tuple[str, ...] | None = None
    datasets: tuple[str, ...] | None = None
    backbones: tuple[str, ...] | None = None
    seeds: tuple[int, ...] | None = None

    def takes(self, task: Task) -> bool:
        """Whether a task belongs to the part."""
        wanted = (self.methods, self.datasets, self.backbones, self.seeds)
        own = (task.method, task.dataset, task.backbone, task.seed)
        return all(w is None or o in w for w, o in zip(wanted, own, strict=True))


def make_tasks(suite: Suite, chosen: Chosen | None = None) -> list[Task]:
    """The tasks of a suite, or of a part of it, in the order of work.

    Each entry of `runs` goes seed by seed, so that a suite cut short has whole comparisons. What is
    asked for twice is listed once.

    Raises:
        SuiteError: a setting of any task of the suite is unknown or impossible, or nothing is left.
    """
    chosen = Chosen() if chosen is None else chosen
    _check_chosen(suite, chosen)
    tasks: dict[tuple[str, ...], Task] = {}
    for entry in suite.runs:
        for seed, backbone, dataset, method in product(
            entry.seeds, entry.backbones, entry.datasets, entry.methods
        ):
            for fold in suite.datasets[dataset].folds or ("",):
                task = _task(suite, suite.methods[method], dataset, backbone, seed, fold)
                tasks.setdefault((task.name, task.key), task)
    _check_distinct(tasks.values())
    taken = [task for task in tasks.values() if chosen.takes(task)]
    if not taken:
        raise SuiteError(
            "no task of the suite is among the methods, data sets ... that were chosen"
        )
    return taken


def _task(suite: Suite, method: Method, dataset: str, backbone: str, seed: int, fold: str) -> Task:
    data = suite.datasets[dataset]
    split = {"seed": seed, **_split_arguments(data)} | ({"protocol": fold} if fold else {})
    base = None
    if method.of is not None:
        base = _task(suite, suite.methods[method.of], dataset, backbone, seed, fold)
        config = base.config
    else:
        config = replace(_config(suite, method.name, dataset, backbone), seed=seed)
    second_stage = dict(method.second_stage) if base is not None else None
    if second_stage is not None:
        _check_second_stage(canonical(second_stage), f"method {method.name}")
    recipe = canonical(
        {
            "format": KEY_FORMAT,
            "data": data_recipe(data),
            "split": split,
            "fold": fold,
            "train": train_recipe(config),
            "second_stage": second_stage,
        }
    )
    return Task(
        key=digest(recipe),
        suite=suite.name,
        method=method.name,
        dataset=dataset,
        backbone=backbone,
        seed=seed,
        fold=fold,
        recipe=recipe,
        config=config,
        data=data,
        split=split,
        base=base,
        second_stage=second_stage,
    )


def canonical(content: object) -> str:
    """JSON that does not depend on the order of keys."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(text: str) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def data_recipe(data: DataSpec) -> dict[str, Any]:
    """What decides the archive of a data set."""
    where = f"data set {data.name}"
    if data.synthetic is not None:
        return {"synthetic": _accepted(write_synthetic, data.synthetic, where, ("path",))}
    if data.format not in IMPORTERS:
        hint = did_you_mean(data.format, IMPORTERS)
        raise SuiteError(f"{where}: unknown format {data.format!r}{hint}")
    options = _accepted(load_importer(data.format).Options, data.options, f"import of {where}")
    return {"import": data.format, "options": options, "source": Path(data.source).name}


def train_recipe(config: TrainConfig) -> dict[str, Any]:
    """What decides the training: all settings that are not about how it is run."""
    plain = config_dict(config)
    left_out = RUNTIME_FIELDS | {"archive", "split", "init_from", "devices"}
    unmixed = config.mixer == "none"
    left_out |= {name for name, old in LATER_FIELDS.items() if unmixed or plain[name] == old}
    return {name: value for name, value in plain.items() if name not in left_out}


def _split_arguments(data: DataSpec) -> dict[str, Any]:
    """The arguments that a split is given, checked; its seed is among them only if it is fixed."""
    where = f"split of data set {data.name}"
    accepted = _accepted(make_split, data.split, where, ("archive",))
    return {name: accepted[name] for name in data.split}


@lru_cache(maxsize=4096)
def _config(suite: Suite, method: str, dataset: str, backbone: str) -> TrainConfig:
    """A configuration of all layers of settings, checked as far as it can be without data."""
    layers = {
        "train": suite.train,
        f"train of data set {dataset}": suite.datasets[dataset].train,
        f"backbone {backbone}": suite.backbones[backbone],
        f"method {method}": suite.methods[method].train,
    }
    merged: dict[str, Any] = {"threads": 1}
    for where, layer in layers.items():
        if decided := sorted(DECIDED & set(layer)):
            raise SuiteError(f"{where}: {decided[0]} is not for a suite to set")
        accepted = _accepted(TrainConfig, layer, where, tuple(sorted(DECIDED)))
        for name in layer:
            old, new = merged.get(name), accepted[name]
            both = isinstance(old, dict) and isinstance(new, dict)
            merged[name] = {**old, **new} if both else new  # type: ignore[dict-item]
    try:
        config = TrainConfig(Path("archive"), progress=False, artefacts=False, **merged)
        accepted_options(config)
    except ValueError as error:
        where = f"method {method} on {dataset} with {backbone}"
        raise SuiteError(f"{where}: {error}") from error
    return config


@lru_cache(maxsize=256)
def _check_second_stage(stage: str, where: str) -> None:
    """SuiteError for a kind of second stage that does not exist, or an option that it lacks."""
    from shapmix.training.second_stage import check_stage

    options = json.loads(stage)
    try:
        check_stage(options.pop("kind"), options)
    except ValueError as error:
        raise SuiteError(f"{where}: {error}") from error


def _accepted(
    kind: Callable[..., Any], given: Settings, where: str, skip: tuple[str, ...] = ()
) -> dict[str, Any]:
    """All arguments of `kind`, those given and the defaults of the others, by their types.

    Raises:
        SuiteError: one is unknown or of another type.
    """
    return dict(_parsed(kind, canonical(given), where, skip))


@lru_cache(maxsize=4096)
def _parsed(
    kind: Callable[..., Any], given: str, where: str, skip: tuple[str, ...]
) -> dict[str, Any]:
    parser = _parser(kind, skip)
    known = list(parser.get_defaults().as_dict())
    arguments = json.loads(given)
    for name in arguments:
        if name not in known:
            hint = did_you_mean(name, known)
            raise SuiteError(f"{where} has no {name!r}{hint}; it may have {', '.join(known)}")
    try:
        return dict(parser.parse_object(arguments).as_dict())
    except ArgumentError as error:
        message = " ".join(str(error).removeprefix("error: ").split())
        literal = re.search(r"Literal\[(.*)\]\. Got value: (\S+)", message)
        hint = did_you_mean(literal[2], re.findall(r"'([^']+)'", literal[1])) if literal else ""
        raise SuiteError(f"{where}: {message}{hint}") from error


@cache
def _parser(kind: Callable[..., Any], skip: tuple[str, ...]) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    if isinstance(kind, type):
        parser.add_class_arguments(kind, skip=set(skip))
    else:
        parser.add_function_arguments(kind, skip=set(skip))
    return parser


def _check_chosen(suite: Suite, chosen: Chosen) -> None:
    for what in ("methods", "datasets", "backbones"):
        known = getattr(suite, what)
        for name in getattr(chosen, what) or ():
            if name not in known:
                hint = did_you_mean(name, known)
                raise SuiteError(f"the suite has no {what[:-1]} {name!r}{hint}")


def _check_distinct(tasks: Iterable[Task]) -> None:
    """SuiteError when two names stand for the same: a table has each result once."""
    seen: dict[str, Task] = {}
    for task in tasks:
        other = seen.setdefault(task.key, task)
        if other.name != task.name:
            raise SuiteError(f"{other.name} and {task.name} are the same run under two names")

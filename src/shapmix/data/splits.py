"""Splits: which clips train, which validate, which test; made once, saved, and the same for all.

A split follows from the archive and the arguments alone, so that every method is trained,
selected and tested on the same clips.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shapmix.data.archive import Archive
from shapmix.data.clip import known
from shapmix.data.duplicates import Groups, all_copies, without_copies
from shapmix.data.expression import ExpressionError, Truth, columns_of, decide
from shapmix.data.longtail import class_counts, draw_long_tail, long_tail_counts
from shapmix.data.reading import reason
from shapmix.data.split_file import Split, SplitError, indices_of, listed
from shapmix.data.validation import Indices, left_out_validation, stratified_validation
from shapmix.suggest import composed, did_you_mean

__all__ = [
    "ExpressionError",
    "Split",
    "SplitError",
    "make_split",
    "read_names",
    "select",
    "unknown_values",
]


def select(archive: Archive, expression: str) -> Indices:
    """Indices of the clips for which `expression` holds, in archive order.

    Columns are the archive's metadata and name, label, num_frames, num_persons; the language is
    described in `shapmix.data.expression`, whose ExpressionError names an unknown column. A clip
    for which a column that decides has no value is not among them.
    """
    return np.flatnonzero(_decided(archive, expression).holds)


def _decided(archive: Archive, expression: str) -> Truth:
    columns: dict[str, npt.NDArray[Any]] = {
        "name": np.array(archive.names, dtype=object),
        "label": archive.labels,
        "num_frames": archive.num_frames,
        "num_persons": archive.num_persons,
    }
    return decide(expression, columns | archive.metadata)


def make_split(
    archive: Archive,
    *,
    protocol: str | None = None,
    train: str | Path | None = None,
    test: str | Path | None = None,
    imbalance: float | None = None,
    n_max: int | None = None,
    profile: str = "exponential",
    order: str = "label",
    seed: int = 0,
    train_list: str | Path | None = None,
    val_per_class: int = 20,
    val_fraction: float = 0.1,
    drop_copies: str | None = None,
) -> Split:
    """Make a split: a protocol, perhaps a long tail of its training part, and a validation part.

    Args:
        archive: the data set.
        protocol: one of the archive's own splits; by default its first.
        train, test: in place of a protocol, what may train and what tests: each an expression (see
            `select`) or a list of names (a Path, or a text that ends in .txt or .json).
        imbalance, n_max, profile, order: cut the training part to a long tail; see
            `longtail.long_tail_counts`. `n_max` is the largest class by default.
        seed: of the draws of the long tail (with order "permuted" also of the ranks of the
            classes) and of the validation part.
        train_list: a published list of names that is the long-tailed training part.
        val_per_class: with a long tail, up to so many clips of each class that it left out
            validate (see `validation.left_out_validation`).
        val_fraction: without one, this share of the training part validates instead of training
            (see `validation.stratified_validation`).
        drop_copies: where what may train and what tests have the same recording (exact, near and
            altered copies, see `shapmix.data.near_copies`), leave it out of the one or the other,
            "train" or "test"; and in any case out of the validation part where the training part
            has it.

    Raises:
        SplitError: for contradictory arguments, an unknown protocol, names that the archive lacks,
            or a part that would be empty; ExpressionError for a bad expression.
    """
    _check_arguments(imbalance, n_max, train_list, val_per_class, val_fraction)
    if drop_copies not in (None, "train", "test"):
        raise SplitError(f"drop_copies is {drop_copies!r}, expected 'train' or 'test'")
    protocol, train, test = _protocol(archive, protocol, train, test)
    pool, tested = _pool_and_test(archive, protocol, train, test)
    copies = [] if drop_copies is None else all_copies(archive)
    pool, tested = _without_copies(pool, tested, drop_copies, copies)
    K = archive.info.num_classes
    if train_list is not None:
        trained = _from_list(archive, train_list, pool)
    elif imbalance is not None:
        available = class_counts(archive.labels[pool], K)
        n_max = int(available.max()) if n_max is None else n_max
        counts = long_tail_counts(available, n_max, imbalance, profile, order, seed)
        names = [archive.names[i] for i in pool.tolist()]
        drawn = draw_long_tail(names, archive.labels[pool], counts, seed)
        trained = indices_of(archive, drawn, "the draw")
    else:
        val = stratified_validation(archive, pool, val_fraction, seed)
        trained = np.setdiff1d(pool, val)
    if train_list is not None or imbalance is not None:
        left_out = np.setdiff1d(pool, trained)
        val = left_out_validation(archive, trained, left_out, val_per_class, seed)
    val = without_copies(val, trained, copies)
    parts = {"train": trained, "val": val, "test": tested}
    recipe = {
        "protocol": protocol,
        "train": _described(train),
        "test": _described(test),
        "imbalance": imbalance,
        "n_max": n_max,
        "profile": profile,
        "order": order,
        "seed": seed,
        "train_list": None if train_list is None else Path(train_list).name,
        "val_per_class": val_per_class,
        "val_fraction": val_fraction,
        "drop_copies": drop_copies,
        "counts": {p: class_counts(archive.labels[i], K).tolist() for p, i in parts.items()},
        "fingerprint": archive.fingerprint,
    }
    names_of = {p: tuple(archive.names[i] for i in indices) for p, indices in parts.items()}
    return Split(**names_of, archive=archive.path.name, recipe=recipe)


def unknown_values(archive: Archive, split: Split) -> dict[str, int]:
    """Column of a split's expressions -> clips that are in no part for want of a value in it."""
    expressions, truths = [], []
    for part in ("train", "test"):
        with suppress(ExpressionError):  # the name of a list is none
            truths.append(_decided(archive, split.recipe[part]))
            expressions.append(split.recipe[part])
    if not truths:
        return {}
    undecided = np.any([~(truth.holds | truth.fails) for truth in truths], axis=0)
    lost = undecided & ~np.any([truth.holds for truth in truths], axis=0)
    named: set[str] = set().union(*map(columns_of, expressions))
    numbers = {
        name: int((lost & ~known(column)).sum())
        for name, column in archive.metadata.items()
        if name in named
    }
    return {name: number for name, number in numbers.items() if number}


def read_names(path: str | os.PathLike[str]) -> list[str]:
    """Clip names from a list: text with one a line, or JSON (.json): names or {"file_name": name}.

    Raises:
        SplitError: when the file cannot be read, is of another form, or names a clip twice.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        entries = json.loads(text) if path.suffix == ".json" else _lines(text)
    except (OSError, ValueError, RecursionError) as error:
        raise SplitError(
            f"cannot read the list {path}: {reason(error)}; expected names of clips, one a line in "
            "a .txt, or a JSON list"
        ) from error
    if not isinstance(entries, list):
        raise SplitError(f"{path} holds a {type(entries).__name__}, expected a JSON list")
    names: list[str] = []
    for entry in entries:
        name = entry.get("file_name") if isinstance(entry, dict) else entry
        if not isinstance(name, str):
            expected = 'a name or an object with "file_name"'
            raise SplitError(f"entry {len(names)} of {path} is {entry!r}, expected {expected}")
        names.append(composed(name))
    if len(set(names)) != len(names):
        raise SplitError(f"{path} names {len(names) - len(set(names))} clips twice")
    return names


# ---- the steps of make_split


def _check_arguments(
    imbalance: float | None,
    n_max: int | None,
    train_list: str | Path | None,
    val_per_class: int,
    val_fraction: float,
) -> None:
    if train_list is not None and imbalance is not None:
        raise SplitError("train_list and imbalance both define the long tail; give one")
    if n_max is not None and imbalance is None:
        raise SplitError("n_max needs an imbalance factor (1 cuts all classes to n_max)")
    if val_per_class < 0 or not 0 <= val_fraction <= 0.5:
        found = f"val_per_class is {val_per_class} and val_fraction {val_fraction}"
        raise SplitError(f"{found}; expected at least 0, and a share from 0 to 0.5")


def _protocol(
    archive: Archive, protocol: str | None, train: str | Path | None, test: str | Path | None
) -> tuple[str | None, str | Path, str | Path]:
    """The protocol's name, if it is the archive's, and what trains and what tests."""
    if train is not None and test is not None and protocol is None:
        return None, train, test
    if train is not None or test is not None:
        raise SplitError("give a protocol, or both train and test in its place")
    known = archive.info.splits
    if not known:
        raise SplitError(
            f"{archive.path.name} has no protocol of its own; say which clips "
            "train and which test: shapmix split --train ... --test ..."
        )
    protocol = next(iter(known)) if protocol is None else protocol
    if protocol not in known:
        hint = did_you_mean(protocol, known)
        raise SplitError(f"unknown protocol {protocol!r}{hint}; known: {', '.join(known)}")
    return protocol, *known[protocol]


def _pool_and_test(
    archive: Archive, protocol: str | None, train: str | Path, test: str | Path
) -> tuple[Indices, Indices]:
    def chosen(what: str | Path) -> Indices:
        if protocol is None and _is_list(what):  # an archive's own protocol opens no file
            return _listed(archive, what)
        return select(archive, str(what))

    pool, tested = chosen(train), chosen(test)
    for part, indices, what in (("training", pool, train), ("test", tested, test)):
        if not len(indices):
            raise SplitError(f"the {part} part {str(what)!r} selects no clip")
    shared = np.intersect1d(pool, tested)
    if len(shared):
        names = listed([archive.names[i] for i in shared])
        parts = f"the training part {str(train)!r} and the test part {str(test)!r}"
        raise SplitError(f"both in {parts}: {names}")
    return pool, tested


def _without_copies(
    pool: Indices, tested: Indices, drop: str | None, copies: Groups
) -> tuple[Indices, Indices]:
    """What may train and what tests, once the one or the other lacks what both have."""
    if drop == "train":
        pool = without_copies(pool, tested, copies)
    elif drop == "test":
        tested = without_copies(tested, pool, copies)
    if not len(pool) or not len(tested):
        raise SplitError(f"every {drop} clip is a copy, and none is left without them")
    return pool, tested


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _is_list(what: str | Path) -> bool:
    return isinstance(what, Path) or what.endswith((".txt", ".json"))


def _described(what: str | Path) -> str:
    """As the recipe has it: an expression, or the name of a list without its folder."""
    return Path(what).name if _is_list(what) else str(what)


def _listed(archive: Archive, path: str | Path) -> Indices:
    """Positions of the clips of a list, which may call them by their `.skeleton` files."""
    names = [
        name if archive.find(name) is not None else name.removesuffix(".skeleton")
        for name in read_names(path)
    ]
    if len(set(names)) != len(names):
        raise SplitError(f"{path} names {len(names) - len(set(names))} clips twice")
    return indices_of(archive, names, path)


def _from_list(archive: Archive, train_list: str | Path, pool: Indices) -> Indices:
    trained = _listed(archive, train_list)
    if not len(trained):
        raise SplitError(f"{train_list} names no clip")
    strangers = np.setdiff1d(trained, pool)
    if len(strangers):
        names = listed([archive.names[i] for i in strangers])
        raise SplitError(f"in {train_list}, but not in the protocol's training part: {names}")
    return trained

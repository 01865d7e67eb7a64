"""The record of a split: its parts, how they were chosen, and its JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shapmix.counts import shot_bins
from shapmix.data.archive import Archive
from shapmix.data.longtail import Counts, class_counts, imbalance_factor
from shapmix.data.reading import reason
from shapmix.writing import atomic_file

Indices = npt.NDArray[np.int64]

FORMAT = "shapmix split"
FORMAT_VERSION = 1
PARTS = ("train", "val", "test")


class SplitError(ValueError):
    """A split that is contradictory, cannot be made, or belongs to another archive."""


@dataclass(frozen=True)
class Split:
    """Names of the clips of each part, and how they were chosen.

    Attributes:
        train, val, test: clip names, disjoint, in archive order; `val` may be empty.
        archive: file name of the archive.
        recipe: the arguments of `make_split`; "counts": part -> K clips per class; "fingerprint"
            of the archive.

    Raises:
        SplitError: when a clip is in two parts or twice in one, or the counts do not add up.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    archive: str
    recipe: Mapping[str, Any]

    def __post_init__(self) -> None:
        _check_counts(self.recipe)
        for part, names in self.parts.items():
            twice = len(names) - len(set(names))
            if twice:
                raise SplitError(f"the {part} part names {twice} clips more than once")
        for a, b in (("train", "val"), ("train", "test"), ("val", "test")):
            shared = sorted(set(self.parts[a]) & set(self.parts[b]))
            if shared:
                raise SplitError(f"both in the {a} and the {b} part: {listed(shared)}")
        for part, names in self.parts.items():
            total = int(self.counts[part].sum())
            if total != len(names):
                raise SplitError(f"{part}: {len(names)} names, but the recipe counts {total}")

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """Part name -> clip names."""
        return {"train": self.train, "val": self.val, "test": self.test}

    @cached_property
    def counts(self) -> dict[str, Counts]:
        """Part name -> (K,) clips per class."""
        counts = {part: np.array(self.recipe["counts"][part], np.int64) for part in PARTS}
        for per_class in counts.values():
            per_class.flags.writeable = False
        return counts

    @property
    def class_counts(self) -> Counts:
        """(K,) training clips per class."""
        return self.counts["train"]

    @property
    def imbalance_factor(self) -> float:
        """The one reached: largest over smallest class that has training clips."""
        return imbalance_factor(self.class_counts)

    @property
    def shot_bins(self) -> dict[str, Counts]:
        """Class indices of "many" (> 100 training clips), "medium" and "few" (< 20)."""
        return shot_bins(self.class_counts)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON, completely or not at all."""
        content = {"format": FORMAT, "format_version": FORMAT_VERSION, "archive": self.archive}
        content |= {"recipe": dict(self.recipe), **self.parts}
        with atomic_file(path) as file:
            file.write(json.dumps(content, indent=1).encode() + b"\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str], archive: Archive | None = None) -> Split:
        """Read a saved split; given the archive, make sure that it is the split's own.

        Raises:
            SplitError: when the file is not a split, contradicts itself, or was made for an archive
                with other clips than `archive`.
        """
        try:
            content = json.loads(Path(path).read_bytes())
            split = _from_json(content)
            if archive is not None:
                _check_archive(split, archive)
        except SplitError as error:
            raise SplitError(f"{path}: {error}") from error
        except (OSError, ValueError, RecursionError) as error:
            raise SplitError(
                f"cannot read split {path}: {reason(error)}; expected a .json file, made by "
                "`shapmix split`"
            ) from error
        return split


def indices_of(archive: Archive, names: Sequence[str], source: str | Path) -> Indices:
    """Sorted positions of the clips called `names`; SplitError when the archive lacks any."""
    unknown = [name for name in names if archive.find(name) is None]
    if unknown:
        raise SplitError(
            f"not in {archive.path.name}, but in {source}: {listed(unknown)}; "
            f"the archive has {len(archive)} clips such as {archive.names[0]!r}"
        )
    return np.array(sorted(map(archive.index, names)), dtype=np.int64)


def listed(names: Sequence[str]) -> str:
    """`'a'`, or `'a', 'b' and 3 more clips`."""
    shown = ", ".join(repr(name) for name in names[:2])
    return shown if len(names) <= 2 else f"{shown} and {len(names) - 2} more clips"


def _from_json(content: Any) -> Split:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise SplitError(f"not a split: it does not say {FORMAT!r}")
    if content.get("format_version") != FORMAT_VERSION:
        raise SplitError(
            f"split format version {content.get('format_version')!r}, but this program reads "
            f"version {FORMAT_VERSION}; make the split again"
        )
    for part in PARTS:
        names = content.get(part)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise SplitError(f"the {part} part is not a list of names")
    recipe = content.get("recipe")
    if not isinstance(recipe, dict):
        raise SplitError("it has no recipe")
    names_of = {part: tuple(content[part]) for part in PARTS}
    return Split(**names_of, archive=str(content.get("archive", "")), recipe=recipe)


def _check_counts(recipe: Mapping[str, Any]) -> None:
    counts = recipe.get("counts")
    lengths = set()
    for part in PARTS:
        per_class = counts.get(part) if isinstance(counts, dict) else None
        if not isinstance(per_class, list) or not all(map(_is_count, per_class)):
            raise SplitError(f"the recipe does not count the clips per class of the {part} part")
        lengths.add(len(per_class))
    if len(lengths) != 1:
        raise SplitError("the recipe counts different numbers of classes in its parts")


def _is_count(n: object) -> bool:
    return type(n) is int and 0 <= n < 2**31


def _check_archive(split: Split, archive: Archive) -> None:
    if split.recipe.get("fingerprint") != archive.fingerprint:
        raise SplitError(
            f"it was made for an archive {split.archive!r} with other clips or labels than "
            f"{archive.path.name}; make the split again for this one"
        )
    K = archive.info.num_classes
    for part, names in split.parts.items():
        labels = archive.labels[indices_of(archive, names, f"the {part} part")]
        if not np.array_equal(split.counts[part], class_counts(labels, K)):
            raise SplitError(f"the recipe counts other classes in the {part} part than the archive")

"""What a check of a data set finds, and what it has to look at.

A check is a function of a `Case` that yields a `Finding` for each thing that is not as it should
be; `health.CHECKS` lists them all. Checks decide nothing about how findings are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from shapmix.data.archive import Archive
from shapmix.data.longtail import Counts, class_counts
from shapmix.data.survey import Survey

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        severity: "error": training would be useless without saying so; "warning": results suffer;
            "note": good to know.
        title: what was found, with how many.
        why: why it matters.
        remedy: what to do.
        clips: names of all clips concerned; copies of one another are joined by " = ".
    """

    severity: Severity
    title: str
    why: str
    remedy: str
    clips: tuple[str, ...] = ()

    def first_clips(self, most: int = 4) -> str:
        """The first names, and how many more there are; empty when no clip is named."""
        more = len(self.clips) - most
        return ", ".join(self.clips[:most]) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True)
class Plan:
    """What a training configuration means for the clips; see `training.config.TrainConfig`."""

    num_frames: int
    num_persons: int | None
    batch_size: int
    drop_last: bool


@dataclass(frozen=True)
class Case:
    """What checks look at.

    Attributes:
        archive: the data set.
        survey: what a pass over all its clips measured.
        parts: "train", "val" and "test" -> sorted positions in the archive; empty without a split.
        recipe: how the split was made.
        plan: of a training configuration, if one is given.
    """

    archive: Archive
    survey: Survey
    parts: Mapping[str, Indices] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    plan: Plan | None = None

    def names(self, clips: Iterable[int] | npt.NDArray[np.bool_]) -> tuple[str, ...]:
        """Names of clips given by position or by a mask `(N,)`."""
        if isinstance(clips, np.ndarray) and clips.dtype == np.bool_:
            clips = np.flatnonzero(clips)
        return tuple(self.archive.names[i] for i in clips)

    def counts(self, part: str | None = None) -> Counts:
        """(K,) clips of each class: of a part of the split, or of the archive."""
        labels = self.archive.labels
        chosen = labels if part is None else labels[self.parts[part]]
        return class_counts(chosen, self.archive.info.num_classes)

    def class_names(self, classes: Iterable[int]) -> str:
        """`'walk', 'fall' and 3 more`."""
        names = [repr(self.archive.info.class_names[k]) for k in classes]
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        return ", ".join(names[:4]) + more


Check = Callable[[Case], Iterator[Finding]]


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 clip`, `2 clips`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def most_or_some(clips: npt.NDArray[np.bool_], of: npt.NDArray[np.bool_]) -> tuple[Severity, str]:
    """An error when more than half of all clips have a fault; and `all clips`, `3 of 4 clips`."""
    number, total = int(np.count_nonzero(clips)), int(np.count_nonzero(of))
    if number == total:
        return "error", "all clips"
    if 2 * number > total:
        return "error", f"{number} of {total} clips"
    return "warning", counted(number, "clip")

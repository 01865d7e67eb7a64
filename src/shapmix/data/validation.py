"""Validation parts, for choosing epochs and settings; never taken from the test part.

How much a clip resembles the training part decides how much a validation on it flatters. A
*performance* is one execution of an action by one subject: where cameras recorded it together, its
views are near duplicates. It is known by the metadata columns subject and replication (and setup,
where there is one), or what data sets call them (`SUBJECT`, `REPLICATION`); a clip without them
counts as a performance of its own.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from shapmix.data.archive import Archive
from shapmix.data.clip import known
from shapmix.data.longtail import shuffled

Indices = npt.NDArray[np.int64]

SUBJECT, REPLICATION = ("subject", "performer"), ("replication", "trial")
MIN_CLIPS_TO_GIVE = 5  # a class with fewer training clips gives none of them for validation


def left_out_validation(
    archive: Archive, train: Indices, left_out: Indices, per_class: int, seed: int
) -> Indices:
    """Up to `per_class` clips of each class from those that a long tail left out.

    Within a class, those least like the training part come first: clips of subjects that the
    training part has not at all; of subjects that it has not in this class, or that are unknown;
    of performances that it has not; then any. Among equals a seeded shuffle decides.

    Args:
        train, left_out: disjoint indices into the archive.

    Returns:
        sorted indices, a subset of `left_out`.
    """
    likeness = _likeness(archive, train, left_out)
    rank = _shuffled_rank(archive, left_out, seed)
    chosen: list[int] = []
    for k in range(archive.info.num_classes):
        members = left_out[archive.labels[left_out] == k].tolist()
        chosen += sorted(members, key=lambda i: (likeness[i], rank[i]))[:per_class]
    return np.array(sorted(chosen), dtype=np.int64)


def stratified_validation(archive: Archive, train: Indices, fraction: float, seed: int) -> Indices:
    """About `fraction` of each class's training clips, in whole performances.

    Performances are taken in a seeded shuffle until the class's share, rounded and at least one
    clip, is reached; one that would take more than half of the class is passed over. A class of
    fewer than `MIN_CLIPS_TO_GIVE` clips gives none.

    Returns:
        sorted indices, a subset of `train`.
    """
    performances = _performances(archive)
    rank = _shuffled_rank(archive, train, seed)
    chosen: list[int] = []
    for k in range(archive.info.num_classes):
        members = train[archive.labels[train] == k].tolist()
        if fraction <= 0 or len(members) < MIN_CLIPS_TO_GIVE:
            continue
        share = max(1, math.floor(fraction * len(members) + 0.5))
        groups: dict[Hashable, list[int]] = {}
        for i in sorted(members, key=rank.__getitem__):
            groups.setdefault(performances[i], []).append(i)
        taken: list[int] = []
        for group in groups.values():
            if len(taken) < share and len(taken) + len(group) <= len(members) // 2:
                taken += group
        chosen += taken
    return np.array(sorted(chosen), dtype=np.int64)


def _likeness(archive: Archive, train: Indices, candidates: Indices) -> dict[int, int]:
    """Of each candidate, how many the training part has of its subject, that in its class, and its
    performance: 0..3. Each implies the one before it.
    """
    subjects = _column(archive, SUBJECT)
    if subjects is None:
        return dict.fromkeys(candidates.tolist(), 0)
    performances = _performances(archive)

    def traits(i: int) -> tuple[Hashable, ...]:
        subject = subjects[i]
        return subject, (subject, archive.labels[i]), performances[i]

    seen = {trait for i in train.tolist() for trait in enumerate(traits(i))}
    return {
        i: 1 if subjects[i] is None else sum(trait in seen for trait in enumerate(traits(i)))
        for i in candidates.tolist()
    }


def _performances(archive: Archive) -> list[Hashable]:
    """One key a clip, equal for clips of one performance."""
    subjects, replications = _column(archive, SUBJECT), _column(archive, REPLICATION)
    if subjects is None or replications is None:
        return list(archive.names)
    setups = _column(archive, ("setup",)) or [None] * len(archive)
    told = zip(archive.labels.tolist(), subjects, replications, setups, strict=True)
    return [
        name if None in key[1:3] else key for name, key in zip(archive.names, told, strict=True)
    ]


def _column(archive: Archive, names: Sequence[str]) -> list[int | str | None] | None:
    """The first metadata column of one of these names, None where unknown; None without one."""
    found = next((archive.metadata[name] for name in names if name in archive.metadata), None)
    if found is None:
        return None
    return [v if k else None for v, k in zip(found.tolist(), known(found).tolist(), strict=True)]


def _shuffled_rank(archive: Archive, indices: Indices, seed: int) -> dict[int, int]:
    names = [archive.names[i] for i in indices]
    order = shuffled(names, seed, "validation")
    return {archive.index(name): rank for rank, name in enumerate(order)}

"""Clips that occur more than once, and what the parts of a split share.

Copies have the same keypoints, to the last bit; what near and altered copies are is said in
`shapmix.data.near_copies`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from shapmix.data.archive import Archive
from shapmix.data.clip import known
from shapmix.data.findings import Case, Finding, counted
from shapmix.data.near_copies import TOLERANCE, near_and_altered
from shapmix.data.survey import Survey, survey
from shapmix.suggest import composed

PAIRS = (("train", "test"), ("train", "val"), ("val", "test"))
SEVERE = (("train", "test", "copies"), ("train", "test", "near copies"))
PERSON_COLUMNS = ("subject", "performer", "person", "actor", "pair")

Indices = npt.NDArray[np.int64]
Groups = list[list[int]]  # positions of clips that are copies of one another, two or more


def exact_copies(measured: Survey) -> Groups:
    """Groups of clips with the same keypoints; clips without a body are left out."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for i in np.flatnonzero(measured.bodies > 0).tolist():
        groups[measured.digests[i]].append(i)
    return [group for group in groups.values() if len(group) > 1]


def all_copies(archive: Archive) -> Groups:
    """Groups of clips that are exact, near or altered copies of another of the group.

    Every clip is read once, and those that look alike are read again and compared.
    """
    measured = survey(archive)
    exact = exact_copies(measured)
    near, altered = near_and_altered(archive, measured)
    group_of: dict[int, list[int]] = {}
    for clips in [*exact, *near, *altered]:
        groups = {id(g): g for g in (group_of.get(i, [i]) for i in clips)}
        merged = sorted(i for group in groups.values() for i in group)
        group_of.update(dict.fromkeys(merged, merged))
    return sorted({id(group): group for group in group_of.values()}.values())


def without_copies(clips: Indices, of: Indices, groups: Groups) -> Indices:
    """Those of `clips` that are in no group of copies with any clip in `of`."""
    known = set(of.tolist())
    copies = [i for group in groups if known.intersection(group) for i in group]
    return np.setdiff1d(clips, copies)


def check_copies(case: Case) -> Iterator[Finding]:
    """Copies and near copies: in the archive, under other labels, and across parts of the split."""
    near, altered = near_and_altered(case.archive, case.survey)
    for groups, copies, same in (
        (exact_copies(case.survey), "copies", "the same keypoints"),
        (near, "near copies", f"the same keypoints but for a shift and {TOLERANCE:g} of a body"),
        (altered, "altered copies", "the same recording, rounded, with noise, or cut at its ends"),
    ):
        labels = case.archive.labels
        alike = [g for g in groups if len(set(labels[g].tolist())) == 1]
        unlike = [g for g in groups if len(set(labels[g].tolist())) > 1]
        if alike:
            yield Finding(
                "warning",
                f"{counted(sum(map(len, alike)), 'clip')} of one class are {copies} of one another "
                f"({same})",
                "they weigh more than others in training, and are no further evidence in a test",
                "leave all but one of each out of the source, and import again",
                _equated(case, alike),
            )
        if unlike:
            yield Finding(
                "warning",
                f"{counted(sum(map(len, unlike)), 'clip')} of different classes are {copies} of "
                f"one another ({same})",
                "no recogniser can give both the right label; one of them is wrong, or both are",
                "look at these clips and leave out the wrong ones",
                _equated(case, unlike),
            )
        yield from _leaks(case, groups, copies)


def _leaks(case: Case, groups: Groups, copies: str) -> Iterator[Finding]:
    for one, other in PAIRS:
        mine, theirs = (set(case.parts.get(part, ())) for part in (one, other))
        shared = [g for g in groups if mine.intersection(g) and theirs.intersection(g)]
        if not shared:
            continue
        number = sum(len(theirs.intersection(group)) for group in shared)
        yield Finding(
            "error" if (one, other, copies) in SEVERE else "warning",
            f"{number} of {len(theirs)} {other} clips are {copies} of {one} clips of other names",
            "what was learnt by heart is counted as recognised, so the accuracy is too high",
            "`shapmix split --drop-copies test` (or train) leaves them out; where a published "
            "protocol has them, report the accuracy with and without them",
            _equated(case, shared),
        )


def _equated(case: Case, groups: Groups) -> tuple[str, ...]:
    return tuple(" = ".join(case.names(group)) for group in groups)


def check_names(case: Case) -> Iterator[Finding]:
    """Names that look alike but for upper and lower case."""
    folded: dict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(case.archive.names):
        folded[composed(name).casefold()].append(i)
    groups = [group for group in folded.values() if len(group) > 1]
    if not groups:
        return
    part_of = {i: part for part, clips in case.parts.items() for i in clips.tolist()}
    apart = [g for g in groups if len({part_of[i] for i in g if i in part_of}) > 1]
    yield Finding(
        "warning" if apart else "note",
        f"{counted(len(groups), 'name')} of clips differ in upper and lower case or the Unicode "
        "form only" + (f", {len(apart)} of them between parts of the split" if apart else ""),
        "they are often one recording, taken in twice",
        "compare these clips, and leave one of each out of the source if they are the same",
        _equated(case, apart or groups),
    )


def check_persons(case: Case) -> Iterator[Finding]:
    """The same persons in the training and in the test part."""
    columns = [c for c in PERSON_COLUMNS if c in case.archive.metadata]
    if not columns or not {"train", "test"} <= case.parts.keys():
        return
    values = case.archive.metadata[columns[0]]
    told = {part: clips[known(values[clips])] for part, clips in case.parts.items()}
    if untold := sum(len(case.parts[part]) - len(told[part]) for part in ("train", "test")):
        yield Finding(
            "note",
            f"{columns[0]!r} is unknown for {untold} of the training and test clips",
            "nobody can tell whether people of the training part are in them",
            "fill in the column at the source and import again, or split by it: clips without a "
            "value are in neither part then",
        )
    trained, tested = (set(values[told[part]].tolist()) for part in ("train", "test"))
    shared = sorted(trained & tested)
    if not shared:
        return
    listed = ", ".join(map(str, shared[:8])) + (", ..." if len(shared) > 8 else "")
    meant = _tests_other_columns(case, columns[0])
    yield Finding(
        "note" if meant else "warning",
        f"{len(shared)} of {len(trained | tested)} values of {columns[0]!r} are in the training "
        f"and in the test part: {listed}",
        "the accuracy says nothing about people whom the network never saw",
        "fine for this protocol, which tests on other columns"
        if meant
        else f'split by person, such as --train "{columns[0]} in (...)" and --test likewise',
    )


def _tests_other_columns(case: Case, person: str) -> bool:
    """Whether the split's expressions are about columns, but not the one of persons."""
    said = " ".join(str(case.recipe.get(part, "")) for part in ("train", "test"))
    words = set(re.findall(r"\w+", said))
    return person not in words and bool(words & (case.archive.metadata.keys() - {person}))

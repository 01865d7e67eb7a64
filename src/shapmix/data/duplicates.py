"""Clips that occur more than once, and what the parts of a split share.

Copies have the same keypoints, to the last bit. Near copies have the same shape and, but for a
shift of the whole clip, the same keypoints up to a thousandth of a body's size (2 mm for a person
of 2 m); recordings of two performances never come so near, nor do two cameras' of one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from shapmix.data.archive import Archive
from shapmix.data.findings import Case, Finding, counted
from shapmix.data.survey import Survey, digest

TOLERANCE = 1e-3  # of a body's size
PAIRS = (("train", "test"), ("train", "val"), ("val", "test"))
NEIGHBOURS = 32  # compared of each clip, in the order of one number of its sketch
PERSON_COLUMNS = ("subject", "performer", "person", "actor", "pair")

Indices = npt.NDArray[np.int64]
Groups = list[list[int]]  # positions of clips that are copies of one another, two or more


def exact_copies(survey: Survey) -> Groups:
    """Groups of clips with the same keypoints; clips without a body are left out."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for i in np.flatnonzero(survey.bodies > 0).tolist():
        groups[survey.digests[i]].append(i)
    return [group for group in groups.values() if len(group) > 1]


def without_copies(archive: Archive, clips: Indices, of: Indices) -> Indices:
    """Those of `clips` whose keypoints are not those of any clip in `of`."""
    known = {digest(archive.read(i)) for i in of.tolist()}
    copies = [digest(archive.read(i)) in known for i in clips.tolist()]
    rest: Indices = clips[~np.array(copies, dtype=bool)]
    return rest


def near_copies(archive: Archive, survey: Survey) -> Groups:
    """Groups of two clips that are nearly the same, exact copies counted once.

    Only clips whose sketches agree are read and compared. Among more than 32 clips with the same
    numbers of frames and persons and nearly the same deviation of x in the first frame, some pairs
    may be missed.
    """
    firsts = {survey.digests[i]: i for i in np.flatnonzero(survey.bodies > 0)[::-1].tolist()}
    clips = np.array(sorted(firsts.values()), dtype=np.int64)
    keys = (survey.sketch[clips, 0], archive.num_persons[clips], archive.num_frames[clips])
    order = clips[np.lexsort(keys)]
    shape = np.stack([archive.num_frames, archive.num_persons], 1)
    pairs = []
    for distance in range(1, min(NEIGHBOURS, len(order) - 1) + 1):
        a, b = order[:-distance], order[distance:]
        tolerance = TOLERANCE * survey.size[a]
        same = (shape[a] == shape[b]).all(1)
        alike = np.abs(survey.sketch[a] - survey.sketch[b]).max(1) <= tolerance
        for i, j in zip(a[same & alike].tolist(), b[same & alike].tolist(), strict=True):
            if _nearly_equal(archive, i, j, TOLERANCE * float(survey.size[i])):
                pairs.append(sorted((i, j)))
    return sorted(pairs)


def _nearly_equal(archive: Archive, i: int, j: int, tolerance: float) -> bool:
    """Whether the coordinates of two clips of one shape differ by no more than a shift."""
    D = len(archive.info.channels) - archive.info.channels.endswith("c")
    difference = archive.keypoints(i)[..., :D] - archive.keypoints(j)[..., :D]
    span = np.ptp(difference, axis=(0, 1, 2))
    return bool((span <= 2 * tolerance).all())


def check_copies(case: Case) -> Iterator[Finding]:
    """Copies and near copies: in the archive, under other labels, and across parts of the split."""
    exact, near = exact_copies(case.survey), near_copies(case.archive, case.survey)
    for groups, copies, same in (
        (exact, "copies", "the same keypoints"),
        (near, "near copies", f"the same keypoints but for a shift and {TOLERANCE:g} of a body"),
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
            "error" if (one, other) == ("train", "test") else "warning",
            f"{number} of {len(theirs)} {other} clips are {copies} of {one} clips of other names",
            "what was learnt by heart is counted as recognised, so the accuracy is too high",
            "`shapmix split --drop-copies test` (or train) leaves them out; where a published "
            "protocol has them, report the accuracy with and without them",
            _equated(case, shared),
        )


def _equated(case: Case, groups: Groups) -> tuple[str, ...]:
    return tuple(" = ".join(case.names(group)) for group in groups)


def check_names(case: Case) -> Iterator[Finding]:
    """Names that differ in upper and lower case only."""
    folded: dict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(case.archive.names):
        folded[name.casefold()].append(i)
    groups = [group for group in folded.values() if len(group) > 1]
    if not groups:
        return
    part_of = {i: part for part, clips in case.parts.items() for i in clips.tolist()}
    apart = [g for g in groups if len({part_of[i] for i in g if i in part_of}) > 1]
    yield Finding(
        "warning" if apart else "note",
        f"{counted(len(groups), 'name')} of clips differ in upper and lower case only"
        + (f", {len(apart)} of them between parts of the split" if apart else ""),
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
    trained, tested = (set(values[case.parts[part]].tolist()) for part in ("train", "test"))
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

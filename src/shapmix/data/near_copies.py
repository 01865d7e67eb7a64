"""Clips that are the same recording, though their numbers differ.

Found are pairs that differ by a shift of the whole clip together with

- rounding or noise of up to a thousandth of a body's size in every coordinate ("near copies": 2 mm
  for a person of 2 m; recordings of two performances never come so near, nor do two cameras' of
  one), or
- stronger noise, rounding to centimetres, up to two frames cut off, or a last frame that is
  repeated ("altered copies").

Not found are mirrored, reversed, turned, scaled and resampled clips, and longer cuts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from shapmix.data.archive import Archive
from shapmix.data.clip import Keypoints
from shapmix.data.survey import SKETCHED, Survey, present_joints

TOLERANCE = 1e-3  # of a body's size: the most that a coordinate of a near copy differs
NOISE = 5e-3  # of a body's size: root mean square difference of an altered copy ...
OF_MOVEMENT = 0.15  # ... and of the movement, lest all clips of people who stand still are alike
CUT = 2  # frames that an altered copy may lack
SKETCH_NOISE = 2e-3  # of a body's size: the farthest that sketches of equally long copies are apart
SKETCH_CUT = 0.3  # the same in addition for each frame cut off, over the number of frames
NEIGHBOURS = 32  # of each clip that are compared, those with the most similar sketches
BLOCK = 2_000_000  # pairs whose sketches are compared at a time

Pairs = list[list[int]]


def near_and_altered(archive: Archive, survey: Survey) -> tuple[Pairs, Pairs]:
    """Pairs of clips that are near copies, and pairs that are altered ones; exact ones once.

    Only clips whose sketches agree are read and compared, of each with 32 others at most.
    """
    near: Pairs = []
    altered: Pairs = []
    for i, j in sorted(_candidates(archive, survey)):
        strictly = _compare(archive, survey, i, j)
        if strictly is not None:
            (near if strictly else altered).append([i, j])
    return near, altered


def _candidates(archive: Archive, survey: Survey) -> set[tuple[int, int]]:
    """Pairs i < j of equally many persons and about as many frames, with similar sketches."""
    firsts = {survey.digests[i]: i for i in np.flatnonzero(survey.bodies > 0)[::-1].tolist()}
    clips = np.array(sorted(firsts.values()), dtype=np.int64)
    length = archive.num_frames - survey.repeated_end
    kind = np.stack([archive.num_persons[clips], length[clips]], 1)
    groups = {}
    for key in np.unique(kind, axis=0).tolist():
        groups[tuple(key)] = clips[(kind == key).all(1)]
    pairs = set()
    for (persons, frames), mine in groups.items():
        for cut in range(CUT + 1):
            others = groups.get((persons, frames + cut))
            if others is not None:
                farthest = SKETCH_NOISE + SKETCH_CUT * cut / frames
                for i, j in _similar(survey, mine, others, farthest):
                    pairs.add((min(i, j), max(i, j)))
    return pairs


def _similar(
    survey: Survey, mine: npt.NDArray[np.int64], others: npt.NDArray[np.int64], farthest: float
) -> Iterator[tuple[int, int]]:
    """Pairs of one and another clip whose sketches are no farther apart, in body sizes."""
    theirs = survey.sketch[others]
    norms = np.square(theirs).sum(1)
    rows = max(1, BLOCK // len(others))
    for start in range(0, len(mine), rows):
        block = mine[start : start + rows]
        ours = survey.sketch[block]
        squares = np.square(ours).sum(1)[:, None] - 2 * ours @ theirs.T + norms
        squares[block[:, None] == others] = np.inf
        near = squares <= SKETCHED * np.square(farthest * survey.size[block])[:, None]
        for row in np.flatnonzero(near.any(1)).tolist():
            found = np.flatnonzero(near[row])
            closest = found[np.argsort(squares[row, found], kind="stable")[:NEIGHBOURS]]
            yield from ((int(block[row]), j) for j in others[closest].tolist())


def _compare(archive: Archive, survey: Survey, i: int, j: int) -> bool | None:
    """Whether two clips are near copies (True), altered ones (False), or neither (None)."""
    a, b = (_trimmed(archive, survey, clip) for clip in (i, j))
    if len(a) > len(b):
        a, b = b, a
    size = float(survey.size[i])
    whole = archive.num_frames[i] == archive.num_frames[j] and len(a) == len(b)
    for start in range(len(b) - len(a) + 1):
        difference, movement = _difference(archive, a, b[start : start + len(a)])
        if not len(difference):
            continue
        if whole and (np.ptp(difference, axis=0) <= 2 * TOLERANCE * size).all():
            return True
        noise = np.sqrt(np.square(difference - difference.mean(0)).mean())
        if noise <= min(NOISE * size, OF_MOVEMENT * movement):
            return False
    return None


def _trimmed(archive: Archive, survey: Survey, clip: int) -> Keypoints:
    """A clip without the repetitions of its last frame."""
    return archive.keypoints(clip)[: archive.num_frames[clip] - survey.repeated_end[clip]]


def _difference(archive: Archive, a: Keypoints, b: Keypoints) -> tuple[Keypoints, float]:
    """(n, D) differences of joints that are in both clips of one shape, and how far those of a go.

    No difference when the clips lack different joints.
    """
    scored = archive.info.channels.endswith("c")
    D = a.shape[-1] - scored
    here, there = (present_joints(x, scored=scored) for x in (a, b))
    both = here & there
    if both.sum() < 0.95 * max(here.sum(), there.sum()):
        return np.empty((0, D), np.float32), 0.0
    x = a[..., :D]
    spread = np.square(x - x.mean(0))[both]
    return x[both] - b[..., :D][both], float(np.sqrt(spread.mean()))

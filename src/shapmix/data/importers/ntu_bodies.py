"""Which of the bodies that a Kinect saw are the persons of an NTU RGB+D clip.

The sensor takes furniture for bodies now and then, loses a person, and finds them again under a new
id. The usual processing (CTR-GCN, Chen et al., ICCV 2021, and others before it) removes bodies that
are seen briefly or are too wide, orders the rest by how much they move, and joins ids that are
never seen together into persons. This is that processing, with one flaw left out: there, a body
that vanishes and comes back is moved to the frames after its first one, as if there had been no
gap; here every body stays in the frames it was seen in.

PYSKL (Duan et al., ACM MM 2022, tools/data/ntu_preproc.py) joins bodies in another way, see
`_joined_by_span`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from shapmix.data.clip import ClipError, Keypoints
from shapmix.data.importers.base import MIB
from shapmix.data.importers.ntu_parser import Offsets, Recording
from shapmix.data.importers.repair import Mask, fill_missing

MOST_BYTES = 256 * MIB  # of a clip's keypoints

WIDE = "bodies that are mostly too wide removed"
ALL_WIDE = "every body is mostly too wide: one of them kept"
SHORT = "bodies seen briefly removed"
MOTION = "bodies that move too little or too much removed"
FURTHER = "bodies beyond the persons left out"
REPEATED = "a body listed twice in a frame: the first one kept"
FILLED = "joints without a value filled in"


@dataclass(frozen=True)
class Selection:
    """How the persons are chosen; see `shapmix.data.importers.ntu_raw.Options`."""

    bodies: Literal["ctrgcn", "pyskl", "all"]
    short_body: int
    wide_frame: float
    wide_share: float
    motion_low: float | None
    motion_high: float | None
    max_persons: int


@dataclass(eq=False)
class Body:
    """What was seen under one id: its frames (n,), ascending, and joints (n, V, 3)."""

    frames: Offsets
    joints: Keypoints

    @cached_property
    def extent(self) -> npt.NDArray[np.float64]:
        """(2, n): width and height in each frame, in metres."""
        by_joint = self.joints[..., :2].transpose(1, 2, 0).astype(np.float64, order="C")
        return np.asarray(by_joint.max(0) - by_joint.min(0))


def select_persons(name: str, recording: Recording, how: Selection) -> tuple[Keypoints, list[str]]:
    """The persons of the clip `name`.

    Returns:
        (T, M, V, 3): the frames that have a person, the person who moves most first (bodies="pyskl"
        puts who comes first before them), a person zero in the frames without them; and what had
        to be mended.

    Raises:
        ClipError: there is no body, a coordinate is infinite, or bodies="all" finds so many that
            the clip would not fit into memory.
    """
    if not len(recording.frames):
        detail = f"{recording.num_frames} frames without any body"
        raise ClipError("no body", name, detail)
    is_finite = np.isfinite(recording.joints).all()
    if not is_finite and np.isinf(recording.joints).any():
        raise ClipError("not finite", name, "a coordinate is infinite or beyond float32")
    notes: list[str] = []
    bodies = _tracks(recording, notes)
    if not is_finite:
        bodies = _filled(bodies, notes)
    if len(bodies) == 1:
        return bodies[0].joints[:, None], notes
    if how.bodies == "all":
        persons = [[body] for body in bodies]
    else:
        bodies = _without_wide(_without_short(bodies, how, notes), how, notes)
        bodies = _by_motion(bodies, how, notes)
        joined = _joined_by_span if how.bodies == "pyskl" else _joined_by_frames
        persons = joined(bodies, how.max_persons)
        if sum(map(len, persons)) < len(bodies):
            notes.append(FURTHER)
    return _placed(name, persons), notes


def _tracks(recording: Recording, notes: list[str]) -> list[Body]:
    """The bodies, in the order in which they are first seen."""
    ids, when = recording.ids, recording.frames
    if ids.count(ids[0]) == len(ids) and (when[1:] > when[:-1]).all():
        return [Body(when, recording.joints)]
    codes: dict[bytes, int] = {}
    of_each = np.array([codes.setdefault(body_id, len(codes)) for body_id in ids])
    order = np.argsort(of_each, kind="stable")
    when, of_each = when[order], of_each[order]
    new = np.ones(len(order), bool)
    new[1:] = (when[1:] != when[:-1]) | (of_each[1:] != of_each[:-1])
    if not new.all():
        notes.append(REPEATED)
        order, when, of_each = order[new], when[new], of_each[new]
    joints = recording.joints[order]
    cuts = np.flatnonzero(of_each[1:] != of_each[:-1]) + 1
    spans = pairwise([0, *cuts.tolist(), len(order)])
    return [Body(when[start:end], joints[start:end]) for start, end in spans]


def _filled(bodies: list[Body], notes: list[str]) -> list[Body]:
    """With a place for each joint that is NaN; see `repair.fill_missing`."""
    filled = []
    for body in bodies:
        joints, num_filled = fill_missing(body.joints[:, None])
        if num_filled and FILLED not in notes:
            notes.append(FILLED)
        filled.append(Body(body.frames, joints[:, 0]))
    return filled


def _without_short(bodies: list[Body], how: Selection, notes: list[str]) -> list[Body]:
    """Without those that are seen briefly, unless all are."""
    lasting = [body for body in bodies if len(body.frames) > how.short_body]
    if not lasting or len(lasting) == len(bodies):
        return bodies
    notes.append(SHORT)
    return lasting


def _without_wide(bodies: list[Body], how: Selection, notes: list[str]) -> list[Body]:
    """Without those that are too wide in most frames; never without the last one."""
    if len(bodies) == 1:
        return bodies
    sound = [body for body in bodies if _is_wide(body, how).mean() < how.wide_share]
    if len(sound) == len(bodies):
        return bodies
    notes.append(WIDE if sound else ALL_WIDE)
    return sound or bodies[-1:]


def _is_wide(body: Body, how: Selection) -> Mask:
    """(n,): in which frames a body is wider than `wide_frame` times its height."""
    width, height = body.extent
    return np.asarray(width > how.wide_frame * height)


def _by_motion(bodies: list[Body], how: Selection, notes: list[str]) -> list[Body]:
    """Those that move most first; all but the first one within the bounds of motion."""
    ranked = sorted(((_motion(body, how), body) for body in bodies), key=lambda pair: -pair[0])
    low = -math.inf if how.motion_low is None else how.motion_low
    high = math.inf if how.motion_high is None else how.motion_high
    kept = [body for n, (motion, body) in enumerate(ranked) if n == 0 or low <= motion <= high]
    if len(kept) < len(bodies):
        notes.append(MOTION)
    return kept


def _motion(body: Body, how: Selection) -> float:
    """Sum of the variances of x, y and z over all joints and frames, in square metres; over the
    frames that are not too wide when that is less."""
    clean = ~_is_wide(body, how)
    motion = _variance(body.joints)
    if clean.all() or not clean.any():
        return motion
    return min(motion, _variance(body.joints[clean]))


def _variance(joints: Keypoints) -> float:
    by_axis = joints.reshape(-1, 3).T.astype(np.float64, order="C")
    return float(by_axis.var(1).sum())


def _joined_by_frames(bodies: Sequence[Body], max_persons: int) -> list[list[Body]]:
    """Persons made of bodies that share no frame: a body joins the first person that it can, and
    begins another where there is none."""
    persons: list[list[Body]] = []
    seen: list[set[int]] = []
    for body in bodies:
        frames = set(body.frames.tolist())
        for person, when in zip(persons, seen, strict=True):
            if when.isdisjoint(frames):
                person.append(body)
                when |= frames
                break
        else:
            if len(persons) < max_persons:
                persons.append([body])
                seen.append(frames)
    return persons


def _joined_by_span(bodies: Sequence[Body], max_persons: int) -> list[list[Body]]:
    """The same, but a body joins a person only before their first frame or after their last one;
    then the first person, if they are not the first to come, changes places with who is."""
    persons: list[list[Body]] = []
    spans: list[tuple[int, int]] = []
    for body in bodies:
        start, end = int(body.frames[0]), int(body.frames[-1])
        for m, (first, last) in enumerate(spans):
            if end < first or last < start:
                persons[m].append(body)
                spans[m] = min(first, start), max(last, end)
                break
        else:
            if len(persons) < max_persons:
                persons.append([body])
                spans.append((start, end))
    starts = [start for start, _ in spans]
    there = starts.index(min(starts))
    persons[0], persons[there] = persons[there], persons[0]
    return persons


def _placed(name: str, persons: list[list[Body]]) -> Keypoints:
    """(T, M, V, 3): all frames that have a person, each body in its own frames."""
    bodies = [body for person in persons for body in person]
    times = np.unique(np.concatenate([body.frames for body in bodies]))
    shape = len(times), len(persons), *bodies[0].joints.shape[1:]
    if 4 * math.prod(shape) > MOST_BYTES:
        detail = f"{shape[1]} bodies in {shape[0]} frames; choose two of them with --bodies ctrgcn"
        raise ClipError("too many bodies", name, detail)
    placed = np.zeros(shape, np.float32)
    for m, person in enumerate(persons):
        for body in person:
            placed[np.searchsorted(times, body.frames), m] = body.joints
    return placed

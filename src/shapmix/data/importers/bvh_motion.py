"""BVH motion capture: the hierarchy, the motion, and joint positions by forward kinematics.

HIERARCHY nests joints, each with the OFFSET from its parent and its CHANNELS; MOTION has the number
of frames, the time of one, and a line of channel values a frame: lengths, and angles in degrees.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from shapmix.data.clip import ClipError, Keypoints
from shapmix.suggest import did_you_mean

MOST_JOINTS = 1000
MOST_PLACES = 2**21  # frames x joints of a clip
CHUNK_PLACES = 2**16  # frames x joints that forward kinematics has in memory at once
CHANNELS = tuple(f"{axis}{kind}" for kind in ("position", "rotation") for axis in "xyz")
FRAMES = re.compile(rb"\s*Frames:?\s*(\d{1,9})\s+Frame\s+Time:?\s*(\S{1,40})[^\S\n]*\n?", re.I)
LINE = re.compile(rb"\S[^\n]*")

Floats = npt.NDArray[np.float64]
# Name, parent and is_end of each joint: what files of one skeleton share; lengths may differ.
Skeleton = tuple[tuple[str, int, bool], ...]


@dataclass(frozen=True)
class Joint:
    """A joint of a hierarchy; parents come before their children.

    Attributes:
        parent: number of the parent, -1 for the root.
        offset: from the parent, while nothing is rotated.
        channels: in the order of a line of motion, such as "xposition" and "zrotation".
        is_end: an End Site, which has no name of its own: its parent's, and "_end".
    """

    name: str
    parent: int
    is_end: bool = False
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    channels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Motion:
    """The hierarchy of a file, and where its motion begins."""

    joints: tuple[Joint, ...]
    content: bytes = field(repr=False)  # of the file
    start: int  # in it, after the word MOTION

    @property
    def skeleton(self) -> Skeleton:
        """What files of one skeleton share."""
        return tuple((joint.name, joint.parent, joint.is_end) for joint in self.joints)


def parse(content: bytes, clip: str) -> Motion:
    """The hierarchy of a file.

    Raises:
        ClipError: it is not BVH, or its hierarchy is malformed.
    """
    match = re.search(rb"^[^\S\n]*MOTION\b", content, re.MULTILINE)
    header = content[: match.start()].decode("utf-8-sig", "replace") if match else ""
    if match is None or not header.lstrip().startswith("HIERARCHY"):
        detail = "expected the words HIERARCHY and MOTION"
        raise ClipError("not BVH", clip, f"{detail}; was the file cut?")
    words = header.replace("{", " { ").replace("}", " } ").split()[1:]
    try:
        joints = tuple(_hierarchy(iter(words)))
    except StopIteration:
        raise ClipError("bad hierarchy", clip, "the hierarchy ends within a joint") from None
    except ValueError as error:
        raise ClipError("bad hierarchy", clip, str(error)) from error
    names = [joint.name for joint in joints]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ClipError("bad hierarchy", clip, f"two joints are called {twice!r}; rename one")
    return Motion(joints, content, match.end())


def _hierarchy(words: Iterator[str]) -> list[Joint]:
    """The joints; StopIteration where words are missing, ValueError for one that is wrong."""
    joints: list[Joint] = []
    open_joints: list[int] = []
    for word in words:
        kind = word.upper()
        expected = ("JOINT", "END") if open_joints else () if joints else ("ROOT",)
        if kind == "}" and open_joints:
            open_joints.pop()
        elif kind in expected:
            parent = open_joints[-1] if open_joints else -1
            name = " ".join(iter(words.__next__, "{"))
            if kind == "END":
                name = f"{joints[parent].name}_end"
            if not name or len(joints) == MOST_JOINTS:
                raise ValueError(f"joint {len(joints)} has no name, or is one too many")
            open_joints.append(len(joints))
            joints.append(Joint(name, parent, kind == "END"))
        elif kind in ("OFFSET", "CHANNELS") and open_joints:
            at = open_joints[-1]
            joints[at] = _with(joints[at], kind, words)
        else:
            known = ("ROOT", "JOINT", "End", "OFFSET", "CHANNELS")
            where = f"after joint {joints[-1].name!r}" if joints else "at its start"
            hint = did_you_mean(word, known) or ("; one root is read" if kind == "ROOT" else "")
            raise ValueError(f"unexpected {word[:40]!r} {where}{hint}")
    if open_joints or not joints:
        raise StopIteration
    return joints


def _with(joint: Joint, kind: str, words: Iterator[str]) -> Joint:
    """A joint with the offset or the channels that the next words say."""
    if kind == "OFFSET":
        x, y, z = [float(next(words)) for _ in range(3)]
        if not all(map(math.isfinite, (x, y, z))):
            raise ValueError(f"the offset of {joint.name!r} is not finite")
        return Joint(joint.name, joint.parent, joint.is_end, (x, y, z), joint.channels)
    count = next(words)
    if count not in [str(number) for number in range(len(CHANNELS) + 1)]:
        raise ValueError(f"{joint.name!r} has {count[:40]!r} channels, expected 0 to 6")
    channels = tuple([next(words).lower() for _ in range(int(count))])
    for channel in channels:
        if channel not in CHANNELS:
            hint = did_you_mean(channel, CHANNELS)
            raise ValueError(f"{joint.name!r} has the unknown channel {channel[:40]!r}{hint}")
    return Joint(joint.name, joint.parent, joint.is_end, joint.offset, channels)


def read_frames(motion: Motion, clip: str) -> tuple[Floats, float, int]:
    """The channel values, (T, channels), frames a second, and the number of frames declared.

    Raises:
        ClipError: a line has another number of values, a value is no finite number, there are
            fewer frames than declared or none, or the time of a frame is none.
    """
    match = FRAMES.match(motion.content, motion.start)
    if match is None:
        raise ClipError("bad motion", clip, "expected `Frames: N` and `Frame Time: s` after MOTION")
    width = sum(len(joint.channels) for joint in motion.joints)
    declared = int(match[1])
    if not width or LINE.search(motion.content, match.end()) is None:
        raise ClipError("no frames", clip, "the file has no motion")
    _check_size(motion, declared, match.end(), width, clip)
    try:
        lines = (line[0] for line in LINE.finditer(motion.content, match.end()))
        values = np.loadtxt(lines, comments=None, ndmin=2, dtype=np.float64)
    except (ValueError, OverflowError) as error:
        raise ClipError("bad motion", clip, f"the motion is not numbers: {error}") from error
    if values.shape[1] != width:
        detail = f"a frame has {values.shape[1]} values, expected {width}, the hierarchy's channels"
        raise ClipError("bad motion", clip, detail)
    if len(values) < declared:
        detail = f"{len(values)} frames of the declared {declared} are there; was the file cut?"
        raise ClipError("frames are missing", clip, detail)
    if not np.isfinite(values).all():
        frame, channel = np.argwhere(~np.isfinite(values))[0]
        owners = [joint.name for joint in motion.joints for _ in joint.channels]
        detail = f"frame {frame} has {values[frame, channel]} for joint {owners[channel]!r}"
        raise ClipError("not finite", clip, detail)
    return values, _fps(match[2].decode("latin-1"), clip), declared


def _check_size(motion: Motion, declared: int, start: int, width: int, clip: str) -> None:
    """ClipError when the bytes from `start` cannot hold the frames, or hold too many."""
    size = len(motion.content) - start
    if declared * width * 2 - 1 > size:  # a digit and a space each, at least
        detail = f"{size} bytes cannot hold {declared} frames of {width} values; was the file cut?"
        raise ClipError("frames are missing", clip, detail)
    frames = motion.content.count(b"\n", start) + 1
    if max(frames, declared) * len(motion.joints) > MOST_PLACES:
        detail = f"{frames} frames of {len(motion.joints)} joints; cut it into shorter clips"
        raise ClipError("too large", clip, detail)


def _fps(frame_time: str, clip: str) -> float:
    try:
        seconds = float(frame_time)
    except ValueError:
        seconds = math.nan
    if not 1e-6 < seconds < 1e6:
        detail = f"Frame Time is {frame_time!r}, expected the seconds of a frame"
        raise ClipError("bad frame time", clip, detail)
    fps = 1 / seconds
    whole = round(fps)
    return float(whole) if abs(fps - whole) < 1e-3 * fps else fps


def positions(joints: tuple[Joint, ...], values: Floats) -> Keypoints:
    """Positions of all joints in every frame, (T, V, 3).

    A joint is rotated about its axes in the order of its channels, the first outermost. Position
    channels of the root are added to its offset; those of other joints stand for theirs.

    Args:
        values: (T, channels), see `read_frames`.
    """
    placed = np.empty((len(values), len(joints), 3), dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # the archive refuses what overflows
        frames = max(1, CHUNK_PLACES // len(joints))
        for start in range(0, len(values), frames):
            chunk = slice(start, start + frames)
            placed[chunk] = _forward_kinematics(joints, values[chunk])
    return placed


def _forward_kinematics(joints: tuple[Joint, ...], values: Floats) -> Floats:
    rotations: list[Floats] = []  # (T, 3, 3) each, to the world
    places: list[Floats] = []  # (T, 3)
    column = 0
    for joint in joints:
        offset = np.tile(np.array(joint.offset), (len(values), 1))
        rotation = np.tile(np.eye(3), (len(values), 1, 1))
        moved = any(channel.endswith("position") for channel in joint.channels)
        if moved and joint.parent >= 0:
            offset[:] = 0.0
        for channel in joint.channels:
            axis = "xyz".index(channel[0])
            if channel.endswith("position"):
                offset[:, axis] += values[:, column]
            else:
                rotation = rotation @ _about(axis, np.deg2rad(values[:, column]))
            column += 1
        if joint.parent < 0:
            rotations.append(rotation)
            places.append(offset)
        else:
            outer = rotations[joint.parent]
            rotations.append(outer @ rotation)
            places.append(places[joint.parent] + (outer @ offset[:, :, None])[:, :, 0])
    return np.stack(places, 1)


def _about(axis: int, angles: Floats) -> Floats:
    """Matrices (T, 3, 3) of rotations about x, y or z."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrices = np.tile(np.eye(3), (len(angles), 1, 1))
    matrices[:, first, first] = matrices[:, second, second] = np.cos(angles)
    matrices[:, second, first] = np.sin(angles)
    matrices[:, first, second] = -matrices[:, second, first]
    return matrices

"""Writes `.skeleton` files as NTU RGB+D has them, from the description of the format.

A scene is a list of tracks: a body id, the frames in which the sensor saw it, its joints there. The
kinds of scene are what real recordings have: one person, two, a body that comes back, an id
that changes, ids that swap again and again, short and wide ghosts, frames at both ends or in the
middle without anybody, whole files without anybody.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import cycle, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# x, y in metres of the 25 joints of somebody who stands upright, from the base of the spine.
STANDING = np.fromstring(
    """
    0 0   0 .28   0 .62   0 .75   -.17 .5   -.24 .26   -.27 .03   -.28 -.05   .17 .5   .24 .26
    .27 .03   .28 -.05   -.08 -.02   -.11 -.39   -.13 -.75   -.14 -.82   .08 -.02   .11 -.39
    .13 -.75   .14 -.82   0 .54   -.29 -.12   -.24 -.08   .29 -.12   .24 -.08
    """,
    sep=" ",
).reshape(25, 2)

TWO_PERSONS = frozenset((*range(50, 61), *range(106, 121)))
LONGEST = 300  # frames of a file
FIRST_ID = 72057594037900000  # as the sensor counts: beyond what a float holds exactly


class Track(NamedTuple):
    """A body: its id, the frames (n,) that it is seen in, its joints (n, 25, 3) in metres."""

    body_id: int
    frames: npt.NDArray[np.int64]
    joints: Array

    def at(self, chosen: npt.NDArray[np.bool_], body_id: int | None = None) -> Track:
        """Part of it, perhaps under another id."""
        own = self.body_id if body_id is None else body_id
        return Track(own, self.frames[chosen], self.joints[chosen])


class Scene(NamedTuple):
    """What a file says."""

    num_frames: int
    tracks: list[Track]


def body(rng: np.random.Generator, body_id: int, frames: int, action: int, side: float) -> Track:
    """Somebody who stands at `side` and moves the arms and legs as the action has it."""
    time = np.linspace(0, 1, frames)[:, None]
    own = np.random.default_rng(action)
    swing = own.normal(scale=0.12, size=(3, 25)) * np.abs(STANDING).sum(1)
    rate, phase = own.uniform(2, 12, 25), rng.uniform(0, 0.6)
    joints = np.empty((frames, 25, 3))
    for axis, rest in enumerate((*STANDING.T, np.zeros(25))):
        joints[..., axis] = rest + swing[axis] * np.sin(rate * time + phase)
    joints += rng.normal(scale=0.003, size=joints.shape)
    joints += np.array([side, -0.1, 3.2]) + rng.normal(scale=0.1, size=3)
    return Track(body_id, np.arange(frames), rounded(joints))


def rounded(values: Array) -> Array:
    """To the 7 digits that the files have."""
    texts = [f"{value:.7g}" for value in values.ravel()]
    return np.array(texts, float).reshape(values.shape)


def scene(kind: str, action: int, frames: int, rng: np.random.Generator) -> Scene:
    """A scene of one of the `KINDS`; two-person actions have a second body in any case."""
    ids = FIRST_ID + np.cumsum(rng.integers(1, 40, 4))
    first, second, third = (
        body(rng, int(i), frames, action + 7 * n, side)
        for n, (i, side) in enumerate(zip(ids, (0.0, 0.9, -1.1), strict=False))
    )
    others = [second] if action in TWO_PERSONS else []
    time = np.arange(frames)
    middle = (time >= frames // 3) & (time < frames // 2)
    within = (time >= frames // 4) & (time < frames - frames // 4)
    swaps = time // max(1, frames // 5) % 2 == 1
    tracks: dict[str, Callable[[], list[Track]]] = {
        "plain": lambda: [first, *others],
        "two": lambda: [first, second],
        "three": lambda: [first, second, third],
        "returning": lambda: [first, second.at(~middle)],
        "changed id": lambda: [
            first.at(time < frames // 2),
            first.at(time >= frames // 2, int(ids[3])),
            *others,
        ],
        "swapped ids": lambda: [
            Track(a.body_id, a.frames, np.where(swaps[:, None, None], b, a.joints))
            for a, b in ((first, second.joints), (second, first.joints))
        ],
        "short ghost": lambda: [first, *others, third.at(time < min(8, frames // 2))],
        "wide ghost": lambda: [first, *others, wide(third)],
        "all wide": lambda: [wide(first)],
        "gap": lambda: [track.at(~middle) for track in (first, *others)],
        "late": lambda: [track.at(within) for track in (first, *others)],
        "nobody": list,
    }
    return Scene(frames, tracks[kind]())


KINDS = (
    *("plain", "two", "three", "returning", "changed id", "swapped ids"),
    *("short ghost", "wide ghost", "all wide", "gap", "late", "nobody"),
)


def wide(track: Track) -> Track:
    """A track of something wider than high, such as a chair taken for somebody."""
    stretched = track.joints.copy()
    stretched[..., 0] *= 3
    stretched[..., 1] *= 0.3
    return track._replace(joints=rounded(stretched))


_JOINT_LINE = " ".join(["%.7g"] * 11) + " 2\n"
_BODY = "%d 0 1 1 1 1 0 %.7g %.7g 2\n25\n" + 25 * _JOINT_LINE


def text(scene: Scene) -> bytes:
    """The file, bodies of a frame in the order of the tracks."""
    bodies: list[list[str]] = [[] for _ in range(scene.num_frames)]
    for track in scene.tracks:
        x, y, z = np.moveaxis(track.joints, -1, 0)
        depth = 256 + 365 * x / z, 212 - 365 * y / z
        colour = 960 + 1060 * x / z, 540 - 1060 * y / z
        turns = np.sin(np.stack([x * 3, y * 2, z, x + y], -1))
        turns /= np.linalg.norm(turns, axis=-1, keepdims=True)
        columns = np.concatenate([np.stack([x, y, z, *depth, *colour], -1), turns], -1)
        for frame, lines in zip(track.frames, columns, strict=True):
            lean = lines[3, :2] / 4
            bodies[frame].append(_BODY % (track.body_id, *lean, *lines.ravel()))
    frames = (f"{len(here)}\n{''.join(here)}" for here in bodies)
    return f"{scene.num_frames}\n{''.join(frames)}".encode()


def sample_names(clips: int, num_classes: int = 60) -> list[str]:
    """Names of `clips` samples, all different: all classes in turn, and already in few rounds
    several setups, cameras and performers, on both sides of every protocol."""
    setups, performers = range(1, 18), range(1, 41)
    if num_classes == 120:
        setups, performers = range(18, 33), range(1, 107)
    groups = list(product(setups, (1, 2, 3), performers, (1, 2)))
    order = np.random.default_rng(2).permutation(len(groups))
    names = []
    for number in range(clips):
        s, c, p, r = groups[order[number // num_classes]]
        names.append(f"S{s:03}C{c:03}P{p:03}R{r:03}A{1 + number % num_classes:03}")
    return names


def write_dataset(
    target: Path,
    names: Iterable[str],
    *,
    frames: int = 80,
    seed: int = 0,
    zipped: bool = False,
    kinds: tuple[str, ...] = ("plain",),
    pool: int | None = None,
) -> dict[str, Scene]:
    """Write one file a name into the folder or the zip `target`.

    Args:
        frames: of each clip, give or take a quarter, at most 300.
        kinds: of scene, in turn.
        pool: prepare only so many texts and use them again and again, whatever the name: for very
            many files. Without it, each file is its own and moves as its action says.

    Returns:
        what each file says.
    """
    rng = np.random.default_rng(seed)
    kind = cycle(kinds)

    def prepare(action: int) -> tuple[Scene, Member]:
        length = min(max(1, int(frames * rng.uniform(0.75, 1.25))), LONGEST)
        made = scene(next(kind), action, length, rng)
        return made, member(text(made), zipped)

    prepared = None if pool is None else cycle([prepare(1 + n % 60) for n in range(pool)])
    truth = {}

    def files() -> Iterator[tuple[str, Member]]:
        for name in names:
            truth[name], content = prepare(int(name[-3:])) if prepared is None else next(prepared)
            yield f"{name}.skeleton", content

    (write_zip if zipped else write_folder)(target, files())
    return truth


class Member(NamedTuple):
    """A file, and how it is compressed when it goes into a zip."""

    content: bytes
    compressed: bytes
    crc: int


def member(content: bytes, compress: bool = True) -> Member:
    """A file, compressed once however often it is written."""
    if not compress:
        return Member(content, b"", 0)
    raw = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return Member(content, raw.compress(content) + raw.flush(), zlib.crc32(content))


def write_folder(folder: Path, files: Iterable[tuple[str, Member]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in files:
        (folder / name).write_bytes(file.content)


def write_zip(path: Path, files: Iterable[tuple[str, Member]]) -> None:
    """As the official ones: all files in one folder. `zipfile` makes the directory; the members,
    compressed already, are put in beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        stream = archive.fp
        assert stream is not None
        for name, file in files:
            info = zipfile.ZipInfo(f"nturgb+d_skeletons/{name}")
            info.compress_type = zipfile.ZIP_DEFLATED
            info.CRC = file.crc
            info.compress_size, info.file_size = len(file.compressed), len(file.content)
            info.header_offset = stream.tell()
            stream.write(info.FileHeader(zip64=False) + file.compressed)
            archive.filelist.append(info)
            archive.NameToInfo[info.filename] = info
            archive.start_dir = stream.tell()
        archive._didModify = True  # type: ignore[attr-defined]


def write(folder: Path, *, clips: int = 6, seed: int = 0) -> Path:
    """A small source: a folder of short clips of several kinds and classes."""
    source = folder / "nturgb+d_skeletons"
    kinds = ("plain", "two", "gap", "changed id", "returning", "wide ghost")
    write_dataset(source, sample_names(clips), frames=4, seed=seed, kinds=kinds)
    return source

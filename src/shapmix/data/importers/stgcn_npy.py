"""NTU RGB+D and Kinetics as ST-GCN, 2s-AGCN and many after them pack them: .npy with label pickles.

SOURCE is the folder that holds these, or one with such a folder in it; one part is enough:

    train_data.npy  train_label.pkl    val_data.npy  val_label.pkl      (or *_data_joint.npy)

    shapmix import stgcn-npy data/ntu/xsub data/ntu_xsub.arrow

A .npy is (clips, 3, frames, joints, persons), zero after the last frame of a clip; a pickle has the
names of the clips and their class ids from 0. The arrays are read piece by piece, and the pickles
by a reader that runs nothing. 25 joints are NTU RGB+D's (layout ntu25; x, y, z in metres; 30 frames
a second), 18 those of OpenPose (openpose18; x, y in parts of the picture, with their score).

Where all clips are called as NTU RGB+D's are, the columns are setup, camera, performer, replication
and action, and classes are called as in the authors' list. The column `part` is "train" or "val";
the one protocol is called xsub, xview or xset after the folder, else "given".

What was done before: 2s-AGCN repeated a clip until it had 300 frames; what is repeated to the last
bit is left out again. It also moved and turned NTU's bodies, which stays so. Of 18 joints, ST-GCN
put the origin into the middle of the picture, which is undone, and 2s-AGCN (*_data_joint.npy) also
let y go upwards, which is undone, too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shapmix.data.clip import ArchiveInfo, Clip, ClipError, Keypoints
from shapmix.data.importers.base import MIB, ImportReport, SourceError, Unit
from shapmix.data.importers.classes import MOST_CLASSES, find_classes
from shapmix.data.importers.ctrgcn_npz import protocol_of, real_frames
from shapmix.data.importers.missing_joints import mended
from shapmix.data.importers.npz_rows import NpzRows
from shapmix.data.importers.ntu_names import CLASS_NAMES, COLUMNS, FPS, parse_name
from shapmix.data.importers.peek import UNREADABLE, Peek, visible_files
from shapmix.data.importers.safe_pickle import (
    PickledArray,
    UnreadablePickle,
    load_pickle,
    mapped_file,
)
from shapmix.layouts import get_layout

DATA = re.compile(r"(train|val)_data(_joint)?\.npy")
LAYOUTS = {25: "ntu25", 18: "openpose18"}
SUFFIXES = (".skeleton", ".json")  # of the files that the clips were
UNIT_BYTES = 4 * MIB
MOST_ROW_BYTES = 64 * MIB
MOST_CLIPS = 10_000_000
NO_LABEL = -1

REPEATED = "repetitions of the clip left out"


@dataclass(frozen=True)
class Options:
    """What the files do not say.

    Attributes:
        class_names: names of the classes in label order: a .txt, .json or .csv file, or names with
            commas between them. Without it, those of NTU RGB+D where the clips are called so, else
            the ids.
    """

    class_names: str | None = None


def recognise(peek: Peek) -> str | None:
    """See `Importer.recognise`."""
    names = set(peek.names) if peek.is_folder else set()
    for name in sorted(names):
        folder, _, file = name.rpartition("/")
        if (match := DATA.fullmatch(file)) and _beside(folder, f"{match[1]}_label.pkl") in names:
            return f"arrays and labels as ST-GCN has them, such as {name} and {match[1]}_label.pkl"
    return None


def open_source(source: Path, options: Options) -> StgcnNpy:
    """See `Importer.open_source`."""
    folder = _folder(source)
    parts = [part for name in ("train", "val") if (part := _part(folder, name)) is not None]
    joints = {part.x.shape[3] for part in parts}
    if len(joints) > 1:
        raise SourceError(f"{folder}: the parts have {sorted(joints)} joints, expected the same")
    is_2d = joints == {18}
    names = [parse_name(name) for part in parts for name in part.names]
    labels = [label for part in parts for label in part.labels]
    is_ntu = not is_2d and all(names)
    agree = all(n is not None and n.action - 1 == k for n, k in zip(names, labels, strict=True))
    info = ArchiveInfo(
        layout=get_layout(LAYOUTS[joints.pop()]),
        class_names=_class_names(labels, is_ntu and agree, options.class_names),
        channels="xyc" if is_2d else "xyz",
        units="normalised" if is_2d else "m",
        source=f"{folder.name}, arrays as ST-GCN and 2s-AGCN have them",
        splits={protocol_of(folder.name): ("part == 'train'", "part == 'val'")},
    )
    units = [unit for part in parts for unit in part.units()]
    return StgcnNpy(info, units, parts, is_ntu)


@dataclass(frozen=True)
class _Part:
    """The training or the validation clips; a label is -1 where there is none."""

    name: str
    x: NpzRows
    names: Sequence[str]
    labels: Sequence[int]
    upwards: bool

    def units(self) -> Iterator[Unit]:
        """Ranges of rows, called "train 0 22" after the first row and how many there are."""
        step = max(1, UNIT_BYTES // self.x.row_bytes)
        for start in range(0, len(self.names), step):
            count = min(step, len(self.names) - start)
            yield Unit(f"{self.name} {start} {count}", count * self.x.row_bytes)


@dataclass(frozen=True)
class StgcnNpy:
    """The rows of the training part, then those of the validation part."""

    info: ArchiveInfo
    units: list[Unit]
    parts: list[_Part]
    is_ntu: bool

    ignored = 0

    @property
    def columns(self) -> Mapping[str, type[int] | type[str]]:
        """The part, and what names of NTU RGB+D say."""
        return {"part": str, **(COLUMNS if self.is_ntu else {})}

    @property
    def stamp(self) -> str:
        """Changes with the files and the labels."""
        known: list[Any] = []
        for part in self.parts:
            status = part.x.source.stat()
            known.append((status.st_size, status.st_mtime_ns, part.names, part.labels))
        return hashlib.sha256(repr(known).encode("utf-8", "replace")).hexdigest()

    def read(self, units: Sequence[Unit], report: ImportReport) -> Iterator[Clip]:
        """See `Source.read`."""
        parts = {part.name: part for part in self.parts}
        for unit in units:
            name, start, count = unit.name.split()
            part, first = parts[name], int(start)
            chosen = range(first, first + int(count))
            try:
                rows = part.x.rows(first, len(chosen))
            except UNREADABLE as error:
                for i in chosen:
                    detail = f"{part.x.member}: {error}"
                    report.skip(ClipError("unreadable file", part.names[i], detail))
                continue
            for i, row in zip(chosen, rows, strict=True):
                try:
                    yield self._clip(part, i, row, report)
                except ClipError as error:
                    report.skip(error)

    def _clip(self, part: _Part, i: int, row: npt.NDArray[Any], report: ImportReport) -> Clip:
        name, label = part.names[i], part.labels[i]
        if label == NO_LABEL:
            raise ClipError("no label", name, "its label is no class id of 0 or more")
        with np.errstate(over="ignore"):  # the archive refuses what overflows
            values = np.ascontiguousarray(row.astype(np.float32).transpose(1, 3, 2, 0))
        keypoints, repeated = _once(real_frames(values))
        if self.info.channels == "xyc":
            keypoints = _in_the_picture(keypoints, part.upwards)
        keypoints = mended(keypoints, self.info.channels, name, report)
        if repeated:
            report.repair(REPEATED, name)
        metadata: dict[str, int | str] = {"part": part.name}
        if self.is_ntu:
            sample = parse_name(name)
            metadata |= {column: getattr(sample, column) for column in COLUMNS}
        return Clip(name, label, keypoints, FPS, metadata)


def _once(keypoints: Keypoints) -> tuple[Keypoints, bool]:
    """A clip without its repetitions to the last bit, and whether there were any."""
    alike = (keypoints[1:] == keypoints[:1]).all((1, 2, 3))
    if alike.all():  # nobody moves
        return keypoints, False
    for period in (np.flatnonzero(alike) + 1).tolist():
        if np.array_equal(keypoints[period:], keypoints[:-period]):
            return keypoints[:period], True
    return keypoints, False


def _in_the_picture(keypoints: Keypoints, upwards: bool) -> Keypoints:
    """x and y from the upper left corner, from ones that count from the middle."""
    x, y, score = np.moveaxis(keypoints, 3, 0)
    moved: Keypoints = np.stack([x + 0.5, 0.5 - y if upwards else y + 0.5, score], 3)
    return moved


def _beside(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _folder(source: Path) -> Path:
    """The one folder of the source that has such arrays."""
    if not source.is_dir():
        raise SourceError(f"{source} is a file: give the folder of train_data.npy, val_data.npy")
    found = sorted({path.parent for path in visible_files(source) if DATA.fullmatch(path.name)})
    if source in found:
        return source
    if not found:
        raise SourceError(
            f"{source} has no arrays of ST-GCN: expected train_data.npy or train_data_joint.npy, "
            "beside train_label.pkl"
        )
    if len(found) > 1:
        listed = ", ".join(path.relative_to(source).as_posix() for path in found[:5])
        raise SourceError(f"{source} has several folders of arrays: {listed}; give one of them")
    return found[0]


def _part(folder: Path, name: str) -> _Part | None:
    """The arrays and labels of a part; None when it has no arrays."""
    paths = [folder / f"{name}_data{suffix}.npy" for suffix in ("", "_joint")]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return None
    for used in (path, folder / f"{name}_label.pkl"):
        if not used.resolve().is_relative_to(folder.resolve()):
            raise SourceError(f"{used} leads out of the folder; put the file itself there")
    x = NpzRows.of_npy(path)
    _check(x)
    names, labels = _names_and_labels(folder / f"{name}_label.pkl")
    if not len(names) == len(labels) == x.shape[0]:
        raise SourceError(
            f"{path} has {x.shape[0]} clips, but {name}_label.pkl {len(names)} names and "
            f"{len(labels)} labels: expected as many"
        )
    return _Part(name, x, names, labels, path == paths[1])


def _check(x: NpzRows) -> None:
    """SourceError unless an array is of the form that the module's text describes."""
    if len(x.shape) != 5 or x.dtype.kind != "f" or x.shape[1] != 3 or x.shape[3] not in LAYOUTS:
        raise SourceError(
            f"{x.member} has shape {x.shape} and type {x.dtype}, expected floats of shape (clips, "
            "3, frames, 25 or 18 joints, persons)"
        )
    if not 0 < x.row_bytes <= MOST_ROW_BYTES or x.shape[0] > MOST_CLIPS:
        raise SourceError(
            f"{x.member} has {x.shape[0]} clips of {x.row_bytes} bytes, expected at most "
            f"{MOST_CLIPS} of 1 to {MOST_ROW_BYTES}"
        )


def _names_and_labels(path: Path) -> tuple[list[str], list[int]]:
    """What a pickle of (names, labels) holds; SourceError when it is of another form."""
    try:
        with mapped_file(path) as file:
            content = load_pickle(file)
            if isinstance(content, list | tuple) and len(content) == 2:
                names, labels = content
                if isinstance(labels, PickledArray):
                    labels = labels.load(file).ravel().tolist()
                if isinstance(names, list | tuple) and isinstance(labels, list | tuple):
                    return [_stem(name, path) for name in names], [_label(v) for v in labels]
    except UnreadablePickle as error:
        raise SourceError(f"{path}: {error}") from error
    raise SourceError(f"{path} holds no names and labels: expected ([name, ...], [id, ...])")


def _stem(name: object, path: Path) -> str:
    if not isinstance(name, str):
        raise SourceError(f"{path} has a clip called {str(name)[:60]!r}, expected text")
    return next((name.removesuffix(s) for s in SUFFIXES if name.endswith(s)), name)


def _label(value: object) -> int:
    is_id = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST_CLASSES
    return int(value) if is_id and isinstance(value, int) else NO_LABEL


def _class_names(labels: Sequence[int], is_ntu: bool, given: str | None) -> tuple[str, ...]:
    most = max(labels, default=NO_LABEL) + 1
    if given is None and is_ntu:
        return CLASS_NAMES[: 60 if most <= 60 else 120]
    return find_classes(range(most), given, 0).names

"""NTU RGB+D 60 and 120 as the CTR-GCN family of projects packs them: one .npz a protocol.

    shapmix import ctrgcn-npz NTU60_CS.npz ntu60_xsub.arrow

NTU60_CS.npz, NTU60_CV.npz, NTU120_CSub.npz or NTU120_CSet.npz, as the scripts of those projects
write them. Inside lie `x_train` and `x_test`, (clips, frames, 150), zero after the last frame of a
clip, each row two persons of 25 joints of x, y, z; and `y_train` and `y_test`, one-hot (clips, 60
or 120) or class ids from 0 (clips,). The files have some 10 GB and are read piece by piece.

The archive has the layout ntu25 in metres, with the real frames and persons only, 30 frames a
second where there are 60 or 120 classes; a column `part`
("train" or "test"); and one protocol, called xsub, xview or xset after the name of the file, else
"given". Clips are called train-000000, ...: the file does not hold the names of the samples. Two
things were done before and cannot be undone: bodies were chosen and put in order by motion, and the
middle of the spine of the first person in the first frame was subtracted from all joints. Import
the .skeleton files (ntu-raw) for names, cameras, subjects and untouched coordinates.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from shapmix.data.clip import ArchiveInfo, Clip, ClipError, Keypoints
from shapmix.data.importers.base import MIB, ImportReport, SourceError, Unit
from shapmix.data.importers.classes import MOST_CLASSES, MULTI_LABEL, find_classes
from shapmix.data.importers.files import begins_as_zip
from shapmix.data.importers.npz_rows import NpzRows
from shapmix.data.importers.ntu_names import CLASS_NAMES, FPS
from shapmix.data.importers.peek import UNREADABLE, Peek
from shapmix.data.importers.repair import drop_empty, fill_missing, present_bodies
from shapmix.layouts import get_layout

PARTS = ("train", "test")
CLASSES = (60, 120)  # of NTU RGB+D; where there are others, the clips are of something else
MEMBERS = tuple(f"{array}_{part}.npy" for part in PARTS for array in "xy")
BODY = 75  # 25 joints of x, y, z
UNIT_BYTES = 4 * MIB
MOST_ROW_BYTES = 64 * MIB
MOST_CLIPS = 10_000_000

_PROTOCOLS = {
    **dict.fromkeys(("cs", "csub", "xsub"), "xsub"),
    **dict.fromkeys(("cv", "xview"), "xview"),
    **dict.fromkeys(("cset", "xset"), "xset"),
}
_NO_LABEL, _SEVERAL_LABELS = -1, -2

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Options:
    """What the file itself does not say.

    Attributes:
        class_names: names of the classes in label order: a .txt, .json or .csv file, or names with
            commas between them. Without it, those of NTU RGB+D 60 or 120 where there are as many
            classes, else the ids.
    """

    class_names: str | None = None


def recognise(peek: Peek) -> str | None:
    """See `Importer.recognise`."""
    if peek.is_zip and set(MEMBERS) <= set(peek.names):
        return "the arrays x_train, y_train, x_test and y_test"
    return None


def open_source(source: Path, options: Options) -> CtrgcnNpz:
    """See `Importer.open_source`."""
    _check_npz(source)
    parts = []
    num_classes = 0
    for part in PARTS:
        x, y = (NpzRows.of(source, f"{array}_{part}.npy") for array in "xy")
        _check(x, y)
        labels, classes = _labels(y)
        num_classes = max(num_classes, classes)
        parts.append(_Part(part, x, labels))
    info = ArchiveInfo(
        layout=get_layout("ntu25"),
        class_names=_class_names(num_classes, options.class_names),
        source="NTU RGB+D (Shahroudy et al., CVPR 2016; Liu et al., TPAMI 2019), CTR-GCN arrays",
        splits={protocol_of(source.stem): ('part == "train"', 'part == "test"')},
    )
    units = [unit for part in parts for unit in part.units()]
    status = source.stat()
    fps = FPS if num_classes in CLASSES else None
    return CtrgcnNpz(info, units, parts, f"{status.st_size}:{status.st_mtime_ns}", fps)


@dataclass(frozen=True)
class _Part:
    """The training or the test clips."""

    name: str
    x: NpzRows
    labels: Labels

    def units(self) -> Iterator[Unit]:
        """Ranges of rows, called "train 0 22" after the first row and how many there are."""
        step = max(1, UNIT_BYTES // self.x.row_bytes)
        for start in range(0, len(self.labels), step):
            count = min(step, len(self.labels) - start)
            yield Unit(f"{self.name} {start} {count}", count * self.x.row_bytes)


@dataclass(frozen=True)
class CtrgcnNpz:
    """The rows of x_train, then those of x_test."""

    info: ArchiveInfo
    units: list[Unit]
    parts: list[_Part]
    stamp: str
    fps: float | None

    columns = MappingProxyType({"part": str})
    ignored = 0

    def read(self, units: Sequence[Unit], report: ImportReport) -> Iterator[Clip]:
        """See `Source.read`."""
        parts = {part.name: part for part in self.parts}
        for unit in units:
            name, start, count = unit.name.split()
            part, first = parts[name], int(start)
            names = [f"{name}-{row:06}" for row in range(first, first + int(count))]
            try:
                rows = part.x.rows(first, len(names))
            except UNREADABLE as error:
                for clip in names:
                    report.skip(ClipError("unreadable file", clip, f"{part.x.member}: {error}"))
                continue
            for clip, row, label in zip(names, rows, part.labels[first:], strict=False):
                try:
                    keypoints = _keypoints(clip, row, int(label), report)
                except ClipError as error:
                    report.skip(error)
                    continue
                yield Clip(clip, int(label), keypoints, self.fps, {"part": name})


def _keypoints(name: str, row: npt.NDArray[Any], label: int, report: ImportReport) -> Keypoints:
    if label == _SEVERAL_LABELS:
        raise ClipError("several labels", name, f"several ones in its row of y; {MULTI_LABEL}")
    if label == _NO_LABEL:
        raise ClipError("no label", name, "its row of y is neither one-hot nor an id of a class")
    with np.errstate(over="ignore"):  # the archive refuses what overflows
        values = row.astype(np.float32)
    keypoints = real_frames(values.reshape(len(row), -1, 25, 3))
    if not len(keypoints):
        raise ClipError("no body", name, "all its values are zero")
    keypoints, filled = fill_missing(keypoints)
    keypoints, dropped = drop_empty(keypoints)
    if filled:
        report.repair("missing joints filled in", name)
    if dropped:
        report.repair("frames without a body left out", name)
    return keypoints


def real_frames(keypoints: Keypoints) -> Keypoints:
    """Without the padding at the end."""
    real = np.flatnonzero(present_bodies(keypoints).any(1))
    return keypoints[: real[-1] + 1] if len(real) else keypoints[:0]


def _check_npz(source: Path) -> None:
    """SourceError when a source is no .npz file at all."""
    if source.is_dir():
        raise SourceError(f"{source} cannot be read: it is a folder; give the .npz file itself")
    if source.is_file() and not zipfile.is_zipfile(source):
        cut = begins_as_zip(source)
        why = "cut off? Get it again" if cut else "it is no .npz file, as numpy.savez writes them"
        others = "; pyskl-pkl and stgcn-npy read pickles" if source.suffix == ".pkl" else ""
        raise SourceError(f"{source} cannot be read: {why}{others}")


def _check(x: NpzRows, y: NpzRows) -> None:
    """SourceError unless `x` and `y` are of the form that the module's text describes."""
    if len(x.shape) != 3 or x.dtype.kind != "f" or x.shape[2] == 0 or x.shape[2] % BODY:
        raise SourceError(
            f"{x.member} has shape {x.shape} and type {x.dtype}, expected floats of shape (clips, "
            "frames, 150): two persons of 25 joints of x, y, z"
        )
    if not 0 < x.row_bytes <= MOST_ROW_BYTES:
        raise SourceError(
            f"{x.member} has {x.row_bytes} bytes a clip, expected 1 to {MOST_ROW_BYTES}"
        )
    if len(y.shape) not in (1, 2) or y.dtype.kind not in "fiub" or 0 in y.shape[1:]:
        raise SourceError(
            f"{y.member} has shape {y.shape} and type {y.dtype}, expected one-hot rows (clips, "
            "classes) or class ids (clips,)"
        )
    if y.shape[0] != x.shape[0] or x.shape[0] > MOST_CLIPS or y.shape[1:] > (MOST_CLASSES,):
        raise SourceError(
            f"{x.member} has {x.shape[0]} clips, {y.member} has shape {y.shape}: expected as many "
            f"clips, at most {MOST_CLIPS}, and at most {MOST_CLASSES} classes"
        )


def _labels(y: NpzRows) -> tuple[Labels, int]:
    """Class index of each clip, or why it has none; and the number of classes."""
    labels = np.empty(y.shape[0], np.int64)
    step = max(1, UNIT_BYTES // y.row_bytes)
    for start in range(0, len(labels), step):
        try:
            rows = y.rows(start, min(step, len(labels) - start))
        except UNREADABLE as error:
            raise SourceError(f"{y.source}: {y.member} cannot be read: {error}") from error
        labels[start : start + step] = _one_hot(rows) if rows.ndim == 2 else _ids(rows)
    if len(y.shape) == 2:
        return labels, y.shape[1]
    return labels, int(labels.max(initial=-1)) + 1


def _one_hot(rows: npt.NDArray[Any]) -> Labels:
    labels = np.asarray((rows == 1).argmax(1), np.int64)
    ones = (rows == 1).sum(1)
    labels[(ones == 0) | ((rows != 0).sum(1) > ones)] = _NO_LABEL
    labels[ones > 1] = _SEVERAL_LABELS
    return labels


def _ids(values: npt.NDArray[Any]) -> Labels:
    with np.errstate(invalid="ignore"):
        sound = (values >= 0) & (values < MOST_CLASSES) & (values == np.floor(values))
    return np.where(sound, np.where(sound, values, 0).astype(np.int64), _NO_LABEL)


def _class_names(num_classes: int, given: str | None) -> tuple[str, ...]:
    if given is None and num_classes in CLASSES:
        return CLASS_NAMES[:num_classes]
    return find_classes(range(num_classes), given, 0).names


def protocol_of(stem: str) -> str:
    """xsub, xview or xset, where the name of a file or folder says so; else "given"."""
    words = re.split(r"[^a-z0-9]+", stem.lower())
    return next((_PROTOCOLS[word] for word in words if word in _PROTOCOLS), "given")

"""SBU Kinect Interaction (Yun et al., CVPR Workshops 2012): 282 clips of 8 interactions of two.

The source is a folder or a zip that holds, at any depth, the folders of the 21 ordered pairs of
subjects: `sXXsYY/CLASS/TAKE/skeleton_pos.txt`. Each line is a frame: its number, then x, y, z of 15
joints of one person and of the other, with commas between. Which of them stands on the left differs
from clip to clip. Other files, such as the images, are ignored.

    shapmix import sbu SBU_Kinect_Interactions/ data/sbu.arrow

The archive has the layout sbu15 and two persons; the columns pair (such as "s01s02"), take, action
and fold; and the protocols fold1 to fold5, the five folds over pairs of subjects that are usual for
these data: one tests, four train; the mean over all five is what is reported.

Coordinates are kept as published, normalised: x and y from 0 to 1 across the image, y downwards, z
a depth. With --metric true they become metres, x = 1.28 - 2.56 x, y = 0.96 - 1.92 y, z = 1.28 z, y
upwards: in these, bones keep their lengths (1 % deviation within a clip) at any distance.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from shapmix.data.clip import ArchiveInfo, Clip, ClipError, Keypoints
from shapmix.data.importers.base import MIB, ImportReport, SourceError
from shapmix.data.importers.file_sources import FileSource
from shapmix.data.importers.files import SourceFiles
from shapmix.data.importers.missing_joints import mended
from shapmix.data.importers.peek import Peek
from shapmix.layouts import get_layout

ACTIONS = (
    "approaching",
    "departing",
    "kicking",
    "pushing",
    "shaking hands",
    "hugging",
    "exchanging object",
    "punching",
)
FOLDS = (
    ("s01s02", "s03s04", "s05s02", "s06s04"),
    ("s02s03", "s02s07", "s03s05", "s05s03"),
    ("s01s03", "s01s07", "s07s01", "s07s03"),
    ("s02s01", "s02s06", "s03s02", "s03s06"),
    ("s04s02", "s04s03", "s04s06", "s06s02", "s06s03"),
)
PATH = re.compile(r"(?:.*/)?(s\d\ds\d\d)/(\d\d)/(\d\d\d)/skeleton_pos\.txt", re.ASCII | re.DOTALL)
FIELDS = 1 + 2 * 15 * 3
MAX_BYTES = 4 * MIB  # the largest published file has 46 frames in 31 KiB

_FOLD_OF = {pair: number for number, pairs in enumerate(FOLDS, 1) for pair in pairs}
# Original coordinates in metres are origin + scale * normalised: the constants of the authors'
# page, in millimetres there (z: 10000 / 7.8125).
_ORIGIN = np.array([1.28, 0.96, 0.0])
_SCALE = np.array([-2.56, -1.92, 1.28])


@dataclass(frozen=True)
class Options:
    """How SBU is read.

    Attributes:
        metric: convert the normalised coordinates to metres.
    """

    metric: bool = False


def recognise(peek: Peek) -> str | None:
    """See `Importer.recognise`."""
    named = [name for name in peek.names if PATH.fullmatch(name)]
    return f"files that lie as SBU's do, such as {named[0]}" if named else None


def open_source(source: Path, options: Options) -> Sbu:
    """See `Importer.open_source`."""
    files = SourceFiles(source, max_bytes=MAX_BYTES)
    matches = {name: match for name in files.names if (match := PATH.fullmatch(name))}
    if not matches:
        raise SourceError(
            f"{source} has no SBU clips: expected files such as s01s02/01/001/skeleton_pos.txt"
        )
    ordered = sorted(matches, key=lambda name: (matches[name].groups(), name))
    return Sbu(files, [files.unit(name) for name in ordered], options.metric)


@dataclass(frozen=True)
class Sbu(FileSource):
    """The skeleton_pos.txt files of a zip or folder."""

    metric: bool

    columns = MappingProxyType({"pair": str, "take": int, "action": int, "fold": int})

    @property
    def info(self) -> ArchiveInfo:
        """See `Source`."""
        return ArchiveInfo(
            layout=get_layout("sbu15"),
            class_names=ACTIONS,
            channels="xyz",
            units="m" if self.metric else "normalised",
            source="SBU Kinect Interaction (Yun et al., CVPR Workshops 2012)",
            splits={
                f"fold{number}": (f"fold != {number}", f"fold == {number}")
                for number in range(1, len(FOLDS) + 1)
            },
        )

    def _clip(self, unit: str, report: ImportReport) -> Clip:
        match = PATH.fullmatch(unit)
        assert match is not None
        name = "_".join(match.groups())
        pair, action, take = match[1], int(match[2]), int(match[3])
        if pair not in _FOLD_OF:
            expected = f"one of {', '.join(sorted(_FOLD_OF))}"
            raise ClipError("unknown pair", name, f"the pair is {pair}, expected {expected}")
        if not 1 <= action <= len(ACTIONS):
            raise ClipError("unknown action", name, f"class {action}, expected 1 to {len(ACTIONS)}")
        try:
            content = self.files.read(unit)
        except ClipError as error:  # all files have one name; that of the clip tells more
            raise ClipError(error.reason, name, error.detail) from error
        keypoints = mended(_keypoints(name, content), "xyz", name, report)
        if self.metric:
            keypoints = _to_metres(keypoints)
        metadata = {"pair": pair, "take": take, "action": action, "fold": _FOLD_OF[pair]}
        return Clip(name, action - 1, keypoints, metadata=metadata)


def _keypoints(name: str, content: bytes) -> Keypoints:
    """(T, 2, 15, 3) from a line a frame: its number, then 2 x 15 x 3 coordinates."""
    rows = [line.split(b",") for line in content.splitlines() if line.strip()]
    if not rows:
        raise ClipError("wrong shape", name, "no line, expected one a frame")
    for number, row in enumerate(rows, 1):
        if len(row) != FIELDS:
            found = f"line {number} has {len(row)} fields, expected {FIELDS}: number, 2 x 15 x 3"
            raise ClipError("wrong shape", name, found)
    try:
        values = np.array([[float(field) for field in row[1:]] for row in rows])
    except ValueError as error:
        raise ClipError("not numbers", name, str(error)[:100]) from error
    with np.errstate(over="ignore"):  # what overflows is refused as infinite
        return values.reshape(-1, 2, 15, 3).astype(np.float32)


def _to_metres(keypoints: Keypoints) -> Keypoints:
    """An absent body stays zero."""
    present = keypoints.any((2, 3), keepdims=True)
    with np.errstate(over="ignore"):
        return np.where(present, _ORIGIN + _SCALE * keypoints, 0.0).astype(np.float32)

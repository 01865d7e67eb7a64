"""UTD-MHAD (Chen, Jafari and Kehtarnavaz, ICIP 2015): 861 clips of 27 actions by 8 subjects.

The source is the zip of the skeletons or a folder with its files, at any depth, one clip a file:
`aA_sS_tT_skeleton.mat` (action, subject, trial), in MATLAB's format 5, with the array `d_skel` of
20 joints x 3 coordinates x frames, in metres.

    shapmix import utd-mhad Skeleton.zip data/utd_mhad.arrow

The archive has the layout utd20, one person, 30 frames a second; the columns action, subject and
trial; and the protocol xsub: odd subjects train (431 clips), even ones test (430).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import numpy as np

from shapmix.data.clip import ArchiveInfo, Clip, ClipError, Keypoints
from shapmix.data.importers.base import MIB, ImportReport, SourceError
from shapmix.data.importers.file_sources import FileSource
from shapmix.data.importers.files import SourceFiles
from shapmix.data.importers.matlab_files import MatlabError, read_array
from shapmix.data.importers.missing_joints import mended
from shapmix.data.importers.peek import Peek
from shapmix.layouts import get_layout

ACTIONS = (
    "right arm swipe to the left",
    "right arm swipe to the right",
    "right hand wave",
    "two hand front clap",
    "right arm throw",
    "cross arms in the chest",
    "basketball shoot",
    "right hand draw x",
    "right hand draw circle (clockwise)",
    "right hand draw circle (counter clockwise)",
    "draw triangle",
    "bowling (right hand)",
    "front boxing",
    "baseball swing from right",
    "tennis right hand forehand swing",
    "arm curl (two arms)",
    "tennis serve",
    "two hand push",
    "right hand knock on door",
    "right hand catch an object",
    "right hand pick up and throw",
    "jogging in place",
    "walking in place",
    "sit to stand",
    "stand to sit",
    "forward lunge (left foot forward)",
    "squat (two arms stretch out)",
)
FILE_NAME = r"(a(\d{1,2})_s(\d{1,2})_t(\d{1,2}))_skeleton\.mat"
MAX_BYTES = 4 * MIB  # the largest published file has 32 KiB


@dataclass(frozen=True)
class Options:
    """UTD-MHAD has no options of its own."""


def recognise(peek: Peek) -> str | None:
    """See `Importer.recognise`."""
    named = [name for name in peek.base_names() if re.fullmatch(FILE_NAME, name, re.ASCII)]
    return f"files named as UTD-MHAD's are, such as {named[0]}" if named else None


def open_source(source: Path, options: Options) -> UtdMhad:
    """See `Importer.open_source`."""
    files = SourceFiles(source, max_bytes=MAX_BYTES)
    matches = files.matching(FILE_NAME)
    if not matches:
        raise SourceError(f"{source} has no UTD-MHAD clips: expected files a1_s1_t1_skeleton.mat")
    return UtdMhad(files, [files.unit(name) for name in matches])


class UtdMhad(FileSource):
    """The .mat files of a zip or folder."""

    info = ArchiveInfo(
        layout=get_layout("utd20"),
        class_names=ACTIONS,
        channels="xyz",
        units="m",
        source="UTD-MHAD (Chen, Jafari and Kehtarnavaz, ICIP 2015)",
        splits={"xsub": ("subject % 2 == 1", "subject % 2 == 0")},
    )
    columns = MappingProxyType({"action": int, "subject": int, "trial": int})

    def _clip(self, unit: str, report: ImportReport) -> Clip:
        match = re.fullmatch(FILE_NAME, PurePosixPath(unit).name, re.ASCII)
        assert match is not None
        content = self.files.read(unit)
        name = match[1]
        action, subject, trial = map(int, match.groups()[1:])
        if not 1 <= action <= len(ACTIONS):
            raise ClipError("unknown action", name, f"action {action}, expected 1 to 27")
        keypoints = mended(_keypoints(name, content), "xyz", name, report)
        metadata = {"action": action, "subject": subject, "trial": trial}
        return Clip(name, action - 1, keypoints, 30.0, metadata)


def _keypoints(name: str, content: bytes) -> Keypoints:
    """(T, 1, 20, 3) from the (20, 3, T) of a file."""
    try:
        values = read_array(content, "d_skel", max_bytes=MAX_BYTES)
    except MatlabError as error:
        raise ClipError("unreadable .mat", name, str(error)) from error
    if values.ndim == 2:  # MATLAB leaves out a last dimension of one frame
        values = values[:, :, None]
    if values.ndim != 3 or values.shape[:2] != (20, 3) or not values.size:
        found = f"d_skel has shape {values.shape}, expected (20 joints, 3, frames)"
        raise ClipError("wrong shape", name, found)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused as infinite
        return values.transpose(2, 0, 1)[:, None].astype(np.float32)

"""MSR-Action3D (Li, Zhang and Liu, CVPR Workshops 2010): 20 actions by 10 subjects.

The source is a zip or a folder, at any depth, with the skeletons in real-world coordinates, one
clip a file: `aAA_sSS_eEE_skeleton3D.txt` (action, subject, repetition), 20 lines a frame, each
`x y z confidence`, in metres.

    shapmix import msr-action3d MSRAction3DSkeletonReal3D.zip data/msr_action3d.arrow

Of the 567 files, the literature leaves out ten whose skeletons are missing or very wrong. Where the
source has the list of the others, `files_used_in_cvpr12_paper.txt` (Wang et al., CVPR 2012), the
557 clips that it names are imported; with --all-clips true, or without the list, all. Frames in
which the tracker found nobody (all joints zero) are left out and reported.

The archive has the layout msr20, one person, 15 frames a second; the columns action, subject and
replication; and the protocol xsub: odd subjects train (284 clips), even ones test (273). The
confidence is not kept: an archive has one for 2D only, and here it does not say which joints can be
used. It is zero for the centre of the hips, the spine, the centre of the shoulders and the feet in
85 to 97 % of the frames, although their places are as good as those of the other joints.
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
from shapmix.data.importers.missing_joints import mended
from shapmix.data.importers.peek import Peek
from shapmix.layouts import get_layout

ACTIONS = (
    "high arm wave",
    "horizontal arm wave",
    "hammer",
    "hand catch",
    "forward punch",
    "high throw",
    "draw x",
    "draw tick",
    "draw circle",
    "hand clap",
    "two hand wave",
    "side-boxing",
    "bend",
    "forward kick",
    "side kick",
    "jogging",
    "tennis swing",
    "tennis serve",
    "golf swing",
    "pick up & throw",
)
FILE_NAME = r"(a(\d\d)_s(\d\d)_e(\d\d))_skeleton3D\.txt"
LIST_NAME = r"files_used_in_cvpr12_paper\.txt"
MAX_BYTES = 4 * MIB  # the largest published file has 936 frames in 0.7 MiB


@dataclass(frozen=True)
class Options:
    """How MSR-Action3D is read.

    Attributes:
        all_clips: import every file, also those that files_used_in_cvpr12_paper.txt leaves out.
    """

    all_clips: bool = False


def recognise(peek: Peek) -> str | None:
    """See `Importer.recognise`."""
    named = [name for name in peek.base_names() if re.fullmatch(FILE_NAME, name, re.ASCII)]
    return f"files named as MSR-Action3D's are, such as {named[0]}" if named else None


def open_source(source: Path, options: Options) -> MsrAction3d:
    """See `Importer.open_source`."""
    files = SourceFiles(source, max_bytes=MAX_BYTES)
    matches = files.matching(FILE_NAME)
    if not matches:
        raise SourceError(
            f"{source} has no MSR-Action3D clips: expected files a01_s01_e01_skeleton3D.txt"
        )
    lists = list(files.matching(LIST_NAME))
    if lists and not options.all_clips:
        used = _used(files, lists[0])
        matches = {name: match for name, match in matches.items() if match[1] in used}
        if not matches:
            raise SourceError(
                f"{lists[0]} names none of the clips in {source}; import them with "
                "--all-clips true, or without that list"
            )
    return MsrAction3d(files, [files.unit(name) for name in matches])


def _used(files: SourceFiles, name: str) -> set[str]:
    try:
        return set(files.read(name).decode("ascii", "replace").split())
    except ClipError as error:
        raise SourceError(f"cannot read the list of clips: {error.detail}") from error


class MsrAction3d(FileSource):
    """The text files of a zip or folder; those that the list leaves out count as ignored."""

    info = ArchiveInfo(
        layout=get_layout("msr20"),
        class_names=ACTIONS,
        channels="xyz",
        units="m",
        source="MSR-Action3D (Li, Zhang and Liu, CVPR Workshops 2010)",
        splits={"xsub": ("subject % 2 == 1", "subject % 2 == 0")},
    )
    columns = MappingProxyType({"action": int, "subject": int, "replication": int})

    def _clip(self, unit: str, report: ImportReport) -> Clip:
        match = re.fullmatch(FILE_NAME, PurePosixPath(unit).name, re.ASCII)
        assert match is not None
        content = self.files.read(unit)
        name = match[1]
        action, subject, replication = map(int, match.groups()[1:])
        if not 1 <= action <= len(ACTIONS):
            raise ClipError("unknown action", name, f"action {action}, expected 1 to 20")
        keypoints = mended(_keypoints(name, content), "xyz", name, report)
        metadata = {"action": action, "subject": subject, "replication": replication}
        return Clip(name, action - 1, keypoints, 15.0, metadata)


def _keypoints(name: str, content: bytes) -> Keypoints:
    """(T, 1, 20, 3) from 20 lines a frame of x, y, z and a confidence."""
    rows = [row for line in content.splitlines() if (row := line.split())]
    if not rows or len(rows) % 20:
        found = f"{len(rows)} lines, expected 20 (one a joint) for each frame"
        raise ClipError("wrong shape", name, found)
    for number, row in enumerate(rows, 1):
        if len(row) != 4:
            found = f"joint {number} has {len(row)} fields, expected x y z confidence"
            raise ClipError("wrong shape", name, found)
    try:
        values = np.array([[float(field) for field in row[:3]] for row in rows])
    except ValueError as error:
        raise ClipError("not numbers", name, str(error)[:100]) from error
    with np.errstate(over="ignore"):  # what overflows is refused as infinite
        return values.reshape(-1, 1, 20, 3).astype(np.float32)

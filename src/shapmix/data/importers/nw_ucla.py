"""Northwestern-UCLA Multiview Action 3D (Wang et al., CVPR 2014), as the CTR-GCN family packs it.

A zip or a folder with one JSON file a clip, `aAA_sSS_eEE_vVV.json` (action, subject, repetition,
view): `{"file_name": "aAA_sSS_eEE_vVV", "skeletons": [T][20][3], "label": 1..10}`, in metres. The
ten actions are numbered 1-6, 8, 9, 11 and 12; labels 1-10 follow that order and become 0-9.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy as np

from shapmix.data.clip import ArchiveInfo, Clip, ClipError, Keypoints
from shapmix.data.importers.base import MIB, ImportReport, SourceError
from shapmix.data.importers.file_sources import FileSource
from shapmix.data.importers.files import SourceFiles
from shapmix.data.importers.peek import Peek
from shapmix.layouts import get_layout

ACTIONS = {
    1: "pick up with one hand",
    2: "pick up with two hands",
    3: "drop trash",
    4: "walk around",
    5: "sit down",
    6: "stand up",
    8: "donning",
    9: "doffing",
    11: "throw",
    12: "carry",
}
FILE_NAME = r"(a(\d\d)_s(\d\d)_e(\d\d)_v(\d\d))\.json"
MAX_BYTES = 16 * MIB  # the largest published file has 124 KiB

_LABELS = {action: label for label, action in enumerate(ACTIONS)}


@dataclass(frozen=True)
class Options:
    """NW-UCLA has no options of its own."""


def recognise(peek: Peek) -> str | None:
    """See `Importer.recognise`."""
    named = [name for name in peek.base_names() if re.fullmatch(FILE_NAME, name)]
    return f"files named as NW-UCLA's are, such as {named[0]}" if named else None


def open_source(source: Path, options: Options) -> NwUcla:
    """See `Importer.open_source`."""
    files = SourceFiles(source, max_bytes=MAX_BYTES)
    matches = files.matching(FILE_NAME)
    if not matches:
        raise SourceError(
            f"{source} has no NW-UCLA clips: expected files such as a01_s01_e00_v01.json"
        )
    return NwUcla(files, [files.unit(name) for name in matches])


class NwUcla(FileSource):
    """The JSON files of a zip or folder."""

    info = ArchiveInfo(
        layout=get_layout("kinect20"),
        class_names=tuple(ACTIONS.values()),
        channels="xyz",
        units="m",
        source="Northwestern-UCLA Multiview Action 3D (Wang et al., CVPR 2014)",
        splits={"xview": ("view != 3", "view == 3")},
    )
    columns = MappingProxyType({"action": int, "subject": int, "replication": int, "view": int})

    def _clip(self, unit: str, report: ImportReport) -> Clip:
        match = re.fullmatch(FILE_NAME, PurePosixPath(unit).name, re.ASCII)
        assert match is not None
        content = self.files.read(unit)
        name = match[1]
        action, subject, replication, view = map(int, match.groups()[1:])
        try:
            record = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ClipError("not JSON", name, str(error)) from error
        if not isinstance(record, dict) or not {"label", "skeletons"} <= record.keys():
            raise ClipError("other fields", name, 'expected an object with "label" and "skeletons"')
        if action not in _LABELS:
            found = f"action {action}, expected one of {[*ACTIONS]}"
            raise ClipError("unknown action", name, found)
        label = _LABELS[action]
        if type(record["label"]) is not int or record["label"] != label + 1:
            found = f"label is {record['label']!r}, but the file name says {label + 1}"
            raise ClipError("contradictory label", name, found)
        metadata = {"action": action, "subject": subject, "replication": replication, "view": view}
        return Clip(name, label, _keypoints(name, record["skeletons"]), metadata=metadata)


def _keypoints(name: str, skeletons: Any) -> Keypoints:
    """(T, 1, 20, 3) from lists of T frames of 20 joints of x, y, z."""
    try:
        values = np.array(skeletons)
    except ValueError as error:  # ragged
        raise ClipError("wrong shape", name, f"frames of unequal form: {error}") from error
    if values.dtype.kind not in "if":
        raise ClipError("wrong type", name, f"coordinates are {values.dtype}, expected numbers")
    if values.ndim != 3 or values.shape[1:] != (20, 3):
        found = f"skeletons have shape {values.shape}, expected (frames, 20 joints, 3)"
        raise ClipError("wrong shape", name, found)
    with np.errstate(over="ignore"):  # the archive refuses what overflows
        return values[:, None].astype(np.float32)

"""Kinetics-Skeleton 400, as ST-GCN published it (Yan et al., AAAI 2018): one JSON file a video.

SOURCE is the folder, or a zip of it, that holds these, at any depth; one of the two parts is
enough:

    kinetics_train/VIDEO.json  ...     kinetics_train_label.json
    kinetics_val/VIDEO.json    ...     kinetics_val_label.json

    shapmix import kinetics-json Kinetics/kinetics-skeleton data/kinetics.arrow

A video is {"data": [{"frame_index": 1, "skeleton": [{"pose": [x0, y0, x1, ...], "score": [...]},
...]}, ...], "label": "...", "label_index": i}; the label files have {VIDEO: {"has_skeleton": true,
"label": "...", "label_index": i}}. Videos whose has_skeleton is false are ignored.

Of each frame the first five bodies are looked at and the two with the highest mean score kept, the
surer first, as ST-GCN does (--persons-in, --max-persons; --persons order takes them as they are
listed). Bodies are not tracked from frame to frame: the first body of a frame need not be the first
of the next.

The result has the 18 joints of OpenPose (layout openpose18), x and y in parts of the picture (0..1)
with their score, at 30 frames a second. Joints without a score are zero and frames without a body
left out. Nothing is subtracted: ST-GCN's shift by 0.5 belongs to the transforms of training. The
column `part` is "train" or "val"; the protocol `given` trains on the one and tests on the other.

`shapmix predict` also takes single videos and folders of them without label files, and so does
--labels none: clips without labels and the column.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np

from shapmix.data.clip import ArchiveInfo, Clip, ClipError, Keypoints
from shapmix.data.importers.base import MIB, ImportReport, SourceError
from shapmix.data.importers.classes import MOST_CLASSES, as_id
from shapmix.data.importers.file_sources import FileSource
from shapmix.data.importers.files import SourceFiles
from shapmix.data.importers.json_files import joint_rows, member, read_json
from shapmix.data.importers.label_files import NO_LABELS, UNLABELLED, clip_names
from shapmix.data.importers.missing_joints import mended
from shapmix.data.importers.peek import Peek
from shapmix.data.importers.persons import best_of_each_frame, mean_scores
from shapmix.layouts import get_layout

CLIP_FILE = re.compile(r"(?:.*/)?kinetics_(train|val)/((?!\._)[^/]+)\.json", re.DOTALL)
LABEL_FILE = re.compile(r"(?:.*/)?kinetics_(train|val)_label\.json", re.DOTALL)
FIELDS = (b'"data"', b'"frame_index"', b'"skeleton"')  # at the beginning of a clip
MAX_CLIP_BYTES = 16 * MIB
MAX_LABEL_BYTES = 50 * MIB

FPS = 30.0
JOINTS = 18
NO_SKELETON = -1  # in place of a label
BAD_ENTRY = -2


@dataclass(frozen=True)
class Options:
    """Options of kinetics-json.

    Attributes:
        max_persons: bodies that are kept in a frame, at most.
        persons_in: bodies of a frame that are looked at, the first ones listed.
        persons: score keeps those with the highest mean score, order the first ones listed.
        labels: files takes them from the label files; none takes any .json as a clip without a
            label, wherever it lies.
    """

    max_persons: int = 2
    persons_in: int = 5
    persons: Literal["score", "order"] = "score"
    labels: Literal["files", "none"] = "files"


def recognise(peek: Peek) -> str | None:
    """See `Importer.recognise`."""
    for name in peek.names:
        if CLIP_FILE.fullmatch(name) or LABEL_FILE.fullmatch(name):
            return f"files placed as those of Kinetics-Skeleton, such as {name}"
    first = next(iter(peek.ending(".json")), None)
    if first is not None and all(field in peek.head(first) for field in FIELDS):
        return f"frames with skeletons as those of Kinetics-Skeleton, in {first}"
    return None


def open_source(source: Path, options: Options) -> KineticsJson | UnlabelledJson:
    """See `Importer.open_source`."""
    if not 1 <= options.max_persons <= options.persons_in:
        raise SourceError(
            f"max_persons is {options.max_persons}, expected 1 to persons_in, {options.persons_in}"
        )
    files = SourceFiles(source, max_bytes=MAX_LABEL_BYTES)
    if options.labels == NO_LABELS:
        return _open_unlabelled(files, options)
    clips = sorted((*m.groups(), name) for name in files.sizes if (m := CLIP_FILE.fullmatch(name)))
    if not clips:
        raise SourceError(
            f"{source} has no Kinetics-Skeleton clips: expected files such as "
            "kinetics_train/VIDEO.json and kinetics_train_label.json (--labels none takes other "
            ".json files of videos, as clips without labels)"
        )
    labels, names = _read_labels(files, {part for part, _, _ in clips})
    files.max_bytes = MAX_CLIP_BYTES
    info = ArchiveInfo(
        layout=get_layout("openpose18"),
        class_names=names,
        channels="xyc",
        units="normalised",
        source="Kinetics-Skeleton 400 (Yan et al., AAAI 2018; Kay et al., 2017)",
        splits={"given": ("part == 'train'", "part == 'val'")},
    )
    units = [
        files.unit(name) for part, clip, name in clips if labels[part].get(clip) != NO_SKELETON
    ]
    return KineticsJson(files, units, info, labels, options)


def _open_unlabelled(files: SourceFiles, options: Options) -> UnlabelledJson:
    """All videos of a source, whether or not there are label files."""
    names = [n for n in files.sizes if n.lower().endswith(".json") and not LABEL_FILE.fullmatch(n)]
    if not names:
        raise SourceError(f"{files.source} has no .json file of a video")
    files.max_bytes = MAX_CLIP_BYTES
    return UnlabelledJson(files, [files.unit(name) for name in names], clip_names(names), options)


@dataclass(frozen=True)
class KineticsJson(FileSource):
    """The JSON files of a zip or folder, and the labels of their videos, by part."""

    info: ArchiveInfo
    labels: Mapping[str, Mapping[str, int]]
    options: Options

    columns = MappingProxyType({"part": str})

    @property
    def ignored(self) -> int:
        """Files that are neither labels nor clips with a skeleton."""
        labels = sum(1 for name in self.files.sizes if LABEL_FILE.fullmatch(name))
        return len(self.files.sizes) - len(self.units) - labels

    def _clip(self, unit: str, report: ImportReport) -> Clip:
        match = CLIP_FILE.fullmatch(unit)
        assert match is not None
        part, name = match.groups()
        label = _label(self.labels[part].get(name), part, name)
        record = read_json(self.files, unit, name)
        _check_label(record, label, self.info.class_names, name)
        keypoints = mended(_keypoints(record, name, self.options), "xyc", name, report)
        return Clip(name, label, keypoints, FPS, {"part": part})


@dataclass(frozen=True)
class UnlabelledJson(FileSource):
    """The JSON files of videos, whatever they are called; `names` are those of their clips."""

    names: Mapping[str, str]
    options: Options

    columns: ClassVar[Mapping[str, type[str]]] = {}
    info = ArchiveInfo(
        layout=get_layout("openpose18"),
        class_names=(UNLABELLED,),
        channels="xyc",
        units="normalised",
        source="videos in the form of Kinetics-Skeleton",
    )

    def _clip(self, unit: str, report: ImportReport) -> Clip:
        name = self.names[unit]
        record = read_json(self.files, unit, name)
        return Clip(
            name, 0, mended(_keypoints(record, name, self.options), "xyc", name, report), FPS
        )


def _read_labels(
    files: SourceFiles, parts: set[str]
) -> tuple[dict[str, dict[str, int]], tuple[str, ...]]:
    """Part -> video -> label, or what stands for none; and the class names."""
    found = {m[1]: name for name in files.sizes if (m := LABEL_FILE.fullmatch(name))}
    missing = sorted(parts - found.keys())
    if missing:
        raise SourceError(
            f"{files.source} has kinetics_{missing[0]}/ but no kinetics_{missing[0]}_label.json; "
            "put it beside the folder"
        )
    names: dict[int, str] = {}
    labels: dict[str, dict[str, int]] = {}
    for part in sorted(parts):
        try:
            content = read_json(files, found[part], found[part])
        except ClipError as error:
            raise SourceError(f"cannot read {found[part]}: {error.detail}") from error
        if not isinstance(content, dict):
            raise SourceError(f"{found[part]} holds no object: expected {{VIDEO: {{...}}}}")
        labels[part] = {video: _entry(entry, names) for video, entry in content.items()}
    if not names:
        raise SourceError("the label files name no class")
    classes = tuple(names.get(k, str(k)) for k in range(max(names) + 1))
    if len(set(classes)) != len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise SourceError(f"the label files give the label {twice!r} two indices")
    return labels, classes


def _entry(entry: Any, names: dict[int, str]) -> int:
    """Label of an entry of the label files; its name is noted in `names`.

    Raises:
        SourceError: an index has two names.
    """
    if not isinstance(entry, dict):
        return BAD_ENTRY
    index, name = as_id(entry.get("label_index")), entry.get("label")
    if index is None or not 0 <= index < MOST_CLASSES or not _is_name(name):
        return NO_SKELETON if entry.get("has_skeleton") is False else BAD_ENTRY
    if names.setdefault(index, str(name)) != name:
        raise SourceError(
            f"the label files call label_index {index} both {names[index]!r} and {name!r}"
        )
    return index if entry.get("has_skeleton", True) is not False else NO_SKELETON


def _is_name(label: Any) -> bool:
    """Whether a label is text that can be stored and shown (lone surrogates cannot)."""
    return isinstance(label, str) and bool(label) and label.isprintable()


def _label(label: int | None, part: str, clip: str) -> int:
    """A label; ClipError when the label file has none."""
    where = f"kinetics_{part}_label.json"
    if label is None:
        raise ClipError("not in the label file", clip, f"{where} has no such video")
    if label == BAD_ENTRY:
        detail = f"its entry in {where} lacks a label or a label_index of 0 or more"
        raise ClipError("bad entry in the label file", clip, detail)
    return label


def _check_label(record: Any, label: int, names: Sequence[str], clip: str) -> None:
    """ClipError when a clip's own label, where it has one, is another than the label file's."""
    if not isinstance(record, dict):
        raise ClipError("other fields", clip, 'expected an object with "data"')
    index, name = record.get("label_index", label), record.get("label", names[label])
    if type(index) is not int or index != label or name != names[label]:
        expected = f"{label} ({names[label]!r})"
        found = f"label is {str(index)[:20]} ({str(name)[:60]!r}), the label file has {expected}"
        raise ClipError("contradictory label", clip, found)


def _keypoints(record: Any, clip: str, options: Options) -> Keypoints:
    """(T, M, 18, 3) from the frames of a file, in the order of their numbers."""
    poses, scores, frames = [], [], []
    for frame in member(record, "data", list, clip):
        number = member(frame, "frame_index", int, clip)
        for body in member(frame, "skeleton", list, clip)[: options.persons_in]:
            poses.append(member(body, "pose", list, clip))
            scores.append(member(body, "score", list, clip))
            frames.append(number)
    xy, score = joint_rows(poses, JOINTS, 2, clip), joint_rows(scores, JOINTS, 1, clip)
    bodies = np.concatenate([xy, score], 2)
    sure = mean_scores(bodies) if options.persons == "score" else np.zeros(len(bodies))
    return best_of_each_frame(bodies, frames, sure, options.max_persons)

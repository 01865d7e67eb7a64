"""What a PYSKL pickle says about its clips, without their keypoints."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from shapmix.data.clip import BUILT_IN_COLUMNS, ClipError
from shapmix.data.importers.base import SourceError
from shapmix.data.importers.ntu_names import COLUMNS
from shapmix.data.importers.safe_pickle import (
    PickledArray,
    UnreadablePickle,
    load_pickle,
    mapped_file,
)

_SPLIT = re.compile(r"(?:([A-Za-z0-9_]{1,60})_)?(train|val|test)(\d{0,3})", re.ASCII)
_TAKEN = {*BUILT_IN_COLUMNS, *COLUMNS, "width", "height"}

NO_KEYPOINTS = ("no keypoints", "expected an array keypoint, or the name of a file in raw_file")


class Annotation(NamedTuple):
    """One clip, as far as it is known without its keypoints.

    Attributes:
        name: its frame_dir; empty when that is no text.
        label: an id, a text, several of these, or None.
        frames: total_frames.
        size: height and width of the picture.
        keypoint: (M, T, V, C); or of detections (N, V, C).
        score: (M, T, V) scores of joints.
        raw_file: last component of the name of the file with the detections; empty when none.
        frame_inds: (N,) frame of each detection.
        box_score: (N,) score of each detection.
        file: that holds the detections; None where `keypoint` is beside the annotation.
        missing: why there are none: reason and detail.
    """

    name: str
    label: object = None
    frames: int | None = None
    size: tuple[int, int] | None = None
    keypoint: PickledArray | None = None
    score: PickledArray | None = None
    raw_file: str = ""
    frame_inds: PickledArray | None = None
    box_score: PickledArray | None = None
    file: Path | None = None
    missing: tuple[str, str] = NO_KEYPOINTS

    @property
    def num_bytes(self) -> int:
        """Of its arrays."""
        arrays = (self.keypoint, self.score, self.frame_inds, self.box_score)
        return sum(array.num_bytes for array in arrays if array is not None)


@dataclass(frozen=True)
class Splits:
    """Which clips are in which part of which split.

    Attributes:
        parts: column -> clip -> "train", "val" or "test"; "" where it is in several.
        protocols: name -> (training, test) expressions over these columns.
    """

    parts: Mapping[str, Mapping[str, str]]
    protocols: Mapping[str, tuple[str, str]]

    def columns(self, clip: str) -> dict[str, str]:
        """The part of a clip in each split, or "none"; ClipError when it is in several."""
        found = {column: parts.get(clip, "none") for column, parts in self.parts.items()}
        if "" in found.values():
            column = next(column for column, part in found.items() if not part)
            raise ClipError("in two parts of a split", clip, f"it is in two parts of {column}")
        return found


def read_annotations(source: Path) -> tuple[list[Annotation], Splits]:
    """All annotations of a pickle, and its splits; SourceError when it is of another form."""
    try:
        with mapped_file(source) as file:
            content = load_pickle(file, _annotation)
            items, splits = content, None
            if isinstance(content, dict):
                items, splits = content.get("annotations"), content.get("split")
            lists = _split_lists(splits if isinstance(splits, dict) else {}, file)
    except UnreadablePickle as error:
        raise SourceError(f"{source}: {error}") from error
    if not isinstance(items, list) or not any(isinstance(item, Annotation) for item in items):
        raise SourceError(
            f'{source} holds no annotations: expected {{"split": {{name: [frame_dir, ...]}}, '
            '"annotations": [{"frame_dir", "label", "keypoint", ...}, ...]}, or the list alone'
        )
    annotations = [
        item if isinstance(item, Annotation) else Annotation(f"item {i}")
        for i, item in enumerate(items)
    ]
    return annotations, _splits(lists)


def find_keypoints(
    annotations: list[Annotation], folder: Path
) -> tuple[list[Annotation], list[Path]]:
    """Annotations with the detections of the files that they name, and these files.

    Only files directly in `folder` are opened, whatever else a name may say.
    """
    clips: dict[str, list[int]] = {}
    for i, annotation in enumerate(annotations):
        if annotation.keypoint is None and annotation.raw_file:
            clips.setdefault(annotation.raw_file, []).append(i)
    if not clips:
        return annotations, []
    try:
        files = {path.name: path for path in folder.iterdir() if path.is_file()}
    except OSError as error:
        raise SourceError(f"no folder of keypoint files (--kpfiles): {error}") from error
    found = list(annotations)
    for name, indices in clips.items():
        content, missing = _detections(files.get(name), name, folder)
        for i in indices:
            clip = annotations[i].name
            keypoint = content.get(clip, content.get("keypoint"))
            if isinstance(keypoint, PickledArray):
                found[i] = found[i]._replace(keypoint=keypoint, file=files[name])
            else:
                found[i] = found[i]._replace(missing=missing)
    return found, [files[name] for name in clips if name in files]


def _detections(
    path: Path | None, name: str, folder: Path
) -> tuple[dict[Any, Any], tuple[str, str]]:
    """Keypoints by clip, and what to say of a clip that is not among them."""
    if path is None:
        return {}, ("no keypoint file", f"{name} is not in {folder}; see --kpfiles")
    try:
        with mapped_file(path) as file:
            content = load_pickle(file, _keypoint)
    except UnreadablePickle as error:
        return {}, ("unreadable keypoint file", f"{path}: {error}")
    if not isinstance(content, dict):
        return {}, ("unreadable keypoint file", f"{path} holds no dictionary")
    return content, ("no keypoints", f"{path} has none for this clip")


def _annotation(item: Any) -> Any:
    """What is kept of an item of the pickle."""
    if not isinstance(item, dict) or "frame_dir" not in item:
        return item
    name, raw_file, label = item["frame_dir"], item.get("raw_file"), item.get("label")
    if isinstance(label, list | tuple | PickledArray):
        label = ()
    elif type(label) not in (int, str):
        label = None
    return Annotation(
        name=name if isinstance(name, str) else "",
        label=label,
        frames=_whole(item.get("total_frames")),
        size=_size(item.get("img_shape")),
        keypoint=_array(item.get("keypoint")),
        score=_array(item.get("keypoint_score")),
        raw_file=_last_component(raw_file) if isinstance(raw_file, str) else "",
        frame_inds=_array(item.get("frame_inds")),
        box_score=_array(item.get("box_score")),
    )


def _keypoint(item: Any) -> Any:
    """What is kept of an item of a file of detections."""
    return item["keypoint"] if isinstance(item, dict) and "keypoint" in item else item


def _last_component(path: str) -> str:
    return PurePosixPath(path.replace("\\", "/")).name


def _array(value: Any) -> PickledArray | None:
    return value if isinstance(value, PickledArray) else None


def _whole(value: Any) -> int | None:
    return value if type(value) is int else None


def _size(value: Any) -> tuple[int, int] | None:
    """Height and width."""
    if isinstance(value, list | tuple) and len(value) >= 2:
        height, width = _whole(value[0]), _whole(value[1])
        if height is not None and width is not None:
            return height, width
    return None


def _split_lists(lists: Mapping[Any, Any], file: mmap) -> dict[str, Iterable[Any]]:
    """Of the lists those that have the name of a part of a split, arrays of text as lists.

    Raises:
        UnreadablePickle: an array holds anything else, or is damaged.
    """
    found: dict[str, Iterable[Any]] = {}
    for name, clips in lists.items():
        if not isinstance(name, str) or not _SPLIT.fullmatch(name):
            continue
        if isinstance(clips, PickledArray):
            if clips.dtype.kind not in "US":
                raise UnreadablePickle(f"the split {name} has {clips.dtype}, expected frame_dirs")
            try:
                found[name] = clips.load(file).astype(str).ravel().tolist()
            except (ValueError, SystemError) as error:  # NumPy's for text that is no Unicode
                raise UnreadablePickle(f"the split {name} cannot be read: {error}") from error
        elif isinstance(clips, list | tuple | set):
            found[name] = clips
    return found


def _splits(lists: Mapping[str, Iterable[Any]]) -> Splits:
    """Pairs such as xsub_train and xsub_val; a list without its other half is left out."""
    groups: dict[str, dict[str, Iterable[Any]]] = {}
    for name, clips in lists.items():
        if match := _SPLIT.fullmatch(name):
            groups.setdefault((match[1] or "") + match[3], {})[match[2]] = clips
    parts: dict[str, Mapping[str, str]] = {}
    protocols = {}
    for group, halves in groups.items():
        if "train" not in halves or len(halves) < 2:
            continue
        plain = not group or group.isdecimal()
        column = f"part{group}" if plain else group
        if not column.isidentifier() or keyword.iskeyword(column) or column in _TAKEN:
            column = f"split_{column}"
        parts[column] = _parts(halves)
        test = "test" if "test" in halves else "val"
        protocol = f"given{group}" if plain else group
        protocols[protocol] = (f'{column} == "train"', f'{column} == "{test}"')
    return Splits(parts, protocols)


def _parts(halves: Mapping[str, Iterable[Any]]) -> dict[str, str]:
    """Clip -> its part, "" where it is in several."""
    found: dict[str, str] = {}
    for part, clips in halves.items():
        for clip in clips:
            if isinstance(clip, str):
                found[clip] = part if found.get(clip, part) == part else ""
    return found

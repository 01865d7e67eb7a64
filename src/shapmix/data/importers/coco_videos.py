"""The videos of a COCO keypoint file or a list of detections; see `coco`."""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple, TypeAlias

from shapmix.data.clip import ClipError, Keypoints
from shapmix.data.importers.base import MIB
from shapmix.data.importers.json_files import joint_rows, member
from shapmix.data.importers.persons import Floats, mean_scores
from shapmix.data.importers.user_layouts import spelling
from shapmix.layouts import Layout

MAX_BYTES = 48 * MIB  # of one file; its objects take some four times as much memory

# Fields of an object that are looked at; what else there is is not kept.
_FIELDS = (
    *("images", "annotations", "videos", "categories", "id", "name", "file_name", "label"),
    *("action", "frame_index", "frame_id", "video_id", "vid_id", "image_id", "keypoints"),
    *("track_id", "idx"),
)

Record = Mapping[str, Any]
Row: TypeAlias = "list[Any] | array[float]"


class Image(NamedTuple):
    """An image: its id, its file without folder and extension, the number of its frame if told."""

    key: int | str
    stem: str
    frame: int | None


class Annotation(NamedTuple):
    """A body: id of its image, x, y, v of each joint, and its track."""

    image: int | str
    keypoints: Row
    track: int | str | None


class Bodies(NamedTuple):
    """Keypoints (N, V, 3), numbers of frames, how sure each body is (N,), and tracks."""

    keypoints: Keypoints
    frames: list[int]
    sure: Floats
    tracks: list[int | str | None]


@dataclass
class Video:
    """The images and annotations of one video.

    Attributes:
        name: empty where the file is the video.
        labels: that it or its images have.
        joints: names of the joints, where the file tells them.
        are_flags: whether v is a visibility, 0, 1 or 2.
        images: in the order of the file.
        annotations: those with keypoints.
    """

    name: str
    labels: set[object] = field(default_factory=set)
    joints: list[str] | None = None
    are_flags: bool = False
    images: list[Image] = field(default_factory=list)
    annotations: list[Annotation] = field(default_factory=list)

    def label(self, clip: str) -> object:
        """The one label of the video; ClipError when it has none or several."""
        if not self.labels:
            raise ClipError("no label", clip, 'neither it nor its images have a "label"')
        if len(self.labels) > 1:
            found = " and ".join(sorted(map(repr, self.labels))[:3])
            raise ClipError("several labels", clip, f"its images have the labels {found[:200]}")
        return next(iter(self.labels))

    def bodies(self, layout: Layout, clip: str) -> Bodies:
        """The bodies of the video.

        Raises:
            ClipError: there is none, they do not have the joints of the layout, or the order of
                the images is not known.
        """
        if not self.annotations:
            detail = f"no annotation with keypoints, for {len(self.images)} images"
            raise ClipError("no body", clip, detail)
        _check_joints(self.joints, layout, clip)
        rows = [annotation.keypoints for annotation in self.annotations]
        keypoints = joint_rows(rows, layout.num_joints, 3, clip)
        if self.are_flags:
            keypoints[..., 2] /= 2
        numbers = frame_numbers(self.images, clip)
        frames = [numbers[annotation.image] for annotation in self.annotations]
        tracks = [annotation.track for annotation in self.annotations]
        return Bodies(keypoints, frames, mean_scores(keypoints), tracks)


def compact(record: dict[str, Any]) -> dict[str, Any]:
    """What to keep of an object while a file is read: some fields, keypoints as an array."""
    kept = {key: record[key] for key in _FIELDS if key in record}
    if isinstance(kept.get("keypoints"), list):
        with suppress(TypeError, OverflowError):  # names of joints, null, or damaged
            kept["keypoints"] = array("f", kept["keypoints"])
    return kept or record


def find_videos(record: Any, clip: str) -> list[Video]:
    """The videos of a file, in the order of their names.

    Args:
        record: contents of the file, its objects `compact`.

    Raises:
        ClipError: the file is of another form, or an annotation has an unknown image.
    """
    if isinstance(record, list):
        keys = dict.fromkeys(_key(annotation, "image_id", clip) for annotation in record)
        images = [{"id": key, "file_name": str(key)} for key in keys]
        record = {"images": images, "annotations": record}
    videos = _videos(record, clip)
    video_of = {image.key: video for video in videos.values() for image in video.images}
    for annotation in member(record, "annotations", list, clip):
        key = _key(annotation, "image_id", clip)
        if key not in video_of:
            raise ClipError("unknown image", clip, f"an annotation has the image_id {key!r:.60}")
        if keypoints := annotation.get("keypoints"):
            if not isinstance(keypoints, array):
                keypoints = member(annotation, "keypoints", list, clip)
            video_of[key].annotations.append(Annotation(key, keypoints, _track(annotation)))
    if not videos:
        raise ClipError("no body", clip, "the file has no image and no annotation")
    are_flags = _are_flags([a.keypoints for video in videos.values() for a in video.annotations])
    for video in videos.values():
        video.are_flags = are_flags
    return [videos[name] for name in sorted(videos)]


def own_labels(record: Any, clip: str) -> set[object]:
    """The labels that the videos and images of a file have; ClipError as for `find_videos`."""
    videos = {} if isinstance(record, list) else _videos(record, clip)
    return {label for video in videos.values() for label in video.labels}


def frame_numbers(images: Sequence[Image], clip: str) -> dict[int | str, int]:
    """Id of each image of a video -> number of its frame.

    That is told of all images, or a number in the names of their files that tells them apart, or
    their id.

    Raises:
        ClipError: two images have the same number, or one has none.
    """
    told = [image.frame for image in images if image.frame is not None]
    numbers = told if len(told) == len(images) else _varying([image.stem for image in images])
    if numbers is None:
        numbers = [image.key for image in images if isinstance(image.key, int)]
    if len(numbers) < len(images):
        detail = "neither the names of its images nor their ids are numbers; give frame_index"
        raise ClipError("no frame number", clip, detail)
    found: dict[int, Image] = {}
    for number, image in zip(numbers, images, strict=True):
        if other := found.get(number):
            names = f"{other.stem[:60]!r} and {image.stem[:60]!r}"
            detail = f"the images {names} are frame {str(number)[:20]}"
            how = "give frame_index, and video_id where there are several videos"
            raise ClipError("repeated frame", clip, f"{detail}; {how}")
        found[number] = image
    return {image.key: number for number, image in found.items()}


def _varying(stems: Sequence[str]) -> list[int] | None:
    """Of the numbers in names one that is another in each, else the first one that varies.

    Of several the one of the smallest range: frames are counted, times and hashes are not.
    """
    found = [map(int, re.findall(r"\d{1,99}", stem, re.ASCII)) for stem in stems]
    varying = [list(column) for column in zip(*found, strict=False) if len(set(column)) > 1]
    different = [column for column in varying if len(set(column)) == len(column)]
    if different:
        return min(different, key=lambda column: max(column) - min(column))
    return varying[0] if varying else None


def _videos(record: Record, clip: str) -> dict[str, Video]:
    """By name, without annotations."""
    listed = record.get("videos") if isinstance(record, dict) else None
    told = {_key(its, "id", clip): its for its in (listed if isinstance(listed, list) else [])}
    images = {_key(its, "id", clip): its for its in member(record, "images", list, clip)}
    joints = _joints(record)
    videos: dict[str, Video] = {}
    for key, image in images.items():
        path = str(image.get("file_name", "")).replace("\\", "/")
        folder, _, base = path.rpartition("/")
        name, label = folder, _label(image)
        number = _first(image, "video_id", "vid_id")
        if isinstance(number, int | str):
            its = told.get(number, {})
            name = _stem(its.get("name", its.get("file_name"))) or str(number)
            label = _label(its) if label is None else label
        name = name.strip("/.")
        if name not in videos:
            videos[name] = Video(name, joints=joints)
        frame = _first(image, "frame_index", "frame_id")
        stem = base.rpartition(".")[0] or base
        videos[name].images.append(Image(key, stem, frame if isinstance(frame, int) else None))
        if label is not None:
            videos[name].labels.add(label)
    return videos


def _first(record: Record, *fields: str) -> Any:
    """The first of some fields that is there."""
    return next((record[field] for field in fields if record.get(field) is not None), None)


def _stem(name: Any) -> str:
    """A video's name without its extension; empty where it is no text."""
    return name.removesuffix(PurePosixPath(name).suffix) if isinstance(name, str) else ""


def _label(record: Record) -> object:
    """Its label, where it has one that can be a class."""
    label = record.get("label", record.get("action"))
    if isinstance(label, str) and label and label.isprintable():  # no lone surrogates
        return label
    return label if isinstance(label, int) and not isinstance(label, bool) else None


def _key(record: Any, field: str, clip: str) -> int | str:
    """An id."""
    value = record.get(field) if isinstance(record, dict) else None
    if not isinstance(value, int | str):
        raise ClipError("other fields", clip, f'expected objects with "{field}", a number or text')
    return value


def _track(annotation: Record) -> int | str | None:
    track = annotation.get("track_id", annotation.get("idx"))
    if isinstance(track, float) and track.is_integer():
        return int(track)
    return track if isinstance(track, int | str) else None


def _joints(record: Record) -> list[str] | None:
    """Names of the joints, from the first category that has them."""
    categories = record.get("categories")
    for category in categories if isinstance(categories, list) else []:
        names = category.get("keypoints") if isinstance(category, dict) else None
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            return names
    return None


def _check_joints(joints: list[str] | None, layout: Layout, clip: str) -> None:
    if joints is None:
        return
    for position, (name, expected) in enumerate(zip(joints, layout.joints, strict=False)):
        if layout.name == "coco17" and spelling(name) != expected:
            detail = (
                f"joint {position} is {name[:40]!r} in its categories, but {expected!r} in the "
                "layout coco17; describe its skeleton with --layout mine.yaml"
            )
            raise ClipError("other joints", clip, detail)


def _are_flags(rows: Sequence[Row]) -> bool:
    """Whether the third numbers are COCO's visibilities: 0, 1 or 2, and a 2 among them."""
    seen: set[Any] = set()
    for row in rows:
        values = row[2::3]
        seen.update(values if isinstance(row, array) else filter(_is_number, values))
        if len(seen) > 3:
            return False
    return seen <= {0, 1, 2} and 2 in seen


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)

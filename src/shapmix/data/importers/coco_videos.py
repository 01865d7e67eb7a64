"""The videos of a COCO keypoint file or a list of detections; see `coco`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from shapmix.data.clip import ClipError, Keypoints
from shapmix.data.importers.base import MIB
from shapmix.data.importers.json_files import joint_rows, member
from shapmix.data.importers.persons import Floats, mean_scores
from shapmix.data.importers.user_layouts import spelling
from shapmix.layouts import Layout

MAX_BYTES = 64 * MIB  # of one file; its objects take some ten times as much memory

Record = Mapping[str, Any]


class Image(NamedTuple):
    """An image: number of its frame, its video (empty where the file is the video), its label."""

    frame: int
    video: str
    label: object


class Bodies(NamedTuple):
    """Keypoints (N, V, 3), numbers of frames, how sure each body is (N,), and tracks."""

    keypoints: Keypoints
    frames: list[int]
    sure: Floats
    tracks: list[int | str | None]


@dataclass
class Video:
    """The annotations of one video.

    Attributes:
        name: empty where the file is the video.
        labels: that it or its images have.
        joints: names of the joints, where the file tells them.
        are_flags: whether v is a visibility, 0, 1 or 2.
        annotations: frame number and annotation.
    """

    name: str
    labels: set[object] = field(default_factory=set)
    joints: list[str] | None = None
    are_flags: bool = False
    annotations: list[tuple[int, Record]] = field(default_factory=list)

    def label(self, clip: str) -> object:
        """The one label of the video; ClipError when it has none or several."""
        if not self.labels:
            raise ClipError("no label", clip, 'neither it nor its images have a "label"')
        if len(self.labels) > 1:
            found = " and ".join(sorted(map(repr, self.labels))[:3])
            raise ClipError("several labels", clip, f"its images have the labels {found[:200]}")
        return next(iter(self.labels))

    def bodies(self, layout: Layout, clip: str) -> Bodies:
        """The bodies of the video; ClipError when they do not have the joints of the layout."""
        _check_joints(self.joints, layout, clip)
        rows = [annotation["keypoints"] for _, annotation in self.annotations]
        keypoints = joint_rows(rows, layout.num_joints, 3, clip)
        if self.are_flags:
            keypoints[..., 2] /= 2
        tracks = [_track(annotation) for _, annotation in self.annotations]
        frames = [frame for frame, _ in self.annotations]
        return Bodies(keypoints, frames, mean_scores(keypoints), tracks)


def find_videos(record: Any, clip: str) -> list[Video]:
    """The videos of a file, in the order of their names.

    Raises:
        ClipError: the file is of another form, or an annotation has an unknown image.
    """
    is_list = isinstance(record, list)
    annotations = record if is_list else member(record, "annotations", list, clip)
    images = {} if is_list else _images(record, clip)
    joints = None if is_list else _joints(record)
    videos: dict[str, Video] = {}
    for image in images.values():
        video = videos.setdefault(image.video, Video(image.video, joints=joints))
        if image.label is not None:
            video.labels.add(image.label)
    for annotation in annotations:
        key = _key(annotation, "image_id", clip)
        if is_list and key not in images:
            images[key] = _image({"id": key, "file_name": str(key)}, {}, clip)
        if key not in images:
            raise ClipError("unknown image", clip, f"an annotation has the image_id {key!r:.60}")
        if not annotation.get("keypoints"):
            continue
        member(annotation, "keypoints", list, clip)
        frame, name, _ = images[key]
        videos.setdefault(name, Video(name)).annotations.append((frame, annotation))
    if not videos:
        raise ClipError("no body", clip, "the file has no image and no annotation")
    are_flags = _are_flags([a for video in videos.values() for _, a in video.annotations])
    for video in videos.values():
        video.are_flags = are_flags
    return [videos[name] for name in sorted(videos)]


def _images(record: Record, clip: str) -> dict[int | str, Image]:
    """By id."""
    videos: dict[int | str, Record] = {}
    listed = record.get("videos")
    for video in listed if isinstance(listed, list) else []:
        videos[_key(video, "id", clip)] = video
    images = member(record, "images", list, clip)
    return {_key(image, "id", clip): _image(image, videos, clip) for image in images}


def _image(image: Record, videos: Mapping[int | str, Record], clip: str) -> Image:
    path = PurePosixPath(str(image.get("file_name", "")).replace("\\", "/"))
    name, label = path.parent.as_posix(), _label(image)
    video = next((image[key] for key in ("video_id", "vid_id") if image.get(key) is not None), None)
    if isinstance(video, int | str):
        its: Record = videos.get(video, {})
        found = its.get("name", its.get("file_name"))
        name = _stem(found) or str(video)
        label = _label(its) if label is None else label
    frame = next((image[key] for key in ("frame_index", "frame_id") if key in image), None)
    if isinstance(frame, int):
        return Image(frame, name.strip("/."), label)
    number = re.search(r"(\d{1,18})\D*$", path.stem, re.ASCII)
    identity = image.get("id")
    if number is None and not isinstance(identity, int):
        detail = f"the image {str(path)[:60]!r} has no number; give frame_index or number the files"
        raise ClipError("no frame number", clip, detail)
    return Image(int(number[1]) if number else int(str(identity)), name.strip("/."), label)


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


def _are_flags(annotations: list[Record]) -> bool:
    """Whether the third numbers are COCO's visibilities: 0, 1 or 2, and a 2 among them."""
    seen: set[Any] = set()
    for annotation in annotations:
        seen.update(v for v in annotation["keypoints"][2::3] if isinstance(v, int | float))
        if len(seen) > 3:
            return False
    return seen <= {0, 1, 2} and 2 in seen

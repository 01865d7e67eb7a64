"""OpenPose: folders with one JSON file a frame, as `openpose --write_json FOLDER` writes them.

SOURCE is a folder, or a zip, of clip folders. A file is called after its frame, by the last number
before `_keypoints.json`; a clip folder holds the frames of one video:

    mine/wave/clip1/clip1_000000000000_keypoints.json
    mine/wave/clip1/clip1_000000000001_keypoints.json
    mine/jump/clip2/clip2_000000000000_keypoints.json

    shapmix import openpose mine mine.arrow                     the class is the folder above
    shapmix import openpose mine mine.arrow --labels labels.csv    columns clip and label

Videos may also lie together in the folder of their class, told apart by what precedes the number:
mine/wave/clip1_000000000000_keypoints.json. Folders are read so where at least half of them hold
several videos; otherwise one that does is skipped.

A body is an entry of "people": "pose_keypoints_2d" ("pose_keypoints" in OpenPose 1.0) has x, y and
score of each joint, 18 joints (COCO model, layout openpose18) or 25 (BODY_25, layout openpose25);
the first body found tells which. "person_id", where OpenPose was told to track, tells who is who.
Without it bodies are followed from frame to frame by where they are: nearest centres first, no
farther than their own size. The --max-persons persons with the highest sum of scores are kept, the
surest first.

The result has x, y and score in pixels (--units for another --keypoint_scale). Joints without a
score are zero, frames without a body are left out, and further columns of the CSV become metadata.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from shapmix.data.clip import ArchiveInfo, ClipError, Keypoints
from shapmix.data.importers.base import MIB, ImportReport, SourceError, Unit
from shapmix.data.importers.classes import find_classes
from shapmix.data.importers.file_sources import LabelledFiles
from shapmix.data.importers.files import SourceFiles
from shapmix.data.importers.json_files import joint_rows, member, read_json
from shapmix.data.importers.label_files import find_labels
from shapmix.data.importers.missing_joints import mended
from shapmix.data.importers.peek import Peek
from shapmix.data.importers.persons import check_max_persons, mean_scores, persons_of_clip
from shapmix.data.importers.user_layouts import named_layout
from shapmix.layouts import Layout, get_layout

FRAME_FILE = re.compile(r"(?!\._)(.*?)(\d{1,18})_keypoints\.json", re.ASCII | re.DOTALL)
LAYOUTS = {54: "openpose18", 75: "openpose25"}  # by the numbers of a body
MAX_BYTES = 4 * MIB  # a body has about 1 KiB

Frames = list[tuple[int, str, str]]  # number, what precedes it in the name, file
POSE = ("pose_keypoints_2d", "pose_keypoints")  # the second in OpenPose 1.0


@dataclass(frozen=True)
class Options:
    """Options of openpose.

    Attributes:
        layout: name or YAML file of the skeleton, for other models than the two of OpenPose.
        labels: CSV with the columns clip and label; clips are named by their folder, or what
            precedes the number. Without it, the label is the folder that the clip folder is in.
        class_names: class names in label order: a file (.txt, .json, .csv) or names with commas.
        label_base: the first id, 0 or 1, where labels are ids.
        max_persons: persons that are kept in a clip, at most.
        units: of x and y; normalised where OpenPose was told to scale them.
        fps: frames a second.
    """

    layout: str | None = None
    labels: str | None = None
    class_names: str | None = None
    label_base: int | None = None
    max_persons: int = 2
    units: Literal["px", "normalised"] = "px"
    fps: float | None = None


def recognise(peek: Peek) -> str | None:
    """See `Importer.recognise`."""
    for name in peek.names:
        if FRAME_FILE.fullmatch(PurePosixPath(name).name):
            return f"files named as OpenPose's are, such as {name}"
    return None


def open_source(source: Path, options: Options) -> OpenPose:
    """See `Importer.open_source`."""
    check_max_persons(options.max_persons)
    files = SourceFiles(source, max_bytes=MAX_BYTES)
    clips = _clips(files)
    if not clips:
        raise SourceError(
            f"{source} has no OpenPose frames: expected files such as "
            "label/clip/clip_000000000000_keypoints.json"
        )
    labels = find_labels(list(clips), options.labels)
    labels.check_used()
    classes = find_classes(labels.values, options.class_names, options.label_base)
    info = ArchiveInfo(
        layout=_find_layout(files, clips)
        if options.layout is None
        else named_layout(options.layout),
        class_names=classes.names,
        channels="xyc",
        units=options.units,
        source="OpenPose",
    )
    units = [
        Unit(clip, sum(files.sizes[file] for _, _, file in frames))
        for clip, frames in clips.items()
    ]
    names = {clip: PurePosixPath(clip).name for clip in clips}
    if len(set(names.values())) < len(clips):
        names = {clip: clip for clip in clips}
    return OpenPose(files, units, info, labels, classes, names, clips, options)


@dataclass(frozen=True)
class OpenPose(LabelledFiles):
    """The frames of a folder or zip; a unit is a clip, and `frames` has those of each."""

    frames: Mapping[str, Frames]
    options: Options

    @property
    def ignored(self) -> int:
        """Files that are not frames."""
        return len(self.files.sizes) - sum(map(len, self.frames.values()))

    def _keypoints_and_fps(
        self, unit: str, clip: str, report: ImportReport
    ) -> tuple[Keypoints, float | None]:
        rows: list[list[Any]] = []
        numbers: list[int] = []
        tracks: list[int | None] = []
        for number, file in _in_order(self.frames[unit], clip):
            for body in _bodies(read_json(self.files, file, clip), clip):
                rows.append(_pose(body, clip))
                numbers.append(number)
                tracks.append(_track(body.get("person_id")))
        keypoints = joint_rows(rows, self.info.layout.num_joints, 3, clip)
        sure = mean_scores(keypoints)
        persons = persons_of_clip(keypoints, numbers, sure, self.options.max_persons, tracks=tracks)
        return mended(persons, "xyc", clip, report), self.options.fps


def _clips(files: SourceFiles) -> dict[str, Frames]:
    """Clip -> its frames; a single video that lies at the top has the source's name."""
    folders: dict[str, Frames] = {}
    for name in files.sizes:
        folder, _, base = name.rpartition("/")
        if match := FRAME_FILE.fullmatch(base):
            folders.setdefault(folder, []).append((int(match[2]), match[1], name))
    mixed = sum(len({prefix for _, prefix, _ in frames}) > 1 for frames in folders.values())
    if mixed * 2 < len(folders) or not mixed:
        return {folder or files.source.stem: frames for folder, frames in folders.items()}
    clips: dict[str, Frames] = {}
    for folder, frames in folders.items():
        for frame in frames:
            video = frame[1].rstrip("_-. ") or PurePosixPath(folder).name or files.source.stem
            clips.setdefault(f"{folder}/{video}".lstrip("/"), []).append(frame)
    return clips


def _in_order(frames: Frames, clip: str) -> list[tuple[int, str]]:
    """Number and file of each frame; ClipError when the folder holds more than one video."""
    prefixes = sorted({prefix for _, prefix, _ in frames})
    if len(prefixes) > 1:
        found = f"files of {prefixes[0]!r} and {prefixes[1]!r}"
        detail = f"its folder has {found}; put each video into a folder of its own"
        raise ClipError("several videos in a folder", clip, detail)
    if len({number for number, _, _ in frames}) < len(frames):
        raise ClipError("repeated frame", clip, "two files have the same frame number")
    return sorted((number, file) for number, _, file in frames)


def _bodies(record: Any, clip: str) -> list[dict[str, Any]]:
    """The people of a frame that have a pose; OpenPose leaves the list empty for hands alone."""
    people = member(record, "people", list, clip)
    return [body for body in people if _pose(body, clip)]


def _pose(body: Any, clip: str) -> list[Any]:
    """The numbers of a body."""
    old = isinstance(body, dict) and POSE[0] not in body and POSE[1] in body
    return member(body, POSE[old], list, clip)


def _track(person_id: Any) -> int | None:
    """A person's number, which OpenPose puts into a list; -1 and anything else is none."""
    if isinstance(person_id, list) and len(person_id) == 1:
        person_id = person_id[0]
    return person_id if type(person_id) is int and person_id >= 0 else None


def _find_layout(files: SourceFiles, clips: Mapping[str, Frames]) -> Layout:
    """The layout of the first body of 18 or 25 joints."""
    found = "no body at all"
    for _, _, file in (frame for frames in clips.values() for frame in frames):
        try:
            bodies = _bodies(read_json(files, file, file), file)
        except ClipError:
            continue
        for body in bodies:
            count = len(_pose(body, file))
            if count in LAYOUTS:
                return get_layout(LAYOUTS[count])
            found = f"bodies of {count} numbers"
    raise SourceError(
        f"{files.source} has {found}, expected 54 (18 joints) or 75 (25 joints) with x, y and "
        "score of each; name another skeleton with --layout"
    )

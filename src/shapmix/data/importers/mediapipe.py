"""MediaPipe Pose landmarks, 33 joints: one JSON or CSV file a clip.

SOURCE is a folder, or a zip, of files in folders named after their class; or of files anywhere,
with --labels labels.csv (columns clip and label):

    mine/wave/clip1.json  mine/wave/clip2.csv  mine/jump/clip3.json
    shapmix import mediapipe mine mine.arrow

JSON: a list of frames, or {"frames": [...]}. A frame is {"pose_landmarks": POSES, "timestamp_ms":
40}; POSES is what the landmarker returns, a list of bodies of 33 landmarks, or one body without the
list around it; a landmark is {"x": .., "y": .., "z": .., "visibility": ..} or [x, y, z,
visibility]. "landmarks" is read as "pose_landmarks", and a body may be {"landmark": [..]}, as
protobuf writes it; "pose_world_landmarks" and "timestamp_ms" may be missing; a frame without a body
has an empty list, null or no field.

CSV with a header, in one of two forms; the columns person (0, 1, ..) and timestamp_ms may be
missing, and so may v and visibility; columns of other names are not looked at:

    frame,person,timestamp_ms,x0,y0,z0,v0,x1,..,v32         one row a body
    frame,person,timestamp_ms,landmark,x,y,z,visibility     one row a landmark, 0 to 32

The result has x, y and visibility (1 where it is not told), in parts of the picture (0..1); with
--depth x, y and z, still in parts of its width; with --landmarks world x, y and z in metres from
the middle of the hips, so that the way of the body through the room is not in it (a CSV then holds
world landmarks in its columns). Bodies are followed from frame to frame by where they are in the
picture, or by their place in the list where only world landmarks are there. Frames a second come
from the timestamps, or from --fps.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

import numpy as np

from shapmix.data.clip import ArchiveInfo, ClipError, Keypoints
from shapmix.data.importers.base import MIB, ImportReport, SourceError
from shapmix.data.importers.classes import find_classes
from shapmix.data.importers.file_sources import LabelledFiles
from shapmix.data.importers.files import SourceFiles
from shapmix.data.importers.json_files import joint_rows, read_json
from shapmix.data.importers.label_files import clip_names, find_labels
from shapmix.data.importers.mediapipe_csv import is_header, read_csv
from shapmix.data.importers.missing_joints import mended
from shapmix.data.importers.peek import Peek
from shapmix.data.importers.persons import check_max_persons, persons_of_clip
from shapmix.layouts import get_layout

FILE = re.compile(r"(?!\._).+\.(json|csv)", re.IGNORECASE | re.DOTALL)
JOINTS = 33
MAX_BYTES = 32 * MIB  # some 5 KiB a body
IMAGE = ("pose_landmarks", "landmarks")
WORLD = ("pose_world_landmarks",)


@dataclass(frozen=True)
class Options:
    """Options of mediapipe.

    Attributes:
        labels: CSV with the columns clip and label; clips are named by path or file name. Without
            it, labels are the names of the folders.
        class_names: class names in label order: a file (.txt, .json, .csv) or names with commas.
        label_base: the first id, 0 or 1, where labels are ids.
        landmarks: those in the picture, or those in metres about the hips.
        depth: take z instead of the visibility of landmarks in the picture.
        max_persons: persons that are kept in a clip, at most.
        fps: frames a second, of files without timestamps.
    """

    labels: str | None = None
    class_names: str | None = None
    label_base: int | None = None
    landmarks: Literal["image", "world"] = "image"
    depth: bool = False
    max_persons: int = 2
    fps: float | None = None


class Bodies(NamedTuple):
    """The bodies of a file.

    Attributes:
        frames: number of the frame of each.
        landmarks: (N, 33, 4) x, y, z, visibility.
        tracks: of each body, or None where they are to be followed by `places`.
        places: (N, 33, 4) as `landmarks`, in the picture.
        times: frame number -> milliseconds.
    """

    frames: list[int]
    landmarks: Keypoints
    tracks: list[int] | None
    places: Keypoints
    times: dict[int, float]


def recognise(peek: Peek) -> str | None:
    """See `Importer.recognise`."""
    for name in peek.ending(".json", ".csv")[:3]:
        head = peek.head(name)
        if name.lower().endswith(".csv"):
            if is_header(head.split(b"\n", 1)[0].decode("utf-8", "replace")):
                return f"a CSV with the columns of MediaPipe's landmarks, {name}"
        elif b"landmarks" in head and (b'"visibility"' in head or b'"pose_landmarks"' in head):
            return f"JSON with pose landmarks, such as {name}"
    return None


def open_source(source: Path, options: Options) -> MediaPipe:
    """See `Importer.open_source`."""
    check_max_persons(options.max_persons)
    if source.is_file() and source.suffix.lower() in (".json", ".csv"):
        raise SourceError(f"{source} is one file; give a folder with one .json or .csv file a clip")
    files = SourceFiles(source, max_bytes=MAX_BYTES)
    own = _inside(options.labels, source)
    names = [
        name for name in files.names if FILE.fullmatch(PurePosixPath(name).name) and name != own
    ]
    if not names:
        raise SourceError(f"{source} has no .json or .csv file")
    labels = find_labels(names, options.labels)
    labels.check_used()
    classes = find_classes(labels.values, options.class_names, options.label_base)
    world = options.landmarks == "world"
    info = ArchiveInfo(
        layout=get_layout("mediapipe33"),
        class_names=classes.names,
        channels="xyz" if world or options.depth else "xyc",
        units="m" if world else "normalised",
        source="MediaPipe Pose" + (", world landmarks: the origin is amid the hips" * world),
    )
    units = [files.unit(name) for name in names]
    return MediaPipe(files, units, info, labels, classes, clip_names(names), options)


def _inside(labels: str | None, source: Path) -> str | None:
    """Name in the source of the CSV with the labels, where it lies there."""
    if labels is None or not Path(labels).resolve().is_relative_to(source.resolve()):
        return None
    return Path(labels).resolve().relative_to(source.resolve()).as_posix()


@dataclass(frozen=True)
class MediaPipe(LabelledFiles):
    """The JSON and CSV files of a folder or zip."""

    options: Options

    def _keypoints_and_fps(
        self, unit: str, clip: str, report: ImportReport
    ) -> tuple[Keypoints, float | None]:
        bodies = self._bodies(unit, clip)
        keypoints = mended(self._persons(bodies), self.info.channels, clip, report)
        return keypoints, _fps(bodies.times) or self.options.fps

    def _bodies(self, file: str, clip: str) -> Bodies:
        if file.lower().endswith(".csv"):
            frames, tracks, landmarks, times = read_csv(self.files.read(file), clip)
            return Bodies(frames, landmarks, tracks, landmarks, times)
        return _from_json(read_json(self.files, file, clip), self.options.landmarks, clip)

    def _persons(self, bodies: Bodies) -> Keypoints:
        """(T, M, 33, 3) in the channels of the archive."""
        chosen = [0, 1, 3] if self.info.channels == "xyc" else [0, 1, 2]
        visible = np.nan_to_num(bodies.landmarks[..., 3].astype(np.float64), posinf=0.0, neginf=0.0)
        return persons_of_clip(
            bodies.landmarks[..., chosen],
            bodies.frames,
            visible.mean(1),
            self.options.max_persons,
            tracks=bodies.tracks,
            places=bodies.places,
        )


def _from_json(record: Any, landmarks: str, clip: str) -> Bodies:
    if isinstance(record, dict):
        record = record.get("frames")
    if not isinstance(record, list):
        raise ClipError("other fields", clip, 'expected a list of frames, or {"frames": [...]}')
    frames: list[int] = []
    rows: list[list[Any]] = []
    places: list[list[Any]] = []
    positions: list[int] = []
    times = {}
    for number, frame in enumerate(record):
        if frame is None:
            continue
        if not isinstance(frame, dict):
            raise ClipError("other fields", clip, f"frame {number} is no object")
        seen = _poses(frame, IMAGE, clip)
        wanted = seen if landmarks == "image" else _poses(frame, WORLD, clip)
        frames += [number] * len(wanted)
        rows += wanted
        places += seen if len(seen) == len(wanted) else []
        positions += range(len(wanted))
        time = frame.get("timestamp_ms")
        if isinstance(time, int | float) and abs(time) < 1e15:
            times[number] = float(time)
    values = joint_rows(rows, JOINTS, 4, clip)
    if len(places) < len(rows):
        return Bodies(frames, values, positions, values, times)
    return Bodies(frames, values, None, joint_rows(places, JOINTS, 4, clip), times)


def _poses(frame: Mapping[str, Any], fields: Sequence[str], clip: str) -> list[list[Any]]:
    """The bodies of a frame, each a flat list of x, y, z, visibility."""
    poses: Any = next((frame[field] for field in fields if frame.get(field)), [])
    poses = _unwrapped(poses)
    if not isinstance(poses, list):
        raise ClipError("other fields", clip, f"{fields[0]} is no list of bodies")
    poses = [_unwrapped(pose) for pose in poses]
    if isinstance(poses[0] if poses else None, dict) or _is_point(poses):
        poses = [poses]
    return [_flat(pose, clip) for pose in poses if pose]


def _unwrapped(pose: Any) -> Any:
    """The list of landmarks in what protobuf's MessageToDict makes of a NormalizedLandmarkList."""
    return (pose["landmark"] or []) if isinstance(pose, dict) and "landmark" in pose else pose


def _is_point(pose: Sequence[Any]) -> bool:
    """Whether the first of what may be bodies is a landmark, [x, y, z, visibility]."""
    first = pose[0] if pose else None
    return isinstance(first, list) and bool(first) and not isinstance(first[0], list | dict)


def _flat(pose: Any, clip: str) -> list[Any]:
    if not isinstance(pose, list) or len(pose) != JOINTS:
        found = f"{len(pose)} landmarks" if isinstance(pose, list) else "no list of landmarks"
        raise ClipError("wrong number of joints", clip, f"a body has {found}, expected {JOINTS}")
    flat: list[Any] = []
    for point in pose:
        if isinstance(point, dict) and {"x", "y", "z"} <= point.keys():
            seen = point.get("visibility")
            flat += (point["x"], point["y"], point["z"], 1.0 if seen is None else seen)
        elif isinstance(point, list) and len(point) == 4:
            flat += point
        else:
            raise ClipError("other fields", clip, "a landmark lacks one of x, y, z")
    return flat


def _fps(times: Mapping[int, float]) -> float | None:
    """Frames a second: the median over consecutive frames; None when times do not tell."""
    if len(times) < 2:
        return None
    numbers = np.array(sorted(times))
    steps = np.diff([times[number] for number in numbers.tolist()]) / np.diff(numbers)
    step = float(np.median(steps))
    return 1000.0 / step if math.isfinite(step) and step > 1e-3 else None

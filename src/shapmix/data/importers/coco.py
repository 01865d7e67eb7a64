"""COCO keypoints with tracks: annotation files, and results of detectors such as AlphaPose.

SOURCE is one JSON file, or a folder or zip of them. A file is one of

    {"images": [{"id", "file_name", "frame_index", "video_id"}, ...],
     "annotations": [{"image_id", "keypoints": [x, y, v, ...], "track_id", "score"}, ...],
     "videos": [{"id", "name", "label"}, ...], "categories": [{"keypoints": [names]}]}
    [{"image_id": "12.jpg", "keypoints": [x, y, score, ...], "score", "track_id"}, ...]

of which only image_id, keypoints and an image's id must be there. vid_id, frame_id and idx are read
like video_id, frame_index and track_id. A clip is a video: the images of one video_id, else of one
folder of file_name, else of the file. It is called after the file; where a file has several videos,
after the video, with the file before it where the source has several files. Frames follow their
frame_index, else the number in the file names that tells the images apart, else the image's id.

    shapmix import coco mine mine.arrow                       mine/wave/a.json  mine/jump/b.json
    shapmix import coco poses.json mine.arrow --labels labels.csv      columns clip and label

Without --labels, the label is the field "label" or "action" of videos or images, if the first file
that can be read has one, and the name of the file's folder otherwise.

The result has x and y in pixels with the score; 17 joints (layout coco17) unless --layout names
another skeleton. In a file whose v are all 0, 1 or 2, with a 2 among them, v is COCO's visibility
and becomes the score 0, 0.5 or 1; other values are scores and stay. Joints without a score are
zero, frames without a body are left out. Without usable track ids (each once in a frame) bodies
are followed by where they are: nearest centres first, no farther than their own size. The
--max-persons persons with the highest sum of scores are kept, the surest first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from shapmix.data.clip import ArchiveInfo, Clip, ClipError
from shapmix.data.importers.base import ImportReport, SourceError, Unit
from shapmix.data.importers.classes import Classes, find_classes
from shapmix.data.importers.coco_videos import MAX_BYTES, Video, compact, find_videos, own_labels
from shapmix.data.importers.files import SourceFiles
from shapmix.data.importers.json_files import SingleFile, read_json
from shapmix.data.importers.label_files import Labels, Metadata, clip_names, find_labels
from shapmix.data.importers.missing_joints import mended
from shapmix.data.importers.peek import Peek
from shapmix.data.importers.persons import check_max_persons, persons_of_clip
from shapmix.data.importers.user_layouts import named_layout


@dataclass(frozen=True)
class Options:
    """Options of coco.

    Attributes:
        layout: name or YAML file of the skeleton.
        labels: CSV with the columns clip and label; clips are named by path or name.
        class_names: class names in label order: a file (.txt, .json, .csv) or names with commas.
        label_base: the first id, 0 or 1, where labels are ids.
        max_persons: persons that are kept in a clip, at most.
        fps: frames a second.
    """

    layout: str = "coco17"
    labels: str | None = None
    class_names: str | None = None
    label_base: int | None = None
    max_persons: int = 2
    fps: float | None = None


def recognise(peek: Peek) -> str | None:
    """See `Importer.recognise`."""
    for name in peek.ending(".json")[:3]:
        head = peek.head(name)
        if b'"image_id"' in head and b'"keypoints"' in head:
            return f"keypoints of images, such as {name}"
        if b'"images"' in head and b'"file_name"' in head:
            return f"a list of images as COCO has it, {name}"
    return None


def open_source(source: Path, options: Options) -> Coco:
    """See `Importer.open_source`."""
    check_max_persons(options.max_persons)
    layout = named_layout(options.layout)
    single = source.is_file() and source.suffix.lower() == ".json"
    files = SingleFile(source, MAX_BYTES) if single else SourceFiles(source, MAX_BYTES)
    names = [name for name in files.sizes if _is_json(name)]
    if not names:
        raise SourceError(f"{source} has no .json file")
    labels = None
    values = _own_labels(files, names) if options.labels is None else []
    if not values:
        labels = find_labels([source.name] if single else names, options.labels)
        values = list(labels.values)
    classes = find_classes(values, options.class_names, options.label_base)
    info = ArchiveInfo(layout, classes.names, channels="xyc", units="px", source="COCO keypoints")
    return Coco(files, info, labels, classes, clip_names(names), options)


@dataclass(frozen=True)
class Coco:
    """The JSON files of a folder or zip; `labels` is None where they have their own."""

    files: SourceFiles | SingleFile
    info: ArchiveInfo
    labels: Labels | None
    classes: Classes
    names: Mapping[str, str]
    options: Options

    @property
    def units(self) -> list[Unit]:
        """One a file."""
        return [Unit(name, self.files.sizes[name]) for name in self.names]

    @property
    def columns(self) -> Mapping[str, type[int] | type[str]]:
        """Those of the CSV with the labels."""
        return {} if self.labels is None else self.labels.columns

    @property
    def ignored(self) -> int:
        """Files that are not JSON."""
        return len(self.files.sizes) - len(self.names)

    @property
    def stamp(self) -> str:
        """Changes with the files and the labels."""
        return f"{self.files.stamp}:{self.labels.stamp if self.labels else ''}"

    def read(self, units: Sequence[Unit], report: ImportReport) -> Iterator[Clip]:
        """See `Source.read`."""
        for unit in units:
            name = self.names[unit.name]
            try:
                videos = find_videos(read_json(self.files, unit.name, name, compact), name)
            except ClipError as error:
                report.skip(error)
                continue
            for video in videos:
                clip = name
                if len(videos) > 1:
                    clip = video.name if len(self.names) == 1 else f"{name}/{video.name}"
                try:
                    yield self._clip(unit.name, video, clip, len(videos) > 1, report)
                except ClipError as error:
                    report.skip(error)

    def _clip(
        self, file: str, video: Video, clip: str, is_one_of_several: bool, report: ImportReport
    ) -> Clip:
        metadata: Metadata = {}
        if self.labels is None:
            value: object = video.label(clip)
        else:
            key = file
            if is_one_of_several and self.options.labels is not None:
                key = (PurePosixPath(file).parent / video.name).as_posix()
            value, metadata = self.labels.of(key), self.labels.metadata(key)
        label = self.classes.label(value, clip)
        keypoints, frames, sure, tracks = video.bodies(self.info.layout, clip)
        persons = persons_of_clip(keypoints, frames, sure, self.options.max_persons, tracks=tracks)
        return Clip(clip, label, mended(persons, "xyc", clip, report), self.options.fps, metadata)


def _is_json(name: str) -> bool:
    return name.lower().endswith(".json") and not PurePosixPath(name).name.startswith("._")


def _own_labels(files: SourceFiles | SingleFile, names: Sequence[str]) -> list[object]:
    """All labels that videos and images have; none if the first sound file has none.

    Raises:
        SourceError: the only file is damaged.
    """
    labels: set[object] = set()
    for name in names:
        try:
            labels |= own_labels(read_json(files, name, name, compact), name)
        except ClipError as error:
            if len(names) == 1:
                raise SourceError(str(error)) from error
            continue
        if not labels:
            break
    return list(labels)

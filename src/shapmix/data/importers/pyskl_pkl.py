"""Annotation pickles of PYSKL and MMAction2: skeletons of NTU RGB+D, Kinetics, FineGYM, UCF, HMDB.

    shapmix import pyskl-pkl ntu60_3danno.pkl ntu60.arrow
    shapmix import pyskl-pkl k400_hrnet.pkl k400.arrow --kpfiles k400_kpfiles

A pickle is a program. It is never run here: a reader of our own knows texts, numbers, containers
and NumPy arrays, and refuses by name whatever else the file asks for. Files of any size are read,
as arrays are loaded one at a time.

The file holds {"split": {name: [frame_dir, ...]}, "annotations": [...]}, or the list alone. An
annotation has `frame_dir` (the clip's name), `label` (an id from 0), `total_frames`, `keypoint`
(persons, frames, joints, 2 or 3), for 2D usually `keypoint_score` (persons, frames, joints) and
`img_shape` (height, width).

Kinetics-400 has its keypoints in other files: `raw_file` names a pickle {frame_dir: {"keypoint":
(N, 17, 3)}}, x, y and score of N detected skeletons, whose frames and box scores are `frame_inds`
and `box_score` of the annotation. These files are found by their names alone, beside the annotation
file or in the folder --kpfiles. In each frame the persons are those above the box score, in the
order of it: they are detections, so the same place may hold different people from frame to frame.

3D skeletons (25 joints: layout ntu25) become xyz in metres, 2D ones (17 joints: coco17) xyc in
pixels, or xy without scores. Of the splits, xsub_train and xsub_val make a column `xsub` ("train",
"val" or "none") and a protocol of that name; train and val alone a column `part` and the protocol
"given"; train1 and test1 likewise `part1` and "given1". Where all clips have names of NTU RGB+D,
there are its columns setup, camera, performer, replication and action, its class names and its 30
frames a second. `width` and `height` are columns where all annotations have them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from shapmix.data.clip import ArchiveInfo, Clip, ClipError, Keypoints
from shapmix.data.importers.base import MIB, ImportReport, SourceError, Unit
from shapmix.data.importers.classes import MOST_CLASSES, Classes, find_classes
from shapmix.data.importers.label_files import NO_LABELS, UNLABELLED
from shapmix.data.importers.ntu_names import CLASS_NAMES, COLUMNS, FPS, parse_name
from shapmix.data.importers.peek import Peek
from shapmix.data.importers.pyskl_annotations import (
    Annotation,
    Splits,
    find_keypoints,
    read_annotations,
)
from shapmix.data.importers.pyskl_keypoints import Form, detections, tracked
from shapmix.data.importers.repair import drop_empty, fill_missing, hide_unscored
from shapmix.data.importers.safe_pickle import UnreadablePickle, mapped_file
from shapmix.layouts import Layout, LayoutError, get_layout

UNIT_BYTES, UNIT_CLIPS = 4 * MIB, 512
LAYOUTS = {25: "ntu25", 17: "coco17"}


@dataclass(frozen=True)
class Options:
    """What the file itself does not say.

    Attributes:
        class_names: names of the classes in label order: a .txt, .json or .csv file, or names with
            commas between them. Without it, those of NTU RGB+D where all clips are, else the ids.
        labels: none reads the annotations as if they had no labels.
        layout: the skeleton, from the catalog or a .yaml file. Without it, ntu25 for 25 joints and
            coco17 for 17.
        channels: what the values of a joint are; without it, two are xy (xyc with the scores beside
            them), and three xyz, or xyc in separate keypoint files.
        kpfiles: folder of the files that `raw_file` names; without it, that of the annotations.
        box_score: of detections in separate files, those above it are kept.
        max_persons: of detections in separate files, the most persons in a frame.
    """

    class_names: str | None = None
    labels: Literal["none"] | None = None
    layout: str | None = None
    channels: Literal["xyz", "xy", "xyc"] | None = None
    kpfiles: str | None = None
    box_score: float = 0.5
    max_persons: int = 2


def recognise(peek: Peek) -> str | None:
    """See `Importer.recognise`."""
    if peek.is_folder or peek.is_zip or not peek.ending(".pkl", ".pickle"):
        return None
    head = peek.head()
    is_pickle = head[:1] == b"\x80" or head[:2] in (b"(d", b"(l") or head[:1] in (b"}", b"]")
    if is_pickle and any(word in head for word in (b"annotations", b"frame_dir", b"split")):
        return "a pickle with the words of PYSKL's annotations"
    return None


def open_source(source: Path, options: Options) -> PysklPkl:
    """See `Importer.open_source`."""
    if options.max_persons < 1:
        raise SourceError(f"max_persons is {options.max_persons}, expected at least 1")
    annotations, splits = read_annotations(source)
    folder = source.parent if options.kpfiles is None else Path(options.kpfiles)
    annotations, files = find_keypoints(annotations, folder)
    form = _form(annotations, options.channels)
    is_ntu = all(parse_name(annotation.name) for annotation in annotations)
    if options.labels == NO_LABELS:
        classes = Classes((UNLABELLED,))
    else:
        classes = _classes(annotations, options.class_names, is_ntu)
    info = ArchiveInfo(
        layout=_layout(form.joints, options.layout),
        class_names=classes.names,
        channels=form.channels,
        units="m" if form.channels == "xyz" else "px",
        source=f"{source.name}, an annotation file as PYSKL and MMAction2 have them",
        splits=splits.protocols,
    )
    stamps = [
        (path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in (source, *files)
    ]
    stamp = hashlib.sha256(repr(stamps).encode("utf-8", "replace")).hexdigest()
    return PysklPkl(info, source, stamp, annotations, splits, classes, form, options, is_ntu)


@dataclass(frozen=True)
class PysklPkl:
    """The annotations of a pickle, their arrays still in the files."""

    info: ArchiveInfo
    source: Path
    stamp: str
    annotations: list[Annotation]
    splits: Splits
    classes: Classes
    form: Form
    options: Options
    is_ntu: bool

    ignored = 0

    @cached_property
    def units(self) -> list[Unit]:
        """Ranges of annotations, called "0 64" after the first and how many there are."""
        units = []
        first = size = 0
        for i, annotation in enumerate(self.annotations, 1):
            size += annotation.num_bytes
            if size >= UNIT_BYTES or i - first == UNIT_CLIPS or i == len(self.annotations):
                units.append(Unit(f"{first} {i - first}", size))
                first, size = i, 0
        return units

    @cached_property
    def has_size(self) -> bool:
        """Whether all annotations have the size of the picture."""
        return all(annotation.size is not None for annotation in self.annotations)

    @property
    def columns(self) -> Mapping[str, type[int] | type[str]]:
        """Of NTU RGB+D, of the splits, and the size of the picture."""
        columns: dict[str, type[int] | type[str]] = dict(COLUMNS) if self.is_ntu else {}
        columns |= dict.fromkeys(self.splits.parts, str)
        return columns | (dict.fromkeys(("width", "height"), int) if self.has_size else {})

    def read(self, units: Sequence[Unit], report: ImportReport) -> Iterator[Clip]:
        """See `Source.read`."""
        for unit in units:
            first, count = map(int, unit.name.split())
            for annotation in self.annotations[first : first + count]:
                try:
                    yield self._clip(annotation, report)
                except ClipError as error:
                    report.skip(error)
                except UnreadablePickle as error:
                    report.skip(ClipError("unreadable array", annotation.name, str(error)))

    def _clip(self, annotation: Annotation, report: ImportReport) -> Clip:
        name = annotation.name
        if annotation.keypoint is None:
            raise ClipError(annotation.missing[0], name, annotation.missing[1])
        is_labelled = self.options.labels != NO_LABELS
        label = self.classes.label(annotation.label if is_labelled else UNLABELLED, name)
        metadata = self._metadata(annotation)
        keypoints = self._keypoints(annotation)
        missing = max((annotation.frames or 0) - len(keypoints), 0)
        if self.form.channels == "xyc":
            keypoints = hide_unscored(keypoints)
        else:
            keypoints, filled = fill_missing(keypoints)
            if filled:
                report.repair("missing joints filled in", name)
        keypoints, dropped = drop_empty(keypoints)
        if not len(keypoints):
            raise ClipError("no body", name, "no frame has a joint that is seen")
        if missing + dropped:
            report.repair("frames without a body left out", name)
        return Clip(name, label, keypoints, FPS if self.is_ntu else None, metadata)

    def _keypoints(self, annotation: Annotation) -> Keypoints:
        with mapped_file(self.source) as own_file:
            if annotation.file is None:
                return tracked(annotation, own_file, self.form)
            score, most = self.options.box_score, self.options.max_persons
            with mapped_file(annotation.file) as file:
                return detections(
                    annotation, file, own_file, self.form, above=score, max_persons=most
                )

    def _metadata(self, annotation: Annotation) -> dict[str, str | int]:
        metadata: dict[str, str | int] = {}
        if self.is_ntu:
            ntu = parse_name(annotation.name)
            assert ntu is not None
            metadata |= asdict(ntu)
        metadata |= self.splits.columns(annotation.name)
        if self.has_size and annotation.size is not None:
            metadata |= {"width": annotation.size[1], "height": annotation.size[0]}
        return metadata


def _form(annotations: Sequence[Annotation], channels: str | None) -> Form:
    """That of most annotations."""
    forms: Counter[tuple[int, int, bool, bool]] = Counter()
    for annotation in annotations:
        if annotation.keypoint is not None and len(annotation.keypoint.shape) >= 2:
            joints, values = annotation.keypoint.shape[-2:]
            separate = annotation.file is not None
            forms[joints, values, annotation.score is not None and not separate, separate] += 1
    if not forms:
        reasons = Counter(annotation.missing for annotation in annotations)
        reason, detail = reasons.most_common(1)[0][0]
        raise SourceError(f"no annotation has keypoints; of most, {reason}: {detail}")
    joints, values, scored, separate = forms.most_common(1)[0][0]
    possible = {2: ("xyc", "xy") if scored else ("xy",), 3: ("xyz", "xyc")}.get(values, ())
    if not possible:
        raise SourceError(f"the joints have {values} values, expected 2 or 3")
    if channels is None:
        channels = "xyc" if separate and values == 3 else possible[0]
    if channels not in possible:
        found = f"{values} values{' and scores' if scored else ''}"
        raise SourceError(
            f"the joints have {found}: channels are {' or '.join(possible)}, not {channels}"
        )
    return Form(joints, values, channels)


def _layout(joints: int, given: str | None) -> Layout:
    name = given or LAYOUTS.get(joints)
    if name is None:
        raise SourceError(f"skeletons of {joints} joints: say with --layout which these are")
    try:
        layout = get_layout(name)
    except LayoutError as error:
        raise SourceError(str(error)) from error
    if layout.num_joints != joints:
        raise SourceError(
            f"the skeletons have {joints} joints, but the layout {layout.name} has "
            f"{layout.num_joints}; choose another with --layout"
        )
    return layout


def _classes(annotations: Sequence[Annotation], given: str | None, is_ntu: bool) -> Classes:
    labels = {
        label
        for label in (annotation.label for annotation in annotations)
        if isinstance(label, str) or (isinstance(label, int) and 0 <= label < MOST_CLASSES)
    }
    last = max((label for label in labels if isinstance(label, int)), default=len(CLASS_NAMES))
    if is_ntu and given is None and last < len(CLASS_NAMES):
        return Classes(CLASS_NAMES[:60] if last < 60 else CLASS_NAMES)
    return find_classes(labels, given, 0)

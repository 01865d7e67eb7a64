"""Arrays: one .npy or .npz file a clip.

A folder (or zip) of arrays of one person, (frames, joints, coordinates), or of several,
(frames, persons, joints, coordinates). Labels are the names of the folders, or come from a CSV with
the columns clip and label, whose further columns become metadata:

    mine/wave/001.npy  mine/wave/002.npy  mine/jump/001.npy
    shapmix import arrays mine mine.arrow --layout mine.yaml
    shapmix import arrays mine mine.arrow --layout coco17 --channels xyc --labels labels.csv

Other orders of the axes are told by letters: --order CTVM for (coordinates, frames, joints,
persons). With --layout, an order that alone fits the joints is found and reported, but for
(persons, frames, joints, coordinates), as PYSKL has it: say --order MTVC. More persons than frames
have to be told, too: --order TMVC. An array with two axes is read as (frames, joints x
coordinates). Zeros or NaN stand for an absent person; single NaN joints are given a place between
the frames that have them. Of a .npz with several arrays, --key says which; keypoints (x, y) and
keypoint_scores (or keypoint, data; scores, ...) are joined to xyc. A file has up to 32 MiB.

The result has the coordinates as they are, in metres (3D) or pixels (2D) unless --units says
otherwise. Without --layout it is the layout of the catalog that alone has this number of joints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from shapmix.data.clip import ArchiveInfo, ClipError, Keypoints
from shapmix.data.importers.array_axes import Axes, as_tmvc, find_axes, num_joints
from shapmix.data.importers.base import MIB, ImportReport, SourceError
from shapmix.data.importers.classes import find_classes
from shapmix.data.importers.file_sources import LabelledFiles
from shapmix.data.importers.files import SourceFiles
from shapmix.data.importers.label_files import clip_names, find_labels
from shapmix.data.importers.missing_joints import mended
from shapmix.data.importers.npy_content import MAX_BYTES, Content, read_header, read_npy, read_npz
from shapmix.data.importers.peek import HEAD_BYTES, Peek
from shapmix.data.importers.user_layouts import layout_of_number, named_layout
from shapmix.layouts import Layout

MOST_LOOKS = 4  # sound files that tell the order of the axes and what the third value is
MOST_LOOKED_AT = 16 * MIB
# Layouts of pose estimators for pictures, whose third value is mostly a confidence.
FLAT = ("coco17", "openpose18", "openpose25")


@dataclass(frozen=True)
class Options:
    """Options of arrays.

    Attributes:
        layout: name or YAML file of the skeleton; without it the only layout of the catalog with
            this number of joints.
        labels: CSV with the columns clip and label; clips are named by path or file name. Without
            it, labels are the names of the folders.
        class_names: class names in label order: a file (.txt, .json, .csv) or names with commas.
        label_base: the first id, 0 or 1, where labels are ids.
        order: axes of the arrays: T frames, M persons, V joints, C coordinates, such as CTVM; TVC
            or TMVC by default, or the only order that fits the layout.
        channels: what the coordinates are; xyz for three and xy for two by default, xyc for x, y
            and a confidence.
        key: name of the array in .npz files that hold several.
        units: of the coordinates; m for xyz and px otherwise by default.
        fps: frames a second.
    """

    layout: str | None = None
    labels: str | None = None
    class_names: str | None = None
    label_base: int | None = None
    order: str | None = None
    channels: Literal["xyz", "xy", "xyc"] | None = None
    key: str | None = None
    units: str | None = None
    fps: float | None = None


def recognise(peek: Peek) -> str | None:
    """See `Importer.recognise`."""
    if peek.source.suffix.lower() == ".npz":  # a zip of .npy files too
        return None
    named = peek.ending(".npy", ".npz")
    return f"arrays such as {named[0]}" if named and not _is_array(peek.source.name) else None


def open_source(source: Path, options: Options) -> Arrays:
    """See `Importer.open_source`."""
    if source.is_file() and _is_array(source.name):
        raise SourceError(_one_file(source))
    if options.order is not None and sorted(options.order) not in (list("CTV"), list("CMTV")):
        raise SourceError(f"order is {options.order!r}, expected T, V, C and perhaps M, each once")
    files = SourceFiles(source, max_bytes=MAX_BYTES)
    names = [name for name in files.names if _is_array(name)]
    if not names:
        raise SourceError(f"{source} has no .npy or .npz file")
    labels = find_labels(names, options.labels)
    labels.check_used()
    classes = find_classes(labels.values, options.class_names, options.label_base)
    looks = _first_sound(files, names, options.key)
    shapes = {name: values.shape for name, (values, _) in looks.items()}
    if options.layout is not None:
        layout = named_layout(options.layout)
    else:
        number = num_joints(shapes, options.order, options.channels)
        layout = layout_of_number(number, None, next(iter(looks)))
    known: str | None = options.channels
    if known is None and next(iter(looks.values())).has_scores:
        known = "xyc"
    coordinates = None if known is None else len(known)
    axes = find_axes(shapes, options.order, layout.num_joints, coordinates)
    first, values, channels = _first_fitting(looks, layout, axes, known)
    if channels is None or len(channels) != values.shape[3]:
        known = "xy, xyz or xyc" if channels is None else f"{channels}, {len(channels)}"
        raise SourceError(f"{first} has {values.shape[3]} coordinates a joint, expected {known}")
    info = ArchiveInfo(
        layout,
        classes.names,
        channels=channels,
        units=options.units or ("m" if channels == "xyz" else "px"),
        source="arrays",
    )
    units = [files.unit(name) for name in names]
    return Arrays(files, units, info, labels, classes, clip_names(names), options, axes)


def _is_array(name: str) -> bool:
    return name.lower().endswith((".npy", ".npz"))


def _one_file(source: Path) -> str:
    """Why one file is no source, and how to make one of it."""
    text = f"{source} is one file; give a folder with one .npy or .npz file a clip"
    try:
        with source.open("rb") as file:
            shape = read_header(file.read(HEAD_BYTES), source.name).shape
    except (OSError, ClipError):
        return text
    if len(shape) < 4:
        return text
    return (
        f"{text}. If its {shape[0]} rows are clips, for n, clip in enumerate(np.load("
        f"{source.name!r})): np.save(f'clips/{{label[n]}}/{{n:06}}.npy', clip), where the folders "
        "are there. For (N, C, T, V, M), import them with --order CTVM"
    )


def _read(files: SourceFiles, file: str, key: str | None, clip: str) -> Content:
    content = files.read(file)
    if file.lower().endswith(".npy"):
        return Content(read_npy(content, clip))
    return read_npz(content, key, clip)


Looks = Mapping[str, Content]


def _first_sound(files: SourceFiles, names: Sequence[str], key: str | None) -> Looks:
    """The first files that can be read."""
    looks: dict[str, Content] = {}
    errors = []
    for name in names:
        try:
            looks[name] = _read(files, name, key, name)
        except ClipError as error:
            errors.append(error)
        held = sum(look.values.nbytes for look in looks.values())
        if len(looks) == MOST_LOOKS or held > MOST_LOOKED_AT:
            break
    if not looks:
        raise SourceError(f"no array can be used; of the first: {errors[0]}")
    return looks


def _first_fitting(
    looks: Looks, layout: Layout, axes: Axes, channels: str | None
) -> tuple[str, npt.NDArray[Any], str | None]:
    """The first file that fits the layout: its name, its values (T, M, V, C) and channels."""
    fitting, errors = {}, []
    for name, (values, _) in looks.items():
        try:
            fitting[name] = as_tmvc(values, axes, layout, name)
        except ClipError as error:
            errors.append(error)
    if not fitting:
        raise SourceError(f"no array can be used; of the first: {errors[0]}")
    first, values = next(iter(fitting.items()))
    if channels is None:
        channels = {2: "xy", 3: "xyz"}.get(values.shape[3])
        if channels == "xyz":
            _check_no_score(first, list(fitting.values()), layout)
    return first, values, channels


def _check_no_score(first: str, arrays: Sequence[npt.NDArray[Any]], layout: Layout) -> None:
    """SourceError when the third value may be a confidence, and nobody has said what it is."""
    why = f"and {layout.name} is mostly seen in pictures" if layout.name in FLAT else ""
    known = [array[np.isfinite(array).all(-1)] for array in arrays if array.shape[3] == 3]
    third = np.concatenate([joints[:, 2] for joints in known])
    flat = np.concatenate([joints[:, :2].ravel() for joints in known])
    if len(third) and 0 <= third.min() <= third.max() <= 1 and abs(flat).max() > 10:
        why = f"x and y up to {abs(flat).max():.4g}, and a third that lies within 0 and 1"
    if why:
        raise SourceError(
            f"{first} has three values a joint, {why}: say --channels xyc (x, y and a confidence) "
            "or --channels xyz"
        )


@dataclass(frozen=True)
class Arrays(LabelledFiles):
    """The .npy and .npz files of a folder or zip."""

    options: Options
    axes: Axes

    def _keypoints_and_fps(
        self, unit: str, clip: str, report: ImportReport
    ) -> tuple[Keypoints, float | None]:
        values = _read(self.files, unit, self.options.key, clip).values
        values = as_tmvc(values, self.axes, self.info.layout, clip)
        if self.axes.order is not None and not self.axes.is_given:
            report.repair(f"axes read as {self.axes.order}, which alone fits the layout", clip)
        _, C = self.info.joint_shape
        if values.shape[3] != C or not prod(values.shape):
            detail = f"shape {values.shape} in the order TMVC, expected {C} coordinates and no 0"
            raise ClipError("wrong shape", clip, detail)
        with np.errstate(over="ignore"):  # the archive refuses what overflows
            keypoints: Keypoints = values.astype(np.float32)
        return mended(keypoints, self.info.channels, clip, report), self.options.fps

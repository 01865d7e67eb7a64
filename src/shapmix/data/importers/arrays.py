"""Arrays: one .npy or .npz file a clip.

A folder (or zip) of arrays of one person, (frames, joints, coordinates), or of several,
(frames, persons, joints, coordinates). Labels are the names of the folders, or come from a CSV with
the columns clip and label, whose further columns become metadata:

    mine/wave/001.npy  mine/wave/002.npy  mine/jump/001.npy
    shapmix import arrays mine mine.arrow --layout mine.yaml
    shapmix import arrays mine mine.arrow --layout coco17 --channels xyc --labels labels.csv

Other orders of the axes are told by letters: --order CTVM for (coordinates, frames, joints,
persons). An array with two axes is read as (frames, joints x coordinates). Zeros or NaN stand for
an absent person; single NaN joints are given a place between the frames that have them.

The result has the coordinates as they are, in metres (3D) or pixels (2D) unless --units says
otherwise. Without --layout it is the layout of the catalog that alone has this number of joints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from shapmix.data.clip import ArchiveInfo, Clip, ClipError, Keypoints
from shapmix.data.importers.base import ImportReport, SourceError, Unit
from shapmix.data.importers.classes import Classes, find_classes
from shapmix.data.importers.files import SourceFiles
from shapmix.data.importers.label_files import Labels, clip_names, find_labels
from shapmix.data.importers.missing_joints import mended
from shapmix.data.importers.npy_content import MAX_BYTES, read_npy, read_npz
from shapmix.data.importers.peek import Peek
from shapmix.data.importers.user_layouts import layout_of_number, named_layout
from shapmix.layouts import Layout

DEFAULT_ORDER = {2: "TVC", 3: "TVC", 4: "TMVC"}  # by the number of axes


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
            or TMVC by default.
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
        raise SourceError(f"{source} is one file; give a folder with one .npy or .npz file a clip")
    if options.order is not None and sorted(options.order) not in (list("CTV"), list("CMTV")):
        raise SourceError(f"order is {options.order!r}, expected T, V, C and perhaps M, each once")
    files = SourceFiles(source, max_bytes=MAX_BYTES)
    names = [name for name in files.names if _is_array(name)]
    if not names:
        raise SourceError(f"{source} has no .npy or .npz file")
    labels = find_labels(names, options.labels)
    classes = find_classes(labels.values, options.class_names, options.label_base)
    first, layout, C = _first_sound(files, names, options)
    channels = options.channels or {2: "xy", 3: "xyz"}.get(C)
    if C == 3 and options.channels is None and layout.name in FLAT:
        raise SourceError(
            f"{first} has three values a joint, and {layout.name} is mostly seen in pictures: say "
            "--channels xyc (x, y and a confidence) or --channels xyz"
        )
    if channels is None or len(channels) != C:
        known = "xy, xyz or xyc" if channels is None else f"{channels}, {len(channels)}"
        raise SourceError(f"{first} has {C} coordinates a joint, expected {known}")
    info = ArchiveInfo(
        layout,
        classes.names,
        channels=channels,
        units=options.units or ("m" if channels == "xyz" else "px"),
        source="arrays",
    )
    return Arrays(files, info, labels, classes, clip_names(names), options)


def _is_array(name: str) -> bool:
    return name.lower().endswith((".npy", ".npz"))


def _read(files: SourceFiles, file: str, key: str | None, clip: str) -> npt.NDArray[Any]:
    content = files.read(file)
    if file.lower().endswith(".npy"):
        return read_npy(content, clip)
    return read_npz(content, key, clip)


def _first_sound(
    files: SourceFiles, names: Sequence[str], options: Options
) -> tuple[str, Layout, int]:
    """Name of the first file that can be read and fits, its layout, and its coordinates a joint."""
    errors = []
    for name in names:
        try:
            values = _read(files, name, options.key, name)
            layout = _layout(values.shape, options, name)
            return name, layout, _as_tmvc(values, layout, options, name).shape[3]
        except ClipError as error:
            errors.append(error)
    raise SourceError(f"no array can be used; of the first: {errors[0]}")


def _layout(shape: tuple[int, ...], options: Options, where: str) -> Layout:
    """The layout of the options, or that of the joints' number in a first array."""
    if options.layout is not None:
        return named_layout(options.layout)
    order = options.order or DEFAULT_ORDER.get(len(shape), "")
    if len(shape) == len(order):
        return layout_of_number(shape[order.index("V")], None, where)
    if len(shape) == 2 and options.channels is not None and shape[1] % len(options.channels) == 0:
        return layout_of_number(shape[1] // len(options.channels), None, where)
    raise SourceError(
        f"{where} has the shape {shape}, which does not say the number of joints; expected "
        f"{_axes(order or 'TMVC')}, or give --layout, and --order for other axes"
    )


def _axes(order: str) -> str:
    words = {"T": "frames", "M": "persons", "V": "joints", "C": "coordinates"}
    return f"({', '.join(words[letter] for letter in order)})"


def _as_tmvc(
    values: npt.NDArray[Any], layout: Layout, options: Options, clip: str
) -> npt.NDArray[Any]:
    """A view (T, M, V, C); ClipError, with the order that would fit, for another shape."""
    V = layout.num_joints
    shape, order = values.shape, options.order or DEFAULT_ORDER.get(values.ndim, "TMVC")
    if values.ndim == 2 and shape[1] and shape[1] % V == 0 and options.order in (None, "TVC"):
        values = values.reshape(shape[0], V, shape[1] // V)
    doubtful = options.order is None and values.ndim == 4 and shape[1] > shape[0]
    if values.ndim == len(order) and values.shape[order.index("V")] == V and not doubtful:
        if "M" not in order:
            values, order = values[None], f"M{order}"
        return values.transpose([order.index(letter) for letter in "TMVC"])
    detail = f"shape {shape}, expected {_axes(order)} with the {V} joints of {layout.name}"
    if doubtful:
        detail += ", and not more persons than frames unless you say --order TMVC"
    fitting = _fitting_orders(shape, V)
    if values.ndim == 2:
        detail += f", or (frames, {V} x coordinates)"
    elif fitting:
        detail += f"; it fits --order {' or '.join(fitting)}"
    raise ClipError("wrong shape", clip, detail)


def _fitting_orders(shape: tuple[int, ...], V: int) -> list[str]:
    """Orders of axes in which a shape has V joints and 2 or 3 coordinates, and few persons."""
    letters = {3: "TVC", 4: "TMVC"}.get(len(shape), "")
    orders = map("".join, permutations(letters))
    return [
        order
        for order in orders
        if letters
        and shape[order.index("V")] == V
        and shape[order.index("C")] in (2, 3)
        and ("M" not in order or shape[order.index("M")] <= shape[order.index("T")])
    ]


@dataclass(frozen=True)
class Arrays:
    """The .npy and .npz files of a folder or zip."""

    files: SourceFiles
    info: ArchiveInfo
    labels: Labels
    classes: Classes
    names: Mapping[str, str]
    options: Options

    @property
    def units(self) -> list[Unit]:
        """One a file."""
        return [self.files.unit(name) for name in self.names]

    @property
    def columns(self) -> Mapping[str, type[int] | type[str]]:
        """Those of the CSV with the labels."""
        return self.labels.columns

    @property
    def ignored(self) -> int:
        """Files that are not arrays."""
        return len(self.files.sizes) - len(self.names)

    @property
    def stamp(self) -> str:
        """Changes with the files and the labels."""
        return f"{self.files.stamp}:{self.labels.stamp}"

    def read(self, units: Sequence[Unit], report: ImportReport) -> Iterator[Clip]:
        """See `Source.read`."""
        for unit in units:
            name = self.names[unit.name]
            try:
                label = self.classes.label(self.labels.of(unit.name), name)
                keypoints = self._keypoints(unit.name, name, report)
            except ClipError as error:
                report.skip(error)
                continue
            metadata = self.labels.metadata(unit.name)
            yield Clip(name, label, keypoints, self.options.fps, metadata)

    def _keypoints(self, file: str, name: str, report: ImportReport) -> Keypoints:
        values = _read(self.files, file, self.options.key, name)
        values = _as_tmvc(values, self.info.layout, self.options, name)
        _, C = self.info.joint_shape
        if values.shape[3] != C or not prod(values.shape):
            detail = f"shape {values.shape} in the order TMVC, expected {C} coordinates and no 0"
            raise ClipError("wrong shape", name, detail)
        with np.errstate(over="ignore"):  # the archive refuses what overflows
            keypoints: Keypoints = values.astype(np.float32)
        return mended(keypoints, self.info.channels, name, report)

"""Clips from the rows of a tidy table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from shapmix.data.clip import ArchiveInfo, Clip, ClipError, Keypoints
from shapmix.data.importers.base import ImportReport, SourceError
from shapmix.data.importers.classes import MULTI_LABEL, Classes
from shapmix.data.importers.label_files import Labels, as_int, typed
from shapmix.data.importers.missing_joints import mended
from shapmix.data.importers.table_files import numbers, texts
from shapmix.data.importers.user_layouts import (
    layout_of_names,
    layout_of_number,
    named_layout,
    spelling,
)
from shapmix.layouts import CATALOG, Layout

MOST_VALUES = 2**22  # of one clip

Ints = npt.NDArray[np.int64]


def joint_numbers(
    joints: Collection[str], layout: str | None, base: int | None, where: str
) -> tuple[Layout, dict[str, int]]:
    """The layout of a table, and value of the column joint -> number in the layout.

    Args:
        joints: values of the column joint.
        layout: name or YAML file.
        base: number of the first joint, 0 or 1.

    Raises:
        SourceError: no layout fits, or the one that is named does not; a joint is "" or below the
            base; it is not clear whether numbers begin with 0 or 1.
    """
    if "" in joints:
        raise SourceError(f"{where}: a row has no value in the column joint")
    numbers = {joint: number for joint in joints if (number := as_int(joint)) is not None}
    if len(numbers) < len(joints):
        chosen = layout_of_names(sorted(joints), layout, where)
        place = {spelling(joint): j for j, joint in enumerate(chosen.joints)}
        return chosen, {joint: place.get(spelling(joint), -1) for joint in joints}
    low, high = min(numbers.values()), max(numbers.values())
    sizes = {its.num_joints for its in CATALOG.values()}
    if layout is not None:
        sizes = {named_layout(layout).num_joints}
    base = _joint_base(low, high, sizes, where) if base is None else base
    if base not in (0, 1):
        raise SourceError(f"joint_base is {base}, expected 0 or 1")
    if low < base:
        raise SourceError(f"{where}: joint {low}, expected a name or a number from {base}")
    if layout is None:
        chosen = layout_of_number(high - base + 1, None, where)
    else:
        chosen = named_layout(layout)
    if high - base >= chosen.num_joints:
        raise SourceError(
            f"{where} has joints up to number {high}, but the layout {chosen.name} has "
            f"{chosen.num_joints} joints, {base} to {chosen.num_joints - 1 + base}"
        )
    return chosen, {joint: number - base for joint, number in numbers.items()}


def _joint_base(low: int, high: int, sizes: Collection[int], where: str) -> int:
    """Whether joints count from 0 or from 1; SourceError when both may be."""
    if low <= 0:
        return 0
    fitting = [base for base in (0, 1) if high + 1 - base in sizes]
    if len(fitting) == 1:
        return fitting[0]
    if high > max(sizes):
        return 1
    raise SourceError(
        f"{where} has joints from number {low} to {high}: do they count from 0, and joint 0 is "
        "missing, or from 1? Say --joint-base 0 or --joint-base 1"
    )


@dataclass(frozen=True)
class ClipReader:
    """Makes clips of rows.

    Attributes:
        columns: metadata column of the table -> int or str.
        labels: labels and metadata from a file of their own.
        paths: clip -> what `labels` know it by, where that is not its name.
        joints: value of the column joint -> number in the layout, -1 for one left out.
        fps: where the table does not say.
    """

    info: ArchiveInfo
    columns: Mapping[str, type[int] | type[str]]
    labels: Labels | None
    paths: Mapping[str, str]
    classes: Classes
    joints: Mapping[str, int]
    fps: float | None

    def clips(self, table: Any, report: ImportReport) -> Iterator[Clip]:
        """The clips of a table that holds whole clips."""
        encoded = texts(table, "clip").combine_chunks().dictionary_encode()
        codes, names = encoded.indices.to_numpy(), encoded.dictionary.to_pylist()
        edges = [0, *(np.flatnonzero(np.diff(codes)) + 1), len(codes)]
        for start, stop in pairwise(edges):
            if start == stop:
                continue
            name = names[codes[start]]
            try:
                clip = self._clip(table.slice(start, stop - start), name, report)
            except ClipError as error:
                report.skip(error)
            else:
                yield clip

    def _clip(self, rows: Any, name: str, report: ImportReport) -> Clip:
        label = self.classes.label(self._label(rows, name), name)
        metadata: dict[str, int | str | None] = {}
        for column, kind in self.columns.items():
            values = _unique(rows, column)
            if len(values) > 1:
                reason = f"column {column!r} changes within a clip (--drop {column} leaves it out)"
                raise ClipError(reason, name, f"{column} is {values[0]!r} and {values[1]!r}")
            metadata[column] = typed(values[0], kind)
        if self.labels is not None:
            metadata |= self.labels.metadata(self.paths.get(name, name))
        keypoints = self._keypoints(rows, name, report)
        return Clip(name, label, keypoints, self._fps(rows, name), metadata)

    def _label(self, rows: Any, name: str) -> str:
        if self.labels is not None:
            return self.labels.of(self.paths.get(name, name))
        labels = _unique(rows, "label")
        if len(labels) > 1:
            raise ClipError("several labels", name, f"labels are {labels[:5]}; {MULTI_LABEL}")
        if not labels[0]:
            raise ClipError("no label", name, "the column label is empty")
        return labels[0]

    def _fps(self, rows: Any, name: str) -> float | None:
        if "fps" not in rows.column_names:
            return self.fps
        rates = _numbers(rows, "fps", name)
        rates = np.unique(rates[~np.isnan(rates)])
        if len(rates) > 1:
            raise ClipError("bad fps", name, f"fps is {rates[0]} and {rates[1]}")
        return float(rates[0]) if len(rates) else self.fps

    def _keypoints(self, rows: Any, name: str, report: ImportReport) -> Keypoints:
        """(T, M, V, C) float32 of the rows of a clip, what is missing mended."""
        V, C = self.info.joint_shape
        frames, frame = _frames(rows, name)
        persons, person = _persons(rows)
        if len(frames) * persons * V * C > MOST_VALUES:
            detail = f"{len(frames)} frames of {persons} persons are too many"
            raise ClipError("too large", name, detail)
        joint = self._joint(rows)
        known = joint >= 0
        place = ((frame * persons + person) * V + joint)[known]
        order = np.sort(place)
        if (twice := np.flatnonzero(order[1:] == order[:-1])).size:
            at, j = divmod(int(order[twice[0]]), V)
            where = f"frame {frames[at // persons]:g}, joint {self.info.layout.joints[j]!r}"
            one = " (is a column person missing?)" if "person" not in rows.column_names else ""
            raise ClipError("duplicate rows", name, f"{where} has several rows{one}")
        dense = np.full((len(frames) * persons * V, C), np.nan, dtype=np.float32)
        with np.errstate(over="ignore"):  # what overflows is infinite, and refused
            for c, column in enumerate(_columns_of(self.info.channels)):
                dense[place, c] = _numbers(rows, column, name)[known]
        if self.info.channels == "xyz" and "score" in rows.column_names:
            dense[place[~(_numbers(rows, "score", name)[known] > 0)]] = np.nan
        steps = np.diff(frames)
        if steps.size and steps.max() > 1.5 * steps.min():  # frames may be seconds
            report.repair("gaps in the frame numbers closed", name)
        keypoints = dense.reshape(len(frames), persons, V, C)
        return mended(keypoints, self.info.channels, name, report)

    def _joint(self, rows: Any) -> Ints:
        encoded = texts(rows, "joint").combine_chunks().dictionary_encode()
        number = np.array([self.joints.get(joint, -1) for joint in encoded.dictionary.to_pylist()])
        found: Ints = number[encoded.indices.to_numpy()]
        return found


def _columns_of(channels: str) -> tuple[str, ...]:
    return tuple("score" if channel == "c" else channel for channel in channels)


def _frames(rows: Any, name: str) -> tuple[npt.NDArray[np.float64], Ints]:
    """The frame numbers of a clip, ascending, and for each row the position of its own."""
    frames, position = np.unique(_numbers(rows, "frame", name), return_inverse=True)
    if not np.isfinite(frames).all():
        raise ClipError("no frame", name, "a row has no number in the column frame")
    return frames, position


def _persons(rows: Any) -> tuple[int, Ints]:
    """The number of persons, and for each row its own: by number, or by name."""
    if "person" not in rows.column_names:
        return 1, np.zeros(len(rows), dtype=np.int64)
    encoded = texts(rows, "person").combine_chunks().dictionary_encode()
    names: list[str] = encoded.dictionary.to_pylist()
    numbers = [as_int(name) for name in names]
    keys: list[Any] = names if None in numbers else numbers
    rank = {key: number for number, key in enumerate(sorted(set(keys)))}
    ranks = np.array([rank[key] for key in keys], dtype=np.int64)
    person: Ints = ranks[encoded.indices.to_numpy()]
    return len(rank), person


def _numbers(rows: Any, column: str, name: str) -> npt.NDArray[np.float64]:
    try:
        return numbers(rows, column)
    except ValueError as error:
        raise ClipError(f"no number in column {column!r}", name, str(error)) from error


def _unique(rows: Any, column: str) -> list[str]:
    import pyarrow.compute as pc

    found: list[str] = pc.unique(texts(rows, column)).to_pylist()
    return found

"""A first reading of tables from end to end: where the clips are, and what values occur."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shapmix.data.importers.base import MIB, SourceError
from shapmix.data.importers.label_files import MISSING, column_type
from shapmix.data.importers.table_files import texts
from shapmix.data.importers.table_tidy import TidyFile

UNIT_BYTES = 4 * MIB
MOST_CLIPS = 2_000_000
MOST_JOINTS = 1000
MOST_LABELS = 20_000


class Run(NamedTuple):
    """Whole clips that lie together in a file.

    Attributes:
        file: number of the file.
        start, stop: positions in it.
        first: name of the first clip.
    """

    file: int
    start: int
    stop: int
    first: str


@dataclass
class Column:
    """A metadata column, as far as it was read.

    Attributes:
        kinds: types of its values, as far as they are not missing.
        changing: the number of clips within which it changes.
    """

    kinds: set[type[int] | type[str]] = field(default_factory=set)
    changing: int = 0
    _value: str = ""  # in the last row
    _clip: int = 0  # the number of the last clip in which it changed

    def note(self, values: Any, clip: npt.NDArray[np.int64], *, continued: bool) -> None:
        """Read on.

        Args:
            values: of some rows, texts.
            clip: the number of each row's clip, from 1.
            continued: whether the first row is of the same clip as the row before.
        """
        encoded = values.combine_chunks().dictionary_encode()
        codes, names = encoded.indices.to_numpy(), encoded.dictionary.to_pylist()
        self.kinds |= {column_type([name]) for name in names if name.lower() not in MISSING}
        differs = np.concatenate([[continued and names[codes[0]] != self._value], np.diff(codes)])
        same_clip = np.concatenate([[True], np.diff(clip) == 0])
        changed = np.unique(clip[(differs != 0) & same_clip])
        self.changing += int((changed > self._clip).sum())
        self._clip = max(self._clip, *changed.tolist(), 0)
        self._value = names[codes[-1]]


@dataclass
class Survey:
    """What a table holds.

    Attributes:
        metadata: the metadata columns.
        runs: all clips, a few MiB together unless one clip has more.
        clips: their names.
        joints: values of the column joint.
        labels: values of the column label.
    """

    metadata: dict[str, Column]
    runs: list[Run] = field(default_factory=list)
    clips: set[str] = field(default_factory=set)
    joints: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)


def survey(files: Sequence[TidyFile], metadata: Iterable[str], *, labelled: bool) -> Survey:
    """Read tables once, in blocks of a few MiB.

    Args:
        labelled: whether the tables have a column label.

    Raises:
        SourceError: a table is damaged, the rows of a clip are not together, or there are more
            clips, joints or labels than a table of clips can have.
    """
    found = Survey({name: Column() for name in metadata})
    counted = {"joint": found.joints} | ({"label": found.labels} if labelled else {})
    for number, file in enumerate(files):
        starts = list(_clip_starts(file, found, counted))
        found.runs += _runs(number, file, starts)
    if not found.runs:
        raise SourceError(f"{files[0].path} has no row below its header")
    return found


def _clip_starts(
    file: TidyFile, found: Survey, counted: dict[str, set[str]]
) -> Iterator[tuple[int, str]]:
    """Position and name of each clip of a file; other values go to `found`."""
    current = ""
    for table, positions in file.blocks(["clip", *counted, *found.metadata]):
        if not len(table):
            continue
        _note_values(table, counted, file)
        encoded = texts(table, "clip").combine_chunks().dictionary_encode()
        codes, names = encoded.indices.to_numpy(), encoded.dictionary.to_pylist()
        before = len(found.clips)
        begins = np.concatenate([[names[codes[0]] != current], np.diff(codes) != 0])
        for row in np.flatnonzero(begins):
            current = names[codes[row]]
            _check_new(current, found.clips, file)
            found.clips.add(current)
            yield int(positions[row]), current
        if not current:
            _check_new(current, found.clips, file)
        for name, column in found.metadata.items():
            column.note(texts(table, name), before + np.cumsum(begins), continued=not begins[0])


def _note_values(table: Any, counted: dict[str, set[str]], file: TidyFile) -> None:
    """Joints and labels in some rows."""
    import pyarrow.compute as pc

    for column, values in counted.items():
        most = MOST_JOINTS if column == "joint" else MOST_LABELS
        values.update(pc.unique(texts(table, column)).to_pylist())
        if len(values) > most:
            raise SourceError(
                f"{file.path}: column {column!r} has more than {most} different values; is it the "
                f"right one? --rename OTHER={column} takes another"
            )


def _check_new(name: str, seen: set[str], file: TidyFile) -> None:
    if not name:
        raise SourceError(f"{file.path}: a row has no value in the column clip")
    if name in seen:
        raise SourceError(
            f"{file.path}: the rows of clip {name!r} are not together; sort the table by clip "
            "(in pandas: table.sort_values(['clip', 'frame'])), or tell clips of one name apart"
        )
    if len(seen) == MOST_CLIPS:
        raise SourceError(
            f"{file.path} has more than {MOST_CLIPS} clips; is the column clip the right one?"
        )


def _runs(number: int, file: TidyFile, starts: Sequence[tuple[int, str]]) -> Iterator[Run]:
    """Clips joined to runs of about `UNIT_BYTES`."""
    edges = [*(position for position, _ in starts), file.file.end]
    first = 0
    for k in range(1, len(edges)):
        last = k == len(edges) - 1
        if last or (edges[k + 1] - edges[first]) * file.file.row_bytes > UNIT_BYTES:
            yield Run(number, edges[first], edges[k], starts[first][1])
            first = k

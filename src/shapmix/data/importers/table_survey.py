"""A first reading of tables from end to end: where the clips are, and what values occur."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from shapmix.data.importers.base import MIB, SourceError
from shapmix.data.importers.label_files import is_int
from shapmix.data.importers.table_files import TableFile, texts

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
class Survey:
    """What a table holds.

    Attributes:
        runs: all clips, a few MiB together unless one clip has more.
        joints: values of the column joint.
        labels: values of the column label.
        whole: of the metadata columns, those with whole numbers only.
    """

    whole: set[str]
    runs: list[Run] = field(default_factory=list)
    joints: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)


def survey(files: Sequence[TableFile], metadata: Iterable[str]) -> Survey:
    """Read tables once, in blocks of a few MiB.

    Raises:
        SourceError: a table is damaged, the rows of a clip are not together, or there are more
            clips, joints or labels than a table of clips can have.
    """
    metadata = list(metadata)
    found = Survey(whole=set(metadata))
    seen: set[str] = set()
    for number, file in enumerate(files):
        starts = list(_clip_starts(file, found, metadata, seen))
        found.runs += _runs(number, file, starts)
    if not found.runs:
        raise SourceError(f"{files[0].path} has no row below its header")
    return found


def _clip_starts(
    file: TableFile, found: Survey, metadata: Sequence[str], seen: set[str]
) -> Iterator[tuple[int, str]]:
    """Position and name of each clip of a file; other values go to `found`."""
    current = ""
    for table, positions in file.blocks(["clip", "joint", "label", *metadata]):
        if not len(table):
            continue
        _note_values(table, found, metadata, file)
        encoded = texts(table, "clip").combine_chunks().dictionary_encode()
        codes, names = encoded.indices.to_numpy(), encoded.dictionary.to_pylist()
        for row in (0, *(np.flatnonzero(np.diff(codes)) + 1)):
            name = names[codes[row]]
            if name != current or not name:
                _check_new(name, seen, file)
                seen.add(name)
                current = name
                yield int(positions[row]), name


def _note_values(table: Any, found: Survey, metadata: Sequence[str], file: TableFile) -> None:
    """Joints, labels and kinds of metadata in some rows."""
    import pyarrow.compute as pc

    for column, values, most in (
        ("joint", found.joints, MOST_JOINTS),
        ("label", found.labels, MOST_LABELS),
    ):
        values.update(pc.unique(texts(table, column)).to_pylist())
        if len(values) > most:
            raise SourceError(
                f"{file.path}: column {column!r} has more than {most} different values; is it the "
                f"right one? --rename OTHER={column} takes another"
            )
    for column in found.whole.intersection(metadata):
        if not all(map(is_int, pc.unique(texts(table, column)).to_pylist())):
            found.whole.discard(column)


def _check_new(name: str, seen: set[str], file: TableFile) -> None:
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


def _runs(number: int, file: TableFile, starts: Sequence[tuple[int, str]]) -> Iterator[Run]:
    """Clips joined to runs of about `UNIT_BYTES`."""
    edges = [*(position for position, _ in starts), file.end]
    first = 0
    for k in range(1, len(edges)):
        last = k == len(edges) - 1
        if last or (edges[k + 1] - edges[first]) * file.row_bytes > UNIT_BYTES:
            yield Run(number, edges[first], edges[k], starts[first][1])
            first = k

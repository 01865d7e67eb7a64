"""The one on-disk form of a data set: an Arrow IPC file, memory-mapped, ragged.

`archive_format` describes the file. Clips are written one by one and read in any order.
"""

from __future__ import annotations

import hashlib
import json
import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shapmix.data.archive_format import (
    REMAKE,
    checked_batches,
    header_json,
    int_column,
    keypoints_sum,
    mapped,
    read_header,
    record_batch,
    text_column,
)
from shapmix.data.clip import (
    BUILT_IN_COLUMNS,
    ArchiveError,
    ArchiveInfo,
    Clip,
    ClipError,
    Keypoints,
    checked_clip,
)
from shapmix.data.reading import reason
from shapmix.suggest import composed, did_you_mean
from shapmix.writing import atomic_file

__all__ = [
    "Archive",
    "ArchiveError",
    "ArchiveInfo",
    "ArchiveWriter",
    "Clip",
    "ClipError",
]

BATCH_BYTES = 16 * 2**20  # keypoints of one record batch, unless one clip alone has more
BATCH_ROWS = 65_536


class ArchiveWriter:
    """Writes an archive clip by clip, in bounded memory; a context manager.

    Args:
        path: the file to make; one that exists is replaced when the block ends well.
        info: what all clips share.
        columns: metadata column -> int or str; as the first clip has them when not given, which
            then has to have a value in each.
        may_be_empty: leave an empty file behind, instead of an error, when no clip was written.
        batch_bytes: size of a record batch, which is what stays in memory.

    Raises:
        ArchiveError: at the end of the block, when no clip was written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        info: ArchiveInfo,
        *,
        columns: Mapping[str, type] | None = None,
        may_be_empty: bool = False,
        batch_bytes: int = BATCH_BYTES,
    ) -> None:
        self.path, self.info = Path(path), info
        self._columns = None if columns is None else dict(columns)
        self._may_be_empty = may_be_empty
        self._batch_bytes = batch_bytes
        self._header = header_json(info)
        self._names: set[str] = set()
        self._pending: list[Clip] = []
        self._pending_bytes = 0
        self._stream: Any = None  # pyarrow's writer, opened with the first batch
        self._context = self._writing()

    def __enter__(self) -> ArchiveWriter:
        self._context.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return self._context.__exit__(kind, error, trace)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with atomic_file(self.path) as self._file:
            yield
            self._flush()
            if self._stream is not None:
                self._stream.close()
            elif not self._may_be_empty:
                raise ArchiveError(f"no clip was written to {self.path}: an archive needs one")

    def write(self, clip: Clip) -> None:
        """Append a clip (its keypoints are copied).

        Raises:
            ClipError: when the clip breaks a rule of `Clip`, repeats a name, or has other metadata
                columns than the first clip. Nothing was written then, and the next clip may follow.
        """
        clip = checked_clip(clip, self.info)
        if clip.name in self._names:
            raise ClipError("duplicate name", clip.name, "an earlier clip has the same name")
        types = self._columns or {}
        columns = {
            key: types.get(key, type(None)) if value is None else type(value)
            for key, value in clip.metadata.items()
        }
        if self._columns is None:
            self._columns = _complete(columns, clip.name)
        elif columns != self._columns:
            found, expected = _described(columns), _described(self._columns)
            detail = f"metadata columns are {found}; expected {expected}, as in all clips"
            raise ClipError("other metadata", clip.name, detail)
        self._names.add(clip.name)
        self._pending.append(clip)
        self._pending_bytes += clip.keypoints.nbytes
        if self._pending_bytes >= self._batch_bytes or len(self._pending) >= BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        batch, sums = record_batch(self._pending, self._columns or {}, self._header)
        self._pending, self._pending_bytes = [], 0
        self._write_batch(batch, sums)

    def _write_batch(self, batch: Any, sums: Mapping[bytes, bytes]) -> None:
        if self._stream is None:
            self._stream = pa.ipc.new_file(self._file, batch.schema)
        self._stream.write_batch(batch, custom_metadata=sums)

    def append(self, part: Archive) -> list[ClipError]:
        """Append all clips of an archive that shares this one's description, batch by batch.

        Returns:
            one error for each clip that was left out because its name was there already.

        Raises:
            ArchiveError: the archives differ in description or columns.
        """
        batches = part.batches()
        if header_json(part.info) != self._header:
            raise ArchiveError(f"{part.path} has another description than {self.path}")
        columns: dict[str, type] = {
            key: str if c.dtype == object else int for key, c in part.metadata.items()
        }
        if list(columns.items()) != list((self._columns or columns).items()):
            raise ArchiveError(f"{part.path} has other metadata columns than {self.path}")
        self._flush()
        self._columns = columns
        if self._names.isdisjoint(part.names):
            self._names.update(part.names)
            for batch, sums in batches:
                self._write_batch(batch, sums)
            return []
        errors = []
        for i in range(len(part)):
            try:
                self.write(part.clip(i))
            except ClipError as error:
                errors.append(error)
        return errors


class Archive:
    """A data set on disk, memory-mapped: opening reads the index, a clip is read when asked for.

    Nothing in the file is trusted: opening checks its form, every offset and shape, and the sums
    of the index, so that no later access can leave the mapping. (The operating system ends a
    process whose mapped file is cut short while it is open; archives are replaced, never rewritten
    in place.) Pickled by path: each process maps the file itself.

    Attributes:
        path: absolute.
        info: what all clips share.
        names: of the N clips, in file order.
        labels: (N,) int64.
        num_frames, num_persons: (N,) int64.
        metadata: column -> (N,) int64, masked (`numpy.ma`) where unknown if that is anywhere; or
            (N,) object holding text, "" where unknown.

    Raises:
        ArchiveError: when the file is missing, not an archive, of another version, cut or damaged.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        try:
            self._open()
        except ArchiveError as error:
            raise ArchiveError(f"{self.path}: {error}") from error
        except FileNotFoundError:
            raise ArchiveError(f"{self.path}: no such file") from None
        except (IsADirectoryError, PermissionError) as error:
            raise ArchiveError(
                f"{self.path} cannot be opened: {reason(error)}. An archive is an .arrow file that "
                "`shapmix import` made"
            ) from error
        except (pa.ArrowException, OSError, MemoryError, ValueError) as error:
            raise ArchiveError(f"{self.path} cannot be read ({error}); {REMAKE}") from error

    def _open(self) -> None:
        self._file = self.path.open("rb", buffering=0)
        weakref.finalize(self, self._file.close)
        file = mapped(self._file)
        reader = pa.ipc.open_file(file)
        header, self.info = read_header(reader.schema)
        self._joint_shape = self.info.joint_shape
        batches, self._sums = zip(*checked_batches(reader, header, self.info, file), strict=True)
        table = pa.Table.from_batches(batches)
        self.names: tuple[str, ...] = tuple(table["name"].to_pylist())
        self.labels = int_column(table["label"])
        self.num_frames = int_column(table["num_frames"])
        self.num_persons = int_column(table["num_persons"])
        self._fps = table["fps"].to_pylist()
        self.metadata: dict[str, npt.NDArray[Any]] = {
            key: (text_column if table[key].type == pa.string() else int_column)(table[key])
            for key in table.column_names
            if key not in BUILT_IN_COLUMNS
        }
        self._index = {name: i for i, name in enumerate(self.names)}
        if len(self._index) != len(self.names):
            raise ArchiveError(f"two clips have the same name; {REMAKE}")
        # The flat keypoints of each record batch, and where in them each clip lies.
        lists = [batch.column("keypoints") for batch in batches]
        self._values: list[Keypoints] = [x.values.to_numpy() for x in lists]
        self._batch = np.repeat(np.arange(len(lists)), [len(x) for x in lists])
        self._start = np.concatenate([x.offsets.to_numpy()[:-1] for x in lists])
        self._stop = np.concatenate([x.offsets.to_numpy()[1:] for x in lists])
        self._in_file = np.array([values.ctypes.data - file.address for values in self._values])
        self._offset = self._in_file[self._batch] + 4 * self._start  # bytes

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return (
            f"Archive({str(self.path)!r}: {len(self)} clips, {self.info.num_classes} classes, "
            f"layout {self.info.layout.name})"
        )

    def __reduce__(self) -> tuple[type[Archive], tuple[Path]]:
        return Archive, (self.path,)

    def keypoints(self, i: int) -> Keypoints:
        """(T, M, V, C) float32 of clip `i`: a read-only view of the file; IndexError beyond N."""
        flat = self._values[self._batch[i]][self._start[i] : self._stop[i]]
        view: Keypoints = flat.reshape(self._shape(i))
        return view

    def _shape(self, i: int) -> tuple[int, int, int, int]:
        return (int(self.num_frames[i]), int(self.num_persons[i]), *self._joint_shape)

    def read(self, i: int, out: Keypoints | None = None) -> Keypoints:
        """(T, M, V, C) float32 of clip `i`: a copy, in `out` if given; IndexError beyond N.

        For passes over many clips: what is read through the mapping counts as memory of the process
        until the system wants it back, and neighbouring clips with it; what is read here does not.

        Raises:
            ValueError: `out` has another shape or type, or is not contiguous.
            ArchiveError: the file was cut short since it was opened.
        """
        shape = self._shape(i)
        if out is None:
            out = np.empty(shape, np.float32)
        elif out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise ValueError(f"out is {out.dtype} {out.shape}: expected contiguous float32 {shape}")
        return self._read(out, int(self._offset[i]), self.keypoints(i))

    def _read(self, out: Keypoints, offset: int, values: Keypoints) -> Keypoints:
        """`out`, filled from this byte of the file on, where these values lie."""
        if not hasattr(os, "preadv"):  # Windows
            out[...] = values
            return out
        left = out.data.cast("B") if out.size else b""
        while left:  # a call reads 2 GB at the most
            number = os.preadv(self._file.fileno(), [left], offset)
            if number == 0:
                raise ArchiveError(f"{self.path} was cut short while it was open; {REMAKE}")
            left, offset = left[number:], offset + number
        return out

    def batches(self) -> Iterator[tuple[Any, Mapping[bytes, bytes]]]:
        """The record batches of the file and their sums, as they were written."""
        reader = pa.ipc.open_file(mapped(self._file))
        for number in range(reader.num_record_batches):
            yield reader.get_batch_with_custom_metadata(number)

    def clip(self, i: int) -> Clip:
        """Clip `i`; its keypoints are a read-only view of the file; IndexError beyond N."""
        metadata = {key: _value(column[i]) for key, column in self.metadata.items()}
        return Clip(self.names[i], int(self.labels[i]), self.keypoints(i), self._fps[i], metadata)

    def index(self, name: str) -> int:
        """Position of the clip called `name`; ArchiveError when there is none."""
        found = self.find(name)
        if found is None:
            hint = did_you_mean(name, self.names)
            raise ArchiveError(f"no clip {name!r} in {self.path.name}{hint}")
        return found

    def find(self, name: str) -> int | None:
        """Position of the clip of this name, if need be in another Unicode form; None if nowhere.

        (Archives of other programs and of older versions may have names that are not composed.)
        """
        return self._index.get(name, self._composed.get(composed(name)))

    @cached_property
    def _composed(self) -> dict[str, int]:
        return {composed(name): i for i, name in enumerate(self.names)}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the clips' names, labels and sizes, whatever their order in the file."""
        columns = (self.labels, self.num_frames, self.num_persons)
        rows = sorted(zip(self.names, *(c.tolist() for c in columns), strict=True))
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def verify(self) -> None:
        """Read all keypoints; ArchiveError when any are not as they were written, or not finite.

        They are read, not mapped, so that memory is that of one record batch.
        """
        held = np.empty(max(values.size for values in self._values), np.float32)
        for number, (there, expected) in enumerate(zip(self._values, self._sums, strict=True)):
            values = self._read(held[: there.size], int(self._in_file[number]), there)
            if keypoints_sum(values) != expected or not np.isfinite(values).all():
                first = self.names[int(np.searchsorted(self._batch, number))]
                raise ArchiveError(
                    f"{self.path}: keypoints of record batch {number} (from clip {first!r}) are "
                    f"damaged; {REMAKE}"
                )


def _value(found: Any) -> str | int | None:
    """An entry of a metadata column as a clip has it: None where unknown."""
    if isinstance(found, str):
        return found or None
    return None if found is np.ma.masked else int(found)


def _complete(columns: dict[str, type], clip: str) -> dict[str, type]:
    """The columns, once all have a type."""
    if unknown := [key for key, kind in columns.items() if kind is type(None)]:
        detail = f"metadata {unknown[0]} is None in the first clip: give its type, columns={{...}}"
        raise ClipError("other metadata", clip, detail)
    return columns


def _described(columns: dict[str, type]) -> str:
    return ", ".join(f"{key}: {kind.__name__}" for key, kind in columns.items()) or "none"

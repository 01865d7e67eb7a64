"""The archive's file format: columns, header, sums, and the checks of a file from anyone.

The file is an ordinary Arrow IPC file ("Feather v2") that any Arrow reader opens. A row is a clip:

    name string | label, num_frames, num_persons int64 | fps float64, nullable |
    one int64 (null where unknown) or string ("" where unknown) column per metadata key |
    keypoints large_list<float32>, flat (T, M, V, C)

What all clips share (`ArchiveInfo`) is JSON under the schema key "shapmix". Rows come in record
batches of bounded size, never compressed, so that writing streams and reading copies nothing. Each
batch carries two CRC-32 sums: of its index (all columns but the keypoints, seeded with the JSON),
which opening verifies, and of its keypoints, which `Archive.verify` verifies.
"""

from __future__ import annotations

import json
import mmap
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from io import FileIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shapmix.data.clip import ArchiveError, ArchiveInfo, Clip

FORMAT = "shapmix archive"
FORMAT_VERSION = 1
REMAKE = "make or copy the archive again"

_MAGIC = b"ARROW1"
_HEADER_KEY, _INDEX_KEY, _KEYPOINTS_KEY = b"shapmix", b"index_crc32", b"keypoints_crc32"
_INDEX_TYPES = {
    "name": pa.string(),
    "label": pa.int64(),
    "num_frames": pa.int64(),
    "num_persons": pa.int64(),
    "fps": pa.float64(),
}
_METADATA_TYPES = {int: pa.int64(), str: pa.string()}

Sums = Mapping[bytes, bytes]


# ---- writing


def header_json(info: ArchiveInfo) -> bytes:
    """What all clips share, as it stands in the file."""
    header = {"format": FORMAT, "format_version": FORMAT_VERSION, **info.to_dict()}
    return json.dumps(header).encode()


def record_batch(
    clips: Sequence[Clip], columns: Mapping[str, type], header: bytes
) -> tuple[Any, Sums]:
    """Checked clips as a record batch, and its sums; `columns`: metadata key -> int or str."""
    values: dict[str, list[Any]] = {
        "name": [c.name for c in clips],
        "label": [c.label for c in clips],
        "num_frames": [c.keypoints.shape[0] for c in clips],
        "num_persons": [c.keypoints.shape[1] for c in clips],
        "fps": [c.fps for c in clips],
    }
    values |= {key: [c.metadata[key] for c in clips] for key in columns}
    types = _INDEX_TYPES | {key: _METADATA_TYPES[kind] for key, kind in columns.items()}
    arrays = [pa.array(values[key], kind) for key, kind in types.items()]
    arrays = [a.fill_null("") if a.type == pa.string() else a for a in arrays]
    offsets = np.cumsum([0, *(c.keypoints.size for c in clips)], dtype=np.int64)
    flat = np.concatenate([c.keypoints.ravel() for c in clips])
    arrays.append(pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(flat)))
    fields = [*types.items(), ("keypoints", arrays[-1].type)]
    schema = pa.schema(fields, metadata={_HEADER_KEY: header})
    batch = pa.record_batch(arrays, schema=schema)
    return batch, {_INDEX_KEY: _index_sum(batch, header), _KEYPOINTS_KEY: keypoints_sum(flat)}


def keypoints_sum(flat: npt.NDArray[np.float32]) -> bytes:
    """CRC-32 of a record batch's keypoints, as hexadecimal digits."""
    return b"%08x" % zlib.crc32(flat.data)


def _index_sum(batch: Any, header: bytes) -> bytes:
    """CRC-32 of the header and of the values (not the buffers) of all columns but the keypoints."""
    crc = zlib.crc32(header)
    for field, column in zip(batch.schema, batch.columns, strict=True):
        crc = zlib.crc32(field.name.encode(), crc)
        if field.type == pa.string():
            crc = zlib.crc32("\0".join(column.to_pylist()).encode(), crc)
        elif field.name != "keypoints":
            crc = zlib.crc32(column.fill_null(0).to_numpy(zero_copy_only=False).tobytes(), crc)
            if column.null_count and field.name not in _INDEX_TYPES:
                crc = zlib.crc32(column.is_null().to_numpy(zero_copy_only=False).tobytes(), crc)
    return b"%08x" % crc


# ---- reading: nothing in the file is trusted


def mapped(file: FileIO) -> Any:
    """All of an open file as one pyarrow buffer, once it begins and ends as an Arrow file does."""
    empty = os.fstat(file.fileno()).st_size == 0  # cannot be mapped
    pages = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if pages[: len(_MAGIC)] != _MAGIC:
        raise ArchiveError("not an Arrow file, so not an archive; make one with an importer")
    if len(pages) < 2 * len(_MAGIC) or pages[-len(_MAGIC) :] != _MAGIC:
        raise ArchiveError(f"the file is cut short: its end is missing; {REMAKE}")
    return pa.py_buffer(pages)


def read_header(schema: Any) -> tuple[bytes, ArchiveInfo]:
    """The header of an open file, raw and understood; ArchiveError when it is not ours."""
    header = (schema.metadata or {}).get(_HEADER_KEY)
    if header is None:
        raise ArchiveError("an Arrow file, but not an archive; make one with an importer")
    try:
        fields = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"the header is not JSON ({error}); {REMAKE}") from error
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise ArchiveError(f"the header does not say {FORMAT!r}; {REMAKE}")
    if fields.get("format_version") != FORMAT_VERSION:
        raise ArchiveError(
            f"archive format version {fields.get('format_version')!r}, but this program reads "
            f"version {FORMAT_VERSION}: use the program that wrote it, or import the data again"
        )
    return header, ArchiveInfo.from_dict(fields)


def checked_batches(
    reader: Any, header: bytes, info: ArchiveInfo, file: Any
) -> Iterator[tuple[Any, bytes]]:
    """Each record batch of an open file with the sum of its keypoints, once all of it is sound.

    Sound: the columns are ours, no offset leaves its buffer, every clip's shape fills its keypoints
    exactly, the keypoints lie inside the mapped `file`, and the index has the sum it was written
    with. ArchiveError or pyarrow's own errors otherwise.
    """
    _check_schema(reader.schema)
    if reader.num_record_batches == 0:
        raise ArchiveError(f"the archive holds no clip; {REMAKE}")
    total = 0
    for number in range(reader.num_record_batches):
        batch, sums = reader.get_batch_with_custom_metadata(number)
        batch.validate(full=True)
        total += batch.nbytes
        keypoints = batch.column("keypoints")
        if total > file.size or not _lies_in(keypoints.values, file):
            raise ArchiveError(f"record batch {number} is compressed or overlaps another; {REMAKE}")
        _check_nulls(batch)
        _check_rows(batch, info)
        sums = sums or {}
        if sums.get(_INDEX_KEY) != _index_sum(batch, header):
            raise ArchiveError(f"the index of record batch {number} was altered; {REMAKE}")
        yield batch, sums.get(_KEYPOINTS_KEY, b"")


def _check_schema(schema: Any) -> None:
    columns = dict(zip(schema.names, schema.types, strict=True))
    if len(columns) != len(schema.names):
        raise ArchiveError(f"two columns have the same name; {REMAKE}")
    keypoints = columns.pop("keypoints", None)
    if keypoints is None or not (
        pa.types.is_large_list(keypoints) and keypoints.value_type == pa.float32()
    ):
        raise ArchiveError(f"keypoints are {keypoints}, expected large_list<float>; {REMAKE}")
    for name, expected in _INDEX_TYPES.items():
        found = columns.pop(name, None)
        if found != expected:
            raise ArchiveError(f"column {name!r} is {found}, expected {expected}; {REMAKE}")
    for name, found in columns.items():
        if not name.isidentifier() or found not in _METADATA_TYPES.values():
            raise ArchiveError(
                f"metadata column {name!r} is {found}, expected an identifier with int64 or text"
            )


def _lies_in(values: Any, file: Any) -> bool:
    data = values.buffers()[1]
    if data is None:
        return False
    return bool(file.address <= data.address <= file.address + file.size - data.size)


def _check_nulls(batch: Any) -> None:
    for name, kind in zip(batch.schema.names, batch.schema.types, strict=True):
        may_lack = name == "fps" or (name not in _INDEX_TYPES and kind == pa.int64())
        if batch.column(name).null_count and not may_lack:
            raise ArchiveError(f"column {name!r} has missing values; {REMAKE}")
    if batch.column("keypoints").values.null_count:
        raise ArchiveError(f"keypoints have missing values; {REMAKE}")


def _check_rows(batch: Any, info: ArchiveInfo) -> None:
    """All clips at once; no product of numbers from the file, which could overflow."""
    label, frames, persons = (
        batch.column(name).to_numpy() for name in ("label", "num_frames", "num_persons")
    )
    offsets = batch.column("keypoints").offsets.to_numpy()
    bodies, rest = np.divmod(np.diff(offsets), int(np.prod(info.joint_shape)))
    positive = (frames >= 1) & (persons >= 1)
    shaped = positive & (rest == 0)
    shaped &= bodies % np.where(positive, frames, 1) == 0
    shaped &= bodies // np.where(positive, frames, 1) == persons
    fps = batch.column("fps").fill_null(1.0).to_numpy(zero_copy_only=False)
    faults = {
        f"a label outside 0..{info.num_classes - 1}": (label < 0) | (label >= info.num_classes),
        "a shape that does not fit its keypoints": ~shaped,
        "a frame rate that is not positive": ~(np.isfinite(fps) & (fps > 0)),
    }
    for fault, rows in faults.items():
        if rows.any():
            name = batch.column("name")[int(rows.argmax())].as_py()
            raise ArchiveError(f"clip {name!r} has {fault}; {REMAKE}")
    if offsets[0] != 0 or offsets[-1] != len(batch.column("keypoints").values):
        raise ArchiveError(f"there are keypoints that belong to no clip; {REMAKE}")


def int_column(column: Any) -> npt.NDArray[np.int64]:
    """A checked int64 column as a read-only array, masked where it has nulls, if it has any."""
    values: npt.NDArray[np.int64] = np.array(column.fill_null(0).to_numpy(), dtype=np.int64)
    if column.null_count:
        missing = np.array(column.is_null().to_numpy())
        missing.flags.writeable = False
        values = np.ma.MaskedArray(values, missing, shrink=False, hard_mask=True)
    values.flags.writeable = False
    return values


def text_column(column: Any) -> npt.NDArray[np.object_]:
    """A checked string column as a read-only array of `str` (a fixed width could be made huge)."""
    values: npt.NDArray[np.object_] = np.array(column.to_pylist(), dtype=object)
    values.flags.writeable = False
    return values

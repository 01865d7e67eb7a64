"""From the text of a `.skeleton` file of NTU RGB+D to arrays.

The text is a stream of fields: the number of frames; per frame the number of bodies; per body its
line of 10 fields, the number of joints, and 25 lines of 12 fields of which x, y, z come first. In a
sound file every field is therefore where the numbers of bodies say it is. The fast reader finds the
fields with NumPy, walks from frame to frame, checks that every line ends where it should, and
converts x, y and z, nothing else, in one call of Arrow. What it cannot account for, down to a
doubled space, it leaves to the slow reader, which goes line by line and says what is wrong where.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shapmix.data.clip import ClipError, Keypoints

JOINTS = 25
_BODY_FIELDS, _JOINT_FIELDS = 10, 12
_BLOCK = _BODY_FIELDS + 1 + JOINTS * _JOINT_FIELDS  # fields of one body in one frame
_FIRST_JOINT = _BODY_FIELDS + 1
# Last fields of the lines of a body, counted from its first field.
_LINE_ENDS = np.array(
    [_BODY_FIELDS - 1, _BODY_FIELDS, *range(_FIRST_JOINT + 11, _BLOCK, _JOINT_FIELDS)]
)
_XYZ = _FIRST_JOINT + _JOINT_FIELDS * np.arange(JOINTS)[:, None] + np.arange(3)
_MOST_DIGITS = 9  # of a number of frames, bodies or joints
MOST_FRAMES = 100_000  # the longest published clip has 300

Offsets = npt.NDArray[np.int64]


class Recording(NamedTuple):
    """The bodies that a file holds, n in all frames together, in the order of the file.

    Attributes:
        num_frames: of the recording, with and without bodies.
        frames: (n,) the frame of each, from 0.
        ids: n body ids, as they are written: exact, whatever their size.
        joints: (n, 25, 3) x, y, z in metres.
        surplus: whether more lines follow after the last frame.
    """

    num_frames: int
    frames: Offsets
    ids: list[bytes]
    joints: Keypoints
    surplus: bool = False


def parse(name: str, content: bytes) -> Recording:
    """The bodies in the text of the clip `name`; ClipError when the text is not as it must be."""
    regular = parse_regular(content)
    return parse_lines(name, content) if regular is None else regular


def parse_regular(content: bytes) -> Recording | None:
    """The fast reader: None when anything is not exactly as in the published files."""
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n")
    if not content.endswith(b"\n"):
        content += b"\n"
    text = np.frombuffer(content, np.uint8)
    ends: Offsets = np.flatnonzero(text <= ord(" "))  # of the fields
    counts = _counts(content, ends)
    if counts is None:
        return None
    first = np.cumsum(counts) - counts  # of the bodies before each frame
    frames = np.repeat(np.arange(len(counts)), counts)
    frame_fields = 1 + np.arange(len(counts)) + _BLOCK * first
    bodies = frame_fields[frames] + 1 + _BLOCK * (np.arange(len(frames)) - first[frames])
    gaps = np.diff(ends)
    separators = text[ends]
    is_line_end = separators == ord("\n")
    num_lines = 1 + len(counts) + len(_LINE_ENDS) * len(bodies)
    sound = (
        np.count_nonzero(is_line_end) == num_lines
        and np.count_nonzero(separators == ord(" ")) == len(ends) - num_lines
        and (gaps > 1).all()  # no field is empty
        and (gaps[frame_fields - 1] == 2).all()  # numbers of bodies have one digit
        and is_line_end[0]
        and is_line_end[frame_fields].all()
        and is_line_end[bodies[:, None] + _LINE_ENDS].all()
        and _all_have_joints(text, ends, bodies + _BODY_FIELDS)
    )
    joints = _to_floats(content, ends, bodies[:, None, None] + _XYZ) if sound else None
    if joints is None:
        return None
    spans = zip((ends[bodies - 1] + 1).tolist(), ends[bodies].tolist(), strict=True)
    return Recording(len(counts), frames, [content[start:end] for start, end in spans], joints)


def _counts(content: bytes, ends: Offsets) -> Offsets | None:
    """(T,): the number of bodies in each frame, of which only the last digit is read; None when
    that many frames and bodies do not have as many fields as there are."""
    digits = content[: ends[0]]
    if not digits.isdigit() or len(digits) > _MOST_DIGITS or int(digits) > MOST_FRAMES:
        return None
    counts = []
    end = ends.data  # of which an element is a plain number, and quick to get
    field, num_fields = 1, len(end)
    for _ in range(int(digits)):
        if field >= num_fields:
            return None
        count = content[end[field] - 1] - ord("0")
        if not 0 <= count <= 9:
            return None
        counts.append(count)
        field += 1 + _BLOCK * count
    return np.array(counts, np.int64) if field == num_fields else None


def _all_have_joints(text: npt.NDArray[np.uint8], ends: Offsets, fields: Offsets) -> bool:
    """Whether each of these fields reads "25"."""
    end = ends[fields]
    return bool(
        (end - ends[fields - 1] == 3).all()
        and (text[end - 2] == ord("2")).all()
        and (text[end - 1] == ord("5")).all()
    )


def _to_floats(content: bytes, ends: Offsets, fields: Offsets) -> Keypoints | None:
    """These fields as numbers, as `float` reads them; None when one is not a number."""
    import pyarrow as pa

    if not fields.size:
        return np.zeros(fields.shape, np.float32)
    # An Arrow array of texts is a buffer and the offsets at which one text ends and the next one
    # begins. Between any two of our fields it gets one more, marked as missing: what lies between.
    offsets = np.empty(2 * fields.size + 1, np.int32)
    offsets[0:-1:2] = ends[fields - 1].ravel() + 1
    offsets[1::2] = ends[fields].ravel()
    offsets[-1] = len(content)
    present = np.full(len(offsets) // 8 + 1, 0b01010101, np.uint8)
    buffers = [pa.py_buffer(present), pa.py_buffer(offsets), pa.py_buffer(content)]
    texts = pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)
    try:
        values = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    numbers = np.frombuffer(values.buffers()[1], np.float64, len(values))[::2]
    with np.errstate(over="ignore"):  # what overflows is refused as not finite
        return numbers.astype(np.float32).reshape(fields.shape)


def parse_lines(name: str, content: bytes) -> Recording:
    """The slow reader: any white space between fields, and an error that names the line."""
    rows = _rows(content)

    def row(num_fields: int, what: str) -> tuple[int, list[bytes]]:
        line, fields = next(rows, (0, []))
        if not line:
            raise ClipError("cut off", name, f"the file ends before {what}; get the file again")
        if len(fields) != num_fields:
            found = f"line {line} has {_count(fields)} fields"
            raise ClipError(
                "wrong number of fields", name, f"{found}, expected {num_fields}: {what}"
            )
        return line, fields

    def number(what: str) -> tuple[int, int]:
        line, (field,) = row(1, what)
        if not field.isdigit() or len(field) > _MOST_DIGITS:
            raise ClipError("not a number", name, f"line {line}: {_quote(field)}, expected {what}")
        return line, int(field)

    frames: list[int] = []
    ids: list[bytes] = []
    joints: list[list[float]] = []
    line, num_frames = number("the number of frames")
    if num_frames > MOST_FRAMES:
        found = f"line {line} declares {num_frames} frames, expected at most {MOST_FRAMES}"
        raise ClipError("too many frames", name, found)
    for frame in range(num_frames):
        _, num_bodies = number(f"the number of bodies of frame {frame}")
        for _ in range(num_bodies):
            _, body = row(_BODY_FIELDS, f"a body of frame {frame}")
            frames.append(frame)
            ids.append(body[0])
            line, num_joints = number("the number of joints")
            if num_joints != JOINTS:
                found = f"line {line}: {num_joints} joints, expected {JOINTS}"
                raise ClipError("wrong number of joints", name, found)
            for joint in range(JOINTS):
                line, fields = row(_JOINT_FIELDS, f"joint {joint} of frame {frame}")
                joints.append(_position(name, line, fields))
    with np.errstate(over="ignore"):
        array = np.array(joints, np.float64).astype(np.float32).reshape(-1, JOINTS, 3)
    return Recording(num_frames, np.array(frames, np.int64), ids, array, bool(next(rows, ())))


def _rows(content: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Number, from 1, and fields of each line that is not blank; of overlong lines the first."""
    for line, row in enumerate(io.BytesIO(content), 1):
        fields = row.split(None, _JOINT_FIELDS + 1)
        if fields:
            yield line, fields


def _position(name: str, line: int, fields: list[bytes]) -> list[float]:
    try:
        return [float(field) for field in fields[:3]]
    except ValueError:
        found = b" ".join(fields[:3])
        detail = f"line {line}: {_quote(found)}, expected x, y and z"
        raise ClipError("not a number", name, detail) from None


def _count(fields: list[bytes]) -> str:
    most = _JOINT_FIELDS + 2
    return f"{most} or more" if len(fields) == most else str(len(fields))


def _quote(text: bytes) -> str:
    return repr(text[:60].decode("utf-8", "replace"))

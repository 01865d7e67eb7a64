"""The sequences of a run that are worth showing: test clips, and mixes of training clips.

`examples.arrow` of a run folder is an Arrow IPC file with one row for each sequence:

    group int32 (rows of one scene follow one another and share it) | kind string | role string |
    name string | label, predicted int32 | target list<struct<class int32, weight float32>> |
    frames, persons, joints, channels int32 | keypoints binary (float16, little-endian, in the order
    (T, M, V, C)) | pasted list<bool> | start, length int32 | lam float32

and, as JSON under keys of the schema: `format` (1), `layout` (name, joints, bones and parts by
joint number, center), `channels`, `units`, `up`. Nothing in the file is trusted.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from shapmix.layouts import Layout, LayoutError
from shapmix.layouts.upright import Up
from shapmix.reporting.files import check_exists, damaged
from shapmix.reporting.runs import Run

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
MOST_BYTES, MOST_ROWS, MOST_FRAMES = 32 * 2**20, 2000, 1000  # some ten times what a run writes
CHANNELS = ("xyz", "xy", "xyc")
ROLES = {"clip": ("",), "mix": ("receiver", "partner", "mixed")}
_METADATA = ("format", "layout", "channels", "units", "up")

Window = tuple[int, int]  # first frame, number of frames
Kind = Literal["clip", "mix"]


@dataclass(frozen=True, eq=False)
class Example:
    """One sequence.

    Attributes:
        group: number of its scene.
        kind: "clip", a test clip, or "mix", one of the three sequences of a mix.
        role: "receiver", "partner" or "mixed" in a mix; else empty.
        name: of the clip; of a mixed one those of receiver and partner, joined by " + ".
        label: class of the clip; None for a mixed one.
        predicted: the class that the model of the last epoch gives a test clip; None in a mix.
        target: (class, weight) of the label.
        keypoints: `(T, M, V, C)` float32; the centre joint of the first person begins in the
            origin, and a body that is not there is zero in that frame.
        window: the paste window of receiver and mixed clip, the source window of the partner;
            None where nothing was pasted.
        pasted: `(V,)` bool, joints of a mixed clip that are the partner's; else none are.
        lam: the receiver's weight in the label of a mixed clip; else None.
        layout, channels, units, up: of all examples of a run.
    """

    group: int
    kind: Kind
    role: str
    name: str
    label: int | None
    predicted: int | None
    target: tuple[tuple[int, float], ...]
    keypoints: NDArray[np.float32]
    window: Window | None
    pasted: NDArray[np.bool_]
    lam: float | None
    layout: Layout
    channels: str
    units: str
    up: Up

    def coordinates(self) -> NDArray[np.float32]:
        """`(T, M, V, D)` without a confidence, NaN where a joint or a body is not there."""
        points = self.keypoints[..., : len(self.channels.removesuffix("c"))].copy()
        points[~points.any((2, 3))] = np.nan
        if self.channels.endswith("c"):
            points[self.keypoints[..., -1] <= 0] = np.nan
        return points


@dataclass(frozen=True, eq=False)
class _Space:
    """What all examples of a run share."""

    layout: Layout
    channels: str
    units: str
    up: Up


def load_examples(run: Run) -> tuple[Example, ...]:
    """Read the examples of a run, those of a scene after one another (see `scenes`).

    Scenes of the kind "clip" come first. One that begins with a clip which is not recognised is of
    a pair of classes that the model confuses, the worst pair first; it may end with a recognised
    clip of the class that the first is taken for. The others have one recognised clip each. Then
    come the mixes: receiver, partner and mixed clip, of the rarest classes first.

    Raises:
        RunError: `examples.arrow` is missing or damaged, or does not belong to the metrics.
        ImportError: pyarrow is not installed.
    """
    path = run.path / "examples.arrow"
    check_exists(path)
    batch = _read_batch(path)
    try:
        space = _space(batch.schema.metadata or {})
        rows = batch.to_pylist()
        examples = tuple(_example(row, space, len(run.class_names)) for row in rows)
        _check_scenes(examples)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        found = str(error) if isinstance(error, ValueError) else repr(error)
        raise damaged(path, found) from error
    return examples


def scenes(examples: tuple[Example, ...], kind: Kind | None = None) -> list[tuple[Example, ...]]:
    """Examples that belong together: one or two clips, or the three sequences of a mix."""
    grouped = [tuple(rows) for _, rows in groupby(examples, key=lambda example: example.group)]
    return [scene for scene in grouped if kind is None or scene[0].kind == kind]


def is_confusion(scene: tuple[Example, ...]) -> bool:
    """Whether a scene is of two classes that are confused."""
    return scene[0].kind == "clip" and scene[0].predicted != scene[0].label


def _read_batch(path: Path) -> "pa.RecordBatch":
    """The only record batch of the file; no buffer of it leaves the file."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ImportError(
            "reading examples needs pyarrow: pip install pyarrow (or shapmix[train])"
        ) from error
    if (size := path.stat().st_size) > MOST_BYTES:
        raise damaged(path, f"{size} bytes, where a run writes some 3 million")
    try:
        with path.open("rb") as file:
            reader = pa.ipc.open_file(pa.BufferReader(file.read(MOST_BYTES)))
            if reader.num_record_batches != 1:
                raise ValueError(f"{reader.num_record_batches} record batches, expected 1")
            _check_schema(reader.schema)
            batch = reader.get_batch(0)
        batch.validate(full=True)
        if batch.num_rows > MOST_ROWS or batch.nbytes > MOST_BYTES:
            raise ValueError(f"{batch.num_rows} rows of {batch.nbytes} bytes, which is too much")
    except (pa.ArrowException, OSError, MemoryError, ValueError, KeyError, TypeError) as error:
        raise damaged(path, str(error)) from error
    return batch


def _check_schema(schema: "pa.Schema") -> None:
    import pyarrow as pa

    numbers = ("group", "label", "predicted", "frames", "persons", "joints", "channels")
    wanted = {
        **dict.fromkeys((*numbers, "start", "length"), pa.int32()),
        **dict.fromkeys(("kind", "role", "name"), pa.string()),
        "target": pa.list_(pa.struct({"class": pa.int32(), "weight": pa.float32()})),
        "keypoints": pa.binary(),
        "pasted": pa.list_(pa.bool_()),
        "lam": pa.float32(),
    }
    found = dict(zip(schema.names, schema.types, strict=True))
    for name, kind in wanted.items():
        if found.get(name) != kind:
            raise ValueError(f"column {name} is {found.get(name)}, expected {kind}")


def _space(metadata: Mapping[bytes, bytes]) -> _Space:
    values = {name: json.loads(metadata[name.encode()]) for name in _METADATA}
    if values["format"] != FORMAT:
        raise ValueError(f"format {values['format']!r}, expected {FORMAT}")
    if values["channels"] not in CHANNELS or values["up"] not in get_args(Up):
        raise ValueError(f"channels {values['channels']!r} with {values['up']!r} up")
    layout = values["layout"]
    try:
        made = Layout(
            name=str(layout["name"]),
            joints=tuple(map(str, layout["joints"])),
            bones=tuple((child, parent) for child, parent in layout["bones"]),
            center=layout["center"],
            parts={str(part): tuple(joints) for part, joints in layout["parts"].items()},
        )
    except (AttributeError, LayoutError) as error:
        raise ValueError(f"the layout: {error}") from error
    return _Space(made, values["channels"], str(values["units"]), cast(Up, values["up"]))


def _example(row: Mapping[str, Any], space: _Space, K: int) -> Example:
    """A row, checked; ValueError or TypeError where it is not what it must be."""
    if missing := [name for name, value in row.items() if value is None]:
        raise ValueError(f"no {missing[0]} in a row")
    if row["role"] not in ROLES.get(row["kind"], ()):
        raise ValueError(f"a {row['kind']!r} with the role {row['role']!r}")
    mixed = row["role"] == "mixed"
    keypoints = _keypoints(row, space)
    for name, least in (("label", -1 if mixed else 0), ("predicted", -1)):
        if not least <= row[name] < K:
            raise ValueError(f"{name} {row[name]}, where there are {K} classes")
    target = tuple((entry["class"], entry["weight"]) for entry in row["target"])
    if not target or any(not (0 <= k < K and 0 <= weight <= 1.001) for k, weight in target):
        raise ValueError(f"the target {target[:4]}, where there are {K} classes")
    start, length, T = row["start"], row["length"], len(keypoints)
    nowhere = (start, length) == (-1, -1)
    if not nowhere and not 0 <= start < start + length <= T:
        raise ValueError(f"a window of {length} frames from {start} on, in {T} frames")
    pasted = np.array(row["pasted"] or [False] * space.layout.num_joints, dtype=np.bool_)
    if len(pasted) != space.layout.num_joints:
        raise ValueError(f"{len(pasted)} joints pasted or not, of {space.layout.num_joints}")
    if mixed and not -0.001 <= row["lam"] <= 1.001:
        raise ValueError(f"lam is {row['lam']}")
    return Example(
        group=row["group"],
        kind=row["kind"],
        role=row["role"],
        name=row["name"],
        label=None if mixed else row["label"],
        predicted=None if row["predicted"] < 0 else row["predicted"],
        target=target,
        keypoints=keypoints,
        window=None if nowhere else (start, length),
        pasted=pasted,
        lam=row["lam"] if mixed else None,
        layout=space.layout,
        channels=space.channels,
        units=space.units,
        up=space.up,
    )


def _keypoints(row: Mapping[str, Any], space: _Space) -> NDArray[np.float32]:
    shape = tuple(row[name] for name in ("frames", "persons", "joints", "channels"))
    T, M, V, C = shape
    if not (0 < T <= MOST_FRAMES and M > 0):
        raise ValueError(f"{T} frames of {M} persons")
    if space.layout.num_joints != V or len(space.channels) != C:
        raise ValueError(f"{V} joints with {C} channels, where the layout has other ones")
    if len(row["keypoints"]) != 2 * T * M * V * C:
        raise ValueError(f"{len(row['keypoints'])} bytes of keypoints for the shape {shape}")
    keypoints = np.frombuffer(row["keypoints"], dtype="<f2").reshape(shape).astype(np.float32)
    if not np.isfinite(keypoints).all():
        raise ValueError("keypoints that are not finite")
    return keypoints


def _check_scenes(examples: tuple[Example, ...]) -> None:
    """Groups are not torn apart, and each is one of the scenes that there are."""
    if len(grouped := scenes(examples)) != len({example.group for example in examples}):
        raise ValueError("rows of one scene that do not follow one another")
    for scene in grouped:
        roles = tuple(example.role for example in scene)
        lengths = {len(example.keypoints) for example in scene}
        if roles not in (("",), ("", ""), ROLES["mix"]) or (scene[0].role and len(lengths) > 1):
            raise ValueError(f"a scene of the roles {roles} with {sorted(lengths)} frames")

"""What an archive holds: clips, the facts they share, and the rules both must obey."""

from __future__ import annotations

import keyword
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from shapmix.layouts import Layout, LayoutError
from shapmix.suggest import composed

Keypoints = npt.NDArray[np.float32]

CHANNELS = ("xyz", "xy", "xyc")  # c: confidence of a detector

# Columns that every archive has; metadata columns cannot take these names.
BUILT_IN_COLUMNS = ("name", "label", "num_frames", "num_persons", "fps", "keypoints")


class ArchiveError(ValueError):
    """An archive, or what should become one, is not as it must be."""


class ClipError(ArchiveError):
    """One clip is unusable; the rest of its data set may be fine.

    Attributes:
        reason: a few words that are the same for all clips with this fault, to count them by.
        clip: name of the clip.
        detail: what was found and what was expected.
    """

    def __init__(self, reason: str, clip: str, detail: str) -> None:
        super().__init__(reason, clip, detail)  # all three, so that the error can be pickled
        self.reason, self.clip, self.detail = reason, clip, detail

    def __str__(self) -> str:
        return f"clip {self.clip!r}: {self.detail}"


@dataclass(frozen=True, eq=False)
class Clip:
    """One recorded sequence.

    Attributes:
        name: unique in its archive, where it and the texts of the metadata are kept in Unicode's
            composed form (NFC).
        label: class index, 0..K-1.
        keypoints: (T, M, V, C) float32: real frames only, present persons only, joints in the
            order of the layout; metres for 3D, pixels or normalised for 2D.
        fps: frames a second, None where unknown.
        metadata: such as subject, camera, setup, view, replication; the keys are identifiers, and
            all clips of an archive have the same ones with the same types. None where unknown.
    """

    name: str
    label: int
    keypoints: Keypoints
    fps: float | None = None
    metadata: Mapping[str, str | int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class ArchiveInfo:
    """What all clips of an archive share.

    Attributes:
        layout: the skeleton, V joints.
        class_names: K unique names in label order.
        channels: "xyz", "xy" or "xyc" (c: confidence); their number is C.
        units: of the coordinates, such as "m", "px", "normalised".
        source: the data set and where it comes from.
        version: of the data set or of its conversion.
        splits: protocol name -> (training expression, test expression) over the metadata, such as
            {"xview": ("view != 3", "view == 3")}; the first is the default.

    Raises:
        ArchiveError: when a value is of the wrong kind.
    """

    layout: Layout
    class_names: tuple[str, ...]
    channels: str = "xyz"
    units: str = "m"
    source: str = ""
    version: str = ""
    splits: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.layout, Layout):
            raise ArchiveError(f"layout is {self.layout!r}, expected a Layout")
        if self.channels not in CHANNELS:
            raise ArchiveError(f"channels are {self.channels!r}, expected one of {CHANNELS}")
        for label in ("units", "source", "version"):
            if not isinstance(getattr(self, label), str):
                raise ArchiveError(f"{label} is {getattr(self, label)!r}, expected text")
        names = self.class_names
        if not isinstance(names, tuple) or not names or not all(isinstance(n, str) for n in names):
            raise ArchiveError("class_names must be a tuple of at least one text")
        if not all(map(_is_storable, names)):
            raise ArchiveError("a class name holds characters that UTF-8 cannot store")
        if len(set(names)) != len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise ArchiveError(f"class name {twice!r} occurs twice; class names must be unique")
        for name, pair in self.splits.items():
            if not (isinstance(pair, tuple) and [type(p) for p in pair] == [str, str]):
                raise ArchiveError(
                    f"split {name!r} is {pair!r}, expected two texts: (training, test) expressions"
                )
        object.__setattr__(self, "splits", MappingProxyType(dict(self.splits)))

    def __reduce__(self) -> tuple[Any, ...]:  # a mapping proxy cannot be pickled
        return ArchiveInfo, (
            self.layout,
            self.class_names,
            self.channels,
            self.units,
            self.source,
            self.version,
            dict(self.splits),
        )

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.class_names)

    @property
    def joint_shape(self) -> tuple[int, int]:
        """(V, C)."""
        return self.layout.num_joints, len(self.channels)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "layout": self.layout.to_dict(),
            "class_names": list(self.class_names),
            "channels": self.channels,
            "units": self.units,
            "source": self.source,
            "version": self.version,
            "splits": {name: list(pair) for name, pair in self.splits.items()},
        }

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> ArchiveInfo:
        """Inverse of `to_dict`; ArchiveError when the dictionary is not of that form."""
        try:
            return cls(
                layout=Layout.from_dict(d["layout"]),
                class_names=tuple(d["class_names"]),
                channels=d["channels"],
                units=d["units"],
                source=d["source"],
                version=d["version"],
                splits={name: tuple(pair) for name, pair in d["splits"].items()},
            )
        except LayoutError as error:
            raise ArchiveError(f"the archive's layout is invalid: {error}") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise ArchiveError(f"the archive's description is incomplete: {error!r}") from error


def known(column: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """(N,) bool: of which clips a metadata column has a value.

    Args:
        column: (N,) as `Archive.metadata` has it: numbers, masked where unknown; or object holding
            text, "" where unknown.
    """
    if column.dtype == object:
        return np.array(column != "", dtype=np.bool_)
    return ~np.ma.getmaskarray(column)


def checked_clip(clip: Clip, info: ArchiveInfo) -> Clip:
    """`clip` with its own, contiguous float32 keypoints, once it is known to obey the rules.

    Its texts are in composed form then, so that names of files match names in lists.

    Raises:
        ClipError: naming the clip and, for a value that is not finite, the frame and the joint.
    """
    name = clip.name
    if not isinstance(name, str) or not name or not _is_storable(name):
        raise ClipError("bad name", str(name), "a clip's name must be non-empty text")
    label, num_classes = clip.label, info.num_classes
    if not _is_int(label) or not 0 <= label < num_classes:
        expected = f"an int from 0 to {num_classes - 1}"
        raise ClipError("label out of range", name, f"label is {label!r}, expected {expected}")
    fps = clip.fps
    if fps is not None and not (isinstance(fps, int | float) and math.isfinite(fps) and fps > 0):
        raise ClipError("bad fps", name, f"fps is {fps!r}, expected a positive number or None")
    _check_metadata(clip)
    keypoints = _checked_keypoints(name, clip.keypoints, info)
    metadata = {
        key: int(value) if _is_int(value) else composed(value) if isinstance(value, str) else None
        for key, value in clip.metadata.items()
    }
    return Clip(
        composed(name), int(label), keypoints, None if fps is None else float(fps), metadata
    )


def _checked_keypoints(name: str, keypoints: Any, info: ArchiveInfo) -> Keypoints:
    if not isinstance(keypoints, np.ndarray) or keypoints.dtype.kind != "f":
        found = getattr(keypoints, "dtype", type(keypoints).__name__)
        raise ClipError("wrong type", name, f"keypoints are {found}, expected an array of floats")
    V, C = info.joint_shape
    if keypoints.ndim != 4 or keypoints.shape[2:] != (V, C) or 0 in keypoints.shape:
        expected = f"(frames >= 1, persons >= 1, {V} joints, {C} channels {info.channels!r})"
        raise ClipError(
            "wrong shape", name, f"keypoints have shape {keypoints.shape}, expected {expected}"
        )
    with np.errstate(over="ignore"):  # what overflows float32 is caught as not finite
        own = np.array(keypoints, dtype=np.float32, order="C")
    finite = np.isfinite(own)
    if not finite.all():
        frame, person, joint, channel = np.argwhere(~finite)[0]
        where = f"frame {frame}, person {person}, joint {info.layout.joints[joint]!r} ({joint})"
        value = f"{info.channels[channel]} is {own[frame, person, joint, channel]}"
        detail = f"{value} at {where}; all coordinates must be finite"
        raise ClipError("not finite", name, detail)
    return own


def _check_metadata(clip: Clip) -> None:
    for key, value in clip.metadata.items():
        if not isinstance(key, str) or not key.isidentifier() or keyword.iskeyword(key):
            detail = f"metadata key {key!r} must be an identifier, such as 'subject'"
            raise ClipError("bad metadata", clip.name, detail)
        if key in BUILT_IN_COLUMNS:
            detail = f"metadata key {key!r} is the name of a built-in column; choose another"
            raise ClipError("bad metadata", clip.name, detail)
        text = isinstance(value, str) and _is_storable(value)
        if not (value is None or text or _is_int(value)):
            detail = f"metadata {key} is {value!r}, expected text, a 64-bit int or None"
            raise ClipError("bad metadata", clip.name, detail)


def _is_int(value: object) -> TypeGuard[int]:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        return False
    return -(2**63) <= int(value) < 2**63


def _is_storable(text: str) -> bool:
    """Whether `text` survives UTF-8 (lone surrogates do not)."""
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)

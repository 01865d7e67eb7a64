"""A skeleton's geometry: joints, bones, centre, parts and mirror pairs, checked when it is made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import index
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapmix.suggest import did_you_mean

MIN_PARTS, MAX_PARTS = 2, 8
_REQUIRED_KEYS = ("name", "joints", "bones", "center", "parts")
_OPTIONAL_KEYS = ("mirror", "source")


class LayoutError(ValueError):
    """A layout is malformed or unknown; the message names the joint, part or key at fault."""


@dataclass(frozen=True, eq=False)
class Layout:
    """One skeleton format. Immutable, picklable, and equal and hashable by value.

    Joints are numbered from 0 in the order of ``joints``; left and right are the person's own.
    The order of ``parts`` is kept and significant: a coalition is a bit mask along it.

    Attributes:
        name: short name, e.g. ``"ntu25"``.
        joints: V unique joint names, in the order of the data.
        bones: V - 1 pairs (child, parent) of joint indices, a tree rooted at ``center``; kept
            sorted by child.
        center: index of the root joint.
        parts: part name -> joint indices, kept sorted; 2 to 8 parts, every joint in exactly one.
        mirror: pairs (left, right) of joint indices that a left-right flip exchanges.
        source: where the joint order and the bones come from.

    Raises:
        LayoutError: when any of the above does not hold.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]
    center: int
    parts: Mapping[str, tuple[int, ...]]
    mirror: tuple[tuple[int, int], ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        parts = {part: tuple(sorted(map(index, joints))) for part, joints in self.parts.items()}
        normalised = {
            "joints": tuple(self.joints),
            "bones": tuple(sorted((index(child), index(parent)) for child, parent in self.bones)),
            "center": index(self.center),
            "parts": MappingProxyType(parts),
            "mirror": tuple((index(left), index(right)) for left, right in self.mirror),
        }
        for field, value in normalised.items():
            object.__setattr__(self, field, value)
        try:
            _check_names(self.joints)
            _check_indices(self)
            _check_tree(self)
            _check_parts(self)
            _check_mirror(self)
        except LayoutError as error:
            raise LayoutError(f"layout {self.name!r}: {error}") from None

    @property
    def num_joints(self) -> int:
        """V, the number of joints."""
        return len(self.joints)

    @property
    def num_parts(self) -> int:
        """P, the number of parts."""
        return len(self.parts)

    @property
    def part_names(self) -> tuple[str, ...]:
        """Names of the parts, in order."""
        return tuple(self.parts)

    @property
    def parents(self) -> tuple[int, ...]:
        """Parent of each joint, in joint order; the centre is its own parent."""
        parents = [self.center] * self.num_joints
        for child, parent in self.bones:
            parents[child] = parent
        return tuple(parents)

    def part_masks(self) -> NDArray[np.bool_]:
        """Which joints belong to which part: (P, V) bool, one True in each column."""
        masks = np.zeros((self.num_parts, self.num_joints), dtype=np.bool_)
        for row, members in enumerate(self.parts.values()):
            masks[row, list(members)] = True
        return masks

    def to_dict(self) -> dict[str, Any]:
        """The layout as plain lists and names, the form of a YAML file; see `from_dict`.

        Write it with its order kept (``yaml.safe_dump(..., sort_keys=False)``).
        """
        joints = self.joints
        return {
            "name": self.name,
            "joints": list(joints),
            "bones": [[joints[child], joints[parent]] for child, parent in self.bones],
            "center": joints[self.center],
            "parts": {part: [joints[j] for j in members] for part, members in self.parts.items()},
            "mirror": [[joints[left], joints[right]] for left, right in self.mirror],
            "source": self.source,
        }

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> "Layout":
        """Build a layout from names.

        Args:
            d: ``name``, ``joints`` (names), ``bones`` ([child, parent] names), ``center`` (name),
                ``parts`` (part name -> joint names); optionally ``mirror`` ([left, right] names)
                and ``source``.

        Raises:
            LayoutError: for a missing or unknown key, an unknown joint, or an invalid layout.
        """
        _check_keys(d)
        name = _text(d["name"], "name")
        try:
            fields = _indexed(d)
        except LayoutError as error:
            raise LayoutError(f"layout {name!r}: {error}") from None
        return cls(name=name, **fields)

    @classmethod
    def from_yaml(cls, path: str | Path) -> "Layout":
        """Read a layout from a YAML file with the keys of `from_dict`.

        Raises:
            LayoutError: when the file is missing, is no YAML, or holds an invalid layout.
            ImportError: when PyYAML is not installed.
        """
        try:
            import yaml
        except ImportError as error:
            raise ImportError(
                "reading a layout from YAML needs PyYAML: pip install pyyaml (or shapmix[train])"
            ) from error
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise LayoutError(f"cannot read the layout file {path}: {error.strerror}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise LayoutError(f"{path} is not a valid YAML file: {error}") from error
        try:
            return cls.from_dict(content)
        except LayoutError as error:
            raise LayoutError(f"{path}: {error}") from None

    def _key(self) -> tuple[Any, ...]:
        parts = tuple(self.parts.items())
        return (self.name, self.joints, self.bones, self.center, parts, self.mirror, self.source)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Layout) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple[Any, ...]:  # a mappingproxy cannot be pickled
        fields = (self.joints, self.bones, self.center, dict(self.parts), self.mirror, self.source)
        return (Layout, (self.name, *fields))


# --- validation of a built layout: indices are checked first, so that the rest may trust them ---


def _check_names(joints: tuple[str, ...]) -> None:
    for position, joint in enumerate(joints):
        if joint in joints[:position]:
            raise LayoutError(
                f"joint {joint!r} is listed twice, at positions {joints.index(joint)} and "
                f"{position}; joint names must be unique"
            )


def _check_indices(layout: Layout) -> None:
    V = layout.num_joints
    groups = {
        "center": (layout.center,),
        "bones": chain.from_iterable(layout.bones),
        "mirror": chain.from_iterable(layout.mirror),
        **{f"part {part!r}": members for part, members in layout.parts.items()},
    }
    for where, joints in groups.items():
        for joint in joints:
            if not 0 <= joint < V:
                raise LayoutError(f"{where} has joint {joint}; expected 0 to {V - 1} ({V} joints)")


def _check_tree(layout: Layout) -> None:
    names, center = layout.joints, layout.center
    parent_of: dict[int, int] = {}
    for child, parent in layout.bones:
        if child == center:
            raise LayoutError(
                f"the centre {names[child]!r} has the parent {names[parent]!r}; expected none, "
                "for the centre is the root of the tree"
            )
        if child in parent_of:
            raise LayoutError(
                f"joint {names[child]!r} has two bones, to the parents "
                f"{names[parent_of[child]]!r} and {names[parent]!r}; expected one"
            )
        parent_of[child] = parent
    for joint, name in enumerate(names):
        if joint != center and joint not in parent_of:
            raise LayoutError(
                f"joint {name!r} has no parent; every joint but the centre {names[center]!r} "
                "needs one bone [child, parent]"
            )
    for joint, name in enumerate(names):
        ancestor = joint
        for _ in names:
            ancestor = parent_of.get(ancestor, center)
        if ancestor != center:
            raise LayoutError(
                f"joint {name!r} is not connected to the centre {names[center]!r}; "
                f"its bones lead into a cycle through {names[ancestor]!r}"
            )


def _check_parts(layout: Layout) -> None:
    if not MIN_PARTS <= layout.num_parts <= MAX_PARTS:
        raise LayoutError(
            f"there are {layout.num_parts} parts; expected {MIN_PARTS} to {MAX_PARTS}"
        )
    part_of: dict[int, str] = {}
    for part, members in layout.parts.items():
        if not members:
            raise LayoutError(f"part {part!r} has no joints; give it some or remove it")
        for joint in members:
            if joint in part_of:
                raise LayoutError(
                    f"joint {layout.joints[joint]!r} is in part {part_of[joint]!r} and again in "
                    f"{part!r}; expected every joint in exactly one part"
                )
            part_of[joint] = part
    for joint, name in enumerate(layout.joints):
        if joint not in part_of:
            raise LayoutError(f"joint {name!r} is in no part; expected every joint in exactly one")


def _check_mirror(layout: Layout) -> None:
    joints = tuple(chain.from_iterable(layout.mirror))
    for joint in joints:
        if joints.count(joint) > 1:
            raise LayoutError(
                f"joint {layout.joints[joint]!r} appears more than once in mirror; "
                "expected pairs [left, right] of distinct joints, each joint in one at most"
            )


# --- the form with names: checked for shape and types, then turned into indices ---


def _check_keys(d: object) -> None:
    known = (*_REQUIRED_KEYS, *_OPTIONAL_KEYS)
    expected = f"expected a mapping with the keys {', '.join(known)}"
    if not isinstance(d, Mapping):
        raise LayoutError(f"a layout is {type(d).__name__}; {expected}")
    for key in d:
        if key not in known:
            hint = did_you_mean(str(key), known)
            raise LayoutError(f"a layout has the unknown key {key!r}{hint}; {expected}")
    for key in _REQUIRED_KEYS:
        if key not in d:
            raise LayoutError(f"a layout has no {key!r}; {expected}")


def _indexed(d: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `Layout` other than its name, with joint names turned into indices."""
    joints = tuple(_text(joint, "a joint name") for joint in _list(d["joints"], "joints"))
    position = {joint: number for number, joint in enumerate(joints)}

    def find(joint: object, where: str) -> int:
        word = _text(joint, f"a joint name in {where}")
        if word not in position:
            hint = did_you_mean(word, joints)
            raise LayoutError(f"{where} names the unknown joint {word!r}{hint}")
        return position[word]

    def find_all(names: object, where: str) -> tuple[int, ...]:
        return tuple(find(joint, where) for joint in _list(names, where))

    def find_pairs(field: str, meaning: str) -> tuple[tuple[int, ...], ...]:
        pairs = _list(d.get(field, ()), field)
        for pair in pairs:
            if len(_list(pair, f"an entry of {field}")) != 2:
                raise LayoutError(f"{field} has the entry {pair!r}; expected {meaning} names")
        return tuple(find_all(pair, field) for pair in pairs)

    if not isinstance(d["parts"], Mapping):
        raise LayoutError(f"parts is {d['parts']!r}; expected part name -> list of joint names")
    return {
        "joints": joints,
        "bones": find_pairs("bones", "[child, parent]"),
        "center": find(d["center"], "center"),
        "parts": {
            _text(part, "a part name"): find_all(members, f"part {part!r}")
            for part, members in d["parts"].items()
        },
        "mirror": find_pairs("mirror", "[left, right]"),
        "source": _text(d.get("source", ""), "source", may_be_empty=True),
    }


def _text(value: object, where: str, *, may_be_empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or may_be_empty):
        raise LayoutError(f"{where} is {value!r}; expected text (in YAML, put it in quotes)")
    return value


def _list(value: object, where: str) -> Sequence[Any]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise LayoutError(f"{where} is {value!r}; expected a list")
    return value

"""A layout from a hierarchy of named joints, such as a motion capture file brings along.

Parts are found by the words in the names: `LeftUpLeg`, `RHip`, `l_shoulder`, `Bip01 R Thigh`,
`lowerarm.L`. Where the names tell of no limbs, they are the branches of the hierarchy.
"""

import re
from collections.abc import Sequence

from shapmix.layouts.layout import Layout, LayoutError

PARTS = ("trunk", "right_arm", "left_arm", "right_leg", "left_leg")
WANTED_BRANCHES, MOST_BRANCHES = 4, 7  # beside the trunk

_SIDES = {"left": "left", "l": "left", "lft": "left", "right": "right", "r": "right", "rt": "right"}
_WORDS = {
    "trunk": "head neck spine chest torso trunk pelvis abdomen back root eye ear jaw face nose",
    "arm": "shoulder shldr collar clavicle arm forearm upperarm lowerarm uparm elbow wrist hand "
    "palm finger fingers thumb index middle ring pinky little humerus radius",
    "leg": "hip hips leg upleg lowleg upperleg lowerleg thigh knee shin calf ankle foot toe toes "
    "toebase heel femur tibia buttock",
}
_REGION = {word: region for region, words in _WORDS.items() for word in words.split()}


def layout_from_names(
    joints: Sequence[str], parents: Sequence[int], *, name: str = "own", source: str = ""
) -> Layout:
    """A layout whose bones are a hierarchy, with parts and mirror pairs from the names.

    Args:
        joints: V names, V >= 2.
        parents: parent of each joint, -1 for the one root, which becomes the centre; a parent
            comes before its children.
        name: of the layout.
        source: where the hierarchy comes from.

    Raises:
        LayoutError: names repeat, there is no tree, or there are too few joints for two parts.
    """
    if len(joints) < 2:
        raise LayoutError(f"there are {len(joints)} joints; expected at least 2, for two parts")
    return Layout(
        name=name,
        joints=tuple(joints),
        bones=tuple((child, parent) for child, parent in enumerate(parents) if parent >= 0),
        center=parents.index(-1) if -1 in parents else 0,
        parts=_parts_from_names(joints, parents) or _parts_from_branches(joints, parents),
        mirror=_mirror_pairs(joints),
        source=source,
    )


def side_and_words(joint: str) -> tuple[str, tuple[str, ...]]:
    """ "left", "right" or "", and the other words of a joint's name in lower case.

    `LeftUpLeg` -> ("left", ("up", "leg")); `lhip` -> ("left", ("hip",)).
    """
    side, words = "", []
    for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", joint):
        found, rest = _split_side(word.lower())
        side = side or found
        words += [rest] if rest else []
    return side, tuple(words)


def _split_side(word: str) -> tuple[str, str]:
    if word in _SIDES:
        return _SIDES[word], ""
    for prefix in ("left", "right"):
        if word.startswith(prefix):
            return prefix, word.removeprefix(prefix)
    if word[0] in "lr" and _REGION.get(word[1:]) in ("arm", "leg"):
        return _SIDES[word[0]], word[1:]
    return "", word


def _parts_from_names(
    joints: Sequence[str], parents: Sequence[int]
) -> dict[str, tuple[int, ...]] | None:
    """Trunk and limbs; a joint whose name says nothing is of its parent's part."""
    part_of: list[str] = []
    for joint, parent in zip(joints, parents, strict=True):
        side, words = side_and_words(joint)
        region = next((_REGION[word] for word in words if word in _REGION), "")
        inherited = part_of[parent] if 0 <= parent < len(part_of) else "trunk"
        if region == "trunk":
            part_of.append(region)
        else:
            part_of.append(f"{side}_{region}" if side and region else inherited)
    parts = {part: tuple(j for j, its in enumerate(part_of) if its == part) for part in PARTS}
    parts = {part: members for part, members in parts.items() if members}
    return parts if len(parts) > 2 else None


def _parts_from_branches(
    joints: Sequence[str], parents: Sequence[int]
) -> dict[str, tuple[int, ...]]:
    """Branches of the hierarchy, called after their first joints, and the rest after the root.

    The largest branch that forks is replaced by its own branches until there are four or more.
    """
    children: list[list[int]] = [[] for _ in joints]
    for child, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(child)
    members = [_below(joint, children) for joint in range(len(joints))]
    root = parents.index(-1) if -1 in parents else 0
    branches = _fork(root, children)
    while len(branches) < WANTED_BRANCHES:
        forking = [joint for joint in branches if len(_fork(joint, children)) > 1]
        if not forking:
            break
        largest = max(forking, key=lambda joint: len(members[joint]))
        branches = [*(b for b in branches if b != largest), *_fork(largest, children)]
    branches = sorted(branches, key=lambda joint: -len(members[joint]))[:MOST_BRANCHES]
    if not branches:  # one chain: its two halves
        chain = members[root]
        branches = chain[len(chain) // 2 :][:1]
    parts = {joints[joint]: tuple(members[joint]) for joint in sorted(branches)}
    taken = {joint for part in parts.values() for joint in part}
    rest = tuple(joint for joint in range(len(joints)) if joint not in taken)
    return {joints[root]: rest, **parts}


def _fork(joint: int, children: Sequence[Sequence[int]]) -> list[int]:
    """Children of the first joint from here on that has several; none in a chain."""
    while len(children[joint]) == 1:
        joint = children[joint][0]
    return list(children[joint])


def _below(joint: int, children: Sequence[Sequence[int]]) -> list[int]:
    """A joint and all below it."""
    found = [joint]
    for member in found:
        found += children[member]
    return found


def _mirror_pairs(joints: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Joints whose names differ in their side only."""
    sides: dict[tuple[str, ...], dict[str, list[int]]] = {}
    for number, joint in enumerate(joints):
        side, words = side_and_words(joint)
        sides.setdefault(words, {}).setdefault(side, []).append(number)
    pairs = [(its.get("left", []), its.get("right", [])) for its in sides.values()]
    return tuple((left[0], right[0]) for left, right in pairs if len(left) == len(right) == 1)

"""Which layout a user's skeleton has: the one named, or the only one of the catalog that fits.

Otherwise there is an error that says how to describe the skeleton.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from shapmix.data.importers.base import SourceError
from shapmix.layouts import CATALOG, Layout, LayoutError, get_layout
from shapmix.suggest import composed, did_you_mean


def named_layout(layout: str) -> Layout:
    """A catalog layout or a YAML file; SourceError for an unknown or invalid one."""
    try:
        return get_layout(layout)
    except LayoutError as error:
        raise SourceError(str(error)) from error


def layout_of_number(num_joints: int, layout: str | None, where: str) -> Layout:
    """The layout of skeletons of which only the number of joints is known.

    Args:
        layout: name or YAML file; None finds the only layout of the catalog with so many joints.
        where: what has these joints, for the error.

    Raises:
        SourceError: another number of joints, or none or several layouts of this number.
    """
    if layout is not None:
        chosen = named_layout(layout)
        if chosen.num_joints != num_joints:
            fitting = [name for name, its in CATALOG.items() if its.num_joints == num_joints]
            known = f" (with {num_joints} joints: {', '.join(fitting)})" if fitting else ""
            raise SourceError(
                f"{where} has {num_joints} joints, but the layout {chosen.name} has "
                f"{chosen.num_joints}{known}"
            )
        return chosen
    fitting = [name for name, its in CATALOG.items() if its.num_joints == num_joints]
    if len(fitting) == 1:
        return CATALOG[fitting[0]]
    if fitting:
        choice = " or ".join(f"--layout {name}" for name in fitting)
        raise SourceError(
            f"{where} has {num_joints} joints, as several layouts have; say which: {choice}, or "
            "--layout mine.yaml"
        )
    sizes = ", ".join(f"{name} ({its.num_joints})" for name, its in CATALOG.items())
    names = [f"joint{number}" for number in range(min(num_joints, 9))]
    raise SourceError(f"{where} has {num_joints} joints, as none of {sizes} has. {_how(names)}")


def layout_of_names(joints: Sequence[str], layout: str | None, where: str) -> Layout:
    """The layout of skeletons whose joints have names.

    Args:
        layout: name or YAML file; its joints must all occur, and further joints are left out.
            None finds the only layout of the catalog that has exactly these joints.
        where: what has these joints, for the error.

    Raises:
        SourceError: a joint of the layout does not occur; no layout or several fit.
    """
    found = {spelling(joint): joint for joint in joints}
    if layout is not None:
        chosen = named_layout(layout)
        for joint in chosen.joints:
            if spelling(joint) not in found:
                hint = nearest_joint(joint, joints)
                raise SourceError(
                    f"{where} has no joint {joint!r}{hint}, which the layout {chosen.name} has; "
                    f"its joints are {_listed(joints)}"
                )
        return chosen
    spelt = {name: {spelling(joint) for joint in its.joints} for name, its in CATALOG.items()}
    fitting = [name for name, its in spelt.items() if its == found.keys()]
    if len(fitting) == 1:
        return CATALOG[fitting[0]]
    if fitting:
        choice = " or ".join(f"--layout {name}" for name in fitting)
        raise SourceError(f"the joints of {where} fit several layouts; say which: {choice}")
    nearest = min(spelt, key=lambda name: len(spelt[name] ^ found.keys()))
    lacking = sorted(spelt[nearest] - found.keys())
    further = sorted(found[joint] for joint in found.keys() - spelt[nearest])
    near = ""
    if len(lacking) + len(further) <= len(found) // 2:
        differences = [f"lacks {_listed(lacking)}"] if lacking else []
        differences += [f"has {_listed(further)} in addition"] if further else []
        near = f"; the nearest is {nearest}, of which it {' and '.join(differences)}"
        if len(lacking) == len(further):  # so many joints are only spelt in another way
            raise SourceError(
                f"{where} has {len(joints)} joints, which are no layout of the catalog{near}. "
                "Spell them as it does, or describe the skeleton in a file: --layout mine.yaml"
            )
    raise SourceError(
        f"{where} has {len(joints)} joints, which are no layout of the catalog{near}. "
        f"{_how(sorted(joints))}"
    )


def spelling(joint: str) -> str:
    """A name in one spelling: `LeftShoulder`, `left shoulder` and `left_shoulder` are the same."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_a-zA-Z]+", composed(joint))
    return "_".join(words).lower() or joint


def nearest_joint(joint: str, joints: Sequence[str]) -> str:
    """The end of an error message: the joint that is spelt most like another, or nothing."""
    known = {spelling(other): other for other in joints}
    hint = did_you_mean(spelling(joint), known)
    return next((f" (did you mean {o!r}?)" for s, o in known.items() if f"{s!r}?" in hint), "")


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _how(joints: Sequence[str]) -> str:
    """How to describe a skeleton, with its own joints."""
    first, second = ([*joints, "joint1", "joint2"])[:2]
    return (
        "Describe the skeleton in a file mine.yaml and give --layout mine.yaml:\n"
        "  name: mine\n"
        f"  joints: [{_listed(joints)}]\n"
        f"  bones: [[{second}, {first}], ...]      # [child, parent]: all joints but the centre\n"
        f"  center: {first}\n"
        f"  parts: {{trunk: [{first}, ...], left_arm: [...], ...}}   # 2 to 8, each joint in one"
    )

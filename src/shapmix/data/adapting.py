"""From the joints, channels and units of a source to those that a model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shapmix.data.clip import ArchiveInfo, Keypoints
from shapmix.data.importers.user_layouts import nearest_joint, spelling
from shapmix.layouts import Layout
from shapmix.suggest import composed

METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}


class MismatchError(ValueError):
    """The clips of a source are not what a model was trained on."""


@dataclass(frozen=True)
class Adaptation:
    """What makes the clips of a source those of a model.

    Attributes:
        joints: of the source, in the order of the model's; None for all as they are.
        channels: those that are taken, the first ones of the source.
        factor: from the units of the source to the model's.
        notes: what is changed, a sentence each; empty where nothing is.
    """

    joints: tuple[int, ...] | None
    channels: str
    factor: float
    notes: tuple[str, ...]

    def __call__(self, keypoints: Keypoints) -> Keypoints:
        """`(T, M, V, C)` of the model, from one of the source."""
        chosen = keypoints if self.joints is None else keypoints[:, :, list(self.joints)]
        chosen = chosen[..., : len(self.channels)]
        if self.factor == 1.0:
            return chosen
        scaled = chosen.copy()
        scaled[..., : len(self.channels.removesuffix("c"))] *= np.float32(self.factor)
        return scaled


def find_adaptation(found: ArchiveInfo, layout: Layout, channels: str, units: str) -> Adaptation:
    """How clips of a source become those of a model with such a layout, channels and units.

    Joints are found by name, in whatever order and among whatever others; a confidence that the
    model does not use is left out; lengths are converted.

    Raises:
        MismatchError: a joint or a channel is missing, or the units have nothing to do with one
            another.
    """
    joints, about_joints = _joints(found.layout, layout)
    about_channels = _channels(found.channels, channels)
    factor, about_units = _factor(found.units, units)
    notes = [note for note in (about_joints, about_channels, about_units) if note]
    return Adaptation(joints, channels, factor, tuple(notes))


def matching_classes(found: Sequence[str], wanted: Sequence[str]) -> dict[str, int]:
    """Which class of a model those of a source are, by name: "DrinkWater" is "drink water"."""
    known = {form(name): k for form in (spelling, composed) for k, name in enumerate(wanted)}
    places = {name: known.get(composed(name), known.get(spelling(name))) for name in found}
    return {name: k for name, k in places.items() if k is not None}


def _joints(found: Layout, wanted: Layout) -> tuple[tuple[int, ...] | None, str]:
    if found.joints == wanted.joints:
        return None, ""
    places = {spelling(joint): number for number, joint in enumerate(found.joints)}
    missing = [joint for joint in wanted.joints if spelling(joint) not in places]
    if missing or len(places) != found.num_joints:
        raise MismatchError(_other_layout(found, wanted, missing))
    order = tuple(places[spelling(joint)] for joint in wanted.joints)
    if order == tuple(range(found.num_joints)):
        return None, ""  # the same joints, spelt in another way
    left_out = found.num_joints - len(order)
    note = f"joints are taken by name, in the order of the model's layout {wanted.name}"
    return order, note + (f"; {left_out} others are left out" if left_out else "")


def _other_layout(found: Layout, wanted: Layout, missing: list[str]) -> str:
    listed = ", ".join(missing[:6]) + (", ..." if len(missing) > 6 else "")
    text = (
        f"the source has the layout {found.name} with {found.num_joints} joints, the model was "
        f"trained on {wanted.name} with {wanted.num_joints}"
    )
    if not missing:
        return f"{text}, and two joints of the source have one name; rename one of them"
    text += f"; the source lacks {listed}{nearest_joint(missing[0], found.joints)}"
    if found.num_joints == wanted.num_joints:
        text += (
            f". If the joints are those of {wanted.name} in its order, name it by --layout (where "
            "the format has this option)"
        )
    return f"{text}. Give a source with the joints of {wanted.name}, or a model for {found.name}"


def _channels(found: str, wanted: str) -> str:
    if found == wanted:
        return ""
    if found == wanted + "c":
        return "the confidence of joints is left out, the model does not use it"
    raise MismatchError(
        f"the source has the channels {found}, the model was trained on {wanted}; give a source "
        f"with {', '.join(wanted.replace('c', ''))}{' and a confidence' * ('c' in wanted)} of each "
        "joint, or say what the values are by --channels (where the format has this option)"
    )


def _factor(found: str, wanted: str) -> tuple[float, str]:
    if found == wanted:
        return 1.0, ""
    if found in METRES and wanted in METRES:
        return METRES[found] / METRES[wanted], f"lengths are converted from {found} to {wanted}"
    raise MismatchError(
        f"the source is in {found}, the model was trained on {wanted}; convert the source, or, if "
        f"it is in {wanted}, say so by --units (where the format has this option)"
    )

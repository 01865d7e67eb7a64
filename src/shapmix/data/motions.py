"""Analytic motions of a jointed body: what the embedded data set performs, and on which parts.

A pose is one angle for each degree of freedom (`DOFS`); forward kinematics turns poses `(T, D)`
into joints `(T, V, 3)` of the ntu25 layout, in metres, with constant bone lengths. The body's axes
are its own left (x), up (y) and forward (z).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from shapmix.layouts import get_layout

Array = npt.NDArray[np.float64]
Curve = Literal["hold", "pulse"]

LAYOUT = get_layout("ntu25")
_JOINT = {name: index for index, name in enumerate(LAYOUT.joints)}
_X, _Y, _Z = 0, 1, 2


@dataclass(frozen=True)
class Dof:
    """A degree of freedom: a joint's rotation about one of its axes.

    Attributes:
        joint: index in the layout.
        axis: 0 left, 1 up, 2 forward.
        sign: turns an anatomical angle (flexion, abduction, outward twist) into a rotation.
        rest: degrees when standing.
        sway: degrees, typical size of motion that means nothing.
    """

    joint: int
    axis: int
    sign: int
    rest: float
    sway: float


def _make_dofs() -> dict[str, Dof]:
    spine, neck = _JOINT["spine_middle"], _JOINT["neck"]
    dofs = {
        "trunk_bend": Dof(spine, _X, +1, 3, 5),
        "trunk_lean": Dof(spine, _Z, +1, 0, 4),
        "trunk_twist": Dof(spine, _Y, +1, 0, 6),
        "head_bend": Dof(neck, _X, +1, 5, 8),
        "head_lean": Dof(neck, _Z, +1, 0, 6),
    }
    for side, out in (("left", +1), ("right", -1)):  # outward rotations are mirrored
        shoulder, elbow, hip, knee = (
            _JOINT[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "hip", "knee")
        )
        dofs |= {
            f"{side}_shoulder_flex": Dof(shoulder, _X, -1, 5, 12),
            f"{side}_shoulder_abduct": Dof(shoulder, _Z, out, 10, 8),
            f"{side}_shoulder_twist": Dof(shoulder, _Y, out, 0, 10),
            f"{side}_elbow_flex": Dof(elbow, _X, -1, 20, 15),
            f"{side}_hip_flex": Dof(hip, _X, -1, 3, 4),
            f"{side}_hip_abduct": Dof(hip, _Z, out, 4, 3),
            f"{side}_knee_flex": Dof(knee, _X, +1, 6, 6),
        }
    return dofs


DOFS: Mapping[str, Dof] = _make_dofs()
_DOF_INDEX = {name: index for index, name in enumerate(DOFS)}
REST: Array = np.array([dof.rest for dof in DOFS.values()], dtype=float)
SWAY: Array = np.array([dof.sway for dof in DOFS.values()], dtype=float)
PART_OF_DOF: Mapping[str, str] = {
    name: part
    for name, dof in DOFS.items()
    for part, joints in LAYOUT.parts.items()
    if dof.joint in joints
}

# Rest positions relative to the parent joint, in metres, of a person 1.7 m tall; left side.
_OFFSETS: dict[str, tuple[str, tuple[float, float, float]]] = {
    "spine_middle": ("spine_base", (0, 0.28, 0)),
    "spine_shoulder": ("spine_middle", (0, 0.24, 0)),
    "neck": ("spine_shoulder", (0, 0.08, 0)),
    "head": ("neck", (0, 0.14, 0.02)),
    "left_shoulder": ("spine_shoulder", (0.17, -0.04, 0)),
    "left_elbow": ("left_shoulder", (0, -0.27, 0)),
    "left_wrist": ("left_elbow", (0, -0.24, 0)),
    "left_hand": ("left_wrist", (0, -0.08, 0)),
    "left_hand_tip": ("left_hand", (0, -0.07, 0)),
    "left_thumb": ("left_hand", (0, -0.02, 0.05)),
    "left_hip": ("spine_base", (0.09, -0.06, 0)),
    "left_knee": ("left_hip", (0, -0.40, 0)),
    "left_ankle": ("left_knee", (0, -0.38, 0)),
    "left_foot": ("left_ankle", (0, -0.06, 0.13)),
}


def _make_tree() -> list[tuple[int, int, Array]]:
    """(joint, parent, offset) from the pelvis outwards, both sides."""
    tree = []
    for joint, (parent, offset) in _OFFSETS.items():
        tree.append((_JOINT[joint], _JOINT[parent], np.array(offset)))
        if joint.startswith("left_"):
            right, above = (_JOINT[name.replace("left_", "right_")] for name in (joint, parent))
            tree.append((right, above, np.array(offset) * (-1, 1, 1)))
    return tree


_TREE = _make_tree()


def forward_kinematics(poses: Array, proportions: Array | None = None) -> Array:
    """Joints of a body that stands on the floor (y = 0), its pelvis above the origin.

    Rotations of one joint apply about its own axes: up first, then left, then forward.

    Args:
        poses: `(T, D)` angles in degrees, in the order of `DOFS`.
        proportions: `(V,)` factor on the length of the bone that ends in each joint.

    Returns:
        `(T, V, 3)` metres.
    """
    T = len(poses)
    angles = np.zeros((T, LAYOUT.num_joints, 3))
    for dof, angle in zip(DOFS.values(), np.deg2rad(poses).T, strict=True):
        angles[:, dof.joint, dof.axis] += dof.sign * angle
    local = _rotations(angles)
    turned, joints = local.copy(), np.zeros((T, LAYOUT.num_joints, 3))
    for joint, parent, offset in _TREE:
        if proportions is not None:
            offset = offset * proportions[joint]
        joints[:, joint] = joints[:, parent] + turned[:, parent] @ offset
        turned[:, joint] = turned[:, parent] @ local[:, joint]
    joints[..., _Y] -= joints[..., _Y].min(axis=1, keepdims=True)
    return joints


def _rotations(angles: Array) -> Array:
    """`(..., 3)` angles in rad to `(..., 3, 3)`: `R = Rz Rx Ry`."""
    (a, b, c), (p, q, r) = (np.moveaxis(f(angles), -1, 0) for f in (np.cos, np.sin))
    rows = [
        [c * b - r * p * q, -r * a, c * q + r * p * b],
        [r * b + c * p * q, c * a, r * q - c * p * b],
        [-a * q, p, a * b],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


@dataclass(frozen=True)
class Move:
    """What a gesture does to one degree of freedom: `envelope * (hold + swing * sin(...))` degrees.

    Attributes:
        dof: a key of `DOFS`.
        hold: degrees away from rest.
        swing: amplitude in degrees of an oscillation around that.
        lag: of the oscillation, in cycles.
    """

    dof: str
    hold: float = 0.0
    swing: float = 0.0
    lag: float = 0.0


@dataclass(frozen=True)
class Action:
    """A class: the moves that define it; everything else a body does meanwhile means nothing.

    Attributes:
        actor: moves of the one who acts.
        partner: moves of the other, in an action of two persons.
        curve: how the gesture unfolds in its time window: "hold" goes there, stays and comes back;
            "pulse" does not stay.
        cycles: oscillations while it lasts.
    """

    actor: tuple[Move, ...]
    partner: tuple[Move, ...] | None = None
    curve: Curve = "hold"
    cycles: float = 0.0


def _both(*moves: Move) -> tuple[Move, ...]:
    """The moves of a left limb, and the same on the right."""
    right = (Move(m.dof.replace("left_", "right_"), m.hold, m.swing, m.lag) for m in moves)
    return (*moves, *right)


def _wave(side: str) -> Action:
    return Action(
        (
            Move(f"{side}_shoulder_abduct", 75),
            Move(f"{side}_shoulder_twist", 80),
            Move(f"{side}_elbow_flex", 60, swing=35),
        ),
        cycles=2.5,
    )


def _kick(side: str) -> Action:
    return Action(
        (Move(f"{side}_hip_flex", 75), Move(f"{side}_knee_flex", 10, swing=25)),
        curve="pulse",
        cycles=1,
    )


_REACH = (Move("right_shoulder_flex", 45), Move("right_elbow_flex", 25, swing=25))
_GREET = (Move("right_shoulder_flex", 110), Move("right_elbow_flex", 20))
_RECOIL = (Move("trunk_bend", -30), Move("head_bend", 15))
_STEP = 35  # degrees

# Easily confused classes (left and right, once and often, one kind of kick and another) are far
# apart in this order, which is that of the labels: in a long-tailed training set the frequent one
# of two draws the rare one to itself.
ACTIONS: Mapping[str, Action] = {
    "wave right hand": _wave("right"),
    "kick right": _kick("right"),
    "clap": Action(
        _both(
            Move("left_shoulder_flex", 60),
            Move("left_shoulder_abduct", -12, swing=18),
            Move("left_elbow_flex", 35),
        ),
        cycles=2.5,
    ),
    "raise left arm": Action((Move("left_shoulder_abduct", 120),)),
    "shake hands": Action(_REACH, _REACH, cycles=2.5),
    "drink": Action((Move("right_shoulder_flex", 45), Move("right_elbow_flex", 105))),
    "march": Action(
        (
            Move("left_hip_flex", _STEP, swing=_STEP),
            Move("left_knee_flex", _STEP, swing=_STEP),
            Move("right_hip_flex", _STEP, swing=_STEP, lag=0.5),
            Move("right_knee_flex", _STEP, swing=_STEP, lag=0.5),
        ),
        cycles=2.5,
    ),
    "bow": Action((Move("trunk_bend", 55), Move("head_bend", 15)), curve="pulse"),
    "push": Action(
        _both(Move("left_shoulder_flex", 75), Move("left_elbow_flex", 30, swing=30)),
        _RECOIL,
        curve="pulse",
        cycles=1,
    ),
    "lift left knee": Action((Move("left_hip_flex", 70), Move("left_knee_flex", 90))),
    "swing right leg": Action((Move("right_hip_abduct", 22, swing=22),), cycles=2.5),
    "hands up": Action(_both(Move("left_shoulder_abduct", 130), Move("left_elbow_flex", 10))),
    "kick partner": Action(
        (Move("right_hip_abduct", 55), Move("right_knee_flex", 20, swing=30)),
        _RECOIL,
        curve="pulse",
        cycles=1,
    ),
    "knee to elbow": Action(
        (
            Move("right_hip_flex", 70),
            Move("right_knee_flex", 80),
            Move("left_shoulder_flex", 50),
            Move("left_elbow_flex", 85),
        ),
        curve="pulse",
    ),
    "sway trunk": Action((Move("trunk_lean", 0, swing=30),), cycles=2),
    "kick left": _kick("left"),
    "punch right": Action(
        (Move("right_shoulder_flex", 80), Move("right_elbow_flex", 25, swing=45)),
        curve="pulse",
        cycles=1,
    ),
    "high five": Action(_GREET, _GREET, curve="pulse"),
    "jumping jack": Action(
        _both(Move("left_shoulder_abduct", 60, swing=60), Move("left_hip_abduct", 14, swing=14)),
        cycles=2,
    ),
    "wave left hand": _wave("left"),
}


def moved_parts(moves: tuple[Move, ...]) -> frozenset[str]:
    """The parts of the layout that some moves set in motion."""
    return frozenset(PART_OF_DOF[move.dof] for move in moves)


def gesture(
    action: Action, moves: tuple[Move, ...], time: Array, cycles: float, strength: float
) -> Array:
    """Angles that moves add to a pose: `(T, D)` degrees.

    Args:
        action: whose curve the moves follow.
        moves: the actor's, the partner's, or some of them.
        time: `(T,)`, 0 where the gesture begins and 1 where it ends; may lie outside.
        cycles: oscillations between 0 and 1.
        strength: factor on all angles.
    """
    u = np.clip(time, 0, 1)
    edge = {"hold": 0.2, "pulse": 0.5}[action.curve]  # share of the window for going there
    way = np.clip(np.minimum(u, 1 - u) / edge, 0, 1)
    envelope = way * way * (3 - 2 * way)  # no sudden start or end
    out = np.zeros((len(time), len(DOFS)))
    for move in moves:
        wave = np.sin(2 * np.pi * (cycles * u - move.lag))
        out[:, _DOF_INDEX[move.dof]] = strength * envelope * (move.hold + move.swing * wave)
    return out

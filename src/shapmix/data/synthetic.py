"""The embedded data set: twenty actions of which it is known which parts of the body define them.

A stand-in for NTU RGB+D where that cannot be had: 3D joints of the ntu25 layout in metres, one or
two persons, 20 subjects in 3 views, 30 frames a second. In every clip the parts that define its
class perform the class's gesture; all other parts sway and, often, make a weaker gesture of another
class, drawn without looking at the class. So it is known which parts are salient (`TRUE_PARTS`), as
in no recorded data set. Subjects differ in size, proportions, posture and vigour; clips in view,
tempo, timing and noise; joints jitter and jump, bodies vanish for some frames, bystanders stand by.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shapmix.data.archive import ArchiveInfo, ArchiveWriter, Clip
from shapmix.data.motions import (
    ACTIONS,
    DOFS,
    LAYOUT,
    PART_OF_DOF,
    REST,
    SWAY,
    Action,
    Array,
    Move,
    forward_kinematics,
    gesture,
    moved_parts,
)

CLASS_NAMES: tuple[str, ...] = tuple(ACTIONS)
TRUE_PARTS: Mapping[str, tuple[str, ...]] = {
    name: tuple(
        part
        for part in LAYOUT.part_names
        if part in moved_parts(action.actor + (action.partner or ()))
    )
    for name, action in ACTIONS.items()
}

NUM_SUBJECTS = 20
NUM_TRAIN_SUBJECTS = 15
MIN_FRAMES, MAX_FRAMES = 32, 90
VIEWS = (-40.0, 0.0, 40.0)  # degrees, of cameras 1, 2, 3
SPLITS = {
    "xsub": (f"subject <= {NUM_TRAIN_SUBJECTS}", f"subject > {NUM_TRAIN_SUBJECTS}"),
    "xview": ("view != 3", "view == 3"),
}

# How hard the set is.
BORROWED = 0.4  # probability that a part which means nothing makes another class's gesture,
BORROWED_STRENGTH = (0.2, 0.5)  # this strongly
STRENGTH = (0.7, 1.1)  # of a class's own gesture
BYSTANDER = 0.5  # probability of a second body in an action of one
JITTER = (0.006, 0.018)  # metres, standard deviation of a joint's position
JUMPS = 1.0  # expected number of joints that jump away for some frames
LOST = 0.15  # probability that a body vanishes for some frames


@dataclass(frozen=True)
class Subject:
    """A person: bone lengths `(V,)`, posture `(D,)` in degrees, vigour of all gestures."""

    proportions: Array
    posture: Array
    vigour: float


def write_synthetic(path: str | Path, *, clips_per_class: int = 80, seed: int = 0) -> None:
    """Write the embedded data set as an archive.

    Clip i of a class is performed by subject `i % 20 + 1`; subjects 16 to 20 are the test part of
    the default protocol "xsub" (a quarter of the clips); "xview" tests on camera 3.

    Args:
        path: of the archive, replaced if it exists.
        clips_per_class: clips of each of the 20 classes.
        seed: decides everything else; the same seed gives the same clips, and a clip does not
            depend on how many there are.

    Raises:
        ValueError: `clips_per_class` is less than 1.
    """
    if clips_per_class < 1:
        raise ValueError(f"clips_per_class is {clips_per_class}: give 1 or more")
    info = ArchiveInfo(
        layout=LAYOUT,
        class_names=CLASS_NAMES,
        source=f"shapmix synthetic actions, seed {seed}",
        version="1",
        splits=SPLITS,
    )
    with ArchiveWriter(path, info) as writer:
        for clip in generate_clips(clips_per_class, seed):
            writer.write(clip)


def generate_clips(clips_per_class: int, seed: int = 0) -> Iterator[Clip]:
    """The clips of `write_synthetic`, class by class."""
    subjects = [draw_subject(np.random.default_rng((seed, 0, s))) for s in range(NUM_SUBJECTS)]
    for label, name in enumerate(CLASS_NAMES):
        for number in range(clips_per_class):
            streams = np.random.default_rng((seed, 1, label, number)).spawn(3)
            replication, who = divmod(number, NUM_SUBJECTS)
            view = int(streams[0].integers(len(VIEWS)))
            scene = perform(ACTIONS[name], subjects, who, streams[0], streams[1], VIEWS[view])
            yield Clip(
                name=f"A{label + 1:02}S{who + 1:02}V{view + 1}R{replication + 1:02}",
                label=label,
                keypoints=disturb(scene, streams[2]).astype(np.float32),
                fps=30.0,
                metadata={"subject": who + 1, "view": view + 1, "replication": replication + 1},
            )


def draw_subject(rng: np.random.Generator) -> Subject:
    """A person at random; left and right limbs are alike."""
    size = rng.normal(1, 0.06)
    limbs = {part: rng.normal(1, 0.04) for part in ("trunk", "arm", "leg")}
    proportions = np.ones(LAYOUT.num_joints)
    for part, joints in LAYOUT.parts.items():
        proportions[list(joints)] = size * limbs[part.split("_")[-1]]
    return Subject(proportions, rng.normal(0, 0.4, len(DOFS)) * SWAY, rng.uniform(0.85, 1.15))


def perform(
    action: Action,
    subjects: list[Subject],
    who: int,
    scene: np.random.Generator,
    own: np.random.Generator,
    view: float,
) -> Array:
    """One clip without noise, as a camera sees it.

    Args:
        action: what is performed.
        subjects: all persons; a second one comes from the same side of the split by subject.
        who: index of the one who acts.
        scene: randomness of all that does not depend on the class.
        own: randomness of the class's gesture.
        view: degrees, direction from which the camera looks.

    Returns:
        `(T, M, V, 3)` metres: x to the camera's left, y up, z away from it; person 0 acts.
    """
    T = int(scene.integers(MIN_FRAMES, MAX_FRAMES + 1))
    train = who < NUM_TRAIN_SUBJECTS
    group = range(NUM_TRAIN_SUBJECTS) if train else range(NUM_TRAIN_SUBJECTS, len(subjects))
    other = int(scene.choice([i for i in group if i != who]))
    idle = [_idle(scene, T), _idle(scene, T)]
    facing, distance, turn = scene.normal(0, (20, 0.12, 15))
    alone = action.partner is None and scene.random() >= BYSTANDER

    timing = _timing(own, action, T)
    first = _body(subjects[who], idle[0], action, action.actor, timing, own)
    second = _body(subjects[other], idle[1], action, action.partner or (), timing, own)
    second = _turned(second, 180 + turn) + np.array([0, 0, 1.0 + distance])
    bodies = np.stack([first] if alone else [first, second], axis=1)
    seen: Array = _turned(bodies, 180 + view + facing) + np.array([0, -1.0, 3.2])
    return seen


def _body(
    person: Subject,
    idle: tuple[Array, dict[str, Array]],
    action: Action,
    moves: tuple[Move, ...],
    timing: tuple[Array, float],
    own: np.random.Generator,
) -> Array:
    """Joints `(T, V, 3)` of one person: what is meant, and in the other parts what is not."""
    sway, borrowed = idle
    busy = moved_parts(moves)
    pose = REST + person.posture + sway
    pose += gesture(action, moves, *timing, own.uniform(*STRENGTH) * person.vigour)
    for part, angles in borrowed.items():
        if part not in busy:
            pose += angles
    return forward_kinematics(pose, person.proportions)


def _idle(rng: np.random.Generator, T: int) -> tuple[Array, dict[str, Array]]:
    """What a body does without meaning: a sway `(T, D)`, and for some parts a borrowed gesture."""
    phase = 2 * np.pi * rng.random((2, len(DOFS)))
    turns = rng.uniform(0.2, 2.5, (2, len(DOFS)))  # over the clip
    size = SWAY * np.abs(rng.normal(0, 0.6, (2, len(DOFS))))
    time = np.linspace(0, 1, T)[:, None, None]
    sway = (size * np.sin(2 * np.pi * turns * time + phase)).sum(1)
    borrowed = {}
    for part in LAYOUT.part_names:
        action, moves = _REPERTOIRE[part][int(rng.integers(len(_REPERTOIRE[part])))]
        strength = rng.uniform(*BORROWED_STRENGTH) * (rng.random() < BORROWED)
        borrowed[part] = gesture(action, moves, *_timing(rng, action, T), strength)
    return sway, borrowed


def _timing(rng: np.random.Generator, action: Action, T: int) -> tuple[Array, float]:
    """When a gesture happens, as `gesture` wants it: its own time `(T,)`, and its cycles."""
    share = rng.uniform(0.45, 0.75) if action.curve == "pulse" else rng.uniform(0.6, 1.0)
    begin = rng.uniform(0, 1 - share)
    return (np.linspace(0, 1, T) - begin) / share, action.cycles * rng.uniform(0.75, 1.25)


def _make_repertoire() -> dict[str, list[tuple[Action, tuple[Move, ...]]]]:
    """For each part, what some class does with it."""
    found: dict[str, list[tuple[Action, tuple[Move, ...]]]] = {p: [] for p in LAYOUT.part_names}
    for action in ACTIONS.values():
        for part in LAYOUT.part_names:
            moves = tuple(m for m in action.actor if PART_OF_DOF[m.dof] == part)
            if moves:
                found[part].append((action, moves))
    return found


_REPERTOIRE = _make_repertoire()


def _turned(points: Array, degrees: float) -> Array:
    """Points `(..., 3)` turned about the upward axis."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turned: Array = points @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    return turned


def disturb(scene: Array, rng: np.random.Generator) -> Array:
    """What a depth sensor makes of a scene `(T, M, V, 3)`: jitter, jumping joints, lost bodies."""
    T, M, V, _ = scene.shape
    white = rng.normal(size=(T + 1, M, V, 3))
    out: Array = scene + rng.uniform(*JITTER) * (white[1:] + white[:-1]) / np.sqrt(2)
    for _ in range(rng.poisson(JUMPS)):
        start, person, joint = rng.integers((T, M, V))
        out[start : start + int(rng.integers(1, 5)), person, joint] += rng.normal(0, 0.15, 3)
    for person in range(M):
        if rng.random() < LOST:
            start = int(rng.integers(T))
            out[start : start + int(rng.integers(2, 7)), person] = 0
    return out

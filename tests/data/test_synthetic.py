"""The embedded data set: reproducible, physical, and true to what it says about its parts."""

from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest

from shapmix.data.archive import Archive
from shapmix.data.motions import (
    ACTIONS,
    DOFS,
    LAYOUT,
    PART_OF_DOF,
    REST,
    forward_kinematics,
    gesture,
    moved_parts,
)
from shapmix.data.synthetic import (
    CLASS_NAMES,
    MAX_FRAMES,
    MIN_FRAMES,
    NUM_SUBJECTS,
    TRUE_PARTS,
    disturb,
    draw_subject,
    generate_clips,
    perform,
    write_synthetic,
)

SUBJECTS = [draw_subject(np.random.default_rng((9, s))) for s in range(NUM_SUBJECTS)]
AT = LAYOUT.joints.index
SEEDS = range(6)


def scene(name: str, seed: int = 0, who: int = 3) -> np.ndarray:
    """A clip without noise; the same seed makes all that does not depend on the class the same."""
    rng, own = np.random.default_rng(seed), np.random.default_rng((seed, 1))
    return perform(ACTIONS[name], SUBJECTS, who, rng, own, view=0.0)


def actor(name: str, seed: int) -> np.ndarray:
    """`(T, V, 3)` of the one who acts."""
    return scene(name, seed)[:, 0]


def part_shape(x: np.ndarray, part: str) -> np.ndarray:
    """`(T, J, 4)`: distances of a part's joints to four joints of the segment that carries it.

    They depend on the angles of that part alone.
    """
    carrier = ["spine_shoulder", "neck"] if "arm" in part else ["spine_base", "spine_middle"]
    carrier += [f"{side}_{'shoulder' if 'arm' in part else 'hip'}" for side in ("left", "right")]
    joints = list(LAYOUT.parts[part])
    return np.linalg.norm(x[:, joints, None] - x[:, None, [AT(j) for j in carrier]], axis=-1)


def test_there_are_twenty_classes_of_known_parts() -> None:
    assert len(CLASS_NAMES) == 20
    assert sum(action.partner is not None for action in ACTIONS.values()) == 4
    assert set(TRUE_PARTS) == set(CLASS_NAMES)
    for name, parts in TRUE_PARTS.items():
        assert parts
        assert set(parts) <= set(LAYOUT.part_names), name
    assert TRUE_PARTS["wave right hand"] == ("right_arm",)
    assert set(TRUE_PARTS["knee to elbow"]) == {"right_leg", "left_arm"}
    assert set().union(*TRUE_PARTS.values()) == set(LAYOUT.part_names)


def test_the_archive_is_valid_and_its_subjects_are_apart(tmp_path: Path) -> None:
    write_synthetic(tmp_path / "a.arrow", clips_per_class=20, seed=3)
    archive = Archive(tmp_path / "a.arrow")
    archive.verify()
    assert archive.info.class_names == CLASS_NAMES
    assert archive.info.layout == LAYOUT
    assert np.bincount(archive.labels).tolist() == [20] * 20
    assert archive.num_frames.min() >= MIN_FRAMES
    assert archive.num_frames.max() <= MAX_FRAMES
    assert set(archive.num_persons) == {1, 2}
    assert next(iter(archive.info.splits)) == "xsub"
    subject = archive.metadata["subject"]
    for label in range(20):
        assert (archive.labels[subject > 15] == label).sum() == 5
    assert set(archive.metadata["view"]) == {1, 2, 3}
    two = [ACTIONS[name].partner is not None for name in CLASS_NAMES]
    assert (archive.num_persons[np.array(two)[archive.labels]] == 2).all()
    for i in range(len(archive)):
        assert archive.keypoints(i)[:, 0].any()  # person 0 is never lost throughout


def test_the_seed_decides_everything(tmp_path: Path) -> None:
    for name, seed, count in (("a", 5, 3), ("b", 5, 3), ("c", 6, 3)):
        write_synthetic(tmp_path / name, clips_per_class=count, seed=seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()
    more = {clip.name: clip.keypoints for clip in generate_clips(4, seed=5)}
    for clip in generate_clips(2, seed=5):
        np.testing.assert_array_equal(clip.keypoints, more[clip.name])
    with pytest.raises(ValueError, match="clips_per_class is 0"):
        write_synthetic(tmp_path / "d", clips_per_class=0)


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_bones_keep_their_lengths_and_feet_stay_on_the_floor(name: str) -> None:
    x = scene(name)
    for child, parent in LAYOUT.bones:
        length = np.linalg.norm(x[:, :, child] - x[:, :, parent], axis=-1)
        np.testing.assert_allclose(length, np.broadcast_to(length[0], length.shape), atol=1e-9)
    np.testing.assert_allclose(x[..., 1].min(-1), -1.0, atol=1e-9)


def test_forward_kinematics_knows_up_left_and_forward() -> None:
    def hand(**angles: float) -> np.ndarray:
        pose = np.zeros((1, len(DOFS)))
        for dof, angle in angles.items():
            pose[0, list(DOFS).index(dof)] = angle
        return forward_kinematics(pose)[0]

    rest = hand()
    forward = hand(right_shoulder_flex=90) - rest
    assert forward[AT("right_hand"), 2] == pytest.approx(0.59)
    side = hand(left_shoulder_abduct=90) - rest
    assert side[AT("left_hand"), 0] == pytest.approx(0.59)
    assert (hand(right_shoulder_abduct=90) - rest)[AT("right_hand"), 0] == pytest.approx(-0.59)
    assert (hand(trunk_bend=30) - rest)[AT("head"), 2] > 0.2
    assert (hand(left_hip_flex=60) - rest)[AT("left_ankle"), 2] > 0.5
    assert (hand(right_knee_flex=60) - rest)[AT("right_ankle"), 2] < -0.3
    lifted = hand(left_shoulder_abduct=90, left_shoulder_twist=90, left_elbow_flex=90)
    assert lifted[AT("left_hand"), 1] > lifted[AT("left_shoulder"), 1] + 0.3
    moved = np.abs(side).max(1) > 1e-9
    assert {LAYOUT.joints[j] for j in np.flatnonzero(moved)} == {
        "left_elbow", "left_wrist", "left_hand", "left_hand_tip", "left_thumb",
    }  # fmt: skip


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_gestures_move_the_true_parts_and_only_those(name: str) -> None:
    action = ACTIONS[name]
    time = np.linspace(-0.2, 1.2, 60)
    moving: set[str] = set()
    for moves in (action.actor, action.partner or ()):
        pose = REST + gesture(action, moves, time, cycles=action.cycles, strength=1.0)
        travelled = np.ptp(pose, axis=0)
        parts = {PART_OF_DOF[dof] for dof, size in zip(DOFS, travelled, strict=True) if size > 0}
        assert parts == moved_parts(moves)
        for part in parts:
            largest = max(s for d, s in zip(DOFS, travelled, strict=True) if PART_OF_DOF[d] == part)
            assert largest > 20, f"{name}: {part} hardly moves"
        moving |= parts
        steps = np.abs(np.diff(pose, axis=0)).max()
        assert steps < 40, "no joint jumps"
    assert moving == set(TRUE_PARTS[name])


def test_other_parts_do_not_look_at_the_class() -> None:
    """Same scene, other class: every part that is in neither's gesture moves exactly alike."""
    for seed, (one, two) in product(SEEDS, pairwise(CLASS_NAMES)):
        meant = moved_parts(ACTIONS[one].actor) | moved_parts(ACTIONS[two].actor)
        a, b = actor(one, seed), actor(two, seed)
        assert len(a) == len(b)
        for part in LAYOUT.part_names:
            if part not in meant:
                np.testing.assert_allclose(part_shape(a, part), part_shape(b, part), atol=1e-9)
            elif part in moved_parts(ACTIONS[one].actor):
                assert np.abs(part_shape(a, part) - part_shape(b, part)).max() > 0.01


def test_a_part_moves_more_where_it_means_something() -> None:
    energy = {
        (name, part): np.mean([part_shape(actor(name, s), part).var(0).sum() for s in SEEDS])
        for name, part in product(CLASS_NAMES, LAYOUT.part_names)
    }
    for name, part in energy:
        if part in moved_parts(ACTIONS[name].actor):
            idle = [
                energy[other, part]
                for other in CLASS_NAMES
                if part not in moved_parts(ACTIONS[other].actor)
            ]
            assert energy[name, part] > 1.5 * np.mean(idle), (name, part)


def test_noise_jitters_joints_and_loses_bodies_but_never_a_whole_clip() -> None:
    x = scene("clap")
    clips = [disturb(x, np.random.default_rng(seed)) for seed in range(60)]
    lost = [int((~c.any((2, 3))).sum()) for c in clips]
    assert 0 < np.mean(np.array(lost) > 0) < 0.5
    assert max(lost) < len(x) / 2
    for c in clips:
        there = c.any((2, 3))
        error = np.abs(c - x)[there]
        assert 0.003 < np.median(error) < 0.02
        assert c.shape == x.shape

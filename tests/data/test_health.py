"""Checks of a data set: each finds its fault, and nothing in sound data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from shapmix.data.archive import Archive, ArchiveInfo, ArchiveWriter, Clip
from shapmix.data.class_checks import gini_coefficient
from shapmix.data.duplicates import all_copies, check_copies, exact_copies, without_copies
from shapmix.data.findings import Case, Finding
from shapmix.data.health import CHECKS, Plan, check_plan, examine
from shapmix.data.importers import run_import
from shapmix.data.near_copies import near_and_altered
from shapmix.data.skeleton_fit import bone_ratio, check_layout, sample_poses
from shapmix.data.splits import make_split
from shapmix.data.survey import largest_step_window, survey
from shapmix.data.synthetic import generate_clips
from shapmix.layouts import Layout, get_layout

LAYOUT = get_layout("ntu25")
NAMES = ("walk", "sit", "fall")
SPLITS = {"xsub": ("subject <= 2", "subject > 2")}

SOUND: list[Clip] = [
    dataclasses.replace(
        clip,
        label=clip.label % len(NAMES),
        keypoints=clip.keypoints[clip.keypoints[:, 0].any((1, 2)), :1],  # frames that show someone
        metadata={"subject": number % 4 + 1},
    )
    for number, clip in enumerate(list(generate_clips(2, seed=7))[:36])
]


def write(path: Path, clips: Sequence[Clip], **facts: object) -> Archive:
    fields = {"layout": LAYOUT, "class_names": NAMES, "splits": SPLITS} | facts
    with ArchiveWriter(path, ArchiveInfo(**fields)) as writer:  # type: ignore[arg-type]
        for clip in clips:
            writer.write(clip)
    return Archive(path)


def changed(
    clips: Sequence[Clip], change: Callable[[np.ndarray], object], which: int
) -> list[Clip]:
    """The clips with one's keypoints changed in place."""
    out = list(clips)
    keypoints = out[which].keypoints.copy()
    change(keypoints)
    out[which] = dataclasses.replace(out[which], keypoints=keypoints)
    return out


def of_all(clips: Sequence[Clip], change: Callable[[np.ndarray], np.ndarray]) -> list[Clip]:
    return [dataclasses.replace(clip, keypoints=change(clip.keypoints)) for clip in clips]


def copy_of(clip: Clip, name: str, **changes: object) -> Clip:
    return dataclasses.replace(clip, name=name, **changes)  # type: ignore[arg-type]


def only(findings: Sequence[Finding], severity: str, words: str) -> Finding:
    """The one finding, which must be the only one."""
    assert [f.severity for f in findings] == [severity], findings
    assert words in findings[0].title
    assert findings[0].why
    assert findings[0].remedy
    return findings[0]


def having(findings: Sequence[Finding], words: str) -> Finding:
    found = [f for f in findings if words in f.title]
    assert len(found) == 1, [f.title for f in findings]
    return found[0]


@pytest.fixture
def find(tmp_path: Path) -> Callable[..., list[Finding]]:
    """The findings in an archive of these clips, with the default split if asked for."""

    def findings(clips: Sequence[Clip], *, split: bool = False, **facts: object) -> list[Finding]:
        archive = write(tmp_path / "test.arrow", clips, **facts)
        made = make_split(archive, val_fraction=0.3) if split else None
        return examine(archive, made)[1]

    return findings


# ---- what is measured


def test_survey_measures_what_was_built(tmp_path: Path) -> None:
    """A body of known size whose hand goes 3 cm a frame, and 50 cm once."""
    rest = sample_pose()
    T = 9
    x = np.repeat(rest[None, None], T, 0).repeat(2, 1).astype(np.float32)
    x[:, :, 7, 2] += 0.03 * np.arange(T)[:, None]
    x[5:, 0, 7, 2] += 0.5
    x[6:, 1] = 0
    x[2, 0, 10] = 0
    clips = [Clip("a", 0, x), Clip("b", 1, x[:1]), Clip("c", 1, x[[0, 1, 1, 1]])]
    s = survey(write(tmp_path / "t.arrow", clips, splits={}))
    extent = np.ptp(rest, axis=0).max()
    np.testing.assert_allclose(s.size, extent, rtol=0.1)
    np.testing.assert_allclose(s.largest_step, [0.53, 0, 0.03], atol=1e-6)
    np.testing.assert_allclose(s.usual_step, [0.03, 0, 0], atol=1e-6)
    assert s.repeated_end.tolist() == [0, 0, 2]
    assert s.bodies.tolist() == [9 + 6, 2, 8]
    assert s.missing.tolist() == [1, 0, 1 - 1]
    assert s.joint_missing.tolist() == [int(j == 10) for j in range(25)]
    assert s.empty_frames.tolist() == [0, 0, 0]
    assert s.finite.all()
    assert largest_step_window(x[:, 0], 3) == slice(4, 7)
    assert largest_step_window(x[:, 0], 9) == slice(None)


def sample_pose() -> np.ndarray:
    return SOUND[0].keypoints[0, 0]


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[int] = []
    survey(write(tmp_path / "t.arrow", SOUND), told.append)
    assert told[-1] == len(SOUND)


@pytest.mark.parametrize(
    ("counts", "expected"), [([5, 5, 5], 0), ([0, 0, 9], 2 / 3), ([1, 3], 0.25), ([7], 0)]
)
def test_gini_coefficient(counts: list[int], expected: float) -> None:
    mean = np.mean(counts)
    oracle = np.mean([abs(a - b) for a in counts for b in counts]) / (2 * mean)
    assert gini_coefficient(counts) == pytest.approx(expected)
    assert gini_coefficient(counts) == pytest.approx(oracle)
    assert np.isnan(gini_coefficient([0, 0]))


# ---- nothing in sound data


def test_sound_data_has_no_finding(find: Callable[..., list[Finding]]) -> None:
    assert find(SOUND, split=True) == []


@pytest.mark.parametrize(
    ("channels", "units"), [("xy", "m"), ("xyc", "m"), ("xy", "normalised"), ("xy", "px")]
)
def test_sound_flat_data_has_no_finding(
    find: Callable[..., list[Finding]], channels: str, units: str
) -> None:
    def flat(k: np.ndarray) -> np.ndarray:
        score = np.random.default_rng(0).uniform(0.1, 1, (*k.shape[:-1], 1)).astype(np.float32)
        k = k[..., :2] * (300 if units == "px" else 1)
        return np.concatenate([k, score], -1) if channels == "xyc" else k

    assert find(of_all(SOUND, flat), channels=channels, units=units) == []


# ---- single clips


def test_empty_clips_and_frames(find: Callable[..., list[Finding]]) -> None:
    clips = changed(SOUND, lambda k: k.fill(0), 1)
    found = only(find(clips), "warning", "1 clip shows nobody")
    assert found.clips == (SOUND[1].name,)
    found = only(find(of_all(SOUND, np.zeros_like)), "error", "all clips show nobody")
    assert len(found.clips) == len(SOUND)
    assert found.first_clips().endswith("and 32 more")
    most = [*of_all(SOUND[:30], np.zeros_like), *SOUND[30:]]
    assert having(find(most), "30 of 36 clips show nobody").severity == "error"
    found = having(find(changed(SOUND, lambda k: k[3:6].fill(0), 2)), "frames without anybody")
    assert (found.severity, found.clips) == ("note", (SOUND[2].name,))


def test_zero_confidence_is_nobody(find: Callable[..., list[Finding]]) -> None:
    def unscored(k: np.ndarray) -> np.ndarray:
        return np.concatenate([k[..., :2], np.zeros_like(k[..., :1])], -1)

    only(find(of_all(SOUND, unscored), channels="xyc"), "error", "all clips show nobody")


def test_one_frame_short_and_long(find: Callable[..., list[Finding]]) -> None:
    clips = list(SOUND)
    clips[0] = dataclasses.replace(clips[0], keypoints=clips[0].keypoints[:1])
    clips[1] = dataclasses.replace(clips[1], keypoints=clips[1].keypoints[:2])
    clips[2] = dataclasses.replace(
        clips[2], keypoints=np.concatenate([clips[2].keypoints, clips[2].keypoints[::-1]] * 12)
    )
    findings = find(clips)
    assert having(findings, "1 clip has one frame").clips == (SOUND[0].name,)
    assert having(findings, "fewer than").clips == (SOUND[1].name,)
    assert having(findings, "times as long").clips == (SOUND[2].name,)
    assert [f.severity for f in findings] == ["warning", "note", "note"]


def test_empty_frames_at_the_end_are_no_repetitions(find: Callable[..., list[Finding]]) -> None:
    only(find(changed(SOUND, lambda k: k[12:].fill(0), 2)), "warning", "frames without anybody")


def test_constant_and_padded_clips(find: Callable[..., list[Finding]]) -> None:
    def freeze(start: int) -> Callable[[np.ndarray], None]:
        def change(k: np.ndarray) -> None:
            k[start:] = k[start]

        return change

    found = only(find(changed(SOUND, freeze(0), 3)), "warning", "1 clip is constant")
    assert found.clips == (SOUND[3].name,)
    found = only(find(changed(SOUND, freeze(15), 3)), "warning", "repetitions of the last frame")
    assert found.clips == (SOUND[3].name,)
    assert find(changed(SOUND, freeze(-4), 3)) == []
    still = of_all(SOUND, lambda k: k[:1].repeat(20, 0))
    assert having(find(still), "all clips are constant").severity == "error"
    most = [*still[:20], *SOUND[20:]]
    assert having(find(most), "20 of 36 clips are constant").severity == "error"
    some = [*still[:18], *SOUND[18:]]
    assert having(find(some), "18 clips are constant").severity == "warning"


def test_a_joint_that_jumps(find: Callable[..., list[Finding]]) -> None:
    def jump(metres: float) -> Callable[[np.ndarray], None]:
        def change(k: np.ndarray) -> None:
            k[10, 0, 7] += metres

        return change

    found = only(find(changed(SOUND, jump(3.0), 4)), "warning", "in 1 clip a joint jumps")
    assert found.clips == (SOUND[4].name,)
    assert find(changed(SOUND, jump(0.3), 4)) == []


def test_jumps_in_most_clips_are_seen_too(find: Callable[..., list[Finding]]) -> None:
    def jump(k: np.ndarray) -> np.ndarray:
        k = k.copy()
        k[len(k) // 2, 0, 7] += 3
        return k

    few = [*of_all(SOUND[:14], jump), *SOUND[14:]]
    assert len(only(find(few), "warning", "in 14 clips a joint jumps").clips) == 14
    many = [*of_all(SOUND[:30], jump), *SOUND[30:]]
    found = only(find(many), "warning", "in 30 of 36 clips a joint jumps")
    assert "fault of the recording or of the import" in found.remedy


def test_not_finite(tmp_path: Path) -> None:
    """No archive can be written with NaN; the check is for those that other programs write."""
    archive = write(tmp_path / "t.arrow", SOUND)
    measured = survey(archive)
    measured.finite[5] = False
    findings = [f for check in CHECKS for f in check(Case(archive, measured))]
    assert only(findings, "error", "NaN or infinite").clips == (SOUND[5].name,)


def test_clips_of_another_scale(find: Callable[..., list[Finding]]) -> None:
    def millimetres(k: np.ndarray) -> None:
        k *= 1000

    found = only(find(changed(SOUND, millimetres, 6)), "warning", "mixed units: 1 clip has")
    assert "1000 times" in found.title
    assert found.clips == (SOUND[6].name,)
    half = [c if i % 2 else changed(SOUND, millimetres, i)[i] for i, c in enumerate(SOUND)]
    assert len(having(find(half), "mixed units").clips) == len(SOUND) // 2
    assert having(find(half), "mixed units").severity == "error"
    inches = changed(SOUND, lambda k: np.multiply(k, 39.37, out=k), 6)
    only(find(inches), "warning", "smaller or larger than usual")


@pytest.mark.parametrize("far", [1, 12])
def test_near_and_far_people_are_no_mixed_units(
    find: Callable[..., list[Finding]], far: float
) -> None:
    """A spread of sizes without a gap, however wide."""
    factors = np.geomspace(1, far, len(SOUND))
    clips = [
        dataclasses.replace(c, keypoints=c.keypoints[..., :2] * np.float32(60 * f))
        for c, f in zip(SOUND, factors, strict=True)
    ]
    assert find(clips, channels="xy", units="px") == []


def test_absurd_numbers_are_found_without_a_warning(find: Callable[..., list[Finding]]) -> None:
    def huge(k: np.ndarray) -> None:
        k *= np.float32(1e36)

    findings = find(changed(SOUND, huge, 6))
    assert having(findings, "smaller or larger than usual").clips == (SOUND[6].name,)


@pytest.mark.parametrize(
    ("factor", "units", "looks"),
    [
        (1000.0, "m", "'mm'"),
        (100.0, "m", "'cm'"),
        (1.0, "mm", "'m'"),
        (1.0, "m", None),
        (100.0, "cm", None),
        (1000.0, "steps", None),
    ],
)
def test_units(
    find: Callable[..., list[Finding]], factor: float, units: str, looks: str | None
) -> None:
    findings = find(of_all(SOUND, lambda k: k * factor), units=units)
    if looks is None:
        assert findings == []
    else:
        assert f"looks like {looks}" in only(findings, "warning", f"units are {units!r}").title


def test_flat_units(find: Callable[..., list[Finding]]) -> None:
    small = of_all(SOUND, lambda k: k[..., :2] / 3)
    found = only(find(small, channels="xy", units="px"), "warning", "units are 'px'")
    assert "'normalised'" in found.title
    large = of_all(SOUND, lambda k: k[..., :2] * 300)
    found = only(find(large, channels="xy", units="normalised"), "warning", "normalised")
    assert "'px'" in found.title


# ---- channels, joints, layout


def test_constant_channels(find: Callable[..., list[Finding]]) -> None:
    def flat(k: np.ndarray) -> np.ndarray:
        return k * np.float32([1, 1, 0])

    found = only(find(of_all(SOUND, flat)), "error", "coordinate z is 0")
    few = [*of_all(SOUND[:4], flat), *SOUND[4:]]
    found = only(find(few), "warning", "coordinate z is flat in 4 clips")
    assert found.clips == tuple(clip.name for clip in SOUND[:4])
    most = [*of_all(SOUND[:30], lambda k: k * np.float32([1, 1, 1e-6])), *SOUND[30:]]
    assert having(find(most), "coordinate z is flat in 30 of 36 clips").severity == "error"
    shallow = of_all(SOUND, lambda k: k * np.float32([1, 1, 0.1]))
    assert not any("flat" in f.title for f in find(shallow))

    def certain(k: np.ndarray) -> np.ndarray:
        return np.concatenate([k[..., :2], np.ones_like(k[..., :1])], -1)

    found = only(find(of_all(SOUND, certain), channels="xyc"), "note", "confidence")
    assert "every joint is 1" in found.title


def test_joints_that_are_always_zero(find: Callable[..., list[Finding]]) -> None:
    def without(joint: int) -> Callable[[np.ndarray], np.ndarray]:
        def change(k: np.ndarray) -> np.ndarray:
            k = k.copy()
            k[:, :, joint] = 0
            return k

        return change

    found = only(find(of_all(SOUND, without(3))), "warning", "1 joint is zero in all clips: head")
    found = only(find(of_all(SOUND, without(LAYOUT.center))), "error", "the centre of the layout")
    assert "centred" in found.why


def test_centred_data_is_sound(find: Callable[..., list[Finding]]) -> None:
    center = LAYOUT.center
    centred = of_all(SOUND, lambda k: k - k[:, :, center : center + 1])
    found = only(find(centred), "note", "already centred on this joint")
    assert LAYOUT.joints[center] in found.title
    flat = of_all(centred, lambda k: k[..., :2])
    only(find(flat, channels="xy"), "note", "already centred on this joint")
    scored = of_all(flat, lambda k: np.insert(k, 2, k[..., :2].any(-1), axis=-1))
    assert having(find(scored, channels="xyc"), "the centre of the layout").severity == "error"


def test_a_clip_that_lacks_most_joints(find: Callable[..., list[Finding]]) -> None:
    def mask(k: np.ndarray) -> None:
        k[:, :, 5:20] = 0

    found = only(find(changed(SOUND, mask, 7)), "warning", "more than 50% of the joints")
    assert found.clips == (SOUND[7].name,)


def test_joints_on_their_parents_and_stiff_joints(find: Callable[..., list[Finding]]) -> None:
    def glued(k: np.ndarray) -> np.ndarray:
        k = k.copy()
        k[:, :, 15] = k[:, :, 14]  # left foot on the left ankle
        k[:, :, 3] = k[:, :, 2] + np.float32([0, 0.25, 0])  # head on the neck
        return k

    findings = find(of_all(SOUND, glued))
    assert "left_foot (of left_ankle)" in having(findings, "in the place of").title
    assert "head (of neck)" in having(findings, "never moves relative").title
    assert [f.severity for f in findings] == ["warning", "warning"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("axes", ["xyz", "xy"])
def test_joints_in_a_wrong_order(find: Callable[..., list[Finding]], seed: int, axes: str) -> None:
    order = np.random.default_rng(seed).permutation(25)
    shuffled = of_all(SOUND, lambda k: k[:, :, order, : len(axes)])
    found = only(find(shuffled, channels=axes), "error", "do not lie as layout 'ntu25' says")
    assert "order of joints" in found.remedy


def exchanged(first: str, second: str) -> Callable[[np.ndarray], np.ndarray]:
    order = np.arange(25)
    pair = [LAYOUT.joints.index(first), LAYOUT.joints.index(second)]
    order[pair] = order[pair[::-1]]
    return lambda k: k[:, :, order]


@pytest.mark.parametrize(
    ("first", "second", "sign"),
    [
        ("left_elbow", "right_elbow", "if left_elbow and right_elbow changed places"),
        ("left_elbow", "left_wrist", "left and right differ in length"),
        ("head", "left_knee", "the longest: "),
    ],
)
def test_exchanged_joints_are_told(
    find: Callable[..., list[Finding]], first: str, second: str, sign: str
) -> None:
    found = only(find(of_all(SOUND, exchanged(first, second))), "warning", "may not lie as layout")
    assert sign in found.title
    turned = of_all(SOUND, lambda k: k[..., [2, 1, 0]] * np.float32([1, 1, -1]))
    assert find(turned) == []


def test_bone_ratio_is_the_oracle_s() -> None:
    """The shortest tree by trying all edges in order of length (Kruskal)."""
    rng = np.random.default_rng(5)
    points = rng.normal(size=(25, 3))
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    group = list(range(25))
    total = 0.0
    for i, j in sorted(np.ndindex(25, 25), key=lambda pair: distances[pair]):
        if group[i] != group[j]:
            total += distances[i, j]
            group = [group[i] if g == group[j] else g for g in group]
    assert len(set(group)) == 1
    bones = sum(distances[bone] for bone in LAYOUT.bones)
    seen = np.ones(25, dtype=bool)
    assert bone_ratio(LAYOUT, distances, seen) == pytest.approx(bones / total)


@pytest.mark.parametrize("name", ["kinect20", "utd20", "msr20"])
def test_another_layout_that_fits_is_suggested(nw_ucla: Archive, tmp_path: Path, name: str) -> None:
    """Real bodies: right as they are; with another order's name, the right one is found."""
    right = nw_ucla.info.layout
    clips = [nw_ucla.clip(i) for i in range(0, len(nw_ucla), 20)]
    info = dataclasses.replace(nw_ucla.info, layout=get_layout(name))
    path = tmp_path / "named.arrow"
    with ArchiveWriter(path, info) as writer:
        for clip in clips:
            writer.write(clip)
    archive = Archive(path)
    findings = list(check_layout(Case(archive, survey(archive))))
    if name == right.name:
        assert findings == []
    else:
        found = only(findings, "error", "fits better")
        assert "'kinect20'" in found.remedy


def test_bones_of_real_data_are_hardly_longer_than_they_must_be(nw_ucla: Archive) -> None:
    poses = sample_poses(nw_ucla)
    assert 1 <= bone_ratio(nw_ucla.info.layout, poses.distances(), poses.seen) < 1.5
    assert poses.most_usual().shape == (20, 3)


# ---- classes


def test_labels_off_by_one(find: Callable[..., list[Finding]]) -> None:
    shifted = [dataclasses.replace(clip, label=clip.label + 1) for clip in SOUND]
    names = ("none", *NAMES)
    found = only(find(shifted, class_names=names), "error", "the first class has no clip: either")
    assert "'none' is missing from the data" in found.title
    assert "clips of 'walk'" in found.remedy
    names = (*names, "jump")
    assert only(find(shifted, class_names=names), "error", "2 classes have").title.endswith(
        "'jump'"
    )
    only(find(SOUND, class_names=(*NAMES, "jump")), "error", "1 class has no clip: 'jump'")


def test_classes_named_by_numbers(find: Callable[..., list[Finding]]) -> None:
    only(find(SOUND, class_names=("walk", "sit", "2")), "warning", "named by a number")
    assert find(SOUND, class_names=("0", "1", "2")) == []


def test_class_names_that_differ_in_case(find: Callable[..., list[Finding]]) -> None:
    found = only(find(SOUND, class_names=("Walk", "sit", "walk ")), "warning", "upper and lower")
    assert "'Walk' = 'walk '" in found.title
    assert find(SOUND, class_names=("walk 1", "walk 2", "walk")) == []


def test_one_class(find: Callable[..., list[Finding]]) -> None:
    clips = [dataclasses.replace(clip, label=1) for clip in SOUND]
    only(find(clips), "error", "all clips are of one class, 'sit'")
    only(find(clips, class_names=("sit", "walk")), "error", "all clips are of one class")


def test_identical_classes(find: Callable[..., list[Finding]]) -> None:
    model = SOUND[2].keypoints
    clips = [
        dataclasses.replace(clip, keypoints=model) if clip.label == 2 else clip for clip in SOUND
    ]
    findings = find(clips)
    assert having(findings, "all clips of 1 class are identical: 'fall'").severity == "error"


def test_classes_that_a_part_lacks(find: Callable[..., list[Finding]]) -> None:
    clips = [
        dataclasses.replace(c, metadata={"subject": 1 if i < 12 else 2})
        for i, c in enumerate(SOUND)
    ]
    splits = {"p": ("label != 2 and subject == 2", "label != 1 and (label == 2 or subject == 1)")}
    findings = find(clips, splits=splits, split=True)
    assert having(findings, "no train clip: 'fall'").severity == "error"
    assert having(findings, "no test clip: 'sit'").severity == "warning"


def test_a_split_without_validation(tmp_path: Path) -> None:
    archive = write(tmp_path / "t.arrow", SOUND)
    findings = examine(archive, make_split(archive, val_fraction=0))[1]
    only(findings, "note", "no validation clip")


# ---- copies


def test_copies(find: Callable[..., list[Finding]]) -> None:
    clips = [*SOUND, copy_of(SOUND[0], "copy"), copy_of(SOUND[2], "wrong", label=0)]
    findings = find(clips)
    assert having(findings, "2 clips of one class are copies").clips == (f"{SOUND[0].name} = copy",)
    assert having(findings, "of different classes").clips == (f"{SOUND[2].name} = wrong",)
    assert {f.severity for f in findings} == {"warning"}


def test_near_copies(tmp_path: Path) -> None:
    """A shift and a little noise are seen through; a performance by another is another clip."""
    rng = np.random.default_rng(0)
    near, far = (
        SOUND[0].keypoints + rng.uniform(-size, size, SOUND[0].keypoints.shape) + [1, 0, -2]
        for size in (0.0005, 0.05)
    )
    clips = [
        *SOUND,
        copy_of(SOUND[0], "near", keypoints=near),
        copy_of(SOUND[0], "far", keypoints=far),
    ]
    archive = write(tmp_path / "t.arrow", clips)
    measured = survey(archive)
    assert exact_copies(measured) == []
    assert near_and_altered(archive, measured) == ([[0, len(SOUND)]], [])


@pytest.mark.parametrize(
    ("alter", "found"),
    [
        (lambda k: k[1:], True),
        (lambda k: k[:-1] + np.float32(2), True),
        (lambda k: k[1:-1], True),
        (lambda k: np.concatenate([k, k[-1:].repeat(12, 0)]), True),
        (lambda k: k.round(2), True),
        (lambda k: k + np.random.default_rng(0).normal(0, 0.003, k.shape), True),
        (lambda k: k[4:], False),
        (lambda k: k[::-1], False),
        (lambda k: k * np.float32([-1, 1, 1]), False),
        (lambda k: k * np.float32(1.1), False),
    ],
)
def test_altered_copies(
    tmp_path: Path, alter: Callable[[np.ndarray], np.ndarray], found: bool
) -> None:
    copies = [copy_of(c, f"copy {c.name}", keypoints=alter(c.keypoints)) for c in SOUND[:3]]
    archive = write(tmp_path / "t.arrow", [*SOUND, *copies])
    pairs = [[i, len(SOUND) + i] for i in range(3)] if found else []
    assert near_and_altered(archive, survey(archive)) == ([], pairs)
    parts = {"train": np.arange(18), "test": np.arange(18, len(archive))}
    findings = list(check_copies(Case(archive, survey(archive), parts)))
    if found:
        leak = having(findings, "altered copies of train clips")
        assert leak.severity == "warning"
        assert leak.clips[0] == f"{SOUND[0].name} = copy {SOUND[0].name}"
    rest = without_copies(parts["test"], parts["train"], all_copies(archive))
    parts["test"] = rest
    assert len(rest) == len(archive) - 18 - len(pairs)
    assert not list(check_copies(Case(archive, survey(archive), parts)))[found:]


def test_people_who_stand_still_are_no_copies(tmp_path: Path) -> None:
    """As far from one another as from themselves a moment later."""
    rng = np.random.default_rng(3)
    clips = [
        copy_of(SOUND[0], f"{i}", keypoints=sample_pose() + rng.normal(0, 0.003, (20, 1, 25, 3)))
        for i in range(4)
    ]
    archive = write(tmp_path / "t.arrow", clips)
    assert near_and_altered(archive, survey(archive)) == ([], [])


def test_copies_agree_with_comparing_all_pairs(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    clips = [
        copy_of(
            SOUND[i % 3],
            f"clip {i}",
            keypoints=SOUND[i % 3].keypoints[:20] * (1 + 0.0002 * rng.normal()),
        )
        for i in range(24)
    ]
    archive = write(tmp_path / "t.arrow", clips)
    measured = survey(archive)

    def near(i: int, j: int) -> bool:
        difference = np.float64(archive.keypoints(i)) - archive.keypoints(j)
        return bool((np.ptp(difference, axis=(0, 1, 2)) <= 2e-3 * measured.size[i]).all())

    oracle = [[i, j] for i in range(24) for j in range(i + 1, 24) if near(i, j)]
    assert oracle
    assert near_and_altered(archive, measured)[0] == oracle
    assert all_copies(archive) == [list(range(k, 24, 3)) for k in range(3)]


@pytest.mark.parametrize("noise", [0.0, 0.0002])
@pytest.mark.parametrize(
    ("one", "other", "severity"),
    [("train", "test", "error"), ("train", "val", "warning"), ("val", "test", "warning")],
)
def test_copies_across_a_split_are_leaks(
    tmp_path: Path, one: str, other: str, severity: str, noise: float
) -> None:
    copy = copy_of(SOUND[0], "copy", keypoints=SOUND[0].keypoints + np.float32(noise))
    archive = write(tmp_path / "t.arrow", [*SOUND, copy])
    parts = {"train": np.arange(1, 12), "val": np.arange(12, 24), "test": np.arange(24, 36)}
    case = Case(archive, survey(archive), parts)
    assert not any(" copies of train clips" in f.title for f in check_copies(case))
    case.parts[one][0], case.parts[other][0] = 0, len(SOUND)  # type: ignore[index]
    findings = list(check_copies(case))
    kind = "near copies" if noise else "copies"
    leak = having(findings, f"1 of {len(parts[other])} {other} clips are {kind} of {one} clips")
    assert leak.clips == (f"{SOUND[0].name} = copy",)
    assert leak.severity == severity


def test_names_that_differ_in_case(find: Callable[..., list[Finding]]) -> None:
    other = dataclasses.replace(SOUND[5], name=SOUND[0].name.lower(), metadata={"subject": 4})
    clips = [c for c in SOUND if c is not SOUND[5]] + [other]
    found = only(find(clips), "note", "differ in upper and lower case")
    assert found.clips == (f"{SOUND[0].name} = {other.name}",)
    found = having(find(clips, split=True), "between parts of the split")
    assert found.severity == "warning"


def test_the_same_persons_in_training_and_test(find: Callable[..., list[Finding]]) -> None:
    clips = [
        dataclasses.replace(c, metadata={"subject": 7, "view": i % 2}) for i, c in enumerate(SOUND)
    ]
    splits = {"xview": ("view == 0", "view == 1")}
    assert having(find(clips, splits=splits, split=True), "1 of 1 values").severity == "note"
    splits = {"halves": ("name < 'A10'", "name >= 'A10'")}
    findings = find(clips, splits=splits, split=True)
    assert having(findings, "1 of 1 values of 'subject'").severity == "warning"


# ---- a training configuration


def test_plan(tmp_path: Path) -> None:
    archive = write(
        tmp_path / "t.arrow",
        [copy_of(SOUND[0], "two", keypoints=SOUND[0].keypoints.repeat(2, 1)), *SOUND[1:]],
    )
    case = Case(archive, survey(archive), plan=Plan(64, None, 4, True))
    assert list(check_plan(case)) == []
    case = dataclasses.replace(case, plan=Plan(512, 1, 31, True))
    titles = [f.title for f in check_plan(case)]
    assert len(titles) == 3
    assert "1 clip has more, up to 2" in titles[0]
    assert "num_frames is 512" in titles[1]
    assert "5 of 36" in titles[2]
    case = dataclasses.replace(case, plan=Plan(64, 2, 31, False))
    assert list(check_plan(case)) == []


# ---- real data


@pytest.fixture(scope="module")
def nw_ucla(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    out = tmp_path_factory.mktemp("nw_ucla") / "nw_ucla.arrow"
    run_import("nw-ucla", real_data / "nw_ucla.zip", out)
    return Archive(out)


def test_real_data(nw_ucla: Archive) -> None:
    """One-frame clips are known; so are, now, the test clips that view 2 has too."""
    _, findings = examine(nw_ucla, make_split(nw_ucla, val_fraction=0))
    assert having(findings, "have one frame").clips == ("a02_s09_e04_v02", "a02_s09_e04_v03")
    assert not any("near copies" in f.title or "altered" in f.title for f in findings)
    assert not any("layout" in f.title or "flat" in f.title for f in findings)
    leak = having(findings, "95 of 464 test clips are copies of train clips")
    assert leak.severity == "error"
    assert leak.clips[0] == "a02_s01_e00_v02 = a02_s01_e00_v03"
    assert {name.partition("_")[0] for name in leak.clips} == {"a02", "a03"}
    jumps = having(findings, "a joint jumps")
    assert 1 <= len(jumps.clips) <= 20
    assert having(findings, "values of 'subject'").severity == "note"
    assert sum(f.severity == "error" for f in findings) == 1


def test_a_custom_layout_with_an_unseen_joint_is_measured_without_it(tmp_path: Path) -> None:
    """Bones of joints that are never seen do not count."""
    layout = Layout.from_dict(LAYOUT.to_dict() | {"name": "mine"})
    without = of_all(SOUND, lambda k: np.where(np.arange(25)[:, None] == 9, np.float32(0), k))
    archive = write(tmp_path / "t.arrow", without, layout=layout)
    poses = sample_poses(archive)
    assert np.flatnonzero(~poses.seen).tolist() == [9]
    assert 1 <= bone_ratio(layout, poses.distances(), poses.seen) < 1.5

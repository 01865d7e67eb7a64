"""Tables and pictures of explanations, made of plain values."""

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex
from PIL import Image
from rich.console import Console

from shapmix.layouts import get_layout
from shapmix.reporting.drawing import STRONG
from shapmix.reporting.explanation_pictures import (
    MOST_FRAMES,
    Pictured,
    animation,
    check_path,
    explanation_figure,
    joint_colours,
    overview_figure,
    write_overview,
    write_picture,
)
from shapmix.reporting.explanation_tables import (
    HALF,
    bar,
    best_coalitions,
    coalitions_table,
    interactions_table,
    overview_table,
    parts_table,
)
from shapmix.reporting.figures.paper import MINUS
from shapmix.reporting.paper_bodies import Stage, bodies_on_paper

LAYOUT = get_layout("kinect20")
PARTS = LAYOUT.part_names
VALUES = dict(zip(PARTS, (0.3, -0.4, 0.0, 0.1, 0.05), strict=True))


def entry(values=(0.3, -0.4, 0.0, 0.1, 0.05), error=None, clips=1, **more):
    total = sum(values)
    return {
        "clips": clips,
        "v_full": 0.1 + total,
        "v_empty": 0.1,
        "parts": [
            {"name": name, "joints": [], "value": value, "error": error}
            for name, value in zip(PARTS, values, strict=True)
        ],
        "coalitions": [
            {"parts": list(parts), "value": value, "error": error}
            for parts, value in (
                (PARTS[:1], 0.9),
                (PARTS[:2], 0.2),
                (PARTS[1:4], 0.35),
                (PARTS[2:4], -0.1),
                (PARTS, total),
            )
        ],
        "interactions": [
            {"parts": list(PARTS[:2]), "value": -0.05, "error": error},
            {"parts": list(PARTS[1:3]), "value": 0.02, "error": error},
        ],
        "efficiency": {"sum_of_parts": total, "v_full_minus_v_empty": total, "holds": True},
        **more,
    }


def printed(table):
    console = Console(width=100, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


# --- tables ---


@given(
    value=st.floats(-1, 1), error=st.none() | st.floats(0, 1), room=st.floats(0, 1), half=st.just(9)
)
def test_bars_start_at_zero_and_go_to_the_side_of_their_sign(value, error, room, half):
    most = max(abs(value) + (error or 0) + room, 1e-9)
    text = bar(value, error, most, half)
    left, right = text.split("│")
    assert len(left) == half
    assert len(right) <= half
    assert (right if value < 0 else left).strip() == ""
    drawn = (left[::-1] if value < 0 else right).rstrip()
    assert drawn.lstrip("█").lstrip("▒") == ""
    assert len(drawn) == pytest.approx(half * (abs(value) + (error or 0)) / most, abs=0.51)
    assert drawn.count("█") == pytest.approx(
        half * max(abs(value) - (error or 0), 0) / most, abs=0.51
    )


def test_the_parts_and_what_they_add_up_to():
    text = printed(parts_table("throw", entry()))
    assert "right arm −40.0 █" in " ".join(text.split())
    assert "█" * HALF + "│" in text
    assert "+5.0 points: the class's probability is 15.0 % with all and 10.0 % with none" in text
    assert "±" not in text
    text = printed(parts_table("throw", entry(error=0.012, clips=7)))
    assert "−40.0 ± 1.2" in text
    assert "its mean probability" in text
    broken = entry() | {"efficiency": {"sum_of_parts": 1.0, "holds": False}}
    assert "do not add up" in printed(parts_table("throw", broken))


def test_coalitions_of_half_the_parts_are_ranked():
    found = entry()
    assert [each["value"] for each in best_coalitions(found)] == [0.35, 0.2, -0.1]
    text = printed(coalitions_table(found))
    assert "2 or 3 parts, the best of 3" in text
    assert text.index("+35.0") < text.index("+20.0") < text.index("−10.0")


def test_pairs_are_told_apart():
    lines = printed(interactions_table(entry())).splitlines()
    assert any("trunk + right arm" in line and "make up" in line for line in lines)
    assert any("right arm + left arm" in line and "need" in line for line in lines)


def test_all_classes():
    classes = [
        entry(**{"class": "rare", "train_clips": 3}),
        entry(**{"class": "frequent", "train_clips": None}),
    ]
    text = printed(overview_table("all", classes))
    assert text.index("rare") < text.index("frequent")
    assert "n/a" in text


# --- bodies on paper ---


def test_bodies_on_paper():
    keypoints = np.arange(2 * 2 * 20 * 3, dtype=np.float32).reshape(2, 2, 20, 3) + 1
    keypoints[1, 0] = 0
    for up, sign, axis in (("y", 1, 1), ("-y", -1, 1), ("z", 1, 2)):
        found = bodies_on_paper(keypoints, up)
        assert np.isnan(found[1, 0]).all()
        np.testing.assert_array_equal(found[0, ..., 0], keypoints[0, ..., 0])
        np.testing.assert_array_equal(found[1, 1, :, 1], sign * keypoints[1, 1, :, axis])
    keypoints[0, 1, 5, 2] = 0
    scored = bodies_on_paper(keypoints, "-y", has_score=True)
    assert np.isnan(scored[0, 1, 5]).all()
    assert not np.isnan(scored[0, 1, :5]).any()


def moving(frames=20, persons=1):
    rng = np.random.default_rng(0)
    pose = rng.normal(0, 0.4, (LAYOUT.num_joints, 3))
    keypoints = np.empty((frames, persons, LAYOUT.num_joints, 3), dtype=np.float32)
    for t in range(frames):
        for m in range(persons):
            keypoints[t, m] = pose + np.array([m + 0.05 * t, 0.3 * np.sin(t / 3), 0])
    return keypoints


def pictured(keypoints=None, **changes):
    settings = {
        "title": "costs $5 and $6: 15.0 %",
        "subtitle": "a clip",
        "keypoints": moving() if keypoints is None else keypoints,
        "layout": LAYOUT,
        "up": "y",
        "has_score": False,
        "parts": VALUES,
        "errors": [0.02] * 5,
        "together": {"trunk + left_arm": 0.2, "right_arm + left_leg": -0.1},
    }
    return Pictured(**(settings | changes))


def test_the_stage_holds_the_bodies():
    axes = explanation_figure(pictured()).axes[0]
    bodies = bodies_on_paper(moving(40, 2), "y")
    stage = Stage.around(bodies, axes)
    placed = stage(bodies).reshape(-1, 2)
    inside = (placed > 0) & (placed < [axes.get_xlim()[1], axes.get_ylim()[1]])
    assert inside.all()
    ratios = np.ptp(placed, axis=0) / np.ptp(bodies.reshape(-1, 2), axis=0)
    assert ratios[0] == pytest.approx(ratios[1]), "bodies are stretched"
    nobody = Stage.around(np.full((3, 1, 20, 2), np.nan), axes)
    assert np.isfinite(nobody.middle).all()


# --- pictures ---


def test_joints_have_the_colours_of_their_parts():
    colours = joint_colours(pictured())
    named = {
        part: {to_hex(colours[joint]) for joint in joints} for part, joints in LAYOUT.parts.items()
    }
    assert all(len(of_part) == 1 for of_part in named.values())
    assert named["right_arm"] == {MINUS}
    (grey,) = named["left_arm"]
    assert np.ptp([int(grey[i : i + 2], 16) for i in (1, 3, 5)]) < 20
    full = joint_colours(pictured(parts=VALUES | {"trunk": 0.4}))
    assert to_hex(full[LAYOUT.parts["trunk"][0]]) == STRONG


def drawn(axes, kind):
    return [artist for artist in axes.collections if isinstance(artist, kind)]


def test_a_strip_shows_the_clip_in_colours():
    strip = explanation_figure(pictured()).axes[0]
    snapshots = drawn(strip, LineCollection)
    assert 2 <= len(snapshots) <= 8
    assert len(drawn(strip, PathCollection)) == len(snapshots), "a head each"
    expected = [to_hex(joint_colours(pictured())[child]) for child, _ in LAYOUT.bones]
    for snapshot in snapshots:
        assert [to_hex(colour) for colour in snapshot.get_colors()] == expected
    middles = [np.concatenate(each.get_segments())[:, 0].mean() for each in snapshots]
    assert middles == sorted(middles)


def test_absent_bodies_and_unseen_joints_are_not_drawn():
    keypoints = moving(10, 2)
    keypoints[:, 1] = 0
    keypoints[:, 0, :, 2] = 1
    unseen = LAYOUT.bones[3][0]
    keypoints[:, 0, unseen, 2] = 0
    strip = explanation_figure(pictured(keypoints, has_score=True)).axes[0]
    left_out = sum(unseen in bone for bone in LAYOUT.bones)
    for snapshot in drawn(strip, LineCollection):
        assert len(snapshot.get_segments()) == len(LAYOUT.bones) - left_out


def test_bars_have_their_lengths_and_errors():
    bars = explanation_figure(pictured()).axes[1]
    assert [patch.get_width() for patch in bars.patches] == pytest.approx(list(VALUES.values()))
    (spread,) = drawn(bars, LineCollection)
    ends = [segment[:, 0].tolist() for segment in spread.get_segments()]
    assert ends == pytest.approx(np.array([[v - 0.02, v + 0.02] for v in VALUES.values()]))
    none = explanation_figure(pictured(errors=[np.nan] * 5)).axes[1]
    assert drawn(none, LineCollection) == []
    assert [text.get_text() for text in bars.texts] == ["against", "for"]


@pytest.mark.parametrize("frames", [1, 7, MOST_FRAMES + 5])
def test_an_animation_has_the_speed_of_the_clip(tmp_path, frames):
    path = write_picture(tmp_path / "new" / "clip.gif", pictured(moving(frames), fps=25))
    step = -(-frames // MOST_FRAMES)
    with Image.open(path) as image:
        assert image.n_frames == -(-frames // step) <= MOST_FRAMES
        if frames > 1:
            assert image.info["duration"] == pytest.approx(1000 * step / 25, abs=10)
            assert image.info["loop"] == 0
    assert [each.name for each in path.parent.iterdir()] == ["clip.gif"]


def test_every_frame_shows_its_pose():
    frames = [np.asarray(image) for image in animation(pictured(moving(6)), 2)]
    assert len(frames) == 3
    assert all((one != other).any() for one, other in pairwise(frames))
    assert frames[0].shape == frames[1].shape


@pytest.mark.parametrize("ending", ["png", "svg", "pdf", "PNG"])
def test_pictures_are_written_whole(tmp_path, ending):
    path = write_picture(tmp_path / f"clip.{ending}", pictured(moving(5, 2)))
    assert path.stat().st_size > 1000
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    again = write_picture(tmp_path / f"again.{ending}", pictured(moving(5, 2)))
    assert path.read_bytes() == again.read_bytes()


def test_endings_that_are_not_known():
    with pytest.raises(ValueError, match=r"\.jpg.*expected \.png, \.svg, \.pdf, \.gif"):
        write_picture(Path("clip.jpg"), pictured())
    with pytest.raises(ValueError, match="only a clip or a class moves"):
        check_path(Path("all.gif"), moving=False)


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(ValueError, match=r"\(5, 20, 3\); expected \(T, M, 20, C\)"):
        pictured(moving(5)[:, 0])
    with pytest.raises(ValueError, match="expected one each of trunk"):
        pictured(parts={"trunk": 1.0})
    with pytest.raises(ValueError, match="4 errors"):
        pictured(errors=[0.1] * 4)


def test_nobody_is_drawn_as_nobody():
    axes = explanation_figure(pictured(np.zeros((4, 1, 20, 3), dtype=np.float32))).axes[0]
    assert all(len(each.get_segments()) == 0 for each in drawn(axes, LineCollection))


def test_the_overview_has_a_cell_for_each_class_and_part(tmp_path):
    values = np.random.default_rng(0).normal(0, 0.2, (7, 5))
    figure = overview_figure("all", values, [f"class {k}" for k in range(7)], PARTS)
    (axes,) = figure.axes
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array(), values)
    assert image.norm.vmin == -image.norm.vmax
    assert len(axes.texts) == 35
    path = write_overview(tmp_path / "all.png", "all", values.tolist(), ["c"] * 7, PARTS)
    assert path.exists()

"""From a source's joints, channels and units to a model's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapmix.data.adapting import MismatchError, find_adaptation, matching_classes
from shapmix.data.clip import ArchiveInfo
from shapmix.layouts import CATALOG, Layout

COCO, MEDIAPIPE = CATALOG["coco17"], CATALOG["mediapipe33"]


def described(layout: Layout, channels: str = "xyz", units: str = "m") -> ArchiveInfo:
    return ArchiveInfo(layout, ("a",), channels=channels, units=units)


def reordered(layout: Layout, order: list[int], rename=lambda joint: joint) -> Layout:
    """The same skeleton with its joints in another order."""
    place = {old: new for new, old in enumerate(order)}
    return Layout(
        name="other",
        joints=tuple(rename(layout.joints[old]) for old in order),
        bones=tuple((place[child], place[parent]) for child, parent in layout.bones),
        center=place[layout.center],
        parts={name: tuple(place[j] for j in its) for name, its in layout.parts.items()},
        mirror=tuple((place[a], place[b]) for a, b in layout.mirror),
    )


def clip(layout: Layout, channels: int = 3) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.normal(size=(4, 2, layout.num_joints, channels)).astype(np.float32)


def test_the_same_is_left_alone():
    adapt = find_adaptation(described(COCO), COCO, "xyz", "m")
    keypoints = clip(COCO)
    assert adapt.notes == ()
    np.testing.assert_array_equal(adapt(keypoints), keypoints)


@given(order=st.permutations(range(17)), spelt=st.booleans())
def test_joints_are_found_by_name_in_any_order_and_spelling(order, spelt):
    def rename(joint: str) -> str:
        return joint.replace("_", " ").title().replace(" ", "") if spelt else joint

    source = reordered(COCO, list(order), rename)
    keypoints = clip(source)
    adapt = find_adaptation(described(source), COCO, "xyz", "m")
    adapted = adapt(keypoints)
    for number, joint in enumerate(COCO.joints):
        its = source.joints.index(rename(joint))
        np.testing.assert_array_equal(adapted[:, :, number], keypoints[:, :, its])
    moved = list(order) != list(range(17))
    assert any("joints are taken by name" in note for note in adapt.notes) == moved


def test_other_joints_are_left_out_and_said():
    adapt = find_adaptation(described(MEDIAPIPE), COCO, "xyz", "m")
    assert adapt(clip(MEDIAPIPE)).shape == (4, 2, 17, 3)
    assert adapt.notes == (
        "joints are taken by name, in the order of the model's layout coco17; 16 others are left "
        "out",
    )


def test_confidence_is_left_out_and_lengths_are_converted():
    keypoints = clip(COCO)
    adapt = find_adaptation(described(COCO, "xyc", "px"), COCO, "xy", "px")
    np.testing.assert_array_equal(adapt(keypoints), keypoints[..., :2])
    assert "confidence" in adapt.notes[0]
    adapt = find_adaptation(described(COCO, "xyz", "cm"), COCO, "xyz", "m")
    np.testing.assert_allclose(adapt(keypoints), keypoints / 100, rtol=1e-6)
    assert adapt.notes == ("lengths are converted from cm to m",)
    adapt = find_adaptation(described(COCO, "xyc", "mm"), COCO, "xyc", "cm")
    np.testing.assert_allclose(adapt(keypoints)[..., :2], keypoints[..., :2] / 10, rtol=1e-6)
    np.testing.assert_array_equal(adapt(keypoints)[..., 2], keypoints[..., 2])


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (described(CATALOG["ntu25"]), "layout ntu25 with 25 joints, the model .* coco17 with 17"),
        (described(CATALOG["h36m17"]), "name it by --layout"),
        (described(COCO, "xy"), "channels xy, the model was trained on xyz"),
        (described(COCO, "xyz", "px"), "source is in px, the model was trained on m"),
        (described(COCO, "xyz", "inch"), "in inch"),
    ],
)
def test_what_does_not_fit_is_explained(info, message):
    with pytest.raises(MismatchError, match=message):
        find_adaptation(info, COCO, "xyz", "m")


def test_a_score_is_not_made_up():
    with pytest.raises(MismatchError, match="a source with x, y and a confidence"):
        find_adaptation(described(COCO, "xy", "px"), COCO, "xyc", "px")


def test_two_joints_of_one_name():
    names = tuple("Nose" if joint == "left_mouth" else joint for joint in MEDIAPIPE.joints)
    assert "Nose" in names
    source = dataclasses.replace(MEDIAPIPE, name="twice", joints=names)
    with pytest.raises(MismatchError, match="two joints of the source have one name"):
        find_adaptation(described(source), COCO, "xyz", "m")


def test_classes_match_by_name():
    wanted = ["drink water", "sit_down", "A", "a"]
    found = ["DrinkWater", "sit down", "a", "A", "jump", ""]
    expected = {"DrinkWater": 0, "sit down": 1, "a": 3, "A": 2}
    assert matching_classes(found, wanted) == expected

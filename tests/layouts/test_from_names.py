"""Layouts from hierarchies: sides and parts from names, or from branches."""

import pytest

from shapmix.layouts import LayoutError
from shapmix.layouts.from_names import layout_from_names, side_and_words


@pytest.mark.parametrize(
    ("joint", "side", "words"),
    [
        ("LeftUpLeg", "left", ("up", "leg")),
        ("RHip", "right", ("hip",)),
        ("l_shoulder", "left", ("shoulder",)),
        ("lhip", "left", ("hip",)),
        ("rShldr", "right", ("shldr",)),
        ("Bip01 R Thigh", "right", ("bip", "01", "thigh")),
        ("mixamorig:LeftHand", "left", ("mixamorig", "hand")),
        ("lowerarm.L", "left", ("lowerarm",)),
        ("rightfoot", "right", ("foot",)),
        ("Hips", "", ("hips",)),
        ("lower_back", "", ("lower", "back")),
        ("root", "", ("root",)),
    ],
)
def test_sides(joint: str, side: str, words: tuple[str, ...]) -> None:
    assert side_and_words(joint) == (side, words)


def test_parts_and_mirror_pairs_from_names() -> None:
    tree = {
        "Hips": "",
        "Spine": "Hips",
        "LeftArm": "Spine",
        "LeftHand": "LeftArm",
        "Ring1": "LeftHand",  # no side of its own: its parent's part
        "RightArm": "Spine",
        "RightHand": "RightArm",
        "Tail": "Hips",
        "LeftUpLeg": "Hips",
        "RightUpLeg": "Hips",
    }
    names = list(tree)
    parents = [names.index(parent) if parent else -1 for parent in tree.values()]
    layout = layout_from_names(names, parents, name="x")
    parts = {part: [names[j] for j in members] for part, members in layout.parts.items()}
    assert parts == {
        "trunk": ["Hips", "Spine", "Tail"],
        "right_arm": ["RightArm", "RightHand"],
        "left_arm": ["LeftArm", "LeftHand", "Ring1"],
        "right_leg": ["RightUpLeg"],
        "left_leg": ["LeftUpLeg"],
    }
    assert names[layout.center] == "Hips"
    assert {(names[a], names[b]) for a, b in layout.mirror} == {
        ("LeftArm", "RightArm"),
        ("LeftHand", "RightHand"),
        ("LeftUpLeg", "RightUpLeg"),
    }
    assert layout.bones == tuple((j, parents[j]) for j in range(1, 10))


def test_branches_where_names_tell_nothing() -> None:
    #      0 - 1 - 2, 3 - 4, 5; 0 - 6 - 7; 0 - 8
    parents = [-1, 0, 1, 1, 3, 1, 0, 6, 0]
    layout = layout_from_names([f"m{j}" for j in range(9)], parents)
    assert dict(layout.parts) == {
        "m0": (0, 1),
        "m2": (2,),
        "m3": (3, 4),
        "m5": (5,),
        "m6": (6, 7),
        "m8": (8,),
    }


def test_a_chain_has_two_halves_and_a_star_at_most_eight_parts() -> None:
    chain = layout_from_names(["a", "b", "c", "d"], [-1, 0, 1, 2])
    assert dict(chain.parts) == {"a": (0, 1), "c": (2, 3)}
    star = layout_from_names([f"s{j}" for j in range(20)], [-1] + [0] * 19)
    assert star.num_parts == 8
    fork = layout_from_names(["a", "b", "c"], [-1, 0, 0])
    assert fork.num_parts == 3


@pytest.mark.parametrize(
    ("joints", "parents"), [(["a"], [-1]), ([], []), (["a", "a"], [-1, 0]), (["a", "b"], [-1, -1])]
)
def test_no_layout(joints: list[str], parents: list[int]) -> None:
    with pytest.raises(LayoutError):
        layout_from_names(joints, parents)

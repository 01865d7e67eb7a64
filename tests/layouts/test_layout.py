"""A layout is checked when made, keeps its value through YAML and pickle, and is immutable."""

import copy
import pickle
import re
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shapmix.layouts import CATALOG, Layout, LayoutError, get_layout


def _five() -> dict[str, Any]:
    """A small valid layout in its YAML form."""
    return {
        "name": "five",
        "joints": ["hub", "left_hand", "right_hand", "left_foot", "right_foot"],
        "bones": [
            ["left_hand", "hub"],
            ["right_hand", "hub"],
            ["left_foot", "hub"],
            ["right_foot", "left_foot"],
        ],
        "center": "hub",
        "parts": {"top": ["hub", "left_hand", "right_hand"], "feet": ["left_foot", "right_foot"]},
        "mirror": [["left_hand", "right_hand"], ["left_foot", "right_foot"]],
        "source": "a test",
    }


@st.composite
def _layouts(draw: st.DrawFn, names: st.SearchStrategy[str] | None = None) -> Layout:
    """A random tree, its joints in random order, with 2 to 8 parts."""
    num_parts = draw(st.integers(2, 8))
    V = draw(st.integers(num_parts, 24))
    order = draw(st.permutations(range(V)))
    bones = [(order[i], order[draw(st.integers(0, i - 1))]) for i in range(1, V)]
    members = draw(st.permutations(range(V)))
    cuts = draw(st.sets(st.integers(1, V - 1), min_size=num_parts - 1, max_size=num_parts - 1))
    edges = [0, *sorted(cuts), V]
    if names is None:
        joints = [f"joint{i}" for i in range(V)]
    else:
        joints = draw(st.lists(names, min_size=V, max_size=V, unique=True))
    pairs = draw(st.integers(0, V // 2))
    return Layout(
        name="random",
        joints=tuple(joints),
        bones=tuple(bones),
        center=order[0],
        parts={
            f"part{i}": tuple(members[start:end]) for i, (start, end) in enumerate(pairwise(edges))
        },
        mirror=tuple(zip(order[:pairs], order[pairs : 2 * pairs], strict=True)),
        source="hypothesis",
    )


# --- values ---


def test_geometry_of_a_small_layout() -> None:
    layout = Layout.from_dict(_five())
    assert (layout.num_joints, layout.num_parts) == (5, 2)
    assert layout.part_names == ("top", "feet")
    assert layout.center == 0
    assert layout.bones == ((1, 0), (2, 0), (3, 0), (4, 3))
    assert layout.parents == (0, 0, 0, 0, 3)
    assert layout.mirror == ((1, 2), (3, 4))
    masks = layout.part_masks()
    assert masks.dtype == np.bool_
    np.testing.assert_array_equal(masks, [[1, 1, 1, 0, 0], [0, 0, 0, 1, 1]])


def test_mirror_and_source_are_optional() -> None:
    content = _five()
    del content["mirror"], content["source"]
    layout = Layout.from_dict(content)
    assert layout.mirror == ()
    assert layout.source == ""


@given(_layouts())
def test_random_trees_are_valid_and_masks_partition(layout: Layout) -> None:
    masks = layout.part_masks()
    assert masks.shape == (layout.num_parts, layout.num_joints)
    np.testing.assert_array_equal(masks.sum(axis=0), 1)
    assert masks.any(axis=1).all()
    assert layout.parents[layout.center] == layout.center
    assert all(layout.parents[child] == parent for child, parent in layout.bones)


@settings(max_examples=50)
@given(layout=_layouts(names=st.text(st.characters(codec="utf-8"), min_size=1)))
def test_yaml_round_trip(tmp_path_factory: pytest.TempPathFactory, layout: Layout) -> None:
    path = tmp_path_factory.getbasetemp() / "layout.yaml"
    path.write_text(yaml.safe_dump(layout.to_dict(), sort_keys=False), encoding="utf-8")
    again = Layout.from_yaml(path)
    assert again == layout
    assert again.part_names == layout.part_names


@given(_layouts())
def test_equal_and_hashable_by_value(layout: Layout) -> None:
    for again in (pickle.loads(pickle.dumps(layout)), copy.deepcopy(layout), replace(layout)):
        assert again == layout
        assert hash(again) == hash(layout)
    assert replace(layout, source="elsewhere") != layout


def test_order_of_parts_is_part_of_the_value_and_order_of_bones_is_not() -> None:
    layout = Layout.from_dict(_five())
    assert replace(layout, parts=dict(list(layout.parts.items())[::-1])) != layout
    assert replace(layout, bones=layout.bones[::-1]) == layout
    assert layout != "five"


def test_immutable() -> None:
    parts = {"a": [0], "b": [1]}
    layout = Layout("two", ("x", "y"), ((1, 0),), 0, parts)  # type: ignore[arg-type]
    parts["a"].append(1)
    assert layout.parts == {"a": (0,), "b": (1,)}
    with pytest.raises(FrozenInstanceError):
        layout.center = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        layout.parts["a"] = (0, 1)  # type: ignore[index]


# --- corruptions: each is refused with an error that names the joint ---


def _refused(content: dict[str, Any], *joints: str) -> None:
    """Building fails, and the message quotes at least one of the joints."""
    with pytest.raises(LayoutError, match="|".join(re.escape(repr(joint)) for joint in joints)):
        Layout.from_dict(content)


def _below(layout: Layout, joint: int) -> list[int]:
    """The joint and its descendants."""
    children = [child for child, parent in layout.bones if parent == joint]
    return [joint, *(below for child in children for below in _below(layout, child))]


@given(_layouts(), st.data())
def test_a_corrupted_tree_names_the_joint(layout: Layout, data: st.DataObject) -> None:
    content = layout.to_dict()
    child, parent = data.draw(st.sampled_from(layout.bones))
    name, other = layout.joints[child], layout.joints[parent]
    at = layout.bones.index((child, parent))
    match data.draw(st.sampled_from(["missing", "second parent", "root", "cycle", "unknown"])):
        case "missing":
            del content["bones"][at]
            _refused(content, name)
        case "second parent":
            content["bones"].append([name, data.draw(st.sampled_from(layout.joints))])
            _refused(content, name)
        case "root":
            content["bones"].append([content["center"], other])
            _refused(content, content["center"])
        case "cycle":
            below = [layout.joints[joint] for joint in _below(layout, child)]
            content["bones"][at] = [name, data.draw(st.sampled_from(below))]
            _refused(content, *below)
        case "unknown":
            content["bones"][at] = [name, "tail"]
            _refused(content, "tail")


@given(_layouts(), st.data())
def test_corrupted_parts_name_the_joint(layout: Layout, data: st.DataObject) -> None:
    content = layout.to_dict()
    part = data.draw(st.sampled_from(layout.part_names))
    members = content["parts"][part]
    joint = data.draw(st.sampled_from(members))
    match data.draw(st.sampled_from(["in none", "in two", "twice in one", "unknown"])):
        case "in none":
            assume(len(members) > 1)
            members.remove(joint)
            _refused(content, joint)
        case "in two":
            others = [other for other in layout.part_names if other != part]
            content["parts"][data.draw(st.sampled_from(others))].append(joint)
            _refused(content, joint)
        case "twice in one":
            members.append(joint)
            _refused(content, joint)
        case "unknown":
            members.append("tail")
            _refused(content, "tail")


@given(_layouts(), st.data())
def test_corrupted_names_and_mirror_name_the_joint(layout: Layout, data: st.DataObject) -> None:
    content = layout.to_dict()
    joint = data.draw(st.sampled_from(layout.joints))
    match data.draw(st.sampled_from(["twice", "self mirror", "two mirrors", "center"])):
        case "twice":
            content["joints"].append(joint)
            _refused(content, joint)
        case "self mirror":
            content["mirror"] = [[joint, joint]]
            _refused(content, joint)
        case "two mirrors":
            assume(layout.mirror)
            content["mirror"].append(content["mirror"][0])
            _refused(content, *content["mirror"][0])
        case "center":
            content["center"] = joint + "?"
            _refused(content, joint + "?")


def _edited(**changes: Any) -> dict[str, Any]:
    return _five() | changes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_edited(centre="hub"), r"unknown key 'centre' \(did you mean 'center'\?\)"),
        (_edited(colour="red"), r"unknown key 'colour'; expected .* name, joints, bones"),
        ({key: value for key, value in _five().items() if key != "bones"}, "has no 'bones'"),
        (["hub"], "a layout is list; expected a mapping"),
        (None, "a layout is NoneType; expected a mapping"),
        (_edited(name=""), "name is ''; expected text"),
        (_edited(name=5), "name is 5; expected text"),
        (_edited(joints=["hub", True]), "a joint name is True; expected text .*quotes"),
        (_edited(joints="hub"), "joints is 'hub'; expected a list"),
        (_edited(joints=None), "joints is None; expected a list"),
        (_edited(center="hubb"), r"center names the unknown joint 'hubb' \(did you mean 'hub'\?\)"),
        (_edited(bones=[["left_hand"]]), r"bones has the entry \['left_hand'\]; expected \[child"),
        (_edited(bones=["ab"]), "an entry of bones is 'ab'; expected a list"),
        (_edited(bones=[["left_hand", 3]]), "a joint name in bones is 3; expected text"),
        (_edited(mirror=[["hub"] * 3]), r"mirror has the entry .* expected \[left, right\]"),
        (_edited(parts=["hub"]), r"parts is \['hub'\]; expected part name"),
        (_edited(parts={1: ["hub"]}), "a part name is 1; expected text"),
        (_edited(parts=_five()["parts"] | {"tail": []}), "part 'tail' has no joints"),
        (_edited(parts={"all": _five()["joints"]}), "there are 1 parts; expected 2 to 8"),
        (_edited(parts={f"{i}": ["hub"] for i in range(9)}), "there are 9 parts; expected 2 to 8"),
        (_edited(source=3), "source is 3; expected text"),
    ],
)
def test_malformed_content_says_what_was_found_and_expected(content: Any, message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        Layout.from_dict(content)


def test_an_error_names_its_layout_once() -> None:
    with pytest.raises(LayoutError, match=r"^layout 'five': center names"):
        Layout.from_dict(_edited(center="nowhere"))
    with pytest.raises(LayoutError, match=r"^layout 'five': joint 'hub' is in no part"):
        Layout.from_dict(_edited(parts={"a": ["left_hand", "right_hand"], "b": ["left_foot"]}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"center": 5}, r"center has joint 5; expected 0 to 4 \(5 joints\)"),
        ({"bones": ((1, 0), (2, 0), (3, 0), (4, -1))}, "bones has joint -1"),
        ({"parts": {"a": (0, 1, 2, 3), "b": (9,)}}, "part 'b' has joint 9"),
        ({"mirror": ((1, 7),)}, "mirror has joint 7"),
    ],
)
def test_indices_out_of_range(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        replace(Layout.from_dict(_five()), **changes)


# --- finding a layout ---


def test_get_layout_by_name_object_and_path(tmp_path: Path) -> None:
    assert get_layout("ntu25") is CATALOG["ntu25"]
    assert get_layout(CATALOG["coco17"]) is CATALOG["coco17"]
    path = tmp_path / "five.yaml"
    path.write_text(yaml.safe_dump(_five(), sort_keys=False))
    assert get_layout(path) == get_layout(str(path)) == Layout.from_dict(_five())


def test_get_layout_suggests_the_nearest_name() -> None:
    with pytest.raises(LayoutError, match=r"unknown layout 'ntu-25' \(did you mean 'ntu25'\?\)"):
        get_layout("ntu-25")
    with pytest.raises(
        LayoutError, match=r"expected one of ntu25, .* or the path of a \.yaml file"
    ):
        get_layout("dragon")


def test_yaml_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    with pytest.raises(LayoutError, match=r"cannot read .*broken\.yaml: No such file"):
        get_layout(path)
    path.write_text("name: [")
    with pytest.raises(LayoutError, match=r"broken\.yaml is not a valid YAML file"):
        get_layout(path)
    path.write_bytes(b"name: \xff")
    with pytest.raises(LayoutError, match=r"broken\.yaml is not a valid YAML file"):
        get_layout(path)
    path.write_text(yaml.safe_dump(_edited(center="nowhere")))
    with pytest.raises(LayoutError, match=r"broken\.yaml: layout 'five': center"):
        get_layout(path)


def test_without_pyyaml_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ImportError, match="needs PyYAML: pip install pyyaml"):
        Layout.from_yaml("any.yaml")


def test_importing_layouts_loads_neither_torch_nor_yaml() -> None:
    code = "import sys, shapmix.layouts; print(*{'torch', 'yaml'} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == ""

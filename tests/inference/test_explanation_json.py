"""The plain form of explanations."""

import itertools
import json
import math

import pytest
import torch

from shapmix.inference.explain import explain, explain_classes
from shapmix.inference.explanation_json import explanation_json
from shapmix.layouts import get_layout

LAYOUT = get_layout("kinect20")
BACKGROUND = torch.zeros(3, 8, 20, 1)


def model(x):
    masks = torch.from_numpy(LAYOUT.part_masks()).float()
    parts = x[:, 1].mean(1)[..., 0] @ masks.T
    return torch.stack([parts[:, 0] * parts[:, 2], parts[:, 1], parts[:, 3] - parts[:, 4]], 1)


def clips(n=5):
    return torch.randn(n, 3, 8, 20, 1, generator=torch.Generator().manual_seed(3)) / 2


def probability(x, joints, label):
    """v(S) by the definition: the joints outside S are those of the background."""
    kept = torch.zeros_like(x)
    kept[:, :, joints] = x[:, :, joints]
    return float(model(kept[None]).softmax(1)[0, label])


def by_orders(x, label):
    """Shapley values as means over all orders in which the parts may come."""
    names = LAYOUT.part_names
    total = dict.fromkeys(names, 0.0)
    for order in itertools.permutations(names):
        joints: list[int] = []
        for name in order:
            before = probability(x, joints, label)
            joints = joints + list(LAYOUT.parts[name])
            total[name] += probability(x, joints, label) - before
    return {name: value / math.factorial(len(names)) for name, value in total.items()}


def test_one_clip():
    x = clips(1)[0]
    found = explanation_json(explain(model, x, LAYOUT, BACKGROUND), 2)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    values = {part["name"]: part["value"] for part in found["parts"]}
    assert values == pytest.approx(by_orders(x, 2), abs=1e-5)
    assert found["clips"] == 1
    assert all(part["error"] is None for part in found["parts"])
    assert found["v_full"] == pytest.approx(probability(x, list(range(20)), 2), abs=1e-5)
    assert found["v_empty"] == pytest.approx(1 / 3, abs=1e-5)
    assert found["efficiency"]["holds"]
    assert [len(c["parts"]) for c in found["coalitions"]].count(2) == 10
    assert found["coalitions"][-1]["value"] == pytest.approx(
        found["efficiency"]["v_full_minus_v_empty"], abs=2e-6
    )
    arm = found["parts"][1]
    assert arm["joints"] == [LAYOUT.joints[j] for j in LAYOUT.parts[arm["name"]]]


def test_pairs_and_errors_of_a_class():
    x, y = clips(), torch.tensor([0, 0, 0, 1, 1])
    explanation = explain_classes(model, [(x, y)], LAYOUT, BACKGROUND, 3)
    found = explanation_json(explanation, 0)
    assert found["clips"] == 3
    assert [p["error"] for p in found["parts"]] == pytest.approx(
        explanation.part_errors()[0].tolist(), abs=1e-5
    )
    pairs = {tuple(entry["parts"]): entry for entry in found["interactions"]}
    names = LAYOUT.part_names
    assert len(pairs) == 10
    for i, j in itertools.combinations(range(5), 2):
        entry = pairs[names[i], names[j]]
        assert entry["value"] == pytest.approx(float(explanation.interactions()[0, i, j]), abs=1e-5)
        assert entry["error"] == pytest.approx(
            float(explanation.interaction_errors()[0, i, j]), abs=1e-5
        )
    assert explanation_json(explanation, 2)["clips"] == 0


def test_other_parts_have_no_joints_of_the_layout():
    halves = {"a": range(10), "b": range(10, 20)}
    found = explain(model, clips(1)[0], LAYOUT, BACKGROUND, parts=halves)
    assert [part["joints"] for part in explanation_json(found, 0)["parts"]] == [[], []]

"""`preset="paper"` reproduces the released functions, given the same random draws."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from shapmix.layouts import get_layout
from shapmix.mixing import ShapMix
from shapmix.mixing.draws import GRID, Window
from shapmix.mixing.stmix import Draws

WINDOWS = {"ntu25": (7 / 16, 11 / 16), "coco17": (0.52, 0.8)}
CASES = range(12)


@pytest.fixture(scope="module")
def golden(real_data):
    folder = real_data / "golden"
    with np.load(folder / "golden.npz") as arrays:
        tensors = {name: torch.from_numpy(arrays[name].copy()) for name in arrays.files}
    return json.loads((folder / "golden.json").read_text()), tensors


def paper_mixer(golden, name):
    """A mixer whose parts are numbered as in the released program, which swaps left and right."""
    facts, tensors = golden
    parts = {part: tuple(joints) for part, joints in facts[f"parts_{name}"].items()}
    layout = replace(get_layout(name), parts=parts)
    background = tensors["background"]
    if name == "coco17":
        background = torch.zeros(tensors["x_coco"].shape[1:])
    return ShapMix(layout, facts["class_counts"], background, preset="paper", window=WINDOWS[name])


def read_draws(mixer, case, labels):
    """The recorded draws in the order of the released program, as ours."""
    drawn = [draw[1:] for draw in case["draws"]]
    shift, clips = drawn[0][-1], len(labels)
    if case["kind"] == "unguided":
        pasted = torch.zeros(clips, 5, dtype=torch.bool)
        pasted[:, drawn[2][1]] = True
        (length, start), branch, rest = (drawn[3][-1], drawn[4][-1]), drawn[5][0], drawn[6:]
    else:
        length, start, branch, rest = drawn[1][-1], drawn[2][-1], drawn[3][0], drawn[4:]
    if branch < 0.25:
        return Draws(shift, mixup=rest[0][0])
    if case["kind"] == "guided":
        chosen = torch.tensor([choice[0] for choice in rest[3:]])
        pasted = mixer.pasted_parts(labels, labels.roll(-shift), chosen)
        rest = rest[1:]
    source_length, source_start = rest[0][-1], rest[1][-1]
    window = Window(GRID * start, GRID * length, GRID * source_start, GRID * source_length)
    return Draws(shift, window=window, pasted=pasted)


@pytest.mark.parametrize("number", CASES)
def test_mixing(golden, number):
    facts, tensors = golden
    case = facts["cases"][number]
    mixer = paper_mixer(golden, case["layout"])
    x = tensors["x_ntu" if case["layout"] == "ntu25" else "x_coco"]
    y = torch.tensor(facts["labels"])
    mixed = mixer.stmix.mix(x, y, read_draws(mixer, case, y))
    torch.testing.assert_close(mixed.x, tensors[f"out_{number}"], atol=1e-5, rtol=0)
    torch.testing.assert_close(mixed.partner, tensors[f"partner_{number}"].long())
    partner_weight = tensors[f"lam_{number}"].float().flatten().expand(len(y))
    torch.testing.assert_close(1 - mixed.lam, partner_weight, atol=1e-5, rtol=0)


def test_all_cases_are_covered(golden):
    assert len(golden[0]["cases"]) == len(CASES)


def test_coalitions_in_the_same_order(golden):
    ours = [row.nonzero().squeeze(1).tolist() for row in paper_mixer(golden, "ntu25").coalitions]
    assert ours == golden[0]["combinations"]


def test_sampling_distribution(golden):
    mixer = paper_mixer(golden, "ntu25")
    mixer.saliency.table.copy_(golden[1]["table"])
    torch.testing.assert_close(
        mixer.distribution(), golden[1]["sampling_distribution"].float(), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("number", range(12))
def test_sampled_saliency(golden, number):
    facts, tensors = golden
    mixer = paper_mixer(golden, "ntu25")
    game = facts["saliency"][number]
    column = facts["combinations"].index(game["S"])
    context = torch.zeros(5, dtype=torch.bool)
    context[game["T"]] = True

    def model(x):
        pooled = torch.tanh(x.mean(2).flatten(1))
        return pooled @ tensors["W"].float() + tensors["b"].float()

    scores = mixer.sampled_scores(
        model, tensors["x_ntu"], torch.tensor(facts["labels"]), column, context
    )
    joints = int(mixer._joints[column])
    expected = tensors[f"weight_{number}"].float() * 10 / joints  # recorded before scaling
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=0)


def test_moving_average(golden):
    facts, tensors = golden
    mixer = paper_mixer(golden, "ntu25")
    labels, rule = torch.tensor(facts["labels"]), facts["ema"]
    column = facts["combinations"].index(rule["S"])
    joints = float(mixer._joints[column])
    scores = tensors["ema_weights"].float() * 10 / joints
    for _ in range(rule["rounds"]):
        mixer.saliency.update(labels, column, scores, rule["momentum"])
    torch.testing.assert_close(
        mixer.saliency.table, tensors["ema_table"].float(), atol=1e-5, rtol=0
    )

"""What guides the choice of parts, beyond the paper: sources and labels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shapmix.mixing import ShapMix, functional
from shapmix.mixing.coalitions import generalized_shapley_matrix, joint_masks, list_coalitions
from shapmix.mixing.draws import draw_row, draw_shift, draw_window, integer, uniform
from shapmix.mixing.functional import Paste
from shapmix.mixing.guidance import (
    additive_scores,
    check_fixed_scores,
    rearrangement,
    redirect,
)
from shapmix.mixing.label_weight import part_shares, salient_share

COUNTS = [500, 120, 60, 17, 9, 6]


def make(background, seed=0, **options):
    """A guided mixer that always pastes, with random saliency."""
    generator = torch.Generator().manual_seed(seed)
    options = {"warmup_epochs": 0, "mixup_prob": 0, "generator": generator, **options}
    mixer = ShapMix("ntu25", COUNTS, background, **options)
    noise = torch.Generator().manual_seed(7)
    if options.get("estimator") == "sampled":
        mixer.saliency.table.copy_(torch.rand(6, 20, generator=noise))
    else:
        mixer.saliency.values.copy_(torch.rand(6, 32, generator=noise))
    return mixer


def test_without_options_the_published_steps_in_the_published_order(batch, background):
    """Bit for bit, and with the same random numbers, as by the pure functions."""
    x, y = batch
    mixer = make(background, presence=False, label_weight="area")
    generator = torch.Generator().manual_seed(0)
    counts = torch.tensor(COUNTS)
    for _ in range(5):
        torch.rand(12, generator=generator)  # the reservoir's
        mixed = mixer(x, y)
        shift = draw_shift(generator, 12)
        assert uniform(generator) >= 0
        w = draw_window(generator, 16, (7 / 16, 11 / 16))
        integer(generator, 0, 19)
        partner = (torch.arange(12) + shift) % 12
        rarer = torch.where(counts[y[partner]] < counts[y], y[partner], y)
        weights = (mixer.saliency.scores() / 0.2).softmax(1)
        coalition = mixer.coalitions[draw_row(generator, weights[rarer])]
        flip = (counts[y[partner]] >= counts[y])[:, None]
        joints = joint_masks(coalition ^ flip, mixer.stmix.parts)
        one = torch.ones(12, dtype=torch.int64)
        params = Paste(
            w.start * one, w.length * one, w.source_start * one, w.source_length * one, joints
        )
        assert torch.equal(mixed.x, functional.paste(x, partner, params))
        lam = 1 - params.length * joints.float().mean(1) / 16
        assert torch.equal(mixed.lam, lam)
        assert torch.equal(mixed.target, functional.soft_targets(y, partner, lam, 6))


@settings(max_examples=30)
@given(seed=st.integers(0, 999), parts=st.integers(2, 6), classes=st.integers(2, 7))
def test_shuffled_scores_stay_in_their_class_and_size(seed, parts, classes):
    coalitions = list_coalitions(parts)  # in an order that does not follow their sizes
    order = torch.randperm(len(coalitions), generator=torch.Generator().manual_seed(seed))
    coalitions = coalitions[order]
    scores = torch.rand(classes, len(coalitions), generator=torch.Generator().manual_seed(seed))
    index = rearrangement("shuffled", coalitions, classes, seed)
    shuffled = redirect(scores, "shuffled", index)
    for size in coalitions.sum(1).unique():
        of_size = coalitions.sum(1) == size
        assert torch.equal(shuffled[:, of_size].sort(1).values, scores[:, of_size].sort(1).values)
    assert torch.equal(index, rearrangement("shuffled", coalitions, classes, seed))


def test_every_order_of_shuffled_scores_is_as_likely():
    coalitions = list_coalitions(3, (1,))
    index = rearrangement("shuffled", coalitions, 6000, 3) % 3
    orders, number = index.unique(dim=0, return_counts=True)
    assert len(orders) == 6
    np.testing.assert_allclose(number / 6000, 1 / 6, atol=0.02)


@settings(max_examples=20)
@given(seed=st.integers(0, 999), classes=st.integers(2, 9))
def test_scores_of_another_class(seed, classes):
    coalitions = list_coalitions(5)
    scores = torch.arange(classes * 20.0).view(classes, 20)
    found = redirect(scores, "other-class", rearrangement("other-class", coalitions, classes, seed))
    origin = (found[:, 0] / 20).long()
    assert torch.equal(found, scores[origin])
    assert sorted(origin.tolist()) == list(range(classes))
    assert (origin != torch.arange(classes)).all()


def test_sources_that_rearrange_nothing(background):
    coalitions = list_coalitions(5)
    scores = torch.rand(6, 20, generator=torch.Generator().manual_seed(0))
    for kind, expected in (
        ("saliency", scores),
        ("uniform", torch.zeros(6, 20)),
        ("anti", -scores),
    ):
        assert rearrangement(kind, coalitions, 6, 0) is None
        assert torch.equal(redirect(scores, kind, None), expected)
    even = make(background, guidance="uniform").distribution()
    torch.testing.assert_close(even, torch.full((6, 20), 0.05))
    found, turned = (make(background, guidance=kind) for kind in ("saliency", "anti"))
    assert torch.equal(turned.distribution().argmin(1), found.distribution().argmax(1))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "saliency"),
        ({"label_weight": "area"}, "area"),
        ({"estimator": "sampled"}, "area"),
        ({"preset": "paper"}, "area"),
        ({"preset": "paper", "estimator": "exact"}, "area"),
        ({"preset": "paper", "estimator": "exact", "label_weight": "saliency"}, "saliency"),
    ],
)
def test_labels_follow_saliency_where_it_is_known(background, options, expected):
    assert ShapMix("ntu25", COUNTS, background, **options).choice.label_weight == expected


@pytest.mark.parametrize("estimator", ["exact", "sampled"])
@pytest.mark.parametrize("guidance", ["shuffled", "other-class"])
def test_wrong_guidance_has_the_entropy_of_the_right_one(guidance, estimator, background):
    right = make(background, estimator=estimator).distribution()
    mixer = make(background, estimator=estimator, guidance=guidance)
    other = make(background, estimator=estimator, guidance=guidance, guidance_seed=1)
    wrong = mixer.distribution()
    order = torch.Tensor.sort
    rows = sorted(order(right, dim=1).values.tolist())
    torch.testing.assert_close(
        torch.tensor(sorted(order(wrong, dim=1).values.tolist())), torch.tensor(rows)
    )
    assert not torch.equal(wrong, right)
    assert not torch.equal(wrong, other.distribution())
    assert not any("guide" in name for name in mixer.state_dict())


def test_fixed_scores_take_the_place_of_saliency(batch, background, model):
    table = torch.rand(6, 20, generator=torch.Generator().manual_seed(2))
    mixer = make(background, fixed_scores=table)
    expected = (table / 0.2).softmax(1)
    assert torch.equal(mixer.distribution(), expected)
    mixer(*batch)
    mixer.refresh(model)
    assert torch.equal(mixer.distribution(), expected)
    flat = make(background, fixed_scores=tuple(table.flatten().tolist()))
    torch.testing.assert_close(flat.distribution(), expected)
    table += 1
    assert torch.equal(mixer.distribution(), expected), "the caller's table was kept"


@pytest.mark.parametrize(
    "fixed", [torch.zeros(20, 6), [0.0] * 119, "0", torch.full((6, 20), torch.nan), [[0.0] * 20]]
)
def test_fixed_scores_that_do_not_fit(fixed):
    with pytest.raises(ValueError, match=r"expected finite numbers \(6, 20\)"):
        check_fixed_scores(fixed, 6, 20)


def test_an_oracle_of_known_parts(background):
    """Parts 1 and 3 carry class 4: additive scores are its generalised Shapley values."""
    coalitions = list_coalitions(5)
    weights = torch.zeros(6, 5)
    weights[4, [1, 3]] = torch.tensor([1.0, 2.0])
    codes = torch.arange(32)[:, None] >> torch.arange(5) & 1
    values = codes.float() @ weights.T
    shapley = generalized_shapley_matrix(coalitions).float() @ values
    found = additive_scores(coalitions, weights)
    torch.testing.assert_close(found, shapley.T, atol=1e-5, rtol=0)
    mixer = make(background, fixed_scores=found, tau=0.01)
    drawn = mixer.coalitions[draw_row(mixer.generator, mixer.distribution()[4].expand(50, -1))]
    assert drawn[:, [1, 3]].all()


@pytest.mark.parametrize("move_bodies", [False, True])
@pytest.mark.parametrize("tail_aware", [True, False])
def test_labels_by_saliency_against_each_pair(tail_aware, move_bodies, batch, background):
    x, y = batch
    mixer = make(
        background, label_weight="saliency", tail_aware=tail_aware, move_bodies=move_bodies
    )
    mixer.saliency.values[3] = -torch.arange(32.0)  # no part has positive saliency
    single = generalized_shapley_matrix(torch.eye(5, dtype=torch.bool)).float()
    for _ in range(5):
        mixed = mixer(x, y)
        here = (x != 0).flatten(1, 3).any(1)
        for i, j in enumerate(mixed.partner.tolist()):
            partner_rarer = COUNTS[y[j]] < COUNTS[y[i]]
            guide = y[j] if partner_rarer or not tail_aware else y[i]
            phi = (single @ mixer.saliency.values[guide]).clamp(min=0)
            phi = phi / phi.sum() if phi.sum() > 0 else torch.full((5,), 0.2)
            joints = mixed.paste.joints[i]
            pasted = sum(float(phi[p]) for p in range(5) if joints[mixer.stmix.parts[p]].all())
            time = int(mixed.paste.length[i]) / 16
            own, both = int(here[i].sum()), int((here[i] & here[j]).sum())
            new = int((here[j] & ~here[i]).sum()) if move_bodies else 0
            weight = time * (pasted * both + new) / (own + time * new)
            assert float(mixed.lam[i]) == pytest.approx(1 - weight, abs=1e-5)
        torch.testing.assert_close(mixed.target.sum(1), torch.ones(12))


def test_labels_by_another_class(batch, background):
    """They are those of a mixer whose classes have one another's values, along one cycle."""
    wrong = make(background, label_weight="other-class", guidance="uniform")
    right = make(background, label_weight="saliency", guidance="uniform")
    others = wrong.guide.others
    assert sorted(others.tolist()) == list(range(6))
    assert (others != torch.arange(6)).all()
    right.saliency.values.copy_(wrong.saliency.values[others])
    for _ in range(3):
        found, expected = wrong(*batch), right(*batch)
        assert torch.equal(found.x, expected.x)
        assert torch.equal(found.target, expected.target)


def test_labels_by_saliency_make_no_matrix_in_a_step(batch, background, monkeypatch):
    """On an accelerator that would be a copy from the host in every batch."""
    mixer = make(background, label_weight="saliency")
    shares = part_shares(mixer.saliency.shapley_values(torch.eye(5, dtype=torch.bool)))
    torch.testing.assert_close(part_shares(mixer.saliency.part_values()), shares)
    monkeypatch.delattr("shapmix.mixing.saliency.generalized_shapley_matrix")
    assert (mixer(*batch).lam < 1).any()


def test_what_is_left_of_the_rarer_class_is_its_weight():
    """Two classes, one part that carries all: a mix that has it whole has the whole label."""
    shares = part_shares(torch.tensor([[0.0, 0, -1], [-2, 3, 0]]))
    torch.testing.assert_close(shares, torch.tensor([[1 / 3] * 3, [0.0, 1, 0]]))
    pasted = torch.tensor([[False, True, False], [True, False, True]])
    guide = torch.tensor([1, 1])
    assert salient_share(shares, guide, pasted).tolist() == [1, 0]
    many = part_shares(torch.rand(200, 5, generator=torch.Generator().manual_seed(0)))
    assert many.sum(1).max() > 1, "rounding"
    everything = torch.ones(200, 5, dtype=torch.bool)
    assert salient_share(many, torch.arange(200), everything).max() == 1


def test_labels_in_the_warm_up_are_by_area(batch, background):
    mixer = make(background, label_weight="saliency", warmup_epochs=1, presence=False)
    mixed = mixer(*batch)
    area = mixed.paste.length * mixed.paste.joints.sum(1) / (16 * 25)
    torch.testing.assert_close(1 - mixed.lam, area)


def test_without_the_tail_the_partner_always_gives_its_parts(batch, background):
    x, y = batch
    mixer = make(background, tail_aware=False, tau=1e-4)
    best = mixer.coalitions[mixer.distribution().argmax(1)]
    for _ in range(5):
        mixed = mixer(x, y)
        expected = joint_masks(best[y[mixed.partner]], mixer.stmix.parts)
        assert torch.equal(mixed.paste.joints, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"guidance": "guess"}, "saliency, uniform, shuffled, other-class, anti"),
        ({"label_weight": "joint"}, "area, saliency, other-class"),
        ({"label_weight": "saliency", "estimator": "sampled"}, 'estimator="exact" only'),
        ({"label_weight": "saliency", "preset": "paper"}, 'estimator="exact" only'),
        ({"tail_aware": "no"}, "expected true or false"),
        ({"fixed_scores": [1.0, 2.0]}, "a column for each coalition"),
        ({"per_clip": "yes"}, "expected true or false"),
        ({"move_bodies": True, "preset": "paper"}, "without presence"),
    ],
)
def test_impossible_options(options, message, background):
    with pytest.raises(ValueError, match=message):
        ShapMix("ntu25", COUNTS, background, **options)

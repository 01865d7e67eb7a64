"""Who is mixed with whom, windows of single clips, sizes of coalitions, and all options at once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shapmix.mixing import ShapMix, STMix
from shapmix.mixing.draws import GRID, draw_rarer, draw_windows, random_cycle

COUNTS = [500, 120, 60, 17, 9, 6]
EVERYTHING = {"per_clip": True, "move_bodies": True}
GUIDED = {"guidance": "shuffled", "label_weight": "saliency"}


@settings(max_examples=30)
@given(size=st.integers(2, 40), seed=st.integers(0, 999))
def test_a_cycle_goes_through_all(size, seed):
    partner = random_cycle(torch.Generator().manual_seed(seed), size)
    seen = [0]
    while (following := int(partner[seen[-1]])) != 0:
        seen.append(following)
    assert sorted(seen) == list(range(size))


def test_cycles_are_all_drawn(generator):
    drawn = {tuple(random_cycle(generator, 4).tolist()) for _ in range(200)}
    assert len(drawn) == 6  # (4 - 1)!


@pytest.mark.parametrize("clips", [2, 5])
def test_rarer_classes_are_drawn_more_often(clips, generator):
    sizes = torch.tensor([1, 4, 2, 10, 1])[:clips]
    drawn = torch.stack([draw_rarer(generator, sizes) for _ in range(5000)])
    for i in range(clips):
        weights = 1 / sizes.double()
        weights[i] = 0
        shares = torch.bincount(drawn[:, i], minlength=clips) / len(drawn)
        np.testing.assert_allclose(shares, weights / weights.sum(), atol=0.025)


def test_partners_in_a_batch(batch, background):
    """They are what was mixed, in the clip and in the label; in Mixup batches too."""
    x, y = batch
    marks = torch.arange(1.0, 13).view(12, 1, 1, 1, 1).expand_as(x)
    for mixup_prob in (0.0, 1.0):
        generator = torch.Generator().manual_seed(0)
        options = {"partners": "rarer", "mixup_prob": mixup_prob, "generator": generator}
        guided = ShapMix(
            "ntu25", COUNTS, background, warmup_epochs=0, label_weight="area", **options
        )
        for mixer in (STMix("ntu25", COUNTS, **options), guided):
            for _ in range(5):
                mixed = mixer(marks, y)
                assert (mixed.partner != torch.arange(12)).all()
                shifts = (mixed.partner - torch.arange(12)) % 12
                assert len(shifts.unique()) > 1
                for i, j in enumerate(mixed.partner.tolist()):
                    expected = mixed.lam[i] * (i + 1) + (1 - mixed.lam[i]) * (j + 1)
                    torch.testing.assert_close(mixed.x[i].mean(), expected, atol=1e-3, rtol=1e-3)
                    target = mixed.lam[i] * torch.eye(6)[y[i]]
                    target += (1 - mixed.lam[i]) * torch.eye(6)[y[j]]
                    torch.testing.assert_close(mixed.target[i], target)


def test_guidance_follows_the_partners(batch, background):
    x, y = batch
    mixer = ShapMix(
        "ntu25", COUNTS, background, warmup_epochs=0, mixup_prob=0, tau=1e-4, partners="rarer"
    )
    mixer.saliency.values.copy_(torch.rand(6, 32, generator=torch.Generator().manual_seed(1)))
    best = mixer.coalitions[mixer.distribution().argmax(1)]
    mixed = mixer(x, y)
    for i, j in enumerate(mixed.partner.tolist()):
        expected = best[y[j]] if COUNTS[y[j]] < COUNTS[y[i]] else ~best[y[i]]
        joints = (expected.float() @ mixer.stmix.parts.float()) > 0
        assert torch.equal(mixed.paste.joints[i], joints)


@pytest.mark.parametrize("frames", [8, 13, 64, 103])
def test_windows_of_clips_lie_inside_on_the_grid_and_are_all_drawn(frames, generator):
    w = draw_windows(generator, 3000, frames, (7 / 16, 11 / 16))
    assert (w.start + w.length <= frames).all()
    assert (w.source_start + w.source_length <= frames).all()
    assert (w.source_length >= w.length).all()
    assert (w.length > 0).all()
    assert not any((field % GRID).any() for field in vars(w).values())
    if frames == 64:
        lengths, number = w.length.unique(return_counts=True)
        assert lengths.tolist() == [28, 32, 36, 40, 44]
        np.testing.assert_allclose(number / 3000, 0.2, atol=0.03)
        starts = w.start[w.length == 44].unique()
        assert starts.tolist() == [0, 4, 8, 12, 16, 20]
        assert w.source_length[w.length == 44].unique().tolist() == [44, 48, 52, 56, 60, 64]


def test_clips_have_windows_and_parts_of_their_own(batch, background, generator):
    x, y = batch
    options = {"mixup_prob": 0, "per_clip": True, "generator": generator}
    unguided = STMix("ntu25", COUNTS, **options)
    guided = ShapMix("ntu25", COUNTS, background, warmup_epochs=0, label_weight="area", **options)
    for mixer, coalitions in ((unguided, unguided.coalitions), (guided, guided.coalitions)):
        drawn = [mixer(x, y).paste for _ in range(20)]
        assert any(len(paste.start.unique()) > 1 for paste in drawn)
        assert any(len(paste.joints.unique(dim=0)) > 1 for paste in drawn)
        of_coalitions = {
            tuple(row) for row in (coalitions.float() @ unguided.parts.float()).tolist()
        }
        assert {
            tuple(row) for paste in drawn for row in paste.joints.float().tolist()
        } <= of_coalitions


@pytest.mark.parametrize("estimator", ["exact", "sampled"])
def test_coalitions_of_every_size(estimator, batch, background, model):
    """Sizes 1 to 4 of 5, as whole numbers or as a configuration file has them."""
    x, y = batch
    sizes = (1.0, 2.0, 3.0, 4.0)
    unguided = STMix("ntu25", COUNTS, coalition_sizes=sizes, mixup_prob=0)
    mixer = ShapMix(
        "ntu25",
        COUNTS,
        background,
        coalition_sizes=sizes,
        warmup_epochs=0,
        mixup_prob=0,
        estimator=estimator,
        saliency_budget=100,
    )
    assert len(unguided.coalitions) == len(mixer.coalitions) == 30
    seen = {int(c.sum()) for c in unguided.coalitions}
    assert seen == {1, 2, 3, 4}
    for _ in range(3):
        mixed = mixer(x, y)
        assert torch.isfinite(mixed.x).all()
        mixer.observe(model, x, y)
        mixer.refresh(model)
    assert mixer.distribution().shape == (6, 30)
    torch.testing.assert_close(mixer.distribution().sum(1), torch.ones(6))


@pytest.mark.parametrize("partners", ["shift", "rarer"])
@settings(max_examples=10)
@given(clips=st.integers(1, 7), frames=st.integers(8, 23), persons=st.integers(1, 3))
def test_all_options_on_every_shape(partners, clips, frames, persons):
    generator = torch.Generator().manual_seed(frames)
    x = torch.randn(clips, 3, frames, 20, persons, generator=generator)
    x[::2, ..., -1] = 0
    y = torch.randint(0, 6, (clips,), generator=generator)
    background = torch.zeros(3, 12, 20, persons)
    options = {**EVERYTHING, "partners": partners, "generator": generator}
    guided = ShapMix("kinect20", COUNTS, background, warmup_epochs=1, **GUIDED, **options)
    before, state = x.clone(), torch.get_rng_state()
    for mixer in (STMix("kinect20", COUNTS, **options), guided):
        for _ in range(3):
            mixed = mixer(x, y)
            assert torch.equal(x, before)
            assert torch.isfinite(mixed.x).all()
            torch.testing.assert_close(mixed.target.sum(1), torch.ones(clips))
            assert ((mixed.lam >= 0) & (mixed.lam <= 1)).all()
            if clips == 1:
                assert torch.equal(mixed.x, x)
            mixer.refresh(lambda z: z.mean((2, 3, 4)) @ torch.ones(3, 6))
    assert torch.equal(torch.get_rng_state(), state), "global random state was used"


def test_resumes_exactly_with_all_options(batch, background, model):
    x, y = batch
    options = {**EVERYTHING, **GUIDED, "partners": "rarer", "warmup_epochs": 1}
    first = ShapMix("ntu25", COUNTS, background, saliency_budget=9, **options)
    for _ in range(2):
        first(x, y)
        first.refresh(model)
    generator = torch.Generator()
    generator.set_state(first.generator.get_state())
    second = ShapMix("ntu25", COUNTS, 0 * background, saliency_budget=9, **options)
    second.stmix.generator = generator
    second.load_state_dict(first.state_dict())
    for _ in range(3):
        a, b = first(x, y), second(x, y)
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.target, b.target)
        first.refresh(model)
        second.refresh(model)


def test_half_precision_and_foreign_axes(batch):
    x, y = batch
    mixer = STMix("ntu25", COUNTS, mixup_prob=0, **EVERYTHING)
    mixed = mixer(x.bfloat16(), y)
    assert mixed.x.dtype == torch.bfloat16
    assert torch.isfinite(mixed.x).all()
    results = []
    for dims, clips in (("NCTVM", x), ("NMTVC", x.permute(0, 4, 2, 3, 1))):
        generator = torch.Generator().manual_seed(0)
        mixer = STMix("ntu25", COUNTS, dims=dims, mixup_prob=0, generator=generator, **EVERYTHING)
        results.append(mixer(clips, y))
    assert torch.equal(results[0].x, results[1].x.permute(0, 4, 2, 3, 1))

"""The loop that the package is timed against does the same, piece by piece."""

import naive_loop
import numpy as np
import pytest
import torch
from loading import check_agreement
from ntu_like import LT_NTU60, batch_of_bodies, long_tailed_labels, write_archive

from shapmix import ShapMix, create_model
from shapmix.mixing.coalitions import joint_masks
from shapmix.mixing.draws import Window
from shapmix.mixing.saliency import SampledSaliency
from shapmix.mixing.stmix import Draws, apply_draws

COUNTS = torch.tensor([30, 9, 9, 2])
PARTS = len(naive_loop.PARTS)


def paper_mixer() -> ShapMix:
    background = torch.randn(3, 64, 25, 2, generator=torch.Generator().manual_seed(3))
    return ShapMix("ntu25", COUNTS, background, preset="paper", warmup_epochs=0)


def member_mask(coalition: tuple[int, ...]) -> torch.Tensor:
    mask = torch.zeros(PARTS, dtype=torch.bool)
    mask[list(coalition)] = True
    return mask


def test_the_coalitions_are_ours() -> None:
    masks = torch.stack([member_mask(c) for c in naive_loop.COALITIONS])
    ours = paper_mixer().coalitions
    assert {tuple(row) for row in masks.tolist()} == {tuple(row) for row in ours.tolist()}
    assert len(masks) == len(ours) == 20


@pytest.mark.parametrize("seed", range(6))
def test_mixing_is_ours_given_the_same_draws(seed: int) -> None:
    x, y = batch_of_bodies(6, persons=0.5), torch.tensor([0, 3, 1, 2, 0, 3])
    table = torch.rand(4, 20, generator=torch.Generator().manual_seed(seed))
    draws = naive_loop.draw(np.random.default_rng(seed), y.tolist(), 64, table, COUNTS)
    mixed, target = naive_loop.mix(x, y, draws, 4)
    mixer = paper_mixer()
    window = Window(draws.start, draws.length, draws.source_start, draws.source_length)
    pasted = torch.stack([member_mask(parts) for parts in draws.pasted])
    ours = apply_draws(
        x,
        y,
        Draws(draws.shift, draws.mixup, window, pasted),
        parts=mixer.stmix.parts,
        num_classes=4,
        presence=False,
    )
    torch.testing.assert_close(mixed, ours.x)
    torch.testing.assert_close(target, ours.target)


def test_the_rarer_class_keeps_its_parts() -> None:
    table = torch.zeros(4, 20)
    table[3, 7] = 1000.0  # the rarest class always draws this one
    rng = np.random.default_rng(0)
    chosen = naive_loop.COALITIONS[7]
    assert naive_loop.draw_parts(rng, 0, 3, table, COUNTS) == chosen
    kept = naive_loop.draw_parts(rng, 3, 0, table, COUNTS)
    assert sorted(kept + chosen) == list(range(PARTS))


def test_saliency_of_a_step_is_ours() -> None:
    torch.manual_seed(0)
    model = create_model("tcn", "ntu25", 4, num_persons=2, width=8).train()
    x, y = batch_of_bodies(5, persons=0.4), torch.tensor([0, 3, 1, 2, 0])
    mixer = paper_mixer()
    for column, context in ((0, ()), (7, (0,)), (12, (3, 4))):
        coalition = tuple(mixer.coalitions[column].nonzero()[:, 0].tolist())
        context = tuple(part for part in context if part not in coalition)
        found = naive_loop.marginal_scores(model, x, y, coalition, context, mixer.background)
        ours = mixer.sampled_scores(model, x, y, column, member_mask(context))
        torch.testing.assert_close(found, ours)
    assert model.training


def test_masking_keeps_the_parts_alone() -> None:
    x, background = batch_of_bodies(2, persons=1.0), torch.full((3, 64, 25, 2), 9.0)
    kept = joint_masks(member_mask((1, 3))[None], paper_mixer().stmix.parts)[0]
    found = naive_loop.masked(x, (1, 3), background)
    assert torch.equal(found[:, :, :, kept], x[:, :, :, kept])
    assert bool((found[:, :, :, ~kept] == 9).all())


def test_the_table_is_ours() -> None:
    y, scores = torch.tensor([1, 0, 1, 3, 1]), torch.tensor([0.5, 0.1, 0.9, 0.0, 0.3])
    ours = SampledSaliency(4, 20)
    table = ours.table.clone()
    naive_loop.fold(table, y, 5, scores)
    ours.update(y, 5, scores, naive_loop.MOMENTUM)
    torch.testing.assert_close(table, ours.table)


def test_inputs_are_ours_and_a_step_trains(tmp_path) -> None:
    labels = long_tailed_labels(8, COUNTS.numpy())
    archive = write_archive(tmp_path / "clips.arrow", labels, 4)
    check_agreement(archive)
    torch.manual_seed(0)
    model = create_model("tcn", "ntu25", 4, num_persons=2, width=8)
    loop = naive_loop.NaiveLoop(archive, COUNTS, model, 4)
    before = [p.clone() for p in model.parameters()]
    losses = list(loop.epoch())
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert not torch.equal(loop.table, torch.full_like(loop.table, 1e-6))
    assert 0 <= loop.accuracy(archive) <= 1


def test_made_up_labels_have_the_tail() -> None:
    assert LT_NTU60.sum() == 7892
    labels = np.array(long_tailed_labels(7892))
    found = np.bincount(labels, minlength=60)
    assert found.min() >= 1
    assert np.abs(found - LT_NTU60).max() <= 20
    assert set(long_tailed_labels(60)) == set(range(60))

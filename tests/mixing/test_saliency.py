import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import ema_slowly, shapley_slowly

from shapmix.mixing import ShapMix
from shapmix.mixing.coalitions import all_coalitions, joint_masks, list_coalitions, part_masks
from shapmix.mixing.draws import draw_context
from shapmix.mixing.functional import impute, presence
from shapmix.mixing.saliency import ExactSaliency, Reservoir, SampledSaliency
from shapmix.mixing.values import class_values, evaluation

ONES = torch.ones(20)


def fill(mixer, x, y):
    """Train on a batch without looking at it."""
    mixer(x, y)


def exact_mixer(layout, counts, background, **options):
    return ShapMix(layout, counts, background, saliency_budget=1e9, **options)


@pytest.mark.parametrize("heed", [True, False])
def test_values_against_one_clip_and_coalition_at_a_time(layout, batch, background, model, heed):
    x, y = batch
    joints = joint_masks(all_coalitions(5), part_masks(layout))
    bodies = presence(x) if heed else None
    chosen = torch.rand(12, 32, generator=torch.Generator().manual_seed(0)) < 0.4
    with evaluation(model) as run:
        values = class_values(run, x, y, joints, background, bodies, batch_size=7)
        some = class_values(run, x, y, joints, background, bodies, 7, chosen)
        for i in range(len(x)):
            for s in range(32):
                here = None if bodies is None else bodies[i : i + 1]
                one = impute(x[i : i + 1], joints[s : s + 1], background, here)
                expected = run(one).softmax(1)[0, y[i]]
                torch.testing.assert_close(values[i, s], expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(some, values * chosen)


@pytest.mark.parametrize(("heed", "patterns"), [(True, 2), (False, 1)])
def test_nothing_is_evaluated_twice(layout, batch, background, heed, patterns):
    """The empty coalition once for each pattern of bodies: four clips have one, eight have two."""
    x, y = batch
    seen = []

    def model(clips):
        seen.extend(clips.flatten(1).unbind())
        return clips.mean((2, 3, 4)) @ torch.ones(3, 6)

    joints = joint_masks(all_coalitions(5), part_masks(layout))
    class_values(model, x, y, joints, background, presence(x) if heed else None)
    assert len(seen) == len(torch.stack(seen).unique(dim=0)) == 12 * 31 + patterns


@settings(max_examples=30)
@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=12),
    momentum=st.sampled_from([0.0, 0.5, 0.9]),
    seed=st.integers(0, 100),
)
def test_moving_average_against_clip_after_clip(labels, momentum, seed):
    saliency = SampledSaliency(4, 3)
    y = torch.tensor(labels)
    scores = torch.rand(len(y), generator=torch.Generator().manual_seed(seed))
    expected = ema_slowly(saliency.table, y, 1, scores, momentum)
    saliency.update(y, 1, scores, momentum)
    torch.testing.assert_close(saliency.table, expected)


def test_refresh_gives_exact_shapley_values(layout, batch, background, model, counts):
    x, y = batch
    mixer = exact_mixer(layout, counts, background)
    fill(mixer, x, y)
    mixer.refresh(model)
    joints = joint_masks(all_coalitions(5), part_masks(layout))
    with evaluation(model) as run:
        values = class_values(run, x, y, joints, background, presence(x))
    for k in range(6):
        mean = values[y == k].mean(0)
        torch.testing.assert_close(mixer.saliency.values[k], mean, atol=1e-5, rtol=1e-4)
        table = {frozenset(p for p in range(5) if s >> p & 1): float(mean[s]) for s in range(32)}
        for q, row in enumerate(mixer.coalitions):
            members = frozenset(row.nonzero().squeeze(1).tolist())
            phi = shapley_slowly(table, members, 5)
            assert float(mixer.saliency.shapley_values()[k, q]) == pytest.approx(phi, abs=1e-5)
            size = sum(len(list(layout.parts.values())[p]) for p in members)
            score = float(mixer.saliency.scores()[k, q])
            assert score == pytest.approx(10 * max(phi, 0) / size, abs=1e-5)


def test_sampled_marginals_converge_to_the_exact_values(layout, batch, background, model, counts):
    """Without relu, on a frozen model, the running mean over contexts is unbiased."""
    x, y = batch
    mixer = exact_mixer(layout, counts, background)
    fill(mixer, x, y)
    mixer.refresh(model)
    generator = torch.Generator().manual_seed(1)
    joints = joint_masks(all_coalitions(5), part_masks(layout))
    with evaluation(model) as run:
        values = class_values(run, x, y, joints, background, presence(x))
    bits = 2 ** torch.arange(5)
    for column in (0, 7, 13):
        row = mixer.coalitions[column]
        contexts = torch.stack([draw_context(generator, row) for _ in range(4000)])
        with_s, without = ((contexts | row) * bits).sum(1), (contexts * bits).sum(1)
        marginals = values[:, with_s] - values[:, without]
        for k in range(6):
            mean = float(marginals[y == k].mean())
            exact = float(mixer.saliency.shapley_values()[k, column])
            spread = float(marginals[y == k].std()) / 4000**0.5
            assert abs(mean - exact) < 5 * spread + 1e-4


def table_of(classes=3, coalitions=None):
    return ExactSaliency(classes, list_coalitions(5) if coalitions is None else coalitions, ONES)


def test_momentum_over_refreshes(layout):
    """A plain mean of the refreshes until the memory is as long as the momentum allows."""
    saliency = table_of()
    tables = torch.rand(6, 32)
    expected = torch.zeros(32)
    for r, table in enumerate(tables):
        keep = min(0.6, r / (r + 1))
        expected = keep * expected + (1 - keep) * table
        clips = table + torch.tensor([[0.1], [-0.1]])  # of which it is the mean
        saliency.update(torch.tensor([0, 0]), clips, 0.6)
        torch.testing.assert_close(saliency.values[0], expected)
    assert saliency.refreshes.tolist() == [6, 0, 0]
    saliency.update(torch.empty(0, dtype=torch.int64), torch.empty(0, 32), 0.5)
    assert saliency.refreshes.tolist() == [6, 0, 0]
    torch.testing.assert_close(saliency.values[0], expected)


def test_unseen_classes_draw_uniformly(layout, counts, background):
    mixer = ShapMix(layout, counts, background)
    torch.testing.assert_close(mixer.distribution(), torch.full((6, 20), 0.05))


def test_reservoir_is_unbiased_and_balanced(generator):
    """Every clip of a class ends up in it equally often, and nothing else does."""
    hits = torch.zeros(20)
    runs = 1500
    for _ in range(runs):
        reservoir = Reservoir(2, 3)
        x = torch.arange(20.0).view(20, 1, 1, 1, 1)
        y = (torch.arange(20) >= 18).long()  # 18 of class 0, 2 of class 1
        for part in torch.randperm(20, generator=generator).split(7):
            reservoir.add(x[part], y[part], generator)
        assert reservoir.available().tolist() == [3, 2]
        clips, classes = reservoir.take(reservoir.available())
        assert classes.tolist() == [0, 0, 0, 1, 1]
        kept = clips.flatten().long()
        assert len(set(kept.tolist())) == 5
        assert torch.equal((kept >= 18).long(), classes)
        hits[kept] += 1
    torch.testing.assert_close(hits[:18] / runs, torch.full((18,), 1 / 6), atol=0.04, rtol=0)
    assert (hits[18:] == runs).all()
    reservoir.clear()
    assert reservoir.available().tolist() == [0, 0]


@pytest.mark.parametrize("bodies", [True, False])
def test_budget_is_kept_and_saved_up(layout, batch, background, counts, bodies):
    """What is too little for a class is saved; every class has its turn."""
    x, y = batch
    calls = []

    def model(clips):
        calls.append(len(clips))
        return clips.mean((2, 3, 4)) @ torch.ones(3, 6)

    mixer = ShapMix(layout, counts, background, saliency_budget=0.05, presence=bodies)
    an_epoch = int(0.05 * 6 * len(x))
    for epoch in range(100):
        fill(mixer, x, y)
        mixer.refresh(model)
        assert sum(calls) <= (epoch + 1) * an_epoch
    assert sum(calls) > 0.8 * 100 * an_epoch
    refreshes = mixer.saliency.refreshes
    assert refreshes.max() - refreshes.min() <= 1


def test_many_slots_for_bodies_do_not_use_up_the_budget(layout, counts):
    """2^12 patterns of bodies could be; there are at most as many as clips."""
    x, y = torch.ones(12, 3, 8, 25, 12), torch.arange(12) % 6
    mixer = ShapMix(layout, counts, torch.zeros(3, 8, 25, 12), saliency_budget=2.0)
    mixer(x, y)
    mixer.refresh(lambda clips: clips[:, :1].mean((2, 3, 4)) * torch.ones(6))
    assert int(mixer.saliency.refreshes.sum()) == (2 * 6 * 12 - 12) // 32


def test_zero_budget_never_calls_the_model(layout, batch, background, counts):
    mixer = ShapMix(layout, counts, background, saliency_budget=0)
    fill(mixer, *batch)
    mixer.refresh(lambda clips: pytest.fail("the model was called"))
    assert int(mixer.epoch) == 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_clip_whose_value_is_not_finite_is_left_out(bad):
    """As if it had not been evaluated; what was not evaluated may be anything."""
    generator = torch.Generator().manual_seed(0)
    y, values = torch.tensor([0, 0, 1, 1]), torch.rand(4, 32, generator=generator)
    chosen = torch.rand(4, 32, generator=generator) < 0.5
    chosen[:, -1] = True
    expected, found = table_of(), table_of()
    expected.update(y[[0, 2, 3]], values[[0, 2, 3]], 0.5, chosen[[0, 2, 3]])
    values[1, chosen[1].nonzero()[0]] = bad
    values[0, ~chosen[0]] = bad
    found.update(y, values, 0.5, chosen)
    for name, buffer in expected.named_buffers():
        torch.testing.assert_close(found.get_buffer(name), buffer)


def test_a_sampled_score_that_is_not_finite_counts_as_nothing():
    tables = []
    for score in (float("nan"), float("inf"), 0.0):
        saliency = SampledSaliency(2, 30)
        saliency.update(torch.tensor([0, 1, 0]), 4, torch.tensor([1.0, score, score]), 0.5)
        tables.append(saliency.table)
    torch.testing.assert_close(tables[0], tables[2])
    torch.testing.assert_close(tables[1], tables[2])

"""What every baseline has in common; the methods themselves have tests of their own."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shapmix.mixing import Mixup
from shapmix.mixing.baselines import draw_beta
from shapmix.mixing.cmo import CMO
from shapmix.mixing.cutmix import JointCutMix
from shapmix.mixing.functional import presence
from shapmix.mixing.remix import Remix

COUNTS = [500, 120, 60, 17, 9, 6]
KINDS = [CMO, JointCutMix, Mixup, Remix]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15)
@given(
    clips=st.integers(1, 7),
    frames=st.integers(8, 19),
    persons=st.integers(1, 3),
    seed=st.integers(0, 999),
)
def test_any_batch(kind, clips, frames, persons, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(clips, 3, frames, 20, persons, generator=generator)
    x[::2, ..., -1] = 0
    y = torch.randint(0, 6, (clips,), generator=generator)
    mixer = kind("kinect20", COUNTS, generator=generator)
    before = x.clone()
    for _ in range(4):
        mixed = mixer(x, y)
        assert torch.equal(x, before)
        assert mixed.x.shape == x.shape
        assert mixed.target.shape == (clips, 6)
        assert mixed.lam.shape == mixed.partner.shape == (clips,)
        assert mixed.target.dtype == mixed.lam.dtype == torch.float32
        torch.testing.assert_close(mixed.target.sum(1), torch.ones(clips))
        assert (mixed.target >= 0).all()
        assert torch.equal(presence(mixed.x), presence(x))
        if clips == 1 and kind is not CMO:
            assert torch.equal(mixed.x, x)
        mixer.observe(lambda z: pytest.fail("the model was called"), x, y)
    mixer.refresh(lambda z: pytest.fail("the model was called"))


@pytest.mark.parametrize("kind", KINDS)
def test_foreign_axes_give_the_same(kind, batch):
    x, y = batch
    ours = kind("ntu25", COUNTS, generator=torch.Generator().manual_seed(3))
    theirs = kind("ntu25", COUNTS, dims="NMTVC", generator=torch.Generator().manual_seed(3))
    for _ in range(3):
        a, b = ours(x, y), theirs(x.permute(0, 4, 2, 3, 1), y)
        assert torch.equal(a.x, b.x.permute(0, 4, 2, 3, 1))
        assert torch.equal(a.target, b.target)


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_generator_decides(kind, batch):
    torch.manual_seed(5)
    before = torch.get_rng_state()

    def run(seed):
        mixer = kind("ntu25", COUNTS, generator=torch.Generator().manual_seed(seed))
        return torch.stack([mixer(*batch).x for _ in range(4)])

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))
    kind("ntu25", COUNTS)(*batch)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision(kind, batch):
    x, y = batch
    mixer = kind("ntu25", COUNTS)
    for _ in range(2):
        mixed = mixer(x.bfloat16(), y)
        assert mixed.x.dtype == torch.bfloat16
        assert mixed.target.dtype == torch.float32


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_beta_has_its_moments(alpha, generator):
    drawn = np.array([draw_beta(generator, alpha) for _ in range(4000)])
    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert drawn.mean() == pytest.approx(0.5, abs=0.03)
    assert drawn.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=0.012)


@pytest.mark.parametrize("seed", range(5))
def test_mixup_against_each_clip(seed, batch):
    x, y = batch
    mixer = Mixup("ntu25", COUNTS, alpha=0.4, generator=torch.Generator().manual_seed(seed))
    draws = mixer.draw(x)
    mixed = mixer.mix(x, y, draws)
    here = presence(x)
    for i in range(12):
        j = (i + draws.shift) % 12
        both = here[i] & here[j]
        expected = x[i].clone()
        expected[..., both] = (1 - draws.mixup) * x[i][..., both] + draws.mixup * x[j][..., both]
        torch.testing.assert_close(mixed.x[i], expected)
        given = draws.mixup * int(both.sum()) / int(here[i].sum())
        assert float(mixed.lam[i]) == pytest.approx(1 - given, abs=1e-6)

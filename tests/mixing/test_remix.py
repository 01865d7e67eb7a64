import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shapmix.mixing import Mixup
from shapmix.mixing.remix import Remix, rebalance
from shapmix.mixing.stmix import Draws

COUNTS = [500, 120, 60, 17, 9, 6]


def rebalance_slowly(lam, n_i, n_j, kappa, tau):
    """Equation 8 of the paper."""
    if n_i / n_j >= kappa and lam < tau:
        return 0.0
    if n_i / n_j <= 1 / kappa and 1 - lam < tau:
        return 1.0
    return lam


@settings(max_examples=100)
@given(
    lam=st.floats(0, 1, width=32),
    n_i=st.integers(1, 600),
    n_j=st.integers(1, 600),
    kappa=st.sampled_from([1.0, 2.0, 3.0, 4.0, 10.0]),
    tau=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)
def test_rebalance_against_the_equation(lam, n_i, n_j, kappa, tau):
    # With kappa = 1 both cases hold for classes of one size; the paper has kappa > 1.
    n_j += kappa == 1 and n_i == n_j
    ours = rebalance(torch.tensor([lam]), torch.tensor([n_i]), torch.tensor([n_j]), kappa, tau)
    # 1 - lam is rounded to single precision in ours
    single = float(1 - torch.tensor(lam))
    expected = rebalance_slowly(lam, n_i, n_j, kappa, tau)
    if (single < tau) == (1 - lam < tau) and n_i * kappa != n_j:
        assert float(ours) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("sizes", "lam", "expected"),
    [
        ((300, 100), 0.4, 0.0),  # the majority has the smaller share: the label is the minority's
        ((300, 100), 0.5, 0.5),
        ((299, 100), 0.4, 0.4),  # no majority
        ((100, 300), 0.6, 1.0),
        ((100, 300), 0.5, 0.5),
        ((100, 100), 0.1, 0.1),
    ],
)
def test_published_values(sizes, lam, expected):
    own, other = (torch.tensor([size]) for size in sizes)
    assert float(rebalance(torch.tensor([lam]), own, other, 3.0, 0.5)) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(10))
def test_clips_are_those_of_mixup_and_labels_lean_to_the_rarer_class(seed, batch):
    x, y = batch
    both = [torch.Generator().manual_seed(seed) for _ in range(2)]
    mixup = Mixup("ntu25", COUNTS, generator=both[0])(x, y)
    remix = Remix("ntu25", COUNTS, generator=both[1])(x, y)
    assert torch.equal(remix.x, mixup.x)
    assert torch.equal(remix.partner, mixup.partner)
    expected = torch.zeros(12, 6)
    for i in range(12):
        own, other = int(y[i]), int(y[remix.partner[i]])
        lam = rebalance_slowly(float(mixup.lam[i]), COUNTS[own], COUNTS[other], 3, 0.5)
        assert float(remix.lam[i]) == pytest.approx(lam)
        expected[i, own] += lam
        expected[i, other] += 1 - lam
        if COUNTS[own] > COUNTS[other]:
            assert remix.lam[i] <= mixup.lam[i]
        else:
            assert remix.lam[i] >= mixup.lam[i]
    torch.testing.assert_close(remix.target, expected)
    torch.testing.assert_close(remix.target.sum(1), torch.ones(12))


def test_balanced_classes_get_plain_mixup(batch):
    x, y = batch
    draws = Draws(2, mixup=0.8)
    remix = Remix("ntu25", [9] * 6).mix(x, y, draws)
    assert torch.equal(remix.target, Mixup("ntu25", [9] * 6).mix(x, y, draws).target)


@pytest.mark.parametrize("options", [{"kappa": 0.5}, {"tau": 1.5}, {"tau": float("nan")}])
def test_impossible_options(options):
    with pytest.raises(ValueError, match="a ratio of at least 1"):
        Remix("ntu25", COUNTS, **options)

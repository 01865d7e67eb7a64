import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import paste_slowly

from shapmix.mixing import functional, mean_clip
from shapmix.mixing.draws import GRID, draw_context, draw_row, draw_shift, draw_window
from shapmix.mixing.functional import Paste


def random_case(seed, frames, persons, clips=5, joints=7):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(clips, 3, frames, joints, persons, generator=generator)
    low = torch.randint(1, frames + 1, (2, clips), generator=generator)
    length, source_length = low.min(0).values, low.max(0).values
    start = (torch.rand(clips, generator=generator) * (frames - length + 1)).long()
    source = (torch.rand(clips, generator=generator) * (frames - source_length + 1)).long()
    mask = torch.rand(clips, joints, generator=generator) < 0.5
    partner = torch.randint(0, clips, (clips,), generator=generator)
    bodies = torch.rand(clips, persons, generator=generator) < 0.7
    return x, partner, Paste(start, length, source, source_length, mask), bodies


@settings(max_examples=30)
@given(seed=st.integers(0, 2**16), frames=st.integers(8, 21), persons=st.integers(1, 3))
def test_paste_against_loops(seed, frames, persons):
    x, partner, p, bodies = random_case(seed, frames, persons)
    args = (p.start, p.length, p.source_start, p.source_length, p.joints)
    before = x.clone()
    assert torch.equal(
        functional.paste(x, partner, p, bodies), paste_slowly(x, partner, *args, bodies)
    )
    assert torch.equal(functional.paste(x, partner, p), paste_slowly(x, partner, *args))
    assert torch.equal(x, before), "the input was changed"


@settings(max_examples=30)
@given(seed=st.integers(0, 2**16), frames=st.integers(8, 21))
def test_what_is_not_pasted_is_untouched_and_the_share_is_the_area(seed, frames):
    x, _, p, _ = random_case(seed, frames, 1)
    other = torch.full_like(x, float("inf"))
    both = torch.cat([x, other])
    wide = Paste(*(torch.cat([f, f]) for f in vars(p).values()))
    mixed = functional.paste(both, torch.arange(5, 10).repeat(2), wide)[:5]
    replaced = torch.isinf(mixed)
    assert torch.equal(mixed[~replaced], x[~replaced])
    area = replaced[:, 0].flatten(1).float().mean(1)
    torch.testing.assert_close(functional.paste_share(p, frames, torch.ones(5)), area)


def test_nearest_frames_agree_with_interpolate():
    x = torch.arange(40.0).view(1, 1, 40, 1, 1).repeat(2, 1, 1, 1, 1)
    x[0] += 100
    for length, source in [(8, 8), (8, 20), (12, 36), (28, 40)]:
        one = torch.ones(2, dtype=torch.int64)
        p = Paste(one * 4, one * length, one * 0, one * source, torch.ones(2, 1, dtype=torch.bool))
        mixed = functional.paste(x, torch.tensor([1, 0]), p)
        window = x[1, :, :source, 0].transpose(1, 2)
        nearest = torch.nn.functional.interpolate(window, length, mode="nearest").flatten()
        assert torch.equal(mixed[0].flatten()[4 : 4 + length], nearest)


def test_mixup_and_its_confidence_channel():
    x = torch.randn(3, 3, 8, 2, 1)
    partner, weight = torch.tensor([1, 2, 0]), torch.tensor([0.2, 0.5, 0.7])
    mixed = functional.mixup(x, partner, weight, confidence_channel=2)
    for i in range(3):
        w, j = float(weight[i]), int(partner[i])
        torch.testing.assert_close(mixed[i, :2], (1 - w) * x[i, :2] + w * x[j, :2])
        assert torch.equal(mixed[i, 2], x[j, 2] if w > 0.5 else x[i, 2])
    plain = functional.mixup(x, partner, weight)
    torch.testing.assert_close(plain[0], 0.8 * x[0] + 0.2 * x[1])


def test_impute_spares_absent_bodies():
    x, background = torch.randn(2, 3, 8, 4, 2), torch.randn(3, 8, 4, 2)
    x[1, ..., 1] = 0
    joints = torch.tensor([[True, False, True, False]] * 2)
    out = functional.impute(x, joints, background, functional.presence(x))
    assert torch.equal(out[..., [0, 2], :], x[..., [0, 2], :])
    assert torch.equal(out[0][..., [1, 3], :], background[..., [1, 3], :])
    assert torch.equal(out[1, ..., 1], torch.zeros(3, 8, 4))


def test_presence():
    x = torch.zeros(2, 3, 8, 4, 3)
    x[0, 1, 5, 2, 0] = x[1, 0, 0, 0, 2] = -1e-3
    expected = torch.tensor([[True, False, False], [False, False, True]])
    assert torch.equal(functional.presence(x), expected)


def test_mean_clip_of_foreign_axes():
    """The channels are not taken for bodies: the same clip, in the same order as the batches."""
    x = torch.randn(6, 3, 8, 4, 2) + 5
    x[:4, ..., 1] = 0
    expected = mean_clip([x])
    for dims in ("NMTVC", "NTVCM", "NVMCT"):
        foreign = x.permute(["NCTVM".index(axis) for axis in dims])
        back = ["NCTVM".index(axis) - 1 for axis in dims[1:]]
        assert torch.equal(mean_clip([foreign], dims=dims), expected.permute(back))
    with pytest.raises(ValueError, match="N first"):
        mean_clip([x], dims="NMTV")


def test_mean_clip_averages_over_present_bodies():
    x = torch.randn(6, 3, 8, 4, 3)
    x[:4, ..., 1] = 0
    x[..., 2] = 0
    mean = mean_clip(x.split(2))
    torch.testing.assert_close(mean[..., 0], x[..., 0].mean(0))
    torch.testing.assert_close(mean[..., 1], x[4:, ..., 1].mean(0))
    assert not mean[..., 2].any()
    torch.testing.assert_close(mean_clip([x], present_only=False), x.mean(0))
    with pytest.raises(ValueError, match="at least one batch"):
        mean_clip([])


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([(torch.zeros(2, 3, 8, 4, 1), torch.zeros(2))], r"is a tuple; .*mean_clip\(x for x, _ in"),
        ([torch.zeros(3, 8, 4, 1)], r"of shape \(3, 8, 4, 1\); .* five axes NCTVM"),
        ([torch.zeros(2, 3, 8, 4, 1).numpy()], "is a ndarray"),
        ([torch.zeros(2, 3, 8, 4, 1).long()], "torch.int64 of shape"),
        ([torch.full((2, 3, 8, 4, 1), torch.nan)], "NaN or infinite"),
        ([torch.zeros(2, 3, 8, 4, 1), torch.zeros(2, 3, 9, 4, 1)], r"\(3, 8, 4, 1\) and \(3, 9"),
        ([torch.zeros(0, 3, 8, 4, 1)], "at least one batch"),
    ],
)
def test_mean_clip_says_what_is_wrong(batches, message):
    with pytest.raises(ValueError, match=message):
        mean_clip(batches)


@pytest.mark.parametrize("frames", [8, 9, 13, 64, 100, 103])
def test_windows_lie_inside_on_the_grid_and_are_all_drawn(frames, generator):
    drawn = [draw_window(generator, frames, (7 / 16, 11 / 16)) for _ in range(500)]
    for w in drawn:
        assert w.start + w.length <= frames
        assert w.source_start + w.source_length <= frames
        assert w.source_length >= w.length > 0
        assert not any(f % GRID for f in vars(w).values())
    if frames == 64:
        assert {w.length for w in drawn} == {28, 32, 36, 40, 44}
    if frames == 100:
        wide = [draw_window(generator, 100, (0.52, 0.8)) for _ in range(500)]
        assert {w.length for w in wide} == set(range(52, 81, 4))


def test_shifts(generator):
    assert draw_shift(generator, 1) == 0
    assert draw_shift(generator, 2) == 1
    assert {draw_shift(generator, 3) for _ in range(20)} == {1}
    assert {draw_shift(generator, 6) for _ in range(200)} == {1, 2, 3, 4}


def test_rows_follow_their_weights(generator):
    weights = torch.tensor([[0.0, 1, 3], [1, 0, 0]]).repeat(20000, 1)
    index = draw_row(generator, weights).view(-1, 2)
    shares = torch.bincount(index[:, 0], minlength=3) / len(index)
    torch.testing.assert_close(shares, torch.tensor([0, 0.25, 0.75]), atol=0.02, rtol=0)
    assert not index[:, 1].any()


def test_contexts_are_uniform_by_size_and_disjoint(generator):
    coalition = torch.tensor([True, False, True, False, False])
    drawn = torch.stack([draw_context(generator, coalition) for _ in range(4000)])
    assert not (drawn & coalition).any()
    sizes = torch.bincount(drawn.sum(1), minlength=4) / len(drawn)
    torch.testing.assert_close(sizes, torch.full((4,), 0.25), atol=0.03, rtol=0)
    singles = drawn[drawn.sum(1) == 1].float().mean(0)[[1, 3, 4]]
    torch.testing.assert_close(singles, torch.full((3,), 1 / 3), atol=0.06, rtol=0)
    assert not draw_context(generator, coalition, empty=True).any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_mean_clip_of_half_precision(dtype):
    """Sums of pixels are beyond float16, and bfloat16 counts to 256."""
    x = torch.full((400, 3, 8, 20, 1), 1500.0, dtype=dtype)
    assert torch.equal(mean_clip([x]), torch.full((3, 8, 20, 1), float(x[0, 0, 0, 0, 0])))

import pytest
import torch

from shapmix.inference.explain import explain, explain_classes
from shapmix.inference.sampled import sample_classes, sample_clip
from shapmix.layouts import get_layout
from shapmix.mixing.background import stretch

LAYOUT = get_layout("kinect20")
BACKGROUND = torch.zeros(3, 8, 20, 1)


def part_model(weights):
    """Class k is as likely as its part is high: what each part contributes is known."""
    masks = torch.from_numpy(LAYOUT.part_masks()).float()

    def model(x):
        height = x[:, 1].mean(1)[..., 0]  # (N, V)
        parts = height @ masks.T / masks.sum(1)
        return parts @ weights

    return model


def test_the_part_that_decides_is_found_and_the_others_have_nothing():
    """Logits of class k depend on part k alone, so its Shapley value is all there is."""
    model = part_model(torch.eye(5))
    x = torch.zeros(20, 3, 8, 20, 1)
    y = torch.arange(20) % 5
    for i in range(20):
        x[i, 1, :, list(LAYOUT.parts.values())[y[i]], 0] = 4.0
    found = explain_classes(model, [(x[:7], y[:7]), (x[7:], y[7:])], LAYOUT, BACKGROUND, 5)
    shapley = found.parts()
    assert shapley.argmax(1).tolist() == list(range(5))
    others = shapley[~torch.eye(5, dtype=torch.bool)]
    torch.testing.assert_close(others, torch.zeros(20), atol=1e-6, rtol=0)
    assert found.clips.tolist() == [4.0] * 5
    full, empty = found.values[:, -1], found.values[:, 0]
    torch.testing.assert_close(shapley.sum(1), full - empty)
    names = [name for name, _ in found.coalitions(2, top=10)]
    assert all(LAYOUT.part_names[2] in name.split(" + ") for name in names)
    values = [value for _, value in found.coalitions(2, top=10)]
    assert values == sorted(values, reverse=True)


def test_values_are_means_over_the_clips_of_a_class():
    model = part_model(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)))
    x = torch.randn(6, 3, 8, 20, 1, generator=torch.Generator().manual_seed(1))
    y = torch.tensor([0, 1, 0, 1, 0, 0])
    found = explain_classes(model, [(x, y)], LAYOUT, BACKGROUND, 3)
    torch.testing.assert_close(
        found.values[0, -1], model(x[y == 0]).softmax(1)[:, 0].mean(), atol=1e-6, rtol=1e-5
    )
    assert found.values[0, 0] == pytest.approx(1 / 3)
    assert not found.values[2].any()


def random_batch(seed=2, clips=9):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(clips, 3, 8, 20, 1, generator=generator), torch.arange(clips) % 3


def random_model():
    return part_model(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)))


def test_standard_errors_are_those_of_each_clips_own_shapley_values():
    x, y = random_batch()
    found = explain_classes(random_model(), [(x[:4], y[:4]), (x[4:], y[4:])], LAYOUT, BACKGROUND, 4)
    of_clips = torch.cat(
        [
            explain_classes(random_model(), [(x[i : i + 1], y[i : i + 1])], LAYOUT, BACKGROUND, 4)
            .parts()[y[i]]
            .unsqueeze(0)
            for i in range(9)
        ]
    )
    torch.testing.assert_close(found.clip_parts(), of_clips)
    for k in range(3):
        own = of_clips[y == k]
        torch.testing.assert_close(found.parts()[k], own.mean(0))
        torch.testing.assert_close(found.part_errors()[k], own.std(0) / len(own) ** 0.5)
    assert found.part_errors()[3].isnan().all()
    phi, errors = found.shapley_values()
    assert phi.shape == errors.shape == (4, 31)
    torch.testing.assert_close(phi[:, [0, 1, 3, 7, 15]], found.parts())
    torch.testing.assert_close(phi[:, -1], found.values[:, -1] - found.values[:, 0])


def test_parts_that_need_each_other_interact_and_others_do_not():
    """Class 0 is likely only where parts 1 and 3 are both high."""
    masks = torch.from_numpy(LAYOUT.part_masks()).float()

    def model(x):
        height = x[:, 1].mean(1)[..., 0] @ masks.T / masks.sum(1)
        return torch.stack([20 * (height[:, 1] * height[:, 3] - 0.5), torch.zeros(len(x))], 1)

    x = torch.ones(4, 3, 8, 20, 1) + torch.arange(4).view(4, 1, 1, 1, 1) * 0.02
    found = explain_classes(model, [(x, torch.tensor([0, 0, 0, 1]))], LAYOUT, BACKGROUND, 2)
    interactions, errors = found.interactions(), found.interaction_errors()
    assert interactions.shape == errors.shape == (2, 5, 5)
    assert interactions[0, 1, 3] == interactions[0, 3, 1]
    assert interactions[0, 1, 3] > 0.9
    rest = interactions[0].clone()
    rest[1, 3] = rest[3, 1] = 0
    torch.testing.assert_close(rest, torch.zeros(5, 5), atol=1e-6, rtol=0)
    assert (errors[0] < 0.01).all()
    assert errors[1].isnan().all()


def test_one_clip_for_every_class():
    x, y = random_batch(clips=3)
    model = random_model()
    one = explain(model, x[1], LAYOUT, BACKGROUND)
    assert one.num_classes == 3
    own = explain_classes(model, [(x[1:2], y[1:2])], LAYOUT, BACKGROUND, 3)
    torch.testing.assert_close(one.parts()[y[1]], own.parts()[y[1]])
    # what speaks for one class speaks against the others
    torch.testing.assert_close(one.parts().sum(0), torch.zeros(5), atol=1e-6, rtol=0)
    full, empty = one.values[:, -1], one.values[:, 0]
    torch.testing.assert_close(one.parts().sum(1), full - empty)
    assert one.part_errors().isnan().all()


def test_any_partition_of_the_joints():
    """Parts split in two share what the whole part had; merged ones are their generalised value."""
    x, y = random_batch()
    model, own = random_model(), dict(LAYOUT.parts)
    names = list(own)
    merged = {"both": own[names[0]] + own[names[1]], **{n: own[n] for n in names[2:]}}
    whole = explain_classes(model, [(x, y)], LAYOUT, BACKGROUND, 3)
    found = explain_classes(model, [(x, y)], LAYOUT, BACKGROUND, 3, parts=merged)
    assert found.part_names == ("both", *names[2:])
    assert found.interactions().shape == (3, 4, 4)
    pair = torch.tensor([[True, True, False, False, False]])
    torch.testing.assert_close(found.parts()[:, :1], whole.shapley_values(pair)[0])
    full, empty = found.values[:, -1], found.values[:, 0]
    torch.testing.assert_close(found.parts().sum(1), full - empty)
    assert any("both" in name for name, _ in found.coalitions(0, top=6))
    with pytest.raises(ValueError, match="no partition"):
        explain(model, x[0], LAYOUT, BACKGROUND, parts={"a": [0, 1], "b": [2]})


@pytest.mark.parametrize(
    ("clip", "background"),
    [((8, 20, 1), (3, 8, 20, 1)), ((3, 8, 25, 1), (3, 8, 25, 1)), ((3, 8, 20, 2), (3, 8, 20, 1))],
)
def test_shapes_that_do_not_belong_together_are_refused(clip, background):
    with pytest.raises(ValueError, match=r"expected \(C, T, 20, M\)"):
        explain(random_model(), torch.zeros(clip), LAYOUT, torch.zeros(background))
    batches = [(torch.zeros(2, *clip), torch.zeros(2, dtype=torch.int64))]
    for explain_many in (explain_classes, sample_classes):
        with pytest.raises(ValueError, match=r"expected \(C, T, 20, M\)"):
            explain_many(random_model(), batches, LAYOUT, torch.zeros(background), 3)
    with pytest.raises(ValueError, match=r"expected \(C, T, 20, M\)"):
        sample_clip(random_model(), torch.zeros(clip), LAYOUT, torch.zeros(background))


def test_explain_is_public():
    import shapmix

    assert shapmix.explain is explain


def test_a_background_of_another_length_is_stretched_as_in_training():
    x, y = random_batch()
    short = torch.randn(3, 4, 20, 1, generator=torch.Generator().manual_seed(5))
    long = stretch(short, 8)
    one, other = (explain_classes(random_model(), [(x, y)], LAYOUT, b, 3) for b in (short, long))
    assert torch.equal(one.clip_values, other.clip_values)
    clips = [explain(random_model(), x[0], LAYOUT, b).clip_values for b in (short, long)]
    assert torch.equal(*clips)
    sampled = [
        sample_clip(random_model(), x[0], LAYOUT, b, pairs=2, generator=torch.Generator())
        for b in (short, long)
    ]
    assert torch.equal(sampled[0].clip_parts, sampled[1].clip_parts)


def test_no_clips_at_all():
    found = explain_classes(random_model(), [], LAYOUT, BACKGROUND, 3)
    assert not found.parts().any()
    assert found.part_errors().isnan().all()

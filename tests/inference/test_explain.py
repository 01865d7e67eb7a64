import pytest
import torch

from shapmix.inference.explain import explain_classes
from shapmix.layouts import get_layout

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
    found = explain_classes(model, [(x[:7], y[:7]), (x[7:], y[7:])], BACKGROUND, LAYOUT, 5)
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
    found = explain_classes(model, [(x, y)], BACKGROUND, LAYOUT, 3)
    torch.testing.assert_close(
        found.values[0, -1], model(x[y == 0]).softmax(1)[:, 0].mean(), atol=1e-6, rtol=1e-5
    )
    assert found.values[0, 0] == pytest.approx(1 / 3)
    assert not found.values[2].any()

"""The last linear layer is found, watched and replaced."""

import pytest
import torch
from torch import nn

from shapmix.losses import CosineClassifier, classifier_input, with_cosine_classifier
from shapmix.models import MODELS, create_model


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Sequential(nn.Linear(5, 3)))


def test_cosines():
    layer, h = CosineClassifier(4, 3, scale=30.0), torch.randn(5, 4)
    for i, k in [(0, 0), (4, 2)]:
        w = layer.weight[k]
        expected = 30 * (w @ h[i]) / (w.norm() * h[i].norm())
        torch.testing.assert_close(layer(h)[i, k], expected)
    torch.testing.assert_close(layer(7 * h), layer(h))
    assert torch.isfinite(layer(torch.zeros(1, 4))).all()


def test_the_last_layer_is_replaced_and_the_others_are_not():
    model, fresh = with_cosine_classifier(network(), 3, 30.0), network()
    assert isinstance(model[2][0], CosineClassifier)
    assert torch.equal(model[0].weight, fresh[0].weight)
    assert model(torch.randn(2, 6)).abs().max() <= 30
    assert isinstance(with_cosine_classifier(nn.Linear(4, 3), 3, 2.0), CosineClassifier)


def test_input_is_recorded_only_inside():
    model, x = network(), torch.randn(2, 6)
    with classifier_input(model, 3) as seen:
        model(x)
    model(x)
    assert len(seen) == 1
    assert torch.equal(seen[0], model[:2](x))
    assert not seen[0].requires_grad


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_such_a_layer(name):
    model = create_model(name, "kinect20", 4, num_persons=2, width=8)
    with classifier_input(model, 4) as seen:
        logits = model(torch.randn(3, 3, 16, 20, 2))
    assert logits.shape == (3, 4)
    assert len(seen[0]) == 3
    with_cosine_classifier(model, 4, 30.0)
    assert model(torch.randn(3, 3, 16, 20, 2)).shape == (3, 4)


def test_a_model_without_one_is_refused():
    with pytest.raises(ValueError, match=r"Sequential has no nn\.Linear with 4 outputs"):
        with_cosine_classifier(network(), 4, 30.0)

"""What every backbone has to keep to, whatever it computes."""

import copy
import io
import math
import pickle

import pytest
import torch
from torch import Tensor, nn

from shapmix.layouts import CATALOG
from shapmix.models import MODELS, create_model
from shapmix.models.blocks import BodyClassifier, Pointwise, temporal_conv


def tiny(name: str, layout: str = "sbu15", classes: int = 5, **options: int) -> nn.Module:
    torch.manual_seed(0)
    return create_model(name, layout, classes, width=4, **options)


def clips(layout: str = "sbu15", N: int = 3, C: int = 3, T: int = 12, M: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(N, C, T, CATALOG[layout].num_joints, M, generator=generator)


@pytest.fixture(params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("layout", CATALOG)
def test_any_layout_persons_and_channels(name: str, layout: str) -> None:
    for persons in (1, 2, 3):
        for channels in (2, 3):
            model = tiny(name, layout, num_persons=persons, in_channels=channels)
            x = clips(layout, N=2, C=channels, T=8, M=persons).requires_grad_()
            logits = model(x)
            assert logits.shape == (2, 5)
            logits.square().sum().backward()
            for parameter in model.parameters():
                assert parameter.grad is not None
                assert parameter.grad.isfinite().all()
            # every person has a say
            assert (x.grad.abs().amax((0, 1, 2, 3)) > 0).all()


def test_any_length(name: str) -> None:
    model = tiny(name).eval()
    for T in range(8, 66):
        with torch.inference_mode():
            x = clips(N=1, T=T)
            assert model(x).isfinite().all()
            frames = model.classifier.blocks(x[..., 0]).shape[2]
        assert frames == math.ceil(math.ceil(T / 2) / 2)


def test_evaluation_is_repeatable_and_clips_are_independent(name: str) -> None:
    model = tiny(name, num_persons=2)
    x = clips(N=6, M=2)
    model(x)  # some statistics
    model.eval()
    with torch.inference_mode():
        together = model(x)
        assert torch.equal(together, model(x))
        alone = torch.cat([model(clip[None]) for clip in x])
        torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(model(x.flip(0)), together.flip(0), rtol=1e-4, atol=1e-5)


def test_input_is_left_alone(name: str) -> None:
    x = clips()
    before = x.clone()
    tiny(name)(x).sum().backward()
    assert torch.equal(x, before)


def test_copies_answer_alike(name: str) -> None:
    model = tiny(name)
    model(clips())
    model.eval()
    stream = io.BytesIO()
    torch.save(model.state_dict(), stream)
    stream.seek(0)
    torch.manual_seed(5)
    loaded = create_model(name, "sbu15", 5, width=4)
    loaded.load_state_dict(torch.load(stream, weights_only=True))
    twins = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), loaded.eval()]
    for twin in twins:
        assert torch.equal(twin(clips()), model(clips()))


def test_training_lowers_the_loss(name: str) -> None:
    model = tiny(name)
    x, y = clips(N=8), torch.arange(8) % 5
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(12):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_autocast(name: str) -> None:
    model = tiny(name, num_persons=2)
    x = clips(N=4, M=2)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(x)
    assert logits.dtype == torch.bfloat16
    logits.float().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", ["ctrgcn", "stgcn"])
def test_a_block_is_captured_as_one_graph(name: str) -> None:
    block = tiny(name).classifier.blocks[4]  # strided, with shortcuts: all that a block can have
    compiled = torch.compile(block, backend="eager", fullgraph=True)
    x = torch.randn(2, 4, 8, 15)
    torch.testing.assert_close(compiled(x), block(x))


def test_wrong_input_is_refused(name: str) -> None:
    model = tiny(name, num_persons=2)
    for x in (clips(M=1), clips(C=2, M=2), clips("ntu25", M=2), clips(M=2)[0]):
        with pytest.raises(ValueError, match=r"made for \(N, C, T, V, M\) = \(N, 3, T, 15, 2\)"):
            model(x)


@pytest.mark.parametrize("argument", ["num_classes", "num_persons", "in_channels", "width"])
def test_counts_are_positive(name: str, argument: str) -> None:
    arguments = {"num_classes": 5, argument: 0}
    with pytest.raises(ValueError, match=f"{argument} is 0; expected"):
        create_model(name, "sbu15", **arguments)


def test_bodies_are_normalised_by_slot_and_averaged() -> None:
    """Absent persons too: a body of zeros counts like any other, as published."""
    torch.manual_seed(0)
    C, M, V = 2, 3, 15
    model = BodyClassifier(
        Pointwise(C, 4), 4, layout=CATALOG["sbu15"], num_classes=5, num_persons=M, in_channels=C
    )
    model.norm.running_mean.normal_()
    model.norm.running_var.uniform_(0.5, 2)
    nn.init.normal_(model.norm.weight)
    model.eval()
    x = clips(N=2, C=C, M=M)
    x[0, ..., 1:] = 0
    expected = []
    for clip in x:
        total = torch.zeros(4)
        for m in range(M):
            for v in range(V):
                for c in range(C):
                    slot = (m * V + v) * C + c
                    scale = model.norm.weight[slot] / (model.norm.running_var[slot] + 1e-5).sqrt()
                    track = clip[c, :, v, m] - model.norm.running_mean[slot]
                    track = track * scale + model.norm.bias[slot]
                    total = total + model.blocks.weight[:, c] * track.mean()
        features = total / (M * V) + model.blocks.bias
        expected.append(model.head.weight @ features + model.head.bias)
    torch.testing.assert_close(model(x), torch.stack(expected))


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_pointwise_equals_a_1x1_convolution(stride: int) -> None:
    torch.manual_seed(0)
    layer = Pointwise(3, 5, stride)
    nn.init.normal_(layer.bias)
    x = torch.randn(2, 3, 7, 4)
    expected = nn.functional.conv2d(x, layer.weight[..., None, None], layer.bias, (stride, 1))
    torch.testing.assert_close(layer(x), expected)


def test_weights_start_as_kaiming_normal_by_fan_out() -> None:
    torch.manual_seed(0)
    assert Pointwise(200, 50).weight.std().item() == pytest.approx((2 / 50) ** 0.5, rel=0.05)
    branches = Pointwise(200, 48, fan_out=12)
    assert branches.weight.std().item() == pytest.approx((2 / 12) ** 0.5, rel=0.05)
    conv = temporal_conv(200, 20, 5)
    assert conv.weight.std().item() == pytest.approx((2 / 100) ** 0.5, rel=0.05)
    assert not branches.bias.any()
    assert not conv.bias.any()

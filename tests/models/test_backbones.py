"""What every backbone has to keep to, whatever it computes."""

import copy
import io
import math
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from shapmix.layouts import CATALOG
from shapmix.models import MODELS, create_model
from shapmix.models.blocks import BodyClassifier, Pointwise, pointwise, repeated, temporal_conv


def tiny(name: str, layout: str = "sbu15", classes: int = 5, **options: Any) -> nn.Module:
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


def test_evaluation_takes_a_few_bodies_at_a_time(name: str) -> None:
    model = tiny(name, num_persons=2).eval()
    x = clips(N=40, M=2)
    seen: list[int] = []
    model.classifier.blocks.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    together = model(x)
    with torch.no_grad():
        torch.testing.assert_close(model(x), together, rtol=1e-4, atol=1e-5)
    assert seen == [80, 32, 32, 16]


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
    for _ in range(20):
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


# Which of M = 3 bodies each of six clips has; the last has none.
PRESENT = torch.tensor(
    [[1, 1, 1], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0]], dtype=torch.bool
)


def some_absent(C: int = 2) -> Tensor:
    return clips(N=len(PRESENT), C=C, M=3) * PRESENT[:, None, None, None, :]


def classifier_by_loops(
    model: BodyClassifier, x: Tensor, absent: str, training: bool = False
) -> Tensor:
    """Body by body and channel by channel; blocks must be a `Pointwise` layer."""
    N, C, _, V, M = x.shape
    counts = torch.ones_like(PRESENT) if absent == "zero" else PRESENT.clone()
    counts[5, 0] = True  # a clip without anybody has a first body of zeros
    features: list[list[Tensor]] = [[] for _ in range(N)]
    for m in range(M):
        bodies = [n for n in range(N) if counts[n, m]]
        found = {n: torch.zeros(4) for n in bodies}
        for v in range(V):
            for c in range(C):
                slot = (m * V + v) * C + c
                mean, variance = model.norm.running_mean[slot], model.norm.running_var[slot]
                if training:
                    seen = torch.cat([x[n, c, :, v, m] for n in bodies])
                    mean, variance = seen.mean(), seen.var(correction=0)
                for n in bodies:
                    track = (x[n, c, :, v, m] - mean) / (variance + 1e-5).sqrt()
                    track = track * model.norm.weight[slot] + model.norm.bias[slot]
                    found[n] = found[n] + model.blocks.weight[:, c] * track.mean() / V
        for n in bodies:
            features[n].append(found[n] + model.blocks.bias)
        if absent == "learned":
            for n in set(range(N)) - set(bodies):
                features[n].append(model.absent_features)
    mean_features = torch.stack([torch.stack(bodies).mean(0) for bodies in features])
    return mean_features @ model.head.weight.T + model.head.bias


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("absent", ["learned", "skip", "zero"])
def test_bodies_are_normalised_by_slot_and_averaged(absent: str, training: bool) -> None:
    torch.manual_seed(0)
    model = BodyClassifier(
        Pointwise(2, 4),
        4,
        layout=CATALOG["sbu15"],
        num_classes=5,
        num_persons=3,
        in_channels=2,
        absent=absent,
    )
    model.norm.running_mean.normal_()
    model.norm.running_var.uniform_(0.5, 2)
    nn.init.normal_(model.norm.weight)
    if absent == "learned":
        nn.init.normal_(model.absent_features)
    x = some_absent()
    expected = classifier_by_loops(model, x, absent, training)
    torch.testing.assert_close(model.train(training)(x), expected, rtol=1e-4, atol=1e-5)


def test_skipped_bodies_leave_the_statistics_of_the_input_alone() -> None:
    model = tiny("tcn", num_persons=3).train()
    x = some_absent(C=3)
    model(x)
    norm = model.classifier.norm
    for m, (mean, var) in enumerate(
        zip(norm.running_mean.chunk(3), norm.running_var.chunk(3), strict=True)
    ):
        counted = PRESENT[:, m] | (torch.arange(6) == 5) & (m == 0)
        bodies = x[counted][..., m].permute(3, 1, 0, 2).flatten(0, 1).flatten(1)  # (V C, n T)
        torch.testing.assert_close(mean, 0.1 * bodies.mean(1))
        torch.testing.assert_close(var, 0.9 + 0.1 * bodies.var(1), rtol=1e-4, atol=1e-5)
    assert norm.num_batches_tracked == 1


def test_a_slot_that_nobody_fills_keeps_its_statistics() -> None:
    model = tiny("tcn", num_persons=2).train()
    x = clips(M=2)
    x[..., 1] = 0
    model(x).sum().backward()
    assert not model.classifier.norm.running_mean.chunk(2)[1].any()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_absent_bodies_are_not_computed(name: str) -> None:
    model = tiny(name, num_persons=3).eval()
    seen: list[int] = []
    model.classifier.blocks.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    model(some_absent(C=3))
    assert seen == [int(PRESENT.sum()) + 1]


def test_with_everybody_present_all_meanings_agree(name: str) -> None:
    x = clips(N=4, M=2)
    found = []
    for absent in ("learned", "skip", "zero"):
        model = tiny(name, num_persons=2, absent=absent).train()
        model(x)
        found.append((model(x), model.eval()(x)))
    for one, other, third in zip(*found, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, third)


def test_the_vector_of_absent_bodies_is_learnt(name: str) -> None:
    model = tiny(name, num_persons=3).train()
    vector = model.classifier.absent_features
    model(some_absent(C=3)).square().sum().backward()
    assert vector.grad.abs().sum() > 0
    assert tiny(name, num_persons=1).classifier.absent_features is None
    assert tiny(name, num_persons=3, absent="skip").classifier.absent_features is None


def test_whom_a_clip_lacks_matters_to_no_other_clip(name: str) -> None:
    model = tiny(name, num_persons=3)
    x = some_absent(C=3)
    model(x)
    model.eval()
    alone = torch.cat([model(clip[None]) for clip in x])
    torch.testing.assert_close(alone, model(x), rtol=1e-4, atol=1e-5)


def test_nan_is_no_absence() -> None:
    model = tiny("tcn", num_persons=2).eval()
    x = clips(M=2)
    x[0, 0, 0, 0, 1] = math.nan
    logits = model(x)
    assert logits[0].isnan().all()
    assert logits[1:].isfinite().all()


def test_captured_for_export_absent_bodies_weigh_nothing(name: str) -> None:
    model = tiny(name, num_persons=3).eval()
    nn.init.normal_(model.classifier.absent_features)
    x = some_absent(C=3)
    exported = torch.export.export(model, (x,)).module()
    torch.testing.assert_close(exported(x), model(x), rtol=1e-4, atol=1e-5)


def test_what_an_absent_body_can_be() -> None:
    with pytest.raises(ValueError, match=r"absent is 'gone'.*learned, skip, zero"):
        tiny("tcn", absent="gone")


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_checkpointing_changes_nothing_but_the_memory(name: str, dropout: float) -> None:
    x = clips(N=4, M=2)
    outcomes = []
    for checkpoint in (False, True):
        model = tiny(name, num_persons=2, dropout=dropout, checkpoint=checkpoint).train()
        torch.manual_seed(3)
        model(x).square().sum().backward()
        gradients = {n: p.grad for n, p in model.named_parameters()}
        outcomes.append(gradients | dict(model.named_buffers()))
    for key, value in outcomes[0].items():
        assert torch.equal(value, outcomes[1][key]), key


def test_checkpointing_keeps_fewer_activations() -> None:
    kept = []
    for checkpoint in (False, True):
        model = tiny("stgcn", checkpoint=checkpoint).train()
        saved: list[int] = []
        pack = torch.autograd.graph.saved_tensors_hooks(
            lambda t, saved=saved: (saved.append(t.numel()), t)[1], lambda t: t
        )
        with pack:
            model(clips())
        kept.append(sum(saved))
    assert kept[1] < kept[0] / 2


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


def test_autocast_writes_no_copies_of_a_shared_weight():
    weight, x = torch.randn(5, 3), torch.randn(4, 3, 6)
    assert repeated(weight, x).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        views = repeated(weight, x)
        found = pointwise(x, weight, torch.zeros(5, 1))
    assert (views.dtype, views.shape, views.stride(0)) == (torch.bfloat16, (4, 5, 3), 0)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), weight @ x, rtol=0.05, atol=0.05)

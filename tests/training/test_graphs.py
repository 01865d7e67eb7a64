"""Which models can be captured, and that compiled blocks compute the same."""

import copy

import pytest
import torch
from torch import nn

from shapmix.models import MODELS, create_model
from shapmix.training.graphs import can_capture, capture, compile_blocks


def model(name: str, **options: object) -> nn.Module:
    torch.manual_seed(0)
    return create_model(name, "sbu15", 5, width=4, **options).train()


@pytest.mark.parametrize("name", MODELS)
def test_models_of_fixed_shapes_can_be_captured(name: str) -> None:
    assert can_capture(model(name))
    assert can_capture(model(name, num_persons=2, absent="zero"))
    assert not can_capture(model(name, num_persons=2))  # bodies are left out
    assert not can_capture(model(name, checkpoint=True))
    assert not can_capture(nn.Linear(3, 3))  # of which nothing is known
    assert not can_capture(nn.Sequential(model(name)))


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's own, by its tracer
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("persons", [1, 2])
def test_compiled_blocks_compute_the_same(name: str, persons: int) -> None:
    plain = model(name, num_persons=persons)
    compiled = copy.deepcopy(plain)
    compile_blocks(compiled, backend="eager")
    assert list(compiled.state_dict()) == list(plain.state_dict())
    x = torch.randn(4, 3, 8, 15, persons)
    if persons == 2:
        x[1, ..., 1] = 0
    for net in (plain, compiled):
        net(x).square().sum().backward()
    torch.testing.assert_close(compiled(x), plain(x))
    for ours, theirs in zip(compiled.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_no_variant_of_a_block_falls_back_to_eager() -> None:
    """Blocks share their code, so one limit holds for all; torch's own is eight."""
    torch._dynamo.reset()
    net = model("stgcn", num_persons=2)
    compile_blocks(net, backend="eager")
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        for frames in (8, 12):
            x = torch.randn(4, 3, frames, 15, 2)
            x[1, ..., 1] = 0
            net.train()(x).square().sum().backward()
            with torch.no_grad():
                net.eval()(x)


def test_another_model_is_compiled_whole() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 2))
    x = torch.randn(3, 2, 3)
    expected = net(x)
    compile_blocks(net, backend="eager")
    torch.testing.assert_close(net(x), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
def test_captured_passes_equal_eager_ones() -> None:
    eager = model("ctrgcn").cuda()
    captured = copy.deepcopy(eager)
    x = torch.randn(4, 3, 16, 15, 1, device="cuda")
    run = capture(captured, x)
    for one, other in zip(eager.buffers(), captured.buffers(), strict=True):
        assert torch.equal(one, other)
    for _ in range(2):
        for net, forward in ((eager, eager), (captured, run)):
            net.zero_grad()
            forward(x).square().sum().backward()
    for ours, theirs in zip(captured.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)

import pytest
import torch

from shapmix.losses import LOSSES, BalancedSoftmaxLoss, CrossEntropyLoss, two_term_loss

COUNTS = [80, 15, 5]


def slow_balanced(logits, target):
    """-sum_k target_k log( n_k exp(f_k) / sum_j n_j exp(f_j) ), mean over clips."""
    weighted = torch.tensor(COUNTS) * logits.exp()
    return -(target * (weighted / weighted.sum(1, keepdim=True)).log()).sum(1).mean()


@pytest.fixture
def logits():
    return torch.randn(7, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)


@pytest.mark.parametrize("soft", [False, True])
def test_balanced_softmax(logits, soft):
    y = torch.arange(7) % 3
    target = torch.eye(3)[y] * 0.7 + 0.1 if soft else torch.eye(3)[y]
    loss = BalancedSoftmaxLoss(COUNTS)(logits, target if soft else y)
    torch.testing.assert_close(loss, slow_balanced(logits, target))


def test_balanced_softmax_is_cross_entropy_on_balanced_data(logits):
    y = torch.arange(7) % 3
    equal = BalancedSoftmaxLoss([9, 9, 9])(logits, y)
    torch.testing.assert_close(equal, CrossEntropyLoss([9, 9, 9])(logits, y))


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_of_the_two_terms(name, logits):
    """d L / d f = (softmax(f + log pi) - target) / N, for clean and for mixed clips alike."""
    criterion = LOSSES[name](COUNTS)
    mixed = torch.randn(7, 3, requires_grad=True)
    y, target = torch.arange(7) % 3, torch.softmax(torch.randn(7, 3), 1)
    two_term_loss(criterion, logits, y, mixed, target).backward()
    prior = torch.tensor(COUNTS).log() if name == "balanced-softmax" else torch.zeros(3)
    for values, goal in [(logits, torch.eye(3)[y]), (mixed, target)]:
        expected = ((values + prior).softmax(1) - goal) / 7
        torch.testing.assert_close(values.grad, expected.detach(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_empty_classes_are_refused(name):
    with pytest.raises(ValueError, match=r"classes \[1\] have no training clips"):
        LOSSES[name]([3, 0, 2])

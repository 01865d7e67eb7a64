"""Each loss against a slow one written clip by clip, and what must hold for all of them."""

import math

import pytest
import torch

from shapmix.losses import LOSSES, BalancedSoftmaxLoss, CrossEntropyLoss, two_term_loss

COUNTS = [80, 15, 5]
LOGITS = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
FEATURES = torch.randn(7, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
LABELS = torch.arange(7) % 3
TARGETS = torch.randn(7, 3, generator=torch.Generator().manual_seed(2)).double().softmax(1)

# Options, and the share of the run that is over.
CASES = [
    ("ce", {}, 0.0),
    ("balanced-softmax", {}, 0.0),
    ("balanced-softmax", {"tau": 1.7}, 0.0),
    ("focal", {}, 0.0),
    ("focal", {"gamma": 0.5}, 0.0),
    ("class-balanced", {}, 0.0),
    ("class-balanced", {"beta": 0.9}, 0.0),
    ("ldam-drw", {}, 0.0),
    ("ldam-drw", {"scale": 2, "max_margin": 0.3}, 0.79),
    ("ldam-drw", {}, 0.8),
    ("ldam-drw", {"reweight_from": 0.1}, 0.1),
    ("influence-balanced", {}, 0.0),
    ("influence-balanced", {}, 0.5),
    ("influence-balanced", {"alpha": 1000, "epsilon": 0.5, "start": 0}, 0.0),
]


def make(name, options, progress=0.0, counts=COUNTS):
    criterion = LOSSES[name](counts, **options).double()
    if hasattr(criterion, "set_progress"):
        criterion.set_progress(round(progress * 100), 100)
    return criterion


def value(criterion, logits, target, features=FEATURES):
    if getattr(criterion, "uses_features", False):
        return criterion(logits, target, features)
    return criterion(logits, target)


def slow_term(name, options, progress, z, y, h):
    """Weight and loss of one clip with logits z, label y and features h."""
    counts = [float(n) for n in COUNTS]
    K, classes = len(counts), range(len(counts))

    def entropy(values):
        return -math.log(math.exp(values[y]) / sum(math.exp(v) for v in values))

    p = [math.exp(v) / sum(math.exp(u) for u in z) for v in z]
    weight, loss = 1.0, entropy(z)
    if name == "balanced-softmax":
        tau = options.get("tau", 1)
        shares = [n / sum(counts) for n in counts]
        weighted = [shares[k] ** tau * math.exp(z[k]) for k in classes]
        loss = -math.log(weighted[y] / sum(weighted))
    elif name == "focal":
        loss = (1 - p[y]) ** options.get("gamma", 2) * -math.log(p[y])
    elif name == "class-balanced":
        beta = options.get("beta", 0.9999)
        inverse = [1 / sum(beta**i for i in range(int(n))) for n in counts]
        loss *= K * inverse[y] / sum(inverse)
    elif name == "ldam-drw":
        C = options.get("max_margin", 0.5) / max(n**-0.25 for n in counts)
        lowered = list(z)
        lowered[y] -= options.get("scale", 30) * C / counts[y] ** 0.25
        loss = entropy(lowered)
        if progress >= options.get("reweight_from", 0.8):
            weight = 1 / counts[y]
    elif name == "influence-balanced" and progress >= options.get("start", 0.5):
        alpha, epsilon = options.get("alpha", 10), options.get("epsilon", 1e-3)
        influence = sum(abs((p[k] - (k == y)) * v) for k in classes for v in h)
        share = (1 / counts[y]) / sum(1 / n for n in counts)
        loss *= alpha * K * share / (influence + epsilon)
    return weight, loss


def slow_loss(name, options, progress, logits, target, features):
    """sum_i sum_k t_ik w_k l_ik / sum_i sum_k t_ik w_k."""
    total = norm = 0.0
    for z, t, h in zip(logits.tolist(), target.tolist(), features.tolist(), strict=True):
        for k, chance in enumerate(t):
            weight, loss = slow_term(name, options, progress, z, k, h)
            total += chance * weight * loss
            norm += chance * weight
    return torch.tensor(total / norm).double()


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_is_the_slow_loss(case, soft):
    target = TARGETS if soft else torch.eye(3).double()[LABELS]
    loss = value(make(*case), LOGITS, target if soft else LABELS)
    expected = slow_loss(*case, LOGITS, target, FEATURES)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_one_hot_target_is_its_label(case):
    criterion = make(*case)
    hard = value(criterion, LOGITS, LABELS)
    torch.testing.assert_close(hard, value(criterion, LOGITS, torch.eye(3).double()[LABELS]))


@pytest.mark.parametrize("case", [case for case in CASES if not case[2] >= 0.8], ids=str)
def test_it_is_linear_in_the_target(case):
    criterion, other = make(*case), TARGETS.flip(0)
    mixed = value(criterion, LOGITS, 0.3 * TARGETS + 0.7 * other)
    parts = [value(criterion, LOGITS, t) for t in (TARGETS, other)]
    torch.testing.assert_close(mixed, 0.3 * parts[0] + 0.7 * parts[1])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_invariances(case):
    """Neither the order of clips, nor that of classes, nor a constant in the logits matters."""
    name, options, progress = case
    criterion = make(*case)
    loss = value(criterion, LOGITS, TARGETS)
    torch.testing.assert_close(loss, value(criterion, LOGITS + 5, TARGETS))
    back = torch.arange(6, -1, -1)
    turned = value(criterion, LOGITS[back], TARGETS[back], FEATURES[back])
    torch.testing.assert_close(loss, turned)
    permuted = make(name, options, progress, counts=COUNTS[::-1])
    torch.testing.assert_close(loss, value(permuted, LOGITS.flip(1), TARGETS.flip(1)))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("target", [LABELS, TARGETS.float()], ids=["hard", "soft"])
def test_half_precision_ends_at_the_logits(case, target):
    """Of clips that are learnt well, `1 - p` in half precision would be a matter of rounding."""
    criterion = make(*case).float()
    logits = (4 * LOGITS + 8 * torch.eye(3)[LABELS]).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = value(criterion, logits, target, FEATURES.float())
    expected = value(criterion, logits.float(), target, FEATURES.float())
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [0.0, 1.0, 1e4])
def test_gradients_are_finite(case, dtype, size):
    criterion = make(*case).float()
    for target in (LABELS, TARGETS.float()):
        logits = (size * LOGITS).to(dtype).requires_grad_()
        loss = value(criterion, logits, target, FEATURES.to(dtype))
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    ("name", "options", "counts", "progress"),
    [
        ("balanced-softmax", {}, [9, 9, 9], 0),
        ("balanced-softmax", {"tau": 0}, COUNTS, 0),
        ("focal", {"gamma": 0}, COUNTS, 0),
        ("class-balanced", {}, [9, 9, 9], 0),
        ("class-balanced", {"beta": 0}, COUNTS, 0),
        ("ldam-drw", {"max_margin": 0}, COUNTS, 0.79),
        ("ldam-drw", {"max_margin": 0, "reweight_from": 1}, COUNTS, 0.99),
        ("ldam-drw", {"max_margin": 0}, [9, 9, 9], 1),
        ("influence-balanced", {}, COUNTS, 0.49),
    ],
)
def test_it_equals_cross_entropy_where_it_must(name, options, counts, progress):
    criterion = make(name, options, progress, counts)
    for target in (LABELS, TARGETS):
        expected = CrossEntropyLoss(counts)(LOGITS, target)
        torch.testing.assert_close(value(criterion, LOGITS, target), expected)


@pytest.mark.parametrize("name", ["balanced-softmax", "ce"])
def test_gradient_of_the_two_terms(name):
    """d L / d f = (softmax(f + log pi) - target) / N, for clean and for mixed clips alike."""
    criterion = LOSSES[name](COUNTS)
    logits = LOGITS.clone().requires_grad_()
    mixed = FEATURES[:, :3].clone().requires_grad_()
    two_term_loss(criterion, logits, LABELS, mixed, TARGETS).backward()
    prior = torch.tensor(COUNTS).log() if name == "balanced-softmax" else torch.zeros(3)
    for values, goal in [(logits, torch.eye(3)[LABELS]), (mixed, TARGETS)]:
        expected = ((values + prior).softmax(1) - goal) / 7
        torch.testing.assert_close(values.grad, expected.detach(), atol=1e-6, rtol=1e-5)


def test_two_terms_pass_features_on():
    criterion = make("influence-balanced", {"start": 0})
    both = two_term_loss(criterion, LOGITS, LABELS, -LOGITS, TARGETS, (FEATURES, 2 * FEATURES))
    parts = criterion(LOGITS, LABELS, FEATURES) + criterion(-LOGITS, TARGETS, 2 * FEATURES)
    torch.testing.assert_close(both, parts)


@pytest.mark.parametrize("name", LOSSES)
def test_empty_classes_are_refused(name):
    with pytest.raises(ValueError, match=r"classes \[1\] have no training clips"):
        LOSSES[name]([3, 0, 2])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("balanced-softmax", {"tau": -1}, "tau is -1; expected a number of at least 0"),
        ("focal", {"gamma": "two"}, "gamma is 'two'; expected a number of at least 0"),
        ("focal", {"gamma": math.nan}, "gamma is nan"),
        ("class-balanced", {"beta": 1}, "beta is 1; expected a number from 0 to 1"),
        ("class-balanced", {"beta": True}, "beta is True"),
        ("ldam-drw", {"max_margin": -0.5}, "max_margin is -0.5"),
        ("ldam-drw", {"scale": 0}, "scale is 0; expected a number of at least 1"),
        ("ldam-drw", {"reweight_from": 80}, "reweight_from is 80; expected a number from 0 to 1"),
        ("influence-balanced", {"epsilon": 0}, "epsilon is 0"),
        ("influence-balanced", {"start": 2}, "start is 2"),
    ],
)
def test_impossible_options_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        LOSSES[name](COUNTS, **options)


def test_state_is_the_prior_alone():
    """What a loss learns from the counts is in its state; where the run is, it is told."""
    loss = BalancedSoftmaxLoss(COUNTS)
    torch.testing.assert_close(loss.log_prior.exp(), torch.tensor([0.8, 0.15, 0.05]))
    assert set(LOSSES["ldam-drw"](COUNTS).state_dict()) == {"margins", "weights"}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("classes", [1, len(COUNTS) - 1, len(COUNTS) + 1])
def test_logits_of_another_number_of_classes_are_refused(name, classes):
    with pytest.raises(ValueError, match=r"expected \(N, 3\), one for each entry of class_counts"):
        LOSSES[name](COUNTS)(torch.zeros(4, classes), torch.zeros(4, dtype=torch.int64))

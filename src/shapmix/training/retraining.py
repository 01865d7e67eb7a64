"""Second stages that learn: the last linear layer trained on features of a frozen backbone."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD

from shapmix.data.sampling import class_balanced, instance
from shapmix.losses import ClassBalancedLoss, CrossEntropyLoss
from shapmix.losses.expectation import check_option
from shapmix.losses.rebalancing import max_norm, norm_between
from shapmix.training.finished import FeatureBatches, FinishedRun
from shapmix.training.module import TrainingError

MOMENTUM = 0.9  # in all the papers; without Nesterov's correction


@dataclass(frozen=True)
class Schedule:
    """`epochs` over which the rate falls from `lr` to zero, and the `weight_decay` of all."""

    epochs: int
    lr: float
    weight_decay: float


def crt(
    run: FinishedRun,
    layer: nn.Linear,
    *,
    epochs: int = 10,
    lr: float | None = None,
    weight_decay: float | None = None,
) -> None:
    """Classifier re-training: the layer starts anew and learns from class-balanced batches.

    Source: Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR
    2020. Deviations from the authors' program: the backbone's batch norm is in evaluation mode, the
    rate falls with every step, and the last epoch is kept.

    Args:
        run: the first stage. layer: its last layer, changed in place.
        epochs: passes of as many clips as there are.
        lr: where the cosine starts; the run's own when not given.
        weight_decay: the run's own when not given.

    Raises:
        ValueError: an option has an impossible value.
        TrainingError: the loss is no longer finite.
    """
    schedule = _schedule(run, epochs, lr, weight_decay)
    generator = Generator().manual_seed(run.config.seed)
    bound = layer.in_features**-0.5  # as nn.Linear starts
    for parameter in layer.parameters():
        fresh = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
        parameter.data.copy_(fresh)
    train_classifier(
        list(layer.parameters()),
        layer,
        CrossEntropyLoss(run.data.class_counts),
        FeatureBatches(run, partial(class_balanced, run.data.train.labels)),
        schedule,
    )


def lws(
    run: FinishedRun,
    layer: nn.Linear,
    *,
    epochs: int = 5,
    lr: float | None = None,
    weight_decay: float | None = None,
) -> None:
    """Learnable weight scaling: one factor a class, starting at 1, from class-balanced batches.

    Source and deviations as for `crt`. Weights and bias of a class have the same factor, as in the
    authors' program. Arguments and errors as for `crt`.
    """
    schedule = _schedule(run, epochs, lr, weight_decay)
    scales = nn.Parameter(torch.ones_like(layer.weight[:, 0]))
    weight = layer.weight.detach().clone()
    bias = None if layer.bias is None else layer.bias.detach().clone()
    train_classifier(
        [scales],
        lambda h: scales * F.linear(h, weight, bias),
        CrossEntropyLoss(run.data.class_counts),
        FeatureBatches(run, partial(class_balanced, run.data.train.labels)),
        schedule,
    )
    with torch.no_grad():
        layer.weight.mul_(scales[:, None])
        if layer.bias is not None:
            layer.bias.mul_(scales)


def maxnorm(
    run: FinishedRun,
    layer: nn.Linear,
    *,
    epochs: int = 10,
    lr: float = 0.01,
    weight_decay: float = 0.1,
    radius: float = 0.1,
    beta: float = 0.9999,
) -> dict[str, float]:
    """Weight balancing: the layer goes on with class-balanced loss, weight decay and MaxNorm.

    Source: Alshammari et al., Long-Tailed Recognition via Weight Balancing, CVPR 2022. After each
    step the norm of every class is at most R, which lies `radius` of the way from the smallest to
    the largest norm of the first stage; biases are free. Deviations: cross-entropy for the loss of
    the authors' program, a projection after each step where that has one after each epoch, and
    those of `crt`.

    Args:
        run, layer, epochs, lr: as for `crt`.
        weight_decay: of weights and biases.
        radius: decides R.
        beta: of the class-balanced loss.

    Returns:
        `{"max_norm": R}`.

    Raises:
        ValueError, TrainingError: as for `crt`.
    """
    schedule = _schedule(run, epochs, lr, weight_decay)
    largest = norm_between(layer.weight, check_option("radius", radius, 0, 1))
    criterion = ClassBalancedLoss(run.data.class_counts, beta=beta).to(run.device)

    def project() -> None:
        layer.weight.copy_(max_norm(layer.weight, largest))

    train_classifier(
        list(layer.parameters()),
        layer,
        criterion,
        FeatureBatches(run, partial(instance, run.data.train.labels)),
        schedule,
        after_step=project,
    )
    return {"max_norm": largest}


def train_classifier(
    parameters: list[nn.Parameter],
    classifier: Callable[[Tensor], Tensor],
    criterion: nn.Module,
    batches: FeatureBatches,
    schedule: Schedule,
    *,
    after_step: Callable[[], None] = lambda: None,
) -> None:
    """SGD on batches of features; the rate falls to zero along a cosine.

    Args:
        parameters: what is trained.
        classifier: `(N, L)` features to `(N, K)` logits, by these parameters.
        criterion: of logits and labels.
        batches: features and labels of an epoch.
        schedule: how long and how fast.
        after_step: called after each step, without gradients.

    Raises:
        TrainingError: the loss is no longer finite.
    """
    for parameter in parameters:
        parameter.requires_grad_(True)
    lr = schedule.lr
    optimizer = SGD(parameters, lr, momentum=MOMENTUM, weight_decay=schedule.weight_decay)
    step, steps = 0, schedule.epochs * len(batches)
    for epoch in range(schedule.epochs):
        for features, labels in batches.epoch(epoch):
            optimizer.param_groups[0]["lr"] = lr * (1 + math.cos(math.pi * step / steps)) / 2
            loss = criterion(classifier(features), labels)
            if not math.isfinite(float(loss.detach())):
                raise TrainingError(
                    f"the loss of the second stage became {float(loss.detach())} in epoch {epoch}: "
                    f"try an lr below {lr:g}"
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                after_step()
            step += 1


def _schedule(
    run: FinishedRun, epochs: int, lr: float | None, weight_decay: float | None
) -> Schedule:
    """Checked; what is not given is the run's own."""
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"epochs is {epochs!r}; expected a whole number of at least 1")
    lr = run.config.lr if lr is None else lr
    weight_decay = run.config.weight_decay if weight_decay is None else weight_decay
    return Schedule(
        epochs, check_option("lr", lr, 0), check_option("weight_decay", weight_decay, 0)
    )

"""A trained linear classifier, rebalanced between frequent and rare classes: pure functions.

Weights are `(K, L)`, one row a class, biases `(K,)`, for K classes and L features.
"""

import torch
from torch import Tensor, nn

from shapmix.counts import ClassCounts, check_counts
from shapmix.losses.classifier import CosineClassifier, last_linear


def linear_classifier(model: nn.Module, num_classes: int) -> nn.Linear:
    """The last linear layer of a model, K outputs; the layer itself, not a copy.

    Raises:
        ValueError: there is none, or cosines take its place.
    """
    if any(isinstance(module, CosineClassifier) for module in model.modules()):
        raise ValueError(
            "the classifier of this model is made of cosines (loss ldam-drw), not one linear "
            "layer: start from a run with another loss, such as ce"
        )
    try:
        return last_linear(model, num_classes)[1]
    except ValueError:
        raise ValueError(
            f"{type(model).__name__} has no nn.Linear with {num_classes} outputs, one a class: a "
            "second stage works on models that end with such a layer"
        ) from None


def tau_normalize(weight: Tensor, tau: float) -> Tensor:
    """`w_k / ||w_k||^tau` for each class: `(K, L)`.

    With tau 0 nothing changes, with 1 every class gets the norm 1. A row of zeros stays as it is.
    Source: Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR
    2020.
    """
    norms = weight.norm(dim=1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)
    normalized: Tensor = weight / norms**tau
    return normalized


def norm_between(weight: Tensor, share: float) -> float:
    """The norm that lies `share` of the way from the smallest to the largest norm of a class."""
    norms = weight.detach().norm(dim=1)
    return float(norms.min() + share * (norms.max() - norms.min()))


def max_norm(weight: Tensor, radius: float) -> Tensor:
    """The nearest weights whose norms are at most `radius` for every class: `(K, L)`.

    Source: Alshammari et al., Long-Tailed Recognition via Weight Balancing, CVPR 2022, the
    projection onto the MaxNorm constraint.
    """
    norms = weight.norm(dim=1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)
    projected: Tensor = weight * (radius / norms).clamp_max(1)
    return projected


def log_prior(class_counts: ClassCounts) -> Tensor:
    """`log pi_k`, the share of the training clips that class k has: `(K,)` float32.

    `logits - tau log_prior` is post-hoc logit adjustment (Menon et al., Long-Tail Learning via
    Logit Adjustment, ICLR 2021): with tau 1, the posterior of balanced data, up to a
    constant, if the logits are those of the training data.
    """
    counts = torch.from_numpy(check_counts(class_counts)).double()
    return (counts / counts.sum()).log().float()

"""Losses for long-tailed recognition, for hard `(N,)` and soft `(N, K)` targets alike.

Every loss takes `class_counts` first and then its options, as published by default. A soft target
is the distribution of an unknown label: the loss of a clip is the expectation of its hard-target
loss over that label, so every loss is linear in the target, and a one-hot row is the hard target.
"""

from torch import nn

from shapmix.losses.class_balanced import ClassBalancedLoss
from shapmix.losses.classifier import CosineClassifier, classifier_input, with_cosine_classifier
from shapmix.losses.cross_entropy import BalancedSoftmaxLoss, CrossEntropyLoss
from shapmix.losses.focal import FocalLoss
from shapmix.losses.influence import InfluenceBalancedLoss
from shapmix.losses.ldam import LDAMLoss
from shapmix.losses.objective import FollowsEpochs, two_term_loss

LOSSES: dict[str, type[nn.Module]] = {
    "balanced-softmax": BalancedSoftmaxLoss,
    "ce": CrossEntropyLoss,
    "class-balanced": ClassBalancedLoss,
    "focal": FocalLoss,
    "influence-balanced": InfluenceBalancedLoss,
    "ldam-drw": LDAMLoss,
}

__all__ = [
    "LOSSES",
    "BalancedSoftmaxLoss",
    "ClassBalancedLoss",
    "CosineClassifier",
    "CrossEntropyLoss",
    "FocalLoss",
    "FollowsEpochs",
    "InfluenceBalancedLoss",
    "LDAMLoss",
    "classifier_input",
    "two_term_loss",
    "with_cosine_classifier",
]

"""Metrics of a recogniser on a test set, with bootstrap intervals, and paired differences of runs.

All figures are fractions. Groups of classes follow the numbers of *training* clips; the figure of a
group is the mean of the accuracies of its classes, and None, never 0, when the group is empty.
"""

from shapmix.metrics.difference import paired_difference
from shapmix.metrics.evaluation import evaluate
from shapmix.metrics.grouped import (
    Difference,
    Differences,
    RunPair,
    grouped_difference,
    mean_difference,
)
from shapmix.metrics.groups import ACCURACIES, LEVEL, SHOTS, THIRDS, class_groups
from shapmix.metrics.significance import RankTest, holm, rank_test, sign_flip_test

__all__ = [
    "ACCURACIES",
    "LEVEL",
    "SHOTS",
    "THIRDS",
    "Difference",
    "Differences",
    "RankTest",
    "RunPair",
    "class_groups",
    "evaluate",
    "grouped_difference",
    "holm",
    "mean_difference",
    "paired_difference",
    "rank_test",
    "sign_flip_test",
]

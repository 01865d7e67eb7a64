"""What the figures say, in sentences a person understands without a legend."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shapmix.counts import FEW_BELOW, MANY_ABOVE
from shapmix.metrics import SHOTS, class_groups
from shapmix.reporting.pairing import Gain
from shapmix.reporting.report.inputs import ReportMethod
from shapmix.reporting.report.markup import percent, points

GROUPS: Mapping[str, str] = {
    "many": f"more than {MANY_ABOVE} training clips",
    "medium": f"{FEW_BELOW} to {MANY_ABOVE} training clips",
    "few": f"fewer than {FEW_BELOW} training clips",
}
SMALL_GAP = 0.03  # of accuracy: the groups of classes are about equally good
WORST = 3  # classes that are named
MANY_SEEDS = 5  # from so many on an interval knows about the spread over seeds


def is_it_good(method: ReportMethod, others: int) -> str:
    """How much it recognises, overall and on the average over classes."""
    test = method.tests[0]
    top1, mean_class = method.mean("top1"), method.mean("mean_class")
    lead = "" if others == 0 else "the highest mean class accuracy of this page: "
    seeds = f", on the average of {len(method.runs)} seeds" if len(method.runs) > 1 else ""
    chance = 1 / len(test["per_class"])
    return (
        f"{method.name} has {lead}{percent(mean_class)}, where guessing would reach "
        f"{percent(chance)}. Of all {test['clips']:,} test clips it recognises {percent(top1)}"
        f"{seeds}."
    )


def is_it_better(method: ReportMethod, first: ReportMethod, gain: Gain | None) -> str | None:
    """Whether it beats the first method by more than the choice of test clips explains."""
    found = gain["mean_class"] if gain is not None else None
    if found is None:
        return None
    low, high = found["interval"]
    interval = f"95 % interval {points(low)} to {points(high)}"
    size = points(abs(found["difference"])).lstrip("+")
    if low <= 0 <= high:
        return (
            f"Between {method.name} and {first.name} these test clips cannot decide: the "
            f"difference in mean class accuracy is {points(found['difference'])} points "
            f"({interval})."
        )
    word = "better" if found["difference"] > 0 else "worse"
    return (
        f"{method.name} is {word} than {first.name} by {size} points of mean class accuracy "
        f"({interval}): more than the choice of test clips explains.{_seeds(method, first)}"
    )


def _seeds(method: ReportMethod, first: ReportMethod) -> str:
    """What so few seeds cannot tell; "" of five and more."""
    seeds = min(len(method.runs), len(first.runs))
    if seeds >= MANY_SEEDS:
        return ""
    each = f"{seeds} seeds" if seeds > 1 else "one run"
    return f" Of {each} each it cannot be told whether other seeds would do the same."


def how_far_is_the_tail(method: ReportMethod, class_counts: Sequence[int]) -> str | None:
    """How much worse the classes with few training clips are recognised; None in one group."""
    groups = class_groups(class_counts)
    figures = {name: value for name in SHOTS if (value := method.mean(name)) is not None}
    if len(figures) < 2:
        return None
    first, *_, last = figures
    gap = figures[first] - figures[last]
    words = {name: f"{name} ({GROUPS[name]}, {len(groups[name])} classes)" for name in figures}
    if abs(gap) < SMALL_GAP:
        verdict = "are recognised about equally well"
    else:
        side = "behind" if gap > 0 else "ahead of"
        verdict = f"the rare ones {points(abs(gap)).lstrip('+')} points {side} the frequent ones"
    return (
        f"Classes of the group {words[first]} reach {percent(figures[first])}, those of the group "
        f"{words[last]} {percent(figures[last])}: {verdict}."
    )


def where_does_it_fail(
    method: ReportMethod, class_names: Sequence[str], class_counts: Sequence[int]
) -> str | None:
    """The classes it recognises least, and what they are taken for; None when all are perfect."""
    accuracies = method.accuracies()
    order = [int(k) for k in np.argsort(accuracies, kind="stable") if accuracies[k] < 1][:WORST]
    if not order:
        return None
    confusion = method.confusion()
    return (
        "It fails most on "
        + "; ".join(_failing(k, accuracies[k], confusion, class_names, class_counts) for k in order)
        + "."
    )


def is_it_sure(method: ReportMethod, gap: float) -> str:
    """Whether its confidence can be believed.

    Args:
        gap: mean confidence minus accuracy.
    """
    ece = float(np.mean([test["ece"] for test in method.tests]))
    if ece < 0.05:
        return (
            f"Its confidence can be believed: it is off by {points(ece).lstrip('+')} points on the "
            "average (expected calibration error)."
        )
    word = "too sure of itself" if gap > 0 else "less sure than it could be"
    return (
        f"Do not take its confidence at face value: it is {word}, off by "
        f"{points(ece).lstrip('+')} points on the average (expected calibration error)."
    )


def _failing(
    label: int,
    accuracy: float,
    confusion: Any,
    class_names: Sequence[str],
    class_counts: Sequence[int],
) -> str:
    row = confusion[label].copy()
    clips = int(row.sum())
    row[label] = 0
    taken = int(row.argmax())
    count = class_counts[label]
    return (
        f"“{class_names[label]}” ({percent(accuracy)}; {count} training clip{'s' * (count != 1)}; "
        f"{percent(row[taken] / clips)} taken for “{class_names[taken]}”)"
    )

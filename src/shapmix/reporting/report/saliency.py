"""Which body parts carry each action: Shapley values of parts, coalitions and pairs of parts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shapmix.layouts import Layout
from shapmix.reporting.report.inputs import ReportRun, methods_of
from shapmix.reporting.report.markup import choices, json_block, render, rounded, static_text
from shapmix.reporting.report.section import Section
from shapmix.reporting.runs import Explanation, Saliency
from shapmix.reporting.schematic import layout_pose

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_COALITIONS = 63  # of five and six parts all; of more only those of about half the parts
SHOWN_LINES = 5  # coalitions whose development is drawn
MOST_REFRESHES, LEAST_REFRESHES = 40, 8  # of them
MOST_POINTS = 200_000  # of all lines of the page
_DIGITS = 4


def make_section(runs: Sequence[ReportRun]) -> Section | None:
    """A panel for the first run of each method that was explained or learnt saliency."""
    methods = [m for m in methods_of(runs) if m.runs[0].explanation or m.runs[0].saliency]
    known = [(method.name, method.runs[0], len(method.runs) > 1) for method in methods]
    if not known:
        return None
    lines = SHOWN_LINES * len(runs[0].run.class_names) * len(known)
    refreshes = max(LEAST_REFRESHES, min(MOST_REFRESHES, MOST_POINTS // lines))
    panels = [
        (name, _panel(run, f"saliency-{number}", refreshes, told=several))
        for number, (name, run, several) in enumerate(known)
    ]
    html = choices("saliency", "Method", panels)
    return Section("saliency", "Salient body parts", html, (static_text("saliency.js"),))


def _panel(run: ReportRun, name: str, refreshes: int, *, told: bool) -> "Markup":
    """What one run knows, with the class chooser; the rest is drawn by `static/saliency.js`.

    Args:
        told: say which run it is.
    """
    explanation, saliency = run.explanation, run.saliency
    counts = np.array(run.run.class_counts)
    order = np.argsort(-counts, kind="stable").tolist()
    layout = _layout(run)
    data: dict[str, Any] = {"classes": run.run.class_names}
    overview = None
    if explanation is not None:
        data |= explained(explanation)
        overview = _overview(explanation, order)
    if saliency is not None:
        data["development"] = development(saliency, refreshes)
    return render(
        "saliency.html",
        id=name,
        data=json_block(f"{name}-data", data),
        run=run,
        told=told,
        order=order,
        counts=counts.tolist(),
        explanation=explanation,
        clips=_clips(explanation),
        parts=[] if explanation is None else [part_title(part) for part in explanation.part_names],
        overview=overview,
        body=_body(layout, explanation.part_names) if explanation and layout else None,
        development="development" in data,
    )


def explained(explanation: Explanation) -> dict[str, Any]:
    """The values of an explanation for the script, with coalitions as lists of parts."""
    shown = shown_coalitions(explanation.coalitions)
    return {
        "parts": [part_title(part) for part in explanation.part_names],
        "clips": explanation.clips.tolist(),
        "coalitions": [np.flatnonzero(row).tolist() for row in explanation.coalitions[shown]],
        "values": rounded(explanation.coalition_values[:, shown], _DIGITS),
        "errors": rounded(explanation.coalition_errors[:, shown], _DIGITS),
        "interactions": rounded(explanation.interactions, _DIGITS),
        "interactionErrors": rounded(explanation.interaction_errors, _DIGITS),
    }


def shown_coalitions(coalitions: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Which coalitions `(Q, P)` are shown: all of them if they are few, single parts always."""
    sizes, parts = coalitions.sum(1), coalitions.shape[1]
    if len(coalitions) <= MOST_COALITIONS:
        return np.arange(len(coalitions))
    return np.flatnonzero(np.isin(sizes, (1, parts // 2, (parts + 1) // 2)))


def development(saliency: Saliency, refreshes: int = MOST_REFRESHES) -> dict[str, Any]:
    """How the saliency of the finally most salient coalitions of each class developed.

    Returns:
        `epochs` of up to so many refreshes; `names` of all coalitions; and for each class `lines`,
        numbers of coalitions, and their `scores`, a list by epoch for each line.
    """
    R = len(saliency.epochs)
    kept = np.unique(np.linspace(0, R - 1, min(R, refreshes)).round().astype(int))
    best = np.argsort(-saliency.scores[-1], axis=1, kind="stable")[:, :SHOWN_LINES]  # (K, 5)
    names = [coalition_title(row, saliency.part_names) for row in saliency.coalitions]
    return {
        "epochs": saliency.epochs[kept].tolist(),
        "names": names,
        "lines": best.tolist(),
        "scores": [
            rounded(saliency.scores[kept][:, label, rows].T, 3) for label, rows in enumerate(best)
        ],
    }


def part_title(part: str) -> str:
    """`right_arm` as `right arm`."""
    return part.replace("_", " ")


def coalition_title(members: NDArray[np.bool_], part_names: Sequence[str]) -> str:
    """The parts of a coalition, joined by plus signs."""
    names = zip(part_names, members, strict=True)
    return " + ".join(part_title(part) for part, member in names if member)


def _layout(run: ReportRun) -> Layout | None:
    known = run.profile.get("layout") if run.profile else None
    return None if known is None else Layout.from_dict(known)


def _clips(explanation: Explanation | None) -> str:
    """How many clips of a class were explained, in words."""
    if explanation is None:
        return ""
    low, high = int(explanation.clips.min()), int(explanation.clips.max())
    return f"{low} to {high}" if low < high else str(low)


def _overview(explanation: Explanation, order: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of the table of all classes: values as text, with their share of the largest."""
    values = explanation.parts.astype(np.float64)
    largest = max(float(np.abs(values).max()), 1e-9)
    return [
        {
            "label": label,
            "total": _text(values[label].sum()),
            "cells": [(_text(value), float(value / largest)) for value in values[label]],
        }
        for label in order
    ]


def _text(value: float) -> str:
    words = f"{value:.2f}"
    return words if float(words) else words.lstrip("-")


def _body(layout: Layout, part_names: Sequence[str]) -> dict[str, Any] | None:
    """Joints and bones for an SVG picture, with the number of their part.

    None when the parts that were explained are not those of the layout.
    """
    if set(part_names) != set(layout.part_names):
        return None
    pose = layout_pose(layout)
    low, high = pose.min(0), pose.max(0)
    places = np.stack([pose[:, 0] - low[0], high[1] - pose[:, 1]], axis=1) * 200 + 14
    part = {j: part_names.index(name) for name, members in layout.parts.items() for j in members}
    spots = [(round(float(x), 1), round(float(y), 1)) for x, y in places]
    return {
        "width": round(float(high[0] - low[0]) * 200 + 28),
        "height": round(float(high[1] - low[1]) * 200 + 28),
        "bones": [(*spots[child], *spots[parent], part[child]) for child, parent in layout.bones],
        "joints": [(*spot, part[j], part_title(layout.joints[j])) for j, spot in enumerate(spots)],
    }

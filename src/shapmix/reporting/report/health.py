"""The data behind the runs: how long its tail is, and what is suspicious about it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shapmix.counts import shot_bins
from shapmix.reporting.report.inputs import ReportRun
from shapmix.reporting.report.markup import render
from shapmix.reporting.report.section import Section

_PARTS = {"train": "training", "val": "validation", "test": "test"}


def make_section(runs: Sequence[ReportRun]) -> Section:
    """One profile for each data set and split of the runs, most often one."""
    profiles: dict[str, list[ReportRun]] = {}
    for run in runs:
        profiles.setdefault(_key(run), []).append(run)
    html = render(
        "health.html",
        profiles=[
            {"of": [run.label for run in members], "facts": _facts(members[0])}
            | _findings(members[0])
            for members in profiles.values()
        ],
    )
    return Section("data", "Data", html)


def imbalance(counts: Sequence[int]) -> dict[str, float]:
    """How unequal the classes are: ratio of largest to smallest, Gini coefficient, largest share.

    The Gini coefficient is 0 for equal classes and approaches 1 when one class has everything.
    """
    ordered = np.sort(np.asarray(counts, dtype=np.float64))
    K, total = len(ordered), ordered.sum()
    ranks = np.arange(1, K + 1)
    gini = float((2 * ranks - K - 1) @ ordered / (K * total))
    return {
        "ratio": float(ordered[-1] / ordered[0]),
        "gini": gini,
        "top": float(ordered[-1] / total),
    }


def _key(run: ReportRun) -> str:
    profile = run.profile or {}
    return str([profile.get("archive"), profile.get("source"), run.run.class_counts])


def _facts(run: ReportRun) -> list[tuple[str, str]]:
    counts = run.run.class_counts
    profile: Mapping[str, Any] = run.profile or {}
    split: Mapping[str, Any] = profile.get("split") or {}
    clips: Mapping[str, Any] = profile.get("clips") or {}
    layout: Mapping[str, Any] = profile.get("layout") or {}
    tail = imbalance(counts)
    shots = [f"{len(k)} {name}" for name, k in shot_bins(counts).items() if len(k)]
    sizes = [f"{sum(n):,} {word}" for part, word in _PARTS.items() if (n := clips.get(part))]
    facts = {
        "Source": profile.get("source"),
        "Archive": profile.get("archive"),
        "Skeleton": layout and f"{layout.get('name')}, {len(layout.get('joints', ()))} joints",
        "Protocol": split.get("protocol"),
        "Profile": _profile(split),
        "Classes": f"{len(counts)}: {', '.join(shots)}",
        "Clips": ", ".join(sizes) if sizes else f"{sum(counts):,} training",
        "Imbalance": f"{max(counts)} clips in the largest class, {min(counts)} in the smallest: "
        f"{tail['ratio']:.3g} to 1",
        "Inequality": f"Gini coefficient {tail['gini']:.2f}; the largest class has "
        f"{100 * tail['top']:.0f} % of the training clips",
    }
    return [(name, str(value)) for name, value in facts.items() if value]


def _profile(split: Mapping[str, Any]) -> str | None:
    if not split.get("profile"):
        return None
    ratio, largest = split.get("imbalance"), split.get("n_max")
    more = [f"imbalance {ratio:g}"] if isinstance(ratio, (int, float)) else []
    more += [f"at most {largest} clips a class"] if largest else []
    return ", ".join([str(split["profile"]), *more])


def _findings(run: ReportRun) -> dict[str, Any]:
    """What the checks of the data found; `known` is false when they were not run."""
    found = None if run.profile is None else run.profile.get("findings")
    return {
        "known": found is not None,
        "findings": found or [],
        "archive": run.run.config.get("archive"),
    }

"""Comparing methods: mean and spread over seeds, and paired gains on the first method."""

from collections.abc import Sequence

import numpy as np

from shapmix.metrics import SHOTS, THIRDS
from shapmix.reporting.grid import Cell, Name, Number, Table
from shapmix.reporting.methods import group_methods
from shapmix.reporting.pairing import (
    Gain,
    common_seeds,
    find_warnings,
    load_answers,
    paired_gain,
)
from shapmix.reporting.runs import Run, Which
from shapmix.reporting.tables import TITLES

_GAINS = ("top1", "mean_class", *SHOTS, *THIRDS)
_FIGURES = (*_GAINS, "macro_f1", "ece")
_EPOCHS = {"last": "last epoch", "best": "epoch selected on validation clips"}
_BOOTSTRAP = (
    "In brackets: 95 % intervals of the paired difference, by a hierarchical bootstrap over seeds "
    "and test clips; with few seeds they are too narrow."
)


def compare_table(
    runs: Sequence[Run], which: Which = "last", *, resamples: int = 1000, seed: int = 0
) -> Table:
    """Mean and standard deviation over seeds of every method, and its gain in top-1 on the first.

    Runs belong to one method when their configurations differ in nothing but the seed and in how
    they were run (`methods.NOT_THE_METHOD`). A standard deviation (of the sample) needs two seeds.
    A figure is n/a when it is for any run of the method.

    Args:
        runs: in the order of the table; the first method is the reference.
        which: the last epoch, or the one selected on validation clips.
        resamples, seed: of the bootstrap of the gain (see `difference_table`).

    Raises:
        RunError: no runs, damaged files, or no selected epoch.
    """
    methods = group_methods(runs)
    answers = load_answers(methods, which)
    first = methods[0]
    rows: list[tuple[Cell, ...]] = []
    for method in methods:
        tests = [run.result(which).test for run in method.runs]
        speeds = [run.cost["clips_per_second"] for run in method.runs]
        figures = [_over_seeds([test[name] for test in tests]) for name in _FIGURES]
        row = (method.name, len(method.runs), *figures, _over_seeds(speeds, plain=True))
        if method is not first:
            gain = paired_gain(first, method, answers, resamples=resamples, seed=seed)
            row = (*row, _gain(gain, "top1"))
        elif len(methods) > 1:
            row = (*row, "")
        rows.append(row)
    columns = [Name("method", "Method"), Name("seeds", "Seeds")]
    columns += [Name(name, TITLES[name]) for name in _FIGURES]
    columns.append(Name("clips_per_second", "Clips/s"))
    notes = ["In percent, ± standard deviation over seeds."]
    if len(methods) > 1:
        columns.append(Name("gain", "Gain in top-1"))
        notes += [f"Gain on {first.name} in percentage points.", _BOOTSTRAP]
    return Table(
        title=f"Methods, {_EPOCHS[which]}",
        columns=tuple(columns),
        rows=tuple(rows),
        notes=tuple(notes),
        warnings=find_warnings(methods, answers),
        turns=True,
    )


def difference_table(
    runs: Sequence[Run], which: Which = "last", *, resamples: int = 1000, seed: int = 0
) -> Table:
    """Every further method minus the first, overall and by group of classes, with intervals.

    Runs of equal seeds are paired and test clips by name; the bootstrap draws pairs of runs and
    clips (`shapmix.metrics.paired_difference`). A difference is n/a when no seed is common, or when
    test clips or training counts differ. Arguments and errors as for `compare_table`.
    """
    methods = group_methods(runs)
    answers = load_answers(methods, which)
    first = methods[0]
    rows: list[tuple[Cell, ...]] = []
    for method in methods[1:]:
        gain = paired_gain(first, method, answers, resamples=resamples, seed=seed)
        pairs = len(common_seeds(first, method))
        rows.append((method.name, pairs, *(_gain(gain, name) for name in _GAINS)))
    columns = [Name("method", "Method"), Name("pairs", "Pairs")]
    return Table(
        title=f"Gain on {first.name}, {_EPOCHS[which]}",
        columns=(*columns, *(Name(name, TITLES[name]) for name in _GAINS)),
        rows=tuple(rows),
        notes=("In percentage points.", _BOOTSTRAP),
        warnings=find_warnings(methods, answers),
        turns=True,
    )


def _over_seeds(values: Sequence[float | None], *, plain: bool = False) -> Cell:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    sd = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return Number(float(np.mean(known)), sd=sd, unit="plain" if plain else "percent")


def _gain(gain: Gain | None, name: str) -> Cell:
    found = gain[name] if gain is not None else None
    if found is None:
        return None
    low, high = found["interval"]
    return Number(found["difference"], interval=(low, high), unit="points")

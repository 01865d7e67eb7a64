"""Which figures there are, and writing them into a folder."""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shapmix.layouts import Layout
from shapmix.reporting.figures import accuracy, saliency
from shapmix.reporting.figures.mixes import mix_figure
from shapmix.reporting.figures.paper import Columns, Format, print_style, save
from shapmix.reporting.report.inputs import ReportMethod, ReportRun, load_inputs, methods_of
from shapmix.reporting.runs import Which
from shapmix.suggest import did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEFAULT_CLASSES = 4

FIGURES = (  # those of all methods together, then those of one method
    "accuracy",
    "groups",
    "reliability",
    "training",
    "confusion",
    "coalitions",
    "bodies",
    "interactions",
    "mix",
)
_USUAL_COLUMNS: Mapping[str, Columns] = {"groups": 1, "reliability": 1}
NO_HISTORY = "no run has a history of its training"
_TOGETHER: Mapping[str, Callable[[Sequence[ReportMethod], Columns], Any]] = {
    "accuracy": accuracy.class_accuracy_figure,
    "groups": accuracy.groups_figure,
    "reliability": accuracy.reliability_figure,
    "training": accuracy.training_figure,
}


@dataclass(frozen=True)
class Written:
    """What was written: files, and reasons for figures that could not be made."""

    files: tuple[Path, ...]
    left_out: tuple[str, ...]


def write_figures(
    folders: Sequence[str | Path],
    out: str | Path,
    *,
    kind: Format = "pdf",
    columns: Columns | None = None,
    only: Sequence[str] = (),
    classes: Sequence[str] = (),
    which: Which = "last",
) -> Written:
    """Write the figures of one or more finished runs, a file each.

    Fonts are embedded, colours are told apart by the colour-blind, and equal runs give equal files.
    Runs that differ only in their seeds count as one method: accuracies are means with their
    standard deviation; saliency and mixes are those of the first of them.

    Args:
        folders: run folders with the same classes.
        out: a folder, made if need be.
        kind: of the files.
        columns: 1 (3.4 inches) or 2 (7 inches); what suits each figure when not given. A mix always
            has 2.
        only: names of `FIGURES`; all of them when empty.
        classes: whose saliency is shown; the four with the fewest training clips when empty.
        which: the last epoch, or the one selected on validation clips.

    Raises:
        RunError: a folder is missing or damaged, or the classes differ.
        ValueError: an unknown figure or class.
        ImportError: matplotlib is not installed.
    """
    chosen = [_known(name, FIGURES, "figure") for name in only] or list(FIGURES)
    runs = load_inputs(folders, which)
    methods = methods_of(runs)
    labels = _labels(runs[0], classes)
    drawn: list[tuple[str, Figure | str]] = []
    with print_style():
        for name in chosen:
            wide = columns or _USUAL_COLUMNS.get(name, 2)
            if name in _TOGETHER:
                drawn.append((name, _TOGETHER[name](methods, wide) or NO_HISTORY))
                continue
            for method, stem in zip(methods, _stems(methods), strict=True):
                drawn.append((name + stem, _draw_one(name, method, labels, wide)))
        return _save_all(drawn, Path(out), kind)


def _save_all(drawn: Sequence[tuple[str, "Figure | str"]], folder: Path, kind: Format) -> Written:
    files, left_out = [], []
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in drawn:
        if isinstance(figure, str):
            left_out.append(f"{name}: {figure}")
        else:
            files.append(save(figure, folder / f"{name}.{kind}", kind))
    return Written(tuple(files), tuple(left_out))


def _draw_one(
    name: str, method: ReportMethod, labels: Sequence[int], columns: Columns
) -> "Figure | str":
    """A figure of one method, or why there is none."""
    run = method.runs[0]
    if name == "confusion":
        return accuracy.confusion_figure(method, columns)
    if name == "mix":
        return mix_figure(run) or f"{run.label} has no clips into which it pasted parts"
    if run.explanation is None:
        command = shlex.join(["shapmix", "evaluate", str(run.run.path)])
        return (
            f"{run.label} has no explanation.npz; `{command}` makes it, if its data set is still "
            "there"
        )
    if name == "coalitions":
        return saliency.coalitions_figure(run, run.explanation, labels, columns)
    if name == "interactions":
        return saliency.interactions_figure(run, run.explanation, labels, columns)
    layout = _layout(run)
    if layout is None:
        return f"the layout of {run.label} is not known, or other parts than its own were explained"
    return saliency.body_figure(run, run.explanation, layout, labels, columns)


def _layout(run: ReportRun) -> Layout | None:
    """The skeleton, if its parts are those that were explained."""
    known = run.profile.get("layout") if run.profile else None
    if known is None or run.explanation is None:
        return None
    layout = Layout.from_dict(known)
    return layout if set(layout.part_names) == set(run.explanation.part_names) else None


def _stems(methods: Sequence[ReportMethod]) -> list[str]:
    """What names of files say of the method; nothing if there is only one."""
    if len(methods) == 1:
        return [""]
    slugs = [re.sub(r"[^\w.]+", "-", method.name).strip("-.") for method in methods]
    unique = len(set(slugs)) == len(slugs)
    return [f"-{slug}" if unique else f"-{slug}-{i}" for i, slug in enumerate(slugs)]


def _labels(run: ReportRun, classes: Sequence[str]) -> list[int]:
    names = run.run.class_names
    if classes:
        return [names.index(_known(name, names, "class")) for name in classes]
    order = np.argsort(np.array(run.run.class_counts), kind="stable")
    return [int(label) for label in order[:DEFAULT_CLASSES]]


def _known(name: str, names: Sequence[str], what: str) -> str:
    if name not in names:
        hint = did_you_mean(name, names)
        raise ValueError(f"no {what} {name!r}{hint}; expected one of {', '.join(names)}")
    return name

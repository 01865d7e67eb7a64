"""Tables of a leaderboard: accuracies and ranks, gains on the baseline, costs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from shapmix.reporting.benchmark import Cost
from shapmix.reporting.grid import Cell, Name, Number, Table
from shapmix.reporting.standings import HEADLINE, MEAN, Figure, Standings

FIGURE_TITLES: Mapping[Figure, str] = {
    "top1": "Overall",
    "mean_class": "Mean class",
    "head": "Head",
    "middle": "Middle",
    "tail": "Tail",
    "many": "Many",
    "medium": "Medium",
    "few": "Few",
}
_COST_TITLES: Mapping[Cost, str] = {
    "clips_per_second": "Clips/s",
    "train_seconds": "Seconds a run",
    "peak_memory_mb": "Peak memory, MB",
    "parameters": "Parameters",
}


@dataclass(frozen=True)
class Score(Number):
    """A number with a remark under it, which may be the best of its column.

    Attributes:
        remark: such as "3 seeds" or a p-value.
        best: of the column, among equals too.
        decimals: of a plain number.
    """

    remark: str = ""
    best: bool = False
    decimals: int = 0

    def lines(self) -> tuple[str, ...]:
        """As of a number, and the remark."""
        return (*super().lines(), *([self.remark] if self.remark else []))

    def _text(self, value: float) -> str:
        return f"{value:,.{self.decimals}f}" if self.unit == "plain" else super()._text(value)


@dataclass(frozen=True)
class _Bold(Score):
    """A score in the bold type of Markdown."""

    def lines(self) -> tuple[str, ...]:
        first, *rest = super().lines()
        return (f"**{first}**", *rest)


class LeaderboardTable(Table):
    """A table whose best figures are bold in Markdown and HTML; in a page its columns sort."""

    def markdown(self) -> str:
        """GitHub-flavoured Markdown."""
        return Table.markdown(self._bold())

    def html(self) -> str:
        """An HTML table, to be sorted by the script of the page."""
        text = Table.html(self._bold()).replace("<table>", '<table class="sortable">')
        return re.sub(r"\*\*([^*<>]+)\*\*", r"<strong>\1</strong>", text)

    def _bold(self) -> "LeaderboardTable":
        rows = [[_bold(cell) for cell in row] for row in self.rows]
        return replace(self, rows=tuple(map(tuple, rows)))


def standings_table(standings: Standings) -> Table:
    """Methods by data sets: overall and tail accuracy, means over data sets and mean ranks."""
    columns = [Name("method", "Method")]
    cells: list[list[Cell]] = [list(standings.methods)]
    for dataset in standings.datasets:
        for figure in HEADLINE:
            columns.append(
                Name(f"{dataset}_{figure}", f"{dataset} {FIGURE_TITLES[figure].lower()}")
            )
            cells.append(_accuracies(standings, dataset, figure))
    for figure in HEADLINE if len(standings.counted) > 1 else ():
        columns.append(Name(f"mean_{figure}", f"Mean {FIGURE_TITLES[figure].lower()}"))
        cells.append(_means(standings, figure))
    for figure in HEADLINE if len(standings.counted) > 1 else ():
        columns.append(Name(f"rank_{figure}", f"Rank {FIGURE_TITLES[figure].lower()}"))
        cells.append(_ranks(standings, figure))
    return LeaderboardTable(
        title=f"Accuracy, {standings.backbone}",
        columns=tuple(columns),
        rows=tuple(zip(*cells, strict=True)),
        notes=(
            f"In percent, ± standard deviation over {_seeds(standings.seeds)}, unless a cell says "
            "how many. Tail: the mean accuracy of the third of the classes with the fewest "
            "training clips. Bold: the best of those with at least half of the most seeds.",
            *_common_note(standings),
        ),
        warnings=tuple(
            f"{', '.join(names)} have the same test clips, but means and ranks take data sets for "
            "independent: their intervals are too narrow, their tests too bold."
            for names in standings.same_clips
        ),
        turns=True,
    )


def gain_table(standings: Standings, figure: Figure) -> Table:
    """Paired gains on the baseline in one figure, with intervals and adjusted p-values.

    Only the table of the first headline figure, which comes first, explains them.
    """
    columns = [Name("method", "Method")]
    cells: list[list[Cell]] = [list(standings.others)]
    for dataset in _with_mean(standings):
        columns.append(Name(dataset or "mean", dataset or "Mean"))
        cells.append(_gains(standings, dataset, figure))
    title = FIGURE_TITLES[figure].lower()
    unpaired = (
        f"{standings.unpaired} runs have other test clips or class counts than the baseline's run "
        "of the same seed; they are in no gain."
    )
    return LeaderboardTable(
        title=f"Gain on {standings.baseline} in {title} accuracy, {standings.backbone}",
        columns=tuple(columns),
        rows=tuple(zip(*cells, strict=True)),
        notes=_gain_notes(standings) if figure == HEADLINE[0] else (),
        warnings=(unpaired,) if standings.unpaired else (),
        turns=True,
    )


def cost_table(standings: Standings) -> Table:
    """What training costs: time relative to the baseline, speed, memory."""
    columns = [Name("method", "Method"), Name("time_ratio", f"Time / {standings.baseline}")]
    ratios = [standings.time_ratio(method) for method in standings.methods]
    cells: list[list[Cell]] = [
        list(standings.methods),
        [None if r is None else Score(r, unit="plain", decimals=2) for r in ratios],
    ]
    for name, title in _COST_TITLES.items():
        columns.append(Name(name, title))
        found = standings.cost(name)
        means = {} if found is None else dict(zip(standings.complete, found.mean(0), strict=True))
        cells.append([_plain(means.get(method)) for method in standings.methods])
    return LeaderboardTable(
        title=f"Cost of training, {standings.backbone}",
        columns=tuple(columns),
        rows=tuple(zip(*cells, strict=True)),
        notes=(
            "Time: geometric mean over runs paired by seed with the baseline's, those of the same "
            "machine. The rest: means over data sets, whatever the machine. Tasks that ran side by "
            "side slowed one another.",
        ),
        turns=True,
    )


def dataset_table(standings: Standings, dataset: str) -> Table:
    """All accuracies on one data set."""
    methods = [m for m in standings.methods if (dataset, m) in standings.outcomes]
    columns = [Name("method", "Method"), Name("seeds", "Seeds")]
    cells: list[list[Cell]] = [
        list(methods),
        [len(standings.outcomes[dataset, method]) for method in methods],
    ]
    for figure, title in FIGURE_TITLES.items():
        columns.append(Name(figure, title))
        column = _accuracies(standings, dataset, figure)
        kept = [c for c, m in zip(column, standings.methods, strict=True) if m in methods]
        cells.append([replace(c, remark="") if isinstance(c, Score) else c for c in kept])
    return LeaderboardTable(
        title=f"{dataset}, {standings.backbone}: accuracy in percent",
        columns=tuple(columns),
        rows=tuple(zip(*cells, strict=True)),
        turns=True,
    )


def _accuracies(standings: Standings, dataset: str, figure: Figure) -> list[Cell]:
    """A cell for each method: mean and spread over its seeds."""
    values = [standings.values(dataset, method, figure) for method in standings.methods]
    cells = [_over_seeds(each, standings.seeds) if each else None for each in values]
    return _mark_best(cells, [standings.has_enough(dataset, m) for m in standings.methods])


def _over_seeds(values: Sequence[float], usual: int) -> Score:
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    remark = f"({_seeds(len(values))})" if len(values) != usual else ""
    return Score(float(np.mean(values)), sd=sd, remark=remark)


def _means(standings: Standings, figure: Figure) -> list[Cell]:
    scores = standings.scores(figure)
    means = {} if scores is None else dict(zip(standings.complete, scores.mean(0), strict=True))
    cells: list[Cell] = [Score(float(means[m])) if m in means else None for m in standings.methods]
    return _mark_best(cells, [True] * len(cells))


def _ranks(standings: Standings, figure: Figure) -> list[Cell]:
    test = standings.ranks(figure)
    ranks = {} if test is None else dict(zip(standings.complete, test.ranks, strict=True))
    least = min(ranks.values(), default=0)
    return [
        Score(float(ranks[m]), unit="plain", decimals=1, best=ranks[m] == least)
        if m in ranks
        else None
        for m in standings.methods
    ]


def _gains(standings: Standings, dataset: str, figure: Figure) -> list[Cell]:
    adjusted = standings.adjusted(dataset, figure)
    usual = standings.seeds * (len(standings.counted) if dataset == MEAN else 1)
    cells: list[Cell] = []
    for method in standings.others:
        gain = standings.gain(dataset, method, figure)
        if gain is None:
            cells.append(None)
            continue
        said = [p_text(adjusted[method])] if method in adjusted else []
        said += [f"{gain.pairs} pairs" if gain.pairs > 1 else "1 pair"] * (gain.pairs != usual)
        remark = ", ".join(said)
        interval = gain.interval if gain.fewest > 1 else None
        cells.append(Score(gain.value, interval=interval, unit="points", remark=remark))
    return cells


def _mark_best(cells: Sequence[Cell], eligible: Sequence[bool]) -> list[Cell]:
    """Mark the largest of the eligible scores, and what looks equal to it."""
    shown = [
        cell.lines()[0] if isinstance(cell, Score) and may else ""
        for cell, may in zip(cells, eligible, strict=True)
    ]
    best = max((float(text) for text in shown if text), default=None)
    return [
        replace(cell, best=True)
        if isinstance(cell, Score) and text and float(text) == best
        else cell
        for cell, text in zip(cells, shown, strict=True)
    ]


def _bold(cell: Cell) -> Cell:
    return _Bold(**vars(cell)) if isinstance(cell, Score) and cell.best else cell


def _plain(value: float | None) -> Cell:
    return None if value is None else Score(float(value), unit="plain")


def _with_mean(standings: Standings) -> list[str]:
    return [*standings.datasets, *([MEAN] if len(standings.counted) > 1 else [])]


def _gain_notes(standings: Standings) -> tuple[str, ...]:
    return (
        f"Gains are in percentage points, of runs paired by seed ({standings.seeds} pairs a data "
        "set, unless a cell says how many). In brackets: 95 % intervals, each by itself, by a "
        "hierarchical bootstrap over seeds and test clips; with few seeds they are too narrow, of "
        "one there is none.",
        "p: paired sign-flip test over seeds, adjusted for the methods of the column by Holm's "
        "method. Of n pairs it is at least 2^(1 - n), so there is none with fewer than 5. It tells "
        "whether other seeds would show a gain on these clips, the interval also whether other "
        "clips would.",
    )


def _seeds(number: int) -> str:
    return f"{number} seed{'s' * (number != 1)}"


def p_text(value: float) -> str:
    """A p-value in words."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _common_note(standings: Standings) -> tuple[str, ...]:
    """Of what means and ranks are made."""
    if len(standings.counted) < 2:
        return ()
    partial = [m for m in standings.methods if m not in standings.complete]
    left_out = f" Left out, lacking data sets or seeds: {', '.join(partial)}." if partial else ""
    if not standings.comparable:
        return (f"No means and ranks: no seed is common to all methods.{left_out}",)
    numbers = {name: len(seeds) for name, seeds in standings.common.items()}
    if set(numbers.values()) == {standings.seeds}:
        over = f"all {_seeds(standings.seeds)}"
    else:
        each = ", ".join(f"{name}: {number}" for name, number in numbers.items())
        over = f"the seeds that all these methods have ({each})"
    test = standings.ranks(HEADLINE[0])
    apart = ""
    if test is not None and test.critical_difference is not None:
        apart = (
            f" Of {test.blocks} data sets only ranks that differ by {test.critical_difference:.1f} "
            "or more are told apart (Nemenyi's test, 5 %)."
        )
    names = "data sets"
    if len(standings.counted) < len(standings.datasets):
        names = ", ".join(standings.counted)
    return (
        f"Means and ranks are over {names}, of means over {over}. Rank 1 is the best.{apart}"
        f"{left_out}",
    )

"""What the benchmarks of speed share: timing in turn, figures with their spread, JSON, a table.

A figure is one number with the lowest and highest of its repetitions, and perhaps a goal. What is
to be compared runs in turn within one process (A B A B ...), so that a machine that becomes slower
slows both; a ratio is the median of the ratios of neighbours.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "speed"
BENCHMARKS = (
    "startup",
    "loading",
    "step",
    "end_to_end",
    "training_memory",
    "inference",
    "growth",
)
SHARED = ("harness", "ntu_like", "loading", "naive_loop", "end_to_end")
STRAIGHTFORWARD = ROOT / "tests" / "models" / "straightforward.py"  # the other CTR-GCN
sys.path.append(str(STRAIGHTFORWARD.parent))


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        name: what it is, unique in its benchmark. value: the median. low, high: of the
            repetitions. unit: such as "ms", "MB" or "x" for a ratio.
        goal: what was aimed for. higher_is_better: so the goal is a lower bound.
    """

    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    goal: float | None = None
    higher_is_better: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without a goal."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.higher_is_better else self.value <= self.goal


@dataclass(frozen=True)
class Curve:
    """A number that was measured at several sizes; one line of a plot.

    Attributes:
        plot: which plot it belongs to. line: its name there. x, y: labels of the axes.
        points: `(size, value)` pairs.
    """

    plot: str
    line: str
    x: str
    y: str
    points: Sequence[tuple[float, float]]


@dataclass
class Report:
    """What one benchmark found, and at what sizes."""

    setting: dict[str, Any]
    figures: list[Figure] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)


def in_turn(
    works: Mapping[str, Callable[[], object]], rounds: int, *, warmup: int = 1
) -> dict[str, list[float]]:
    """Seconds of each work in each round; every round does all of them, one after the other."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for i in range(warmup + rounds):
        for name, work in works.items():
            seconds = timed(work)
            if i >= warmup:
                taken[name].append(seconds)
    return taken


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def figure(name: str, values: Sequence[float], unit: str, scale: float = 1, **goal: Any) -> Figure:
    """The median of some repetitions, times `scale`."""
    scaled = [scale * value for value in values]
    return Figure(name, median(scaled), unit, min(scaled), max(scaled), **goal)


def ratio(name: str, above: Sequence[float], below: Sequence[float], **goal: Any) -> Figure:
    """The median ratio of the pairs of one round."""
    return figure(name, [a / b for a, b in zip(above, below, strict=True)], "x", **goal)


def speedup(
    name: str, slow: Sequence[float], fast: Sequence[float], goal: float | None = None
) -> Figure:
    """How many times as fast the second is, from the pairs of one round."""
    return ratio(f"{name}: times as fast", slow, fast, goal=goal, higher_is_better=True)


def run(name: str, measure: Callable[[bool], Report], text: str | None) -> None:
    """The command line of a benchmark: measure, print the table, write the JSON.

    Args:
        name: of the benchmark and its file.
        measure: does it; told whether it is only to be shown that everything runs.
        text: what `--help` says.
    """
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes: to see that it runs")
    parser.add_argument("--threads", type=int, help="CPU threads; torch decides when not given")
    parser.add_argument("--json", type=Path, help=f"default: {RESULTS.relative_to(ROOT)}/{name}")
    args = parser.parse_args()
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    path = args.json or (None if args.quick else RESULTS / f"{name}.json")
    begin = time.perf_counter()
    report = measure(args.quick)
    print(table(report.figures))
    for curve in report.curves:
        points = ", ".join(f"{x:g}: {y:.4g}" for x, y in curve.points)
        print(f"{curve.plot}, {curve.line} ({curve.y} by {curve.x}): {points}")
    if path is not None:
        write(path, name, report, time.perf_counter() - begin)


def write(path: Path, name: str, report: Report, seconds: float) -> None:
    """The report, with what it was measured on, as JSON."""
    from shapmix.training.machine import environment

    content = {
        "benchmark": name,
        "sources": fingerprint(name),
        "seconds": round(seconds, 1),
        # where it was measured says nothing to others
        "environment": {k: v for k, v in environment().items() if k != "folder"},
        **asdict(report),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(content, indent=1) + "\n")
    unfinished.replace(path)


def read(path: Path) -> tuple[dict[str, Any], Report]:
    """All of a JSON file, and its report."""
    content = json.loads(path.read_text())
    figures = [Figure(**each) for each in content["figures"]]
    curves = [Curve(**each) for each in content["curves"]]
    return content, Report(content["setting"], figures, curves)


def fingerprint(name: str) -> str:
    """A digest of what a result depends on: the package, the benchmark and what it imports."""
    files = [*sorted((ROOT / "src").rglob("*.py")), STRAIGHTFORWARD]
    files += [Path(__file__).with_name(f"{each}.py") for each in (*SHARED, name)]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def table(figures: Sequence[Figure]) -> str:
    """A Markdown table of figures."""
    rows = ["| what | median | lowest to highest | goal |", "|---|---|---|---|"]
    return "\n".join(rows + [_row(each) for each in figures])


def _row(each: Figure) -> str:
    ends = [] if each.low is None or each.high is None else [each.low, each.high]
    spread = " to ".join(digits(end, each.unit) for end in ends)
    goal = ""
    if each.goal is not None:
        bound = "at least" if each.higher_is_better else "at most"
        goal = f"{bound} {each.goal:g}: {'met' if each.met else '**not met**'}"
    unit = {"x": "×", "": ""}.get(each.unit, f" {each.unit}")
    return f"| {each.name} | {digits(each.value, each.unit)}{unit} | {spread} | {goal} |"


def digits(value: float, unit: str) -> str:
    """As many digits as are worth reading: ratios near 1 to three decimals, else three digits."""
    if unit == "x" and abs(value) < 1.2:
        return f"{value:.3f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"

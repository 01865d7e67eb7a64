"""How far a suite is: an estimate of the time left, and what is printed meanwhile."""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean

from shapmix.benchmarking.table import read_results
from shapmix.benchmarking.tasks import Task
from shapmix.benchmarking.worker import Row

# What makes tasks alike, the closest first.
LIKENESS = (("method", "dataset", "backbone"), ("dataset", "backbone"), ("backbone",), ())


class Durations:
    """Training times of finished tasks, and from them those of others."""

    def __init__(self, results: Path) -> None:
        self._seconds: dict[tuple[str, ...], list[float]] = defaultdict(list)
        columns = ("method", "dataset", "backbone", "status", "train_seconds")
        for row in read_results(results, columns).to_pylist():
            self.add(row)

    def add(self, row: Row) -> None:
        """Take in a row of the table."""
        if row["status"] == "ok" and math.isfinite(row["train_seconds"]):
            for alike in LIKENESS:
                key = (*alike, *(row[name] for name in alike))
                self._seconds[key].append(row["train_seconds"])

    def left(self, tasks: Iterable[Task], jobs: int) -> float | None:
        """Seconds that these tasks will take, by the means of the most like; None at the start."""
        if not self._seconds:
            return None
        total = 0.0
        for task in tasks:
            keys = ((*alike, *(getattr(task, name) for name in alike)) for alike in LIKENESS)
            total += fmean(next(self._seconds[key] for key in keys if key in self._seconds))
        return total / jobs


def duration(seconds: float | None) -> str:
    """Such as "40 s", "12 min" or "3 h 20 min"; "unknown" without a number."""
    if seconds is None:
        return "unknown"
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


class Monitor:
    """A line for each finished task, and on a terminal a line below with the state of all."""

    def __init__(self, tasks: Sequence[Task], waiting: Sequence[Task], jobs: int, results: Path):
        from rich.console import Console
        from rich.progress import BarColumn, Progress

        self._waiting = {task.key: task for task in waiting}
        self._total, self._jobs = len(tasks), jobs
        self._durations = Durations(results)
        self.failed = 0
        # This file, not whatever sys.stdout is later: a worker may print to its log instead.
        self._console = Console(file=sys.stdout, soft_wrap=True, highlight=False)
        self._progress = Progress(
            BarColumn(),
            "{task.fields[state]}",
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._line = self._progress.add_task("", total=self._total, state="")

    @property
    def left(self) -> list[Task]:
        """Tasks without a row yet."""
        return list(self._waiting.values())

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the state while the block runs."""
        with self._progress:
            self._update()
            yield

    def add(self, row: Row) -> None:
        """Print a row that is done."""
        task = self._waiting.pop(row["key"])
        self._durations.add(row)
        self.failed += row["status"] != "ok"
        done = f"[{self._total - len(self._waiting)}/{self._total}] {task.name}"
        if row["status"] == "ok":
            numbers = f"top-1 {_percent(row['top1'])}, tail {_percent(row['tail'])}"
            text = f"{done}: {numbers}, {duration(row['train_seconds'])}"
            self._console.print(text, markup=False)
        else:
            first = (row["error"].splitlines() or [""])[0]
            self._console.print(f"{done}: failed, {first}", markup=False, style="red")
        self._update()

    def _update(self) -> None:
        done = self._total - len(self._waiting)
        time_left = duration(self._durations.left(self.left, self._jobs))
        state = f"{done - self.failed} done, {self.failed} failed, {self._total} in all"
        self._progress.update(self._line, completed=done, state=f"{state}; time left {time_left}")


def _percent(share: float) -> str:
    return "none" if math.isnan(share) else f"{100 * share:.1f}"

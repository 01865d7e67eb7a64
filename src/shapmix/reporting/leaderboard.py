"""The leaderboard of a benchmark: Markdown, an HTML page, and pictures for documents."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shapmix.reporting.benchmark import Benchmark, Keys, read_benchmark
from shapmix.reporting.files import RunError
from shapmix.reporting.grid import Table
from shapmix.reporting.leaderboard_figures import (
    class_gain_figure,
    cost_figure,
    critical_difference_figure,
    gain_figure,
)
from shapmix.reporting.leaderboard_page import made_table, write_leaderboard_page
from shapmix.reporting.leaderboard_tables import cost_table, gain_table, standings_table
from shapmix.reporting.runs import Which
from shapmix.reporting.standings import HEADLINE, Standings, make_standings
from shapmix.suggest import did_you_mean
from shapmix.writing import atomic_file, write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console, ConsoleOptions, RenderResult

_EPOCHS: Mapping[Which, str] = {"last": "last", "best": "selected on validation clips"}
_FOR_DOCUMENTS = ("critical_difference", "per_class_gain")
_DPI = 200  # of pictures for documents


@dataclass(frozen=True)
class Leaderboard:
    """What was made; print it with rich (it is a renderable).

    Attributes:
        tables: to be printed; for each backbone the leaderboard, gains and costs.
        files: the Markdown, the page and the pictures.
    """

    tables: tuple[Table, ...]
    files: tuple[Path, ...]

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """The tables, and where the files are."""
        yield from self.tables
        yield from (str(file) for file in self.files)


def write_leaderboard(
    results: Path,
    out: Path,
    baseline: str | None = None,
    resamples: int = 10_000,
    which: Which = "last",
    keys: Keys | None = None,
    apart: Collection[str] = (),
) -> Leaderboard:
    """Rank the methods of a benchmark and write what there is to say.

    `out` gets `leaderboard.md`, `leaderboard.html`, `critical_difference.png` (with two data sets
    and methods or more) and `per_class_gain.png`; pictures of further backbones have the backbone
    in their names.

    Args:
        results: the Parquet table of the benchmark. out: a folder, made if missing.
        baseline: the method on which gains are; the first of the table by default.
        resamples: of the bootstrap.
        which: the last epoch, or the one selected on validation clips.
        keys: of the tasks that count, such as those of the suite as it is now, or a mapping of them
            to their names; see `read_benchmark`. All by default.
        apart: data sets that means and ranks leave out, such as one whose test clips are another's.

    Raises:
        RunError: no such table, nothing in it, or no such baseline.
        ImportError: pyarrow, matplotlib or scipy is not installed.
    """
    benchmark = read_benchmark(results, which, keys)
    baseline = _check_baseline(benchmark, baseline)
    standings = [
        make_standings(benchmark, backbone, baseline, resamples=resamples, apart=apart)
        for backbone in benchmark.names(0)
    ]
    made = made_table(benchmark, standings, results.name, _EPOCHS[which])
    tables = [_tables(each) for each in standings]
    pictures = [_pictures(each) for each in standings]
    boards: list[tuple[Standings, dict[str, Table | Figure]]] = [
        (each, {**some, **others})
        for each, some, others in zip(standings, tables, pictures, strict=True)
    ]
    shown = tuple(table for some in tables for table in some.values())
    title = "Leaderboard of the benchmark"
    files = [
        write_whole(
            out / "leaderboard.md", "\n".join(t.markdown() for t in (*shown, made)).encode()
        ),
        write_leaderboard_page(out / "leaderboard.html", title, benchmark, boards, made),
    ]
    for i, (each, some) in enumerate(zip(standings, pictures, strict=True)):
        suffix = f"_{each.backbone}" if i else ""
        files += [
            _write_picture(out / f"{name}{suffix}.png", some[name])
            for name in _FOR_DOCUMENTS
            if name in some
        ]
    return Leaderboard(shown, tuple(files))


def _check_baseline(benchmark: Benchmark, baseline: str | None) -> str:
    methods = benchmark.names(2)
    if baseline is None:
        return methods[0]
    if baseline not in methods:
        hint = did_you_mean(baseline, methods)
        raise RunError(f"no results of baseline {baseline!r}{hint}; there are {', '.join(methods)}")
    return baseline


def _tables(standings: Standings) -> dict[str, Table]:
    figures = HEADLINE if standings.others else ()
    return {
        "standings": standings_table(standings),
        **{f"gains_{figure}": gain_table(standings, figure) for figure in figures},
        "costs": cost_table(standings),
    }


def _pictures(standings: Standings) -> dict[str, "Figure"]:
    """The pictures that there is enough for."""
    pictures: dict[str, Figure | None] = {}
    if standings.gains:
        pictures["gains"] = gain_figure(standings)
        pictures["per_class_gain"] = class_gain_figure(standings)
    tests = {name: standings.ranks(name) for name in HEADLINE}
    ranked = {
        name: test
        for name, test in tests.items()
        if test is not None and test.critical_difference is not None
    }
    if ranked:
        pictures["critical_difference"] = critical_difference_figure(standings.complete, ranked)
    pictures["cost"] = cost_figure(standings)
    return {name: figure for name, figure in pictures.items() if figure is not None}


def _write_picture(path: Path, figure: "Figure") -> Path:
    with atomic_file(path) as file:
        figure.savefig(file, format="png", dpi=_DPI)
    return path

"""The page of a leaderboard: one self-contained HTML file, whose tables sort by a click."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shapmix.reporting.benchmark import Benchmark, Row
from shapmix.reporting.grid import Name, Table
from shapmix.reporting.leaderboard_tables import dataset_table
from shapmix.reporting.page import Card, Section, write_page
from shapmix.reporting.standings import Standings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Tables and pictures in the order of the page, with headings and descriptions.
HEADINGS: Mapping[str, tuple[str, str]] = {
    "standings": ("Leaderboard", ""),
    "gains": (
        "Gains on the baseline",
        "Gain of each method on the baseline and its 95 % interval: overall accuracy dark, tail "
        "accuracy coloured.",
    ),
    "gains_top1": ("Gains in overall accuracy", ""),
    "gains_tail": ("Gains in tail accuracy", ""),
    "critical_difference": (
        "Ranks",
        "Mean ranks over data sets, the best on the left. Bars join methods that Nemenyi's test "
        "does not tell apart (5 %). Few data sets tell only the largest differences apart.",
    ),
    "per_class_gain": (
        "Gain by training clips",
        "Gain in the accuracy of each class (dots: classes by rank of training clips, means over "
        "seeds) against its training clips. Lines: means of bins of classes with 95 % intervals.",
    ),
    "cost": (
        "Accuracy and cost",
        "Mean accuracy over data sets against training time, relative to the baseline.",
    ),
    "costs": ("Cost of training", ""),
}
_ERROR = 600  # characters shown of an error: its end
_SCRIPT = """<style>
table.sortable th { cursor: pointer; vertical-align: bottom; white-space: normal; }
table.sortable th:focus { outline: 2px solid; }
th[aria-sort=ascending]::after { content: " \\25b4"; }
th[aria-sort=descending]::after { content: " \\25be"; }
</style>
<script>
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const value = (row, i) => {
    const text = row.cells[i].innerText.split("\\n")[0].trim();
    const number = parseFloat(text.replace("\\u2212", "-").replace(/,/g, ""));
    return heads[i].classList.contains("number") ? number : text;
  };
  const sort = (head, i) => {
    // Numbers start with the largest, words with the first.
    const before = head.getAttribute("aria-sort"), numbers = head.classList.contains("number");
    const up = numbers ? before === "descending" : before !== "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const compare = (a, b) => (up ? 1 : -1) * (numbers ? a - b : a.localeCompare(b));
    const known = row => !Number.isNaN(value(row, i));
    const rows = [...body.rows], some = rows.filter(known), none = rows.filter(r => !known(r));
    some.sort((a, b) => compare(value(a, i), value(b, i)));
    body.append(...some, ...none);
  };
  heads.forEach((head, i) => {
    head.tabIndex = 0;
    head.title = "sort";
    head.onclick = () => sort(head, i);
    head.onkeydown = event => { if (event.key === "Enter") sort(head, i); };
  });
}
</script>"""


class _LastTable(Table):
    """A table that brings the script that sorts all sortable tables before it."""

    def html(self) -> str:
        return f"{super().html()}\n{_SCRIPT}"


def write_leaderboard_page(
    path: Path,
    title: str,
    benchmark: Benchmark,
    boards: Sequence[tuple[Standings, Mapping[str, "Table | Figure"]]],
    made: Table,
) -> Path:
    """Write the page, whole or not at all; its path.

    Args:
        boards: for each backbone the standings, and tables and pictures by names of `HEADINGS`.
        made: `made_table`.
    """
    sections = []
    for standings, parts in boards:
        on = f" ({standings.backbone})" if len(boards) > 1 else ""
        sections += [
            Section(f"{heading}{on}", parts[name], description)
            for name, (heading, description) in HEADINGS.items()
            if name in parts
        ]
        sections += [
            Section(f"{dataset}{on}", dataset_table(standings, dataset))
            for dataset in standings.datasets
        ]
    if benchmark.failed:
        sections.append(Section("Failed tasks", failure_cards(benchmark.failed)))
    last = _LastTable(made.title, made.columns, made.rows, made.notes, made.warnings)
    sections.append(Section("How it was made", last))
    return write_page(path, title, sections)


def failure_cards(rows: Sequence[Row]) -> list[Card]:
    """A card for each method and error, with the tasks that failed so."""
    groups: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        error = (row["error"] or "no message").strip()
        fold = f", fold {row['fold']}" if row["fold"] else ""
        task = f"{row['dataset']} ({row['backbone']}, seed {row['seed']}{fold})"
        groups.setdefault((row["method"], error), []).append(task)
    return [
        Card("error", method, {"tasks": "; ".join(tasks), "error": _end(error)})
        for (method, error), tasks in groups.items()
    ]


def made_table(benchmark: Benchmark, boards: Sequence[Standings], source: str, epoch: str) -> Table:
    """Where the figures come from, and what makes them less than they seem."""
    made = benchmark.made
    seeds = sorted({seed for runs in benchmark.outcomes.values() for seed in runs})
    times = made["finished"]
    facts = {
        "Results": source,
        "Epoch": epoch,
        "Tasks": f"{benchmark.tasks} done, {len(benchmark.failed)} failed",
        "Seeds": _listed(seeds),
        "Baseline": boards[0].baseline,
        "Commit": ", ".join(made["commit"]),
        "torch": ", ".join(made["torch"]),
        "Machine": ", ".join(made["machine"]),
        "Finished": times[0] if len(times) == 1 else " to ".join([times[0], times[-1]]),
    }
    warnings = list(benchmark.warnings)
    if len(made["commit"]) > 1:
        warnings.append("the results are of more than one commit.")
    if len(made["machine"]) > 1:
        warnings.append("the results are of more than one machine, so times cannot be compared.")
    rows = tuple((name, value) for name, value in facts.items() if value)
    columns = (Name("what", "What"), Name("value", "Value"))
    return Table("How the results were made", columns, rows, warnings=tuple(warnings))


def _end(error: str) -> str:
    """The end of a long error, where a traceback says what went wrong."""
    return error if len(error) <= _ERROR else "… " + error[-_ERROR:]


def _listed(seeds: Sequence[int]) -> str:
    """Numbers, a run of them by its ends."""
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))

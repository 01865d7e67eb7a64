"""Tables and plots of docs/performance.md, from the JSON of the benchmarks.

    python benchmarks/render.py

Writes what stands between the marks `<!-- begin NAME -->` and `<!-- end NAME -->`: a table for each
benchmark, and "goals", all figures that had one; and docs/images/performance/*.png.
"""

import re
from pathlib import Path
from typing import Any

from harness import BENCHMARKS, RESULTS, ROOT, Curve, Report, digits, read, table

PAGE = ROOT / "docs" / "performance.md"
IMAGES = ROOT / "docs" / "images" / "performance"
PANELS = {
    "growth": {
        "data": "Loading, transforms, mixing",
        "T": "Frames",
        "N": "Batch size",
        "V": "Joints",
        "classes": "Saliency: classes",
        "saliency": "Saliency: data set",
    },
    "memory": {"memory": "Training"},
}
GROWS = ("T", "N", "V", "classes")
COLOURS = ("#0b5394", "#b45f06", "#38761d")

Results = dict[str, tuple[dict[str, Any], Report]]


def results(folder: Path = RESULTS) -> Results:
    """Everything that was measured, by benchmark."""
    paths = {name: folder / f"{name}.json" for name in BENCHMARKS}
    return {name: read(path) for name, path in paths.items() if path.exists()}


def goals(found: Results) -> str:
    """A table of the figures with a goal."""
    rows = ["| benchmark | what | measured | goal | |", "|---|---|---|---|---|"]
    for name, (_, report) in found.items():
        for each in report.figures:
            if each.goal is not None:
                bound = "at least" if each.higher_is_better else "at most"
                mark = "met" if each.met else "**not met**"
                cells = [name, each.name, digits(each.value, each.unit), f"{bound} {each.goal:g}"]
                rows.append(f"| {' | '.join(cells)} | {mark} |")
    return "\n".join(rows)


def section(content: dict[str, Any], report: Report) -> str:
    """The table of one benchmark, and how it was made."""
    where = content["environment"]
    setting = ", ".join(f"{key} {value}" for key, value in report.setting.items())
    made = f"`python benchmarks/{content['benchmark']}.py`, commit {(where['commit'] or '?')[:7]}"
    made += f", torch {where['packages']['torch']}, {content['seconds']:.0f} s"
    return f"{table(report.figures)}\n\n{made}; {setting}."


def rendered(text: str, found: Results) -> str:
    """The page with its tables brought up to date; what was not measured keeps what it has."""
    blocks = {name: section(*each) for name, each in found.items()}
    if found:
        blocks["goals"] = goals(found)
    for name, block in blocks.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        text = pattern.sub(lambda _, new=f"{begin}\n{block}\n{end}": new, text)
    return text


def draw(plots: dict[str, list[Curve]], titles: dict[str, str], path: Path) -> None:
    """One panel for each title, with all curves of that plot."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mpl.use("Agg")
    columns = min(3, len(titles))
    rows = -(-len(titles) // columns)
    size = (3.6 * columns + 1.2 * (columns == 1), 3.2 * rows)
    picture, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for axis, (plot, title) in zip(axes.flat, titles.items(), strict=False):
        panel(axis, plots[plot], grows=plot in GROWS)
        axis.set_title(title)
        if plot != "memory":
            axis.set_xscale("log")
        name_sizes(axis, [size for size, _ in plots[plot][0].points])
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(picture)


def panel(axis: Any, curves: list[Curve], grows: bool) -> None:
    """Curves from zero on; what grows on a logarithmic axis, beside dotted lines that grow
    linearly."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    for curve, colour in zip(curves, COLOURS, strict=False):
        x, y = zip(*curve.points, strict=True)
        axis.plot(x, y, marker="o", color=colour, label=curve.line)
        if grows:
            linear = [y[0] * size / x[0] for size in x]
            axis.plot(x, linear, linestyle=":", color=colour, linewidth=1)
    axis.set(xlabel=curves[0].x, ylabel=curves[0].y)
    if grows:
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
    else:
        axis.set_ylim(0, 1.3 * max(value for curve in curves for _, value in curve.points))
    axis.grid(visible=True, alpha=0.3)
    axis.legend(frameon=False, fontsize=8, loc="upper left")


def name_sizes(axis: Any, sizes: list[float]) -> None:
    """Ticks at the sizes that were measured."""
    axis.set_xticks(sizes, [f"{size:,.0f}".replace(",", " ") for size in sizes])
    axis.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)


def main() -> None:
    """Bring the page and its plots up to date."""
    found = results()
    plots: dict[str, list[Curve]] = {}
    for _, report in found.values():
        for curve in report.curves:
            plots.setdefault(curve.plot, []).append(curve)
    for picture, titles in PANELS.items():
        if set(titles) <= set(plots):
            draw(plots, titles, IMAGES / f"{picture}.png")
    PAGE.write_text(rendered(PAGE.read_text(), found))


if __name__ == "__main__":
    main()

"""Two measurements of the same benchmarks, such as of two commits, side by side.

    python benchmarks/compare.py OLD NEW

OLD and NEW are JSON files that a benchmark of speed wrote, or folders of them. A figure counts as
changed where the spreads of both do not overlap and it differs by more than 5 %. Ratios can be
compared from machine to machine, times and memory only on one.
"""

import argparse
from pathlib import Path

from harness import BENCHMARKS, Figure, digits, read

LEAST = 0.05  # a smaller change is none


def load(path: Path) -> dict[tuple[str, str], Figure]:
    """Figures by benchmark and name.

    Raises:
        ValueError: there is no result.
    """
    files = [path / f"{name}.json" for name in BENCHMARKS] if path.is_dir() else [path]
    found = {}
    for file in filter(Path.exists, files):
        content, report = read(file)
        found |= {(content["benchmark"], each.name): each for each in report.figures}
    if not found:
        raise ValueError(f"no figures in {path}: give a JSON file of a benchmark, or their folder")
    return found


def verdict(old: Figure, new: Figure) -> str:
    """Better, worse, or nothing."""
    apart = _low(new) > _high(old) or _low(old) > _high(new)
    if not apart or abs(new.value - old.value) <= LEAST * abs(old.value):
        return ""
    return "better" if (new.value > old.value) == new.higher_is_better else "**worse**"


def _low(each: Figure) -> float:
    return each.value if each.low is None else each.low


def _high(each: Figure) -> float:
    return each.value if each.high is None else each.high


def comparison(old: dict[tuple[str, str], Figure], new: dict[tuple[str, str], Figure]) -> str:
    """A Markdown table of all figures that both have, and what only one has."""
    rows = [
        "| benchmark | what | unit | old | new | new / old | |",
        "|---|---|---|---|---|---|---|",
    ]
    for key in old:
        if key not in new:
            continue
        a, b = old[key], new[key]
        share = f"{b.value / a.value:.2f}" if a.value else ""
        cells = [*key, a.unit, digits(a.value, a.unit), digits(b.value, b.unit), share]
        rows.append(f"| {' | '.join(cells)} | {verdict(a, b)} |")
    for title, here, there in (("only in OLD", old, new), ("only in NEW", new, old)):
        missing = [": ".join(key) for key in here if key not in there]
        if missing:
            rows.append(f"\n{title}: {'; '.join(missing)}")
    return "\n".join(rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    args = parser.parse_args()
    try:
        print(comparison(load(args.old), load(args.new)))
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()

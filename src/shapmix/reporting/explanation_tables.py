"""Explanations in a terminal: tables of parts and coalitions with small bars.

They are made of the plain values that `shapmix explain --json` prints.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from shapmix.reporting.grid import Name, Number, Table

HALF = 12  # characters of a bar on either side of zero
SHOWN = 5  # coalitions, and pairs
Entry = Mapping[str, Any]


def parts_table(title: str, found: Entry) -> Table:
    """The value of each part with its bar; the shaded end of a bar is its standard error."""
    parts: Sequence[Entry] = found["parts"]
    most = _most(parts)
    rows = [
        (_words(part["name"]), _number(part), bar(part["value"], part["error"], most))
        for part in parts
    ]
    full, empty = (f"{100 * found[key]:.1f} %" for key in ("v_full", "v_empty"))
    total = found["efficiency"]
    about = "the class's probability" if found["clips"] == 1 else "its mean probability"
    sums = f"{100 * total['sum_of_parts']:+.1f}".replace("-", "−")
    note = f"The parts add up to {sums} points: {about} is {full} with all and {empty} with none."
    warnings = () if total["holds"] else ("the parts do not add up: a numerical error",)
    columns = Name("part", "Part"), Name("value", "Shapley value"), Name("bar", "against │ for")
    return Table(title, columns, tuple(rows), (note,), warnings)


def coalitions_table(found: Entry) -> Table:
    """The coalitions of about half the parts with the largest values."""
    half = _half(found)
    most = _most(half)
    rows = [
        (_joined(entry), _number(entry), bar(entry["value"], entry["error"], most))
        for entry in best_coalitions(found)
    ]
    sizes = sorted({len(entry["parts"]) for entry in half})
    title = f"Coalitions of {' or '.join(map(str, sizes))} parts, the best of {len(half)}"
    columns = Name("parts", "Parts"), Name("value", "Shapley value"), Name("bar", "against │ for")
    return Table(title, columns, tuple(rows))


def best_coalitions(found: Entry) -> list[Entry]:
    """The coalitions of about half the parts with the largest values, the largest first."""
    return sorted(_half(found), key=lambda entry: -entry["value"])[:SHOWN]


def _half(found: Entry) -> list[Entry]:
    """The coalitions of half the parts, rounded both ways: those that mixing pastes."""
    P = len(found["parts"])
    return [entry for entry in found["coalitions"] if len(entry["parts"]) in (P // 2, (P + 1) // 2)]


def interactions_table(found: Entry) -> Table:
    """The pairs of parts that need, or make up for, each other most."""
    pairs = sorted(found["interactions"], key=lambda entry: -abs(entry["value"]))[:SHOWN]
    rows = [
        (
            _joined(entry),
            _number(entry),
            "need each other" if entry["value"] > 0 else "make up for each other",
        )
        for entry in pairs
    ]
    columns = Name("parts", "Parts"), Name("value", "Interaction"), Name("meaning", "")
    return Table("Pairs that interact most", columns, tuple(rows))


def overview_table(title: str, classes: Sequence[Entry]) -> Table:
    """A row for each class, in the order given: what each part does for it."""
    parts = [part["name"] for part in classes[0]["parts"]]
    rows = [
        (
            entry["class"],
            entry["train_clips"],
            entry["clips"],
            Number(entry["v_full"]),
            *(Number(part["value"], unit="points") for part in entry["parts"]),
        )
        for entry in classes
    ]
    columns = (
        Name("class", "Class"),
        Name("train_clips", "Train"),
        Name("clips", "Clips"),
        Name("v_full", "Mean"),
        *(Name(name, _words(name)) for name in parts),
    )
    notes = (
        "Train: training clips. Clips: those explained. Mean: the mean probability of the class. "
        "Then what each part adds to it, exact Shapley values in percentage points; --class NAME "
        "has standard errors.",
    )
    return Table(title, columns, tuple(rows), notes)


def bar(value: float, error: float | None, most: float, half: int = HALF) -> str:
    """A bar on both sides of a line; `most` is the value of a full one."""
    spread = error or 0.0
    sure, far = max(abs(value) - spread, 0.0), abs(value) + spread
    solid, end = (min(round(half * length / most), half) for length in (sure, far))
    long = "█" * solid + "▒" * (end - solid)
    if value < 0:
        return f"{long[::-1]:>{half}}│"
    return f"{'':{half}}│{long}"


def _most(entries: Sequence[Entry]) -> float:
    ends: list[float] = [abs(entry["value"]) + (entry["error"] or 0.0) for entry in entries]
    return max([*ends, 1e-9])


def _number(entry: Entry) -> str:
    """A value with its standard error, in percentage points."""
    value = Number(entry["value"], unit="points").lines()[0]
    error = entry["error"]
    return f"{value:>6}" + (f" ± {100 * error:.1f}" if error is not None else "")


def _joined(entry: Entry) -> str:
    return " + ".join(map(_words, entry["parts"]))


def _words(name: str) -> str:
    return name.replace("_", " ")

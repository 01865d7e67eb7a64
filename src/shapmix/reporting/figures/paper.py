"""The look of figures for print: sizes of columns, fonts, colours, and how they are saved."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from shapmix.reporting.drawing import GREY, INK, STRONG, axes_at, new_figure
from shapmix.writing import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Format = Literal["pdf", "png", "svg"]
Columns = Literal[1, 2]

WIDTHS: Mapping[Columns, float] = {1: 3.4, 2: 7.0}  # inches of one and of two columns
DOTS = 300  # an inch, of PNG
TEXT, SMALL = 7.5, 6.5  # points
LEGEND_COLUMNS = 3
# Okabe and Ito (2008), in an order in which neighbours are told apart by the colour-blind; the
# markers and dashes tell them apart in grey, too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", (0, (4, 1.2)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (2, 1)), (0, (8, 2)))
MINUS, ZERO, PLUS = "#0072b2", "#e4e7eb", STRONG  # of values for and against

_STYLE: dict[Any, Any] = {
    "pdf.fonttype": 42,  # TrueType: text stays text, and publishers take it
    "svg.fonttype": "path",  # the same on every machine
    "svg.hashsalt": "shapmix",
    "font.size": TEXT,
    "axes.labelsize": TEXT,
    "axes.titlesize": TEXT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.0,
    "ytick.major.size": 2.0,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "legend.frameon": False,
}
# Who made a file, by which it is known again, and no date, so that equal figures are equal files.
FACTS: Mapping[Format, Mapping[str, Any]] = {
    "pdf": {"CreationDate": None, "Creator": "shapmix"},
    "svg": {"Date": None, "Creator": "shapmix"},
    "png": {"Software": "shapmix"},
}


@contextmanager
def print_style() -> Iterator[None]:
    """Draw and save figures inside it; matplotlib's settings are as before afterwards.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
    except ImportError as error:
        raise ImportError(
            "figures need matplotlib: pip install matplotlib (or shapmix[report])"
        ) from error
    with rc_context(_STYLE):
        yield


def save(figure: "Figure", path: Path, kind: Format) -> Path:
    """Write a figure, whole or not at all; its path. Equal figures make equal files."""
    with atomic_file(path) as file:
        figure.savefig(file, format=kind, dpi=DOTS, metadata=FACTS[kind])
    return path


def page(columns: Columns, height: float) -> "Figure":
    """An empty figure of one or two columns' width."""
    return new_figure(WIDTHS[columns], height)


def panels(
    figure: "Figure",
    number: int,
    *,
    left: float = 0.48,
    right: float = 0.08,
    bottom: float = 0.38,
    top: float = 0.22,
    gap: float = 0.42,
) -> list["Axes"]:
    """Axes side by side; margins and the gap between them in inches."""
    width, height = figure.get_size_inches()
    each = (width - left - right - gap * (number - 1)) / number
    return [
        axes_at(figure, left + i * (each + gap), bottom, each, height - bottom - top)
        for i in range(number)
    ]


def legend(axes: "Axes", names: Sequence[str]) -> None:
    """Names of the methods above the axes; none for a single one."""
    if len(names) > 1:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            ncols=LEGEND_COLUMNS,
            borderaxespad=0.3,
            handlelength=1.8,
            columnspacing=1.2,
        )


def legend_room(methods: Sequence[Any]) -> float:
    """Inches that `legend` needs above the axes."""
    return 0.17 * -(-len(methods) // LEGEND_COLUMNS) if len(methods) > 1 else 0.0


def shortened(name: str, most: int = 24) -> str:
    """A name that is not longer than so many characters."""
    return name if len(name) <= most else name[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def diverging(values: NDArray[np.floating[Any]]) -> tuple[Any, Any]:
    """A colour map from blue over grey to orange, and the scale with zero in its middle."""
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    largest = max(float(np.nanmax(np.abs(values), initial=0.0)), 1e-9)
    colours = LinearSegmentedColormap.from_list("diverging", [MINUS, ZERO, PLUS])
    return colours, Normalize(-largest, largest)

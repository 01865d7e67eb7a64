"""What is taken for what: the confusion matrix, and the pairs that are confused most."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shapmix.reporting.examples import is_confusion, scenes
from shapmix.reporting.report.inputs import ReportMethod, ReportRun, methods_of
from shapmix.reporting.report.markup import choices, json_block, render, static_text
from shapmix.reporting.report.player import PLAYER_SCRIPTS, Scene, Show, player_html
from shapmix.reporting.report.section import Section

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_CLASSES = 400  # with more, only the most confused pairs are shown
MOST_ENTRIES = 1_000_000  # of all heat maps together
SHOWN_PAIRS = 24
MOST_BYTES = 2_500_000  # of the clips to watch, of all methods together


def make_section(runs: Sequence[ReportRun]) -> Section:
    """A panel for each method: its heat map and its most confused pairs."""
    methods = methods_of(runs)
    names, counts = runs[0].run.class_names, np.array(runs[0].run.class_counts)
    order = np.argsort(-counts, kind="stable")
    K = len(names)
    mapped = 0 if K > MOST_CLASSES else MOST_ENTRIES // K**2
    matrices = [m.confusion()[np.ix_(order, order)].tolist() for m in methods[:mapped]]
    data = {"names": [names[k] for k in order], "matrices": matrices}
    panels = [
        (
            method.name,
            _panel(
                method, names, mapped=method.number < mapped, most_bytes=MOST_BYTES // len(methods)
            ),
        )
        for method in methods
    ]
    html = render(
        "confusion.html",
        data=json_block("data-confusion", data),
        panels=choices("confusion", "Method", panels),
        seeds=any(len(method.runs) > 1 for method in methods),
    )
    return Section("confusion", "Confusions", html, (*PLAYER_SCRIPTS, static_text("confusion.js")))


def confused_pairs(
    confusion: NDArray[np.int64], most: int = SHOWN_PAIRS
) -> list[tuple[int, int, int, float]]:
    """Pairs of classes confused most: true class, recognised class, clips, share of the true class.

    Most clips first, then the larger share, then the lower labels.
    """
    clips = confusion.sum(1)
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    true, taken = np.nonzero(wrong)
    number = wrong[true, taken]
    share = number / clips[true]
    order = np.lexsort((taken, true, -share, -number))[:most]
    return [(int(true[i]), int(taken[i]), int(number[i]), float(share[i])) for i in order]


def _panel(
    method: ReportMethod, names: Sequence[str], *, mapped: bool, most_bytes: int
) -> "Markup":
    """Heat map, player and table of one method."""
    player_id = f"confused-{method.number}"
    shows, scenes = make_shows(method, names, most_bytes)
    player = ""
    if shows:
        titles = list(shows.values())
        player = player_html(player_id, "Confused classes", titles, scenes, autoplay=False)
    places = {pair: place for place, pair in enumerate(shows)}
    pairs = [
        {
            "true": names[true],
            "taken": names[taken],
            "clips": clips,
            "share": share,
            "show": places.get((true, taken)),
        }
        for true, taken, clips, share in confused_pairs(method.confusion())
    ]
    return render(
        "confusion_panel.html",
        number=method.number,
        mapped=mapped,
        pairs=pairs,
        player=player,
        player_id=player_id,
        epoch=method.runs[0].run.last.epoch if method.runs[0].which == "best" else None,
    )


def make_shows(
    method: ReportMethod, names: Sequence[str], most_bytes: int
) -> tuple[dict[tuple[int, int], Show], dict[str, Scene]]:
    """For each confused pair two clips side by side, from the first run that kept some.

    Returns:
        (true class, recognised class) -> what to show, the worst pair first, as many as fit into
        so many bytes of the page; and the clips by the names that they have in it.
    """
    examples = next((run.examples for run in method.runs if run.examples is not None), ())
    shows: dict[tuple[int, int], Show] = {}
    found: dict[str, Scene] = {}
    size = 0
    for clips in filter(is_confusion, scenes(examples, "clip")):
        size += sum(8 * clip.keypoints.size // 3 for clip in clips)  # 16 bits each, in base 64
        if size > most_bytes:
            break
        mistaken = clips[0]
        assert mistaken.label is not None
        assert mistaken.predicted is not None
        ids = tuple(f"{clip.group}-{i}" for i, clip in enumerate(clips))
        found |= {
            name: Scene(clip.coordinates(), clip.layout, clip.up)
            for name, clip in zip(ids, clips, strict=True)
        }
        true, taken = names[mistaken.label], names[mistaken.predicted]
        captions = [(true, f"taken for {taken}; clip {mistaken.name}")]
        captions += [(taken, f"recognised; clip {clip.name}") for clip in clips[1:]]
        title = f"{true} \N{RIGHTWARDS ARROW} {taken}"
        shows[mistaken.label, mistaken.predicted] = Show(title, ids, tuple(captions))
    return shows, found

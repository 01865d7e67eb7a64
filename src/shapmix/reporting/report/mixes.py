"""What the mixed clips look like: receiver, partner and mix side by side, to play."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from shapmix.reporting.examples import Example, scenes
from shapmix.reporting.report.inputs import ReportRun, methods_of
from shapmix.reporting.report.markup import choices, render
from shapmix.reporting.report.player import PLAYER_SCRIPTS, Scene, Show, clip_scene, player_html
from shapmix.reporting.report.section import Section

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_MIXES, LEAST_MIXES = 24, 2  # of the page, and of a method

Mix = tuple[Example, ...]  # receiver, partner, mixed


def make_section(runs: Sequence[ReportRun]) -> Section | None:
    """A player for the first run of each method that mixed; None when none did."""
    found: list[tuple[str, ReportRun, list[Mix]]] = []
    for method in methods_of(runs):
        run = method.runs[0]
        mixes = scenes(run.examples, "mix") if run.examples else []
        if mixes:
            found.append((method.name, run, mixes))
    if not found:
        return None
    most = max(LEAST_MIXES, MOST_MIXES // len(found))
    panels = [
        (name, _panel(run, mixes[:most], number)) for number, (name, run, mixes) in enumerate(found)
    ]
    html = render("mixes.html", panels=choices("mixes", "Method", panels))
    return Section("mixes", "Mixed clips", html, PLAYER_SCRIPTS)


def _panel(run: ReportRun, mixes: Sequence[Mix], number: int) -> "Markup":
    names = run.run.class_names
    shows = [_show(mix, names, i) for i, mix in enumerate(mixes)]
    played: Mapping[str, Scene] = {
        name: scene
        for show, mix in zip(shows, mixes, strict=True)
        for name, scene in zip(show.scenes, mix_scenes(mix), strict=True)
    }
    player = player_html(f"mixes-player-{number}", "Mix", shows, played)
    return render("mixes_panel.html", player=player, rows=[_row(mix, names) for mix in mixes])


def mix_scenes(mix: Mix) -> tuple[Scene, Scene, Scene]:
    """Receiver, partner and mixed clip, with the pasted joints marked.

    Pale in the receiver, where they are replaced; strong in the partner, where they are taken from.
    """
    receiver, partner, mixed = mix
    return (
        clip_scene(receiver, mixed.pasted, "pale"),
        clip_scene(partner, mixed.pasted),
        clip_scene(mixed, mixed.pasted),
    )


def label_text(example: Example, names: Sequence[str]) -> str:
    """A mixed label as `"0.62 drink + 0.38 wave"`, the largest weight first."""
    parts = sorted(example.target, key=lambda part: -part[1])
    return " + ".join(f"{weight:.2f} {names[label]}" for label, weight in parts)


def pasted_parts(mixed: Example) -> tuple[str, ...]:
    """Names of the parts that have a pasted joint."""
    members = mixed.layout.parts.items()
    return tuple(
        part.replace("_", " ") for part, joints in members if mixed.pasted[[*joints]].any()
    )


def paste_text(mix: Mix) -> str:
    """What was pasted and when, in a sentence."""
    _, partner, mixed = mix
    if mixed.window is None or not np.any(mixed.pasted):
        return "Nothing is pasted: whole clips are blended."
    parts = pasted_parts(mixed)
    listed = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    source = "" if partner.window is None else f" from {_frames(partner)} of the partner"
    return f"Pasted: {listed}, into {_frames(mixed)} of the mixed clip{source}."


def _frames(example: Example) -> str:
    assert example.window is not None
    start, length = example.window
    return f"frames {start + 1} to {start + length}" if length > 1 else f"frame {start + 1}"


def _show(mix: Mix, names: Sequence[str], number: int) -> Show:
    receiver, partner, mixed = mix
    classes = [_class(example, names) for example in (receiver, partner)]
    return Show(
        title=" + ".join(classes),
        scenes=tuple(f"{number}-{example.role}" for example in mix),
        captions=(
            ("Receiver", classes[0]),
            ("Partner", classes[1]),
            ("Mixed", label_text(mixed, names)),
        ),
        note=paste_text(mix),
        one_camera=True,
    )


def _row(mix: Mix, names: Sequence[str]) -> dict[str, Any]:
    receiver, partner, mixed = mix
    return {
        "receiver": _class(receiver, names),
        "partner": _class(partner, names),
        "label": label_text(mixed, names),
        "pasted": paste_text(mix),
    }


def _class(example: Example, names: Sequence[str]) -> str:
    return "" if example.label is None else names[example.label]

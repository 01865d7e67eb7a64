"""A player of skeletons: clips side by side that move in step and turn together.

The markup carries its own data, coordinates rounded to 1/32767 of the largest of each scene; the
drawing is done by `static/player.js` on canvases, without any library.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from shapmix.layouts import Layout
from shapmix.layouts.upright import Up
from shapmix.reporting.examples import Example, Window
from shapmix.reporting.report.markup import render, static_text

if TYPE_CHECKING:
    from markupsafe import Markup

PLAYER_SCRIPTS = (static_text("player.js"),)
ABSENT = -32768  # in place of a coordinate of a joint that is not there
_LARGEST = 32767
_SIDES = (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"))
_ASIDE = np.deg2rad(25)  # from the front: a body seen a little from the side has depth
_HEADS = ("head", "nose")  # joints drawn as heads


@dataclass(frozen=True, eq=False)
class Scene:
    """A clip to play.

    Attributes:
        keypoints: `(T, M, V, D)` coordinates in two or three dimensions, NaN where a joint or a
            body is not there.
        layout: the skeleton. up: the axis that points up.
        pasted: `(V,)` bool, joints to mark inside the window.
        window: first frame and number of frames; None without any.
        mark: how marked joints look: as what is pasted (strong) or as what is replaced (pale).
    """

    keypoints: NDArray[np.floating[Any]]
    layout: Layout
    up: Up
    pasted: NDArray[np.bool_] | None = None
    window: Window | None = None
    mark: Literal["strong", "pale"] = "strong"


@dataclass(frozen=True)
class Show:
    """Scenes side by side.

    Attributes:
        title: in the list of shows. scenes: their names.
        captions: of each scene, a short name and what it shows.
        note: a sentence below.
        one_camera: see all scenes from where the first is seen from its front; else each from its
            own front.
    """

    title: str
    scenes: tuple[str, ...]
    captions: tuple[tuple[str, str], ...]
    note: str = ""
    one_camera: bool = False


def clip_scene(
    example: Example,
    pasted: NDArray[np.bool_] | None = None,
    mark: Literal["strong", "pale"] = "strong",
) -> Scene:
    """A sequence of a run to play, with some of its joints marked inside its window."""
    window = None if pasted is None else example.window
    return Scene(example.coordinates(), example.layout, example.up, pasted, window, mark)


def player_html(
    name: str,
    label: str,
    shows: Sequence[Show],
    scenes: Mapping[str, Scene],
    *,
    autoplay: bool = True,
) -> "Markup":
    """A player of one of several shows, chosen from a list when there is more than one.

    The page needs `PLAYER_SCRIPTS`. A script shows show number i by
    `document.getElementById(name).dispatchEvent(new CustomEvent("show", {detail: i}))`.

    Args:
        name: id of the element. label: what the shows are, as a heading of their list.
        shows: at least one. scenes: by name; those that no show has are left out.
        autoplay: play as soon as the player can be seen, unless the reader wants less motion.
    """
    used = dict.fromkeys(scene for show in shows for scene in show.scenes)
    skeletons = list(dict.fromkeys(scenes[name].layout for name in used))
    yaws = {name: front(scenes[name]) for name in used}
    return render(
        "player.html",
        id=name,
        label=label,
        autoplay=autoplay,
        shows=[_show(show, yaws) for show in shows],
        data={
            "skeletons": [_skeleton(layout) for layout in skeletons],
            "scenes": {name: _scene(scenes[name], skeletons) for name in used},
        },
    )


def quantise(keypoints: NDArray[np.floating[Any]]) -> tuple[NDArray[np.int16], float]:
    """Coordinates as whole numbers of steps, `ABSENT` for NaN, and the step.

    No coordinate is off by more than half a step; a step is 1/32767 of the largest coordinate.
    """
    largest = np.nanmax(np.abs(keypoints), initial=0.0)
    step = float(largest) / _LARGEST or 1.0
    whole = np.round(keypoints.astype(np.float64) / step)
    return np.where(np.isnan(whole), ABSENT, whole).astype("<i2"), step


def _show(show: Show, yaws: Mapping[str, float]) -> dict[str, Any]:
    views = [yaws[show.scenes[0] if show.one_camera else scene] for scene in show.scenes]
    return {
        "title": show.title,
        "scenes": show.scenes,
        "captions": show.captions,
        "note": show.note,
        "yaws": [round(yaw, 3) for yaw in views],
    }


def _skeleton(layout: Layout) -> dict[str, Any]:
    head = next((layout.joints.index(name) for name in _HEADS if name in layout.joints), -1)
    return {"bones": layout.bones, "head": head}


def _scene(scene: Scene, skeletons: Sequence[Layout]) -> dict[str, Any]:
    whole, step = quantise(scene.keypoints)
    pasted = () if scene.pasted is None else np.flatnonzero(scene.pasted).tolist()
    return {
        "skeleton": skeletons.index(scene.layout),
        "shape": scene.keypoints.shape,
        "step": step,
        "data": b64encode(whole.tobytes()).decode(),
        "up": scene.up,
        "pasted": pasted,
        "window": scene.window,
        "mark": scene.mark,
    }


def front(scene: Scene) -> float:
    """Radians to turn a scene about the upward axis so that its first person faces the viewer.

    The right side of a person who faces us is on our left; 0 where sides cannot be told.
    """
    joints = scene.layout.joints
    pairs = [(joints.index(a), joints.index(b)) for a, b in _SIDES if a in joints and b in joints]
    if scene.keypoints.shape[3] < 3 or not pairs:
        return 0.0
    person = scene.keypoints[:, 0].astype(np.float64)
    across = np.nansum([person[:, left] - person[:, right] for left, right in pairs], (0, 1))
    right = across[0]
    towards = {"y": across[2], "-y": -across[2], "z": -across[1]}[scene.up]
    if right == towards == 0:
        return 0.0
    return float(_ASIDE + np.arctan2(towards, right))

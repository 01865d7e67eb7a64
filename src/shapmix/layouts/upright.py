"""Which axis of a skeleton's coordinates points up: layouts do not say, poses do."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shapmix.layouts.layout import Layout

Up = Literal["y", "-y", "z"]

_HIGH, _LOW = ("head", "nose", "neck"), ("ankle", "foot")


def guess_up(pose: NDArray[Any], layout: Layout) -> Up:
    """Which axis points up, by where the highest and the lowest named joints of a body lie.

    Two-dimensional data counts as image coordinates where it cannot be told.

    Args:
        pose: `(V, D)`, a usual pose of a body, such as the median over many frames.
        layout: the skeleton.
    """
    names = [name.casefold() for name in layout.joints]
    heads = [j for j, name in enumerate(names) if name in _HIGH]
    feet = [j for j, name in enumerate(names) if any(word in name for word in _LOW)]
    if not heads or not feet:
        return "-y" if pose.shape[1] == 2 else "y"
    upward = pose[heads].mean(0) - pose[feet].mean(0)
    if len(upward) == 3 and abs(upward[2]) > abs(upward[1]):
        return "z"
    return "y" if upward[1] >= 0 else "-y"


def up_of_clip(keypoints: NDArray[Any], layout: Layout) -> Up:
    """Which axis points up in a clip `(T, M, V, D)`, in which absent bodies are zero."""
    bodies = keypoints.reshape(-1, *keypoints.shape[2:])
    there = bodies[bodies.any((1, 2))]
    return guess_up(np.median(there if len(there) else bodies, axis=0), layout)

"""Joints and bodies that a source lacks: mended by the rules of the archive, and reported."""

from __future__ import annotations

import numpy as np

from shapmix.data.clip import ClipError, Keypoints
from shapmix.data.importers.base import ImportReport
from shapmix.data.importers.repair import drop_empty, fill_missing, hide_unscored


def mended(keypoints: Keypoints, channels: str, clip: str, report: ImportReport) -> Keypoints:
    """Keypoints as an archive has them, from ones in which NaN is a missing joint.

    Raises:
        ClipError: a value is infinite, or no frame has a body.
    """
    if np.isinf(keypoints).any():
        frame, person, joint, _ = np.argwhere(np.isinf(keypoints))[0]
        detail = f"an infinite value at frame {frame}, person {person}, joint {joint}"
        raise ClipError("not finite", clip, detail)
    filled = 0
    if channels == "xyc":
        keypoints = hide_unscored(keypoints)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            keypoints, filled = fill_missing(keypoints)
    keypoints, dropped = drop_empty(keypoints)
    if not keypoints.size:
        raise ClipError("no body", clip, "no frame has a coordinate that is neither 0 nor NaN")
    if filled:
        report.repair("missing joints given a place", clip)
    if dropped:
        report.repair("frames without a body left out", clip)
    return keypoints

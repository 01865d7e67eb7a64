"""Mending what detectors and sensors leave out: frames without a body, joints without a value.

The archive holds real frames and present persons only, all of them finite; an absent body is zero
throughout a frame. Importers bring their sources to that form with these functions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shapmix.data.clip import Keypoints

Mask = npt.NDArray[np.bool_]


def present_bodies(keypoints: Keypoints) -> Mask:
    """`(T, M)`: whether a body of `(T, M, V, C)` has a coordinate that is neither zero nor NaN."""
    mask: Mask = np.asarray((np.abs(keypoints) > 0).any((2, 3)))
    return mask


def drop_empty(keypoints: Keypoints) -> tuple[Keypoints, int]:
    """Leave out frames without any body and persons that are never there.

    Returns:
        the rest, `(T', M', V, C)`, perhaps with no frame at all; the number of frames left out.
    """
    present = present_bodies(keypoints)
    frames, persons = present.any(1), present.any(0)
    if frames.all() and persons.all():
        return keypoints, 0
    return keypoints[frames][:, persons], int((~frames).sum())


def fill_missing(keypoints: Keypoints) -> tuple[Keypoints, int]:
    """Give joints that are NaN a place: linear in time between the frames that have them.

    Before its first and after its last place a joint keeps that place; a joint that its body never
    has goes to the mean of the body's joints in each frame. Bodies without any value in a frame
    become zero there.

    Args:
        keypoints: `(T, M, V, C)`, where a joint is missing when any of its channels is NaN.

    Returns:
        a copy without NaN, and the number of joints that were given a place.
    """
    missing: Mask = np.asarray(np.isnan(keypoints).any(3))  # (T, M, V)
    if not missing.any():
        return keypoints, 0
    filled = keypoints.copy()
    absent: Mask = np.asarray(missing.all(2))
    times = np.arange(len(keypoints))
    for m, v in np.argwhere((missing & ~absent[:, :, None]).any(0)):
        known, wanted = ~missing[:, m, v], missing[:, m, v] & ~absent[:, m]
        if known.any():
            for c in range(keypoints.shape[3]):
                track = keypoints[known, m, v, c]
                filled[wanted, m, v, c] = np.interp(times[wanted], times[known], track)
        else:
            others = np.where(missing[wanted, m][..., None], np.nan, keypoints[wanted, m])
            filled[wanted, m, v] = np.nanmean(others, 1)
    filled[absent] = 0.0
    return filled, int((missing & ~absent[:, :, None]).sum())


def hide_unscored(keypoints: Keypoints) -> Keypoints:
    """Of `(T, M, V, 3)`, x, y and score: joints without a score or with a NaN become zero."""
    unseen = np.isnan(keypoints).any(3) | ~(keypoints[..., 2] > 0)
    return np.where(unseen[..., None], np.float32(0), keypoints)

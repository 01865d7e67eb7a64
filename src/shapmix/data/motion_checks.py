"""How clips move and how long they are: constant, padded, jumping, short and long ones.

Thresholds are relative: to the clip, to its body's size, to the median over the data set.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from shapmix.data.findings import Case, Finding, counted, most_or_some
from shapmix.data.survey import Survey

# A joint jumps when its step is
JUMP_OF_CLIP = 6.0  # times the clip's usual step (of the farthest joint), and
FAR_JUMP = 1.0  # of the body's size, within one frame, or
JUMP_OF_BODY = 0.5  # of it and
JUMP_OF_DATA = 4.0  # times the largest step of the median clip.

SHORT, SHORT_OF_MEDIAN = 4, 0.1  # a clip is short with fewer frames than either
LONG_OF_MEDIAN = 10.0
PADDED, PADDED_SHARE = 5, 0.25  # repetitions of the last frame: as many, and this share of the clip


def check_motion(case: Case) -> Iterator[Finding]:
    """Clips that are one picture, or end in one."""
    s, frames = case.survey, case.archive.num_frames
    shown = s.bodies > 0
    single = shown & (frames == 1)
    if single.any():
        yield Finding(
            "warning",
            f"{counted(int(single.sum()), 'clip has', 'clips have')} one frame",
            "it shows a posture, not an action",
            "leave them out unless a published protocol counts them",
            case.names(single),
        )
    still = shown & (frames > 1) & (s.largest_step == 0)
    if still.any():
        severity, clips = most_or_some(still, shown)
        yield Finding(
            severity,
            f"{clips} {'is' if clips == '1 clip' else 'are'} constant: nothing moves",
            "one frame was repeated; there is no action to learn",
            "see whether the import took the frames from the right place; leave such clips out",
            case.names(still),
        )
    padded = shown & ~still & (s.repeated_end >= np.maximum(PADDED, PADDED_SHARE * frames))
    if padded.any():
        yield Finding(
            "warning",
            f"{counted(int(padded.sum()), 'clip ends', 'clips end')} in repetitions of the last "
            f"frame, {PADDED_SHARE:.0%} of the clip or more",
            "clips were padded to one length: the action fills a part of the input only, and how "
            "much can tell the class",
            "take the unpadded source if there is one, or cut the repetitions off",
            case.names(padded),
        )


def jumping(survey: Survey) -> npt.NDArray[np.bool_]:
    """(N,) clips in which a joint goes farther in one frame than a body can."""
    step, size = survey.largest_step, np.where(survey.size > 0, survey.size, np.inf)
    unusual = step > JUMP_OF_DATA * survey.typical_largest_step
    far: npt.NDArray[np.bool_] = (step > FAR_JUMP * size) | ((step > JUMP_OF_BODY * size) & unusual)
    return far & (step > JUMP_OF_CLIP * survey.usual_step)


def check_jumps(case: Case) -> Iterator[Finding]:
    """Clips in which a joint jumps."""
    jumps, shown = jumping(case.survey), case.survey.bodies > 0
    if jumps.any():
        order = np.argsort(-case.survey.largest_step / case.survey.size, kind="stable")
        most, clips = most_or_some(jumps, shown)
        yield Finding(
            "warning",
            f"in {clips} a joint jumps: in one frame {JUMP_OF_CLIP:g} times as far as is usual in "
            f"the clip, and more than {FAR_JUMP:g} body size, or {JUMP_OF_BODY:g} and "
            f"{JUMP_OF_DATA:g} times the largest step of a usual clip",
            "the sensor lost a joint, or two persons changed places; motion streams show little "
            "else",
            "so many are a fault of the recording or of the import: see whether it mixes up "
            "persons, joints or missing values; else smooth or track"
            if most == "error"
            else "look at these clips (worst first); a few do no harm, many want smoothing or "
            "tracking",
            case.names(order[jumps[order]].tolist()),
        )


def check_lengths(case: Case) -> Iterator[Finding]:
    """Clips much shorter or longer than the rest."""
    frames = case.archive.num_frames
    median = float(np.median(frames))
    least = max(SHORT, SHORT_OF_MEDIAN * median)
    short, long = (frames > 1) & (frames < least), frames > LONG_OF_MEDIAN * median
    if short.any() and median >= SHORT:
        yield Finding(
            "note",
            f"{counted(int(short.sum()), 'clip has', 'clips have')} fewer than {least:.0f} frames "
            f"(the median is {median:.0f})",
            "an action hardly fits into so few",
            "see whether they were cut short",
            case.names(short),
        )
    if long.any():
        yield Finding(
            "note",
            f"{counted(int(long.sum()), 'clip is', 'clips are')} more than {LONG_OF_MEDIAN:g} "
            f"times as long as the median of {median:.0f} frames, up to {frames.max()}",
            "such a clip often holds more than one action, and is resized like the others",
            "see whether they should be cut into several clips",
            case.names(long),
        )

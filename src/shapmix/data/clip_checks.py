"""Single clips that are not like the others, and what is wrong with all of them alike.

A check of many clips is robust: it compares with medians over the data set, which a few bad clips
do not move, and in body sizes, so that it does not depend on units.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from shapmix.data.findings import Case, Finding, counted
from shapmix.data.survey import Survey

# A joint jumps when its step is all of these:
JUMP_OF_BODY = 0.5  # of the body's size, within one frame
JUMP_OF_CLIP = 6.0  # times the clip's usual step (of the farthest joint)
JUMP_OF_DATA = 4.0  # times the largest step of the median clip

SHORT, SHORT_OF_MEDIAN = 4, 0.1  # a clip is short with fewer frames than either
LONG_OF_MEDIAN = 10.0
PADDED, PADDED_SHARE = 5, 0.25  # repetitions of the last frame: as many, and this share of the clip
OTHER_SIZE = 10.0  # times smaller or larger than the median body
MANY_MISSING = 0.5  # of the joints of a clip's bodies

# Plausible sizes (largest extent along an axis) of a typical person: crouching child to stretching
# adult, or a person over some of a picture.
SIZES = {
    ("xyz", "m"): (0.3, 3.0),
    ("xyz", "cm"): (30.0, 300.0),
    ("xyz", "mm"): (300.0, 3000.0),
    ("xy", "px"): (5.0, 20_000.0),
    ("xy", "normalised"): (0.0, 5.0),
}


def check_finite(case: Case) -> Iterator[Finding]:
    """NaN or infinite coordinates."""
    broken = ~case.survey.finite
    if broken.any():
        yield Finding(
            "error",
            f"{counted(int(broken.sum()), 'clip has', 'clips have')} NaN or infinite coordinates",
            "one such number makes the loss and then all weights NaN",
            "the file was damaged or not written by shapmix: import the data again",
            case.names(broken),
        )


def check_bodies(case: Case) -> Iterator[Finding]:
    """Clips, or frames, that show nobody."""
    nobody = case.survey.bodies == 0
    if nobody.any():
        every = bool(nobody.all())
        who = "all clips show" if every else counted(int(nobody.sum()), "clip shows", "clips show")
        yield Finding(
            "error" if every else "warning",
            f"{who} nobody: all coordinates, or all confidences, are zero",
            "there is nothing to learn from but the class's frequency",
            "see whether the source has coordinates where the import read them"
            if every
            else "leave these clips out of the source, and import again",
            case.names(nobody),
        )
    gaps = (case.survey.empty_frames > 0) & ~nobody
    if gaps.any():
        share = case.survey.empty_frames.sum() / case.archive.num_frames.sum()
        yield Finding(
            "warning" if share > 0.01 else "note",
            f"{counted(int(gaps.sum()), 'clip has', 'clips have')} frames without anybody "
            f"({share:.1%} of all frames)",
            "they take the place of real frames; if they were padding, the length of a clip tells "
            "its class",
            "leave such frames out when importing",
            case.names(gaps),
        )


def check_channels(case: Case) -> Iterator[Finding]:
    """Channels that are the same everywhere."""
    if not (case.survey.bodies > 0).any():
        return
    info, low, high = case.archive.info, case.survey.low, case.survey.high
    for channel, least, most in zip(info.channels, low, high, strict=True):
        if most > least:
            continue
        if channel == "c":
            yield Finding(
                "note",
                f"the confidence of every joint is {most:g}",
                "it tells the network nothing, and a third channel costs time",
                "import without confidence, or with the one of the detector",
            )
        else:
            yield Finding(
                "error",
                f"coordinate {channel} is {most:g} for every joint of every clip",
                "the source's coordinates were not read as they are meant, or the data is flat: "
                "turning clips in space, as training does, would then show what no test clip has",
                "see where the source has this coordinate; import flat data as two-dimensional",
            )


def check_joints(case: Case) -> Iterator[Finding]:
    """Joints that are missing in all clips, and clips that lack most joints."""
    layout, s = case.archive.info.layout, case.survey
    total = int(s.bodies.sum())
    if total == 0:
        return
    never = np.flatnonzero(s.joint_missing == total).tolist()
    if never:
        central = layout.center in never
        names = ", ".join(layout.joints[j] for j in never)
        yield Finding(
            "error" if central else "warning",
            f"{counted(len(never), 'joint is', 'joints are')} zero in all clips: {names}"
            + (", the centre of the layout" if central else ""),
            "clips are centred on it, so none would be centred at all"
            if central
            else "it tells the network nothing, and its bone points to the origin",
            "use a layout without it (a YAML file), or see which joint of the source it should be",
        )
    share = s.missing / np.maximum(s.bodies * layout.num_joints, 1)
    poor = share > max(MANY_MISSING, 1.5 * float(np.median(share)))
    if poor.any():
        yield Finding(
            "warning",
            f"{counted(int(poor.sum()), 'clip lacks', 'clips lack')} more than {MANY_MISSING:.0%} "
            "of the joints",
            "what is left may not show the action",
            "look at these clips; leave them out of training if they show too little",
            case.names(poor),
        )


def check_units(case: Case) -> Iterator[Finding]:
    """Coordinates of a magnitude that the archive's units do not suggest."""
    info, size = case.archive.info, case.survey.typical_size
    kind = info.channels.removesuffix("c")
    low, high = SIZES.get((kind, info.units), (0.0, np.inf))
    if np.isnan(size) or low <= size <= high:
        return
    fitting = [u for (k, u), (a, b) in SIZES.items() if k == kind and a <= size <= b]
    guess = f"; that looks like {' or '.join(map(repr, fitting))}" if fitting else ""
    yield Finding(
        "warning",
        f"the units are {info.units!r}, but a typical body is {size:.3g} high or wide{guess}",
        "what depends on the scale is off: weights trained on other data, noise in absolute units, "
        "pictures",
        "convert the coordinates, or name the right units, and import again",
    )


def check_sizes(case: Case) -> Iterator[Finding]:
    """Clips on another scale than the rest."""
    s = case.survey
    ratio = s.size / s.typical_size
    other = np.isfinite(ratio) & ((ratio > OTHER_SIZE) | (ratio < 1 / OTHER_SIZE))
    if other.any():
        yield Finding(
            "warning",
            f"{counted(int(other.sum()), 'clip has', 'clips have')} bodies more than "
            f"{OTHER_SIZE:g} times smaller or larger than usual",
            "they are in other units than the rest, or their coordinates are wrong",
            "look at these clips; convert them, or leave them out",
            case.names(other),
        )


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
        every = bool(still[shown].all())
        which = "all clips are" if every else counted(int(still.sum()), "clip is", "clips are")
        yield Finding(
            "error" if every else "warning",
            f"{which} constant: nothing moves",
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
    step, size = survey.largest_step, np.where(np.isfinite(survey.size), survey.size, np.inf)
    far: npt.NDArray[np.bool_] = step > JUMP_OF_BODY * size
    far &= step > JUMP_OF_CLIP * survey.usual_step
    far &= step > JUMP_OF_DATA * survey.typical_largest_step
    return far


def check_jumps(case: Case) -> Iterator[Finding]:
    """Clips in which a joint jumps."""
    jumps = jumping(case.survey)
    if jumps.any():
        order = np.argsort(-case.survey.largest_step / case.survey.size, kind="stable")
        yield Finding(
            "warning",
            f"in {counted(int(jumps.sum()), 'clip')} a joint jumps: more than {JUMP_OF_BODY:g} "
            f"body sizes in one frame, {JUMP_OF_CLIP:g} times what is usual in the clip, and "
            f"{JUMP_OF_DATA:g} times the largest step of a usual clip",
            "the sensor lost a joint, or two persons changed places; motion streams show little "
            "else",
            "look at these clips (worst first); a few do no harm, many want smoothing or tracking",
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

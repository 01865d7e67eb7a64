"""Coordinates that are not there: empty clips and frames, flat channels, missing joints.

A check of many clips is robust: it compares with medians over the data set, which a few bad clips
do not move, and in body sizes, so that it does not depend on units.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from shapmix.data.findings import Case, Finding, counted, most_or_some
from shapmix.data.skeleton_fit import sample_poses

MANY_MISSING = 0.5  # of the joints of a clip's bodies
FLAT = 1e-3  # of a body's size: a coordinate with less between its least and its most is flat
NEAR_ORIGIN = 0.5  # body sizes from a centre joint at the origin to the joints that hang on it


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
        severity, clips = most_or_some(nobody, np.ones_like(nobody))
        yield Finding(
            severity,
            f"{clips} {'shows' if clips == '1 clip' else 'show'} nobody: all coordinates, or all "
            "confidences, are zero",
            "there is nothing to learn from but the class's frequency",
            "see whether the source has coordinates where the import read them"
            if severity == "error"
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
    """Channels that are the same everywhere, or flat within clips."""
    info, s = case.archive.info, case.survey
    shown = s.size > 0
    if not shown.any():
        return
    for channel, low, high in zip(info.channels, s.low.T, s.high.T, strict=True):
        least, most = low[shown].min(), high[shown].max()
        flat = shown & (high - low <= FLAT * s.size)
        if channel == "c":
            if least == most:
                yield Finding(
                    "note",
                    f"the confidence of every joint is {most:g}",
                    "it tells the network nothing, and a third channel costs time",
                    "import without confidence, or with the one of the detector",
                )
        elif flat.any():
            severity, clips = most_or_some(flat, shown)
            if least == most:
                title = f"coordinate {channel} is {most:g} for every joint of every clip"
            else:
                title = (
                    f"coordinate {channel} is flat in {clips}: from its least to its most are "
                    f"{FLAT:g} body sizes or less"
                )
            yield Finding(
                severity,
                title,
                "the source's coordinates were not read as they are meant, or the data is flat: "
                "turning clips in space, as training does, would then show what no test clip has",
                "see where the source has this coordinate; import flat data as two-dimensional"
                if severity == "error"
                else "see what these clips have in the source; leave them out if it lacks the "
                "coordinate",
                case.names(flat),
            )


def check_joints(case: Case) -> Iterator[Finding]:
    """Joints that are missing in all clips, and clips that lack most joints."""
    layout, s = case.archive.info.layout, case.survey
    total = int(s.bodies.sum())
    if total == 0:
        return
    never = np.flatnonzero(s.joint_missing == total).tolist()
    central = layout.center in never
    if central and _is_centred(case):
        central = False
        never.remove(layout.center)
        yield Finding(
            "note",
            f"already centred on this joint: {layout.joints[layout.center]!r}, the centre of the "
            "layout, is at the origin in every frame",
            "where people go is not in the data; the joint counts as missing, which does no harm",
            "nothing, unless actions are told by where people go: then import positions in the "
            "room, if the source has them",
        )
    if never:
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


def _is_centred(case: Case) -> bool:
    """Whether the centre joint, zero throughout, is where its neighbours would have it."""
    info = case.archive.info
    poses = sample_poses(case.archive)
    center = info.layout.center
    around = [c for c, parent in info.layout.bones if parent == center and poses.seen[c]]
    if info.channels.endswith("c") or not around or not poses.clips:
        return False
    distances = [np.linalg.norm(clip[:, around], axis=-1).ravel() for clip in poses.clips]
    return bool(np.percentile(np.concatenate(distances), 90) < NEAR_ORIGIN)

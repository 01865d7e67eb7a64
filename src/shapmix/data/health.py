"""The state of a data set: every check of clips, classes, layout and split, in one list.

    survey, findings = examine(Archive("mine.arrow"), Split.load("mine.json"))

A finding is an error when training would be useless without saying so. Thresholds are with the
checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from shapmix.data.archive import Archive
from shapmix.data.class_checks import (
    check_class_names,
    check_classes,
    check_identical_classes,
    check_parts,
)
from shapmix.data.clip_checks import (
    check_bodies,
    check_channels,
    check_finite,
    check_joints,
)
from shapmix.data.duplicates import check_copies, check_names, check_persons
from shapmix.data.findings import SEVERITIES, Case, Check, Finding, Plan, counted
from shapmix.data.motion_checks import check_jumps, check_lengths, check_motion
from shapmix.data.scale_checks import check_sizes, check_units
from shapmix.data.skeleton_fit import check_layout
from shapmix.data.split_file import Split, indices_of
from shapmix.data.survey import Survey, survey

__all__ = ["CHECKS", "Finding", "Plan", "Survey", "examine"]

FEW_FRAMES = 4  # a plan that resizes clips to this many times their usual frames or more


def check_plan(case: Case) -> Iterator[Finding]:
    """A training configuration that does not fit the clips."""
    plan, archive = case.plan, case.archive
    if plan is None:
        return
    chosen = case.parts.get("train", np.arange(len(archive)))
    most = plan.num_persons
    crowded = archive.num_persons > most if most is not None else np.zeros(len(archive), bool)
    if crowded.any():
        yield Finding(
            "warning",
            f"num_persons is {most}, but {counted(int(crowded.sum()), 'clip has', 'clips have')} "
            f"more, up to {archive.num_persons.max()}",
            "bodies after the first are left out, perhaps those that act",
            f"set num_persons to {archive.num_persons.max()}, or leave it out",
            case.names(crowded),
        )
    usual = float(np.median(archive.num_frames[chosen]))
    if plan.num_frames >= FEW_FRAMES * usual:
        yield Finding(
            "note",
            f"num_frames is {plan.num_frames}, but the usual training clip has {usual:.0f}",
            "most of the input is made by interpolation, and costs time without telling more",
            f"try num_frames {max(8, 2 ** round(np.log2(max(usual, 1))))}",
        )
    left_out = len(chosen) % min(plan.batch_size, len(chosen))
    if plan.drop_last and left_out > len(chosen) / 10:
        yield Finding(
            "warning",
            f"with batch_size {plan.batch_size} and drop_last, {left_out} of {len(chosen)} "
            "training clips are left out of every epoch",
            "an epoch trains on much less than it seems to",
            "choose a smaller batch_size, or drop_last false",
        )


CHECKS: tuple[Check, ...] = (
    check_finite,
    check_bodies,
    check_channels,
    check_layout,
    check_joints,
    check_units,
    check_sizes,
    check_classes,
    check_class_names,
    check_identical_classes,
    check_parts,
    check_copies,
    check_names,
    check_persons,
    check_motion,
    check_jumps,
    check_lengths,
    check_plan,
)


def examine(
    archive: Archive,
    split: Split | None = None,
    *,
    plan: Plan | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[Survey, list[Finding]]:
    """Measure all clips and run all checks.

    Args:
        archive: the data set; read once, clip by clip.
        split: of this archive; without it the checks of a split find nothing.
        plan: of a training configuration.
        on_progress: called now and then with the number of clips done.

    Returns:
        what was measured, and the findings, errors first.
    """
    parts, recipe = {}, {}
    if split is not None:
        parts = {p: indices_of(archive, n, f"the {p} part") for p, n in split.parts.items()}
        recipe = dict(split.recipe)
    with np.errstate(over="ignore", invalid="ignore"):  # absurd numbers are found, not warned of
        measured = survey(archive, on_progress)
        case = Case(archive, measured, parts, recipe, plan)
        findings = [finding for check in CHECKS for finding in check(case)]
    return measured, sorted(findings, key=lambda f: SEVERITIES.index(f.severity))

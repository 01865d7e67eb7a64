"""BVH motion capture, by forward kinematics.

A folder (or zip) with one .bvh file a clip, all of one skeleton (bones may differ in length).
Labels are the names of the folders, or come from a CSV with the columns clip and label, whose
further columns become metadata:

    recordings/walk/01.bvh  recordings/walk/02.bvh  recordings/jump/01.bvh
    shapmix import bvh recordings mocap.arrow
    shapmix import bvh recordings mocap.arrow --labels labels.csv

The result has positions of the joints (x, y, z), in the units of the files, and the frame rate of
each. Without --layout, the layout is the hierarchy of the first file: its joints and bones, the
root as centre, and the parts trunk, arms and legs from the names (LeftUpLeg, RHip, l_shoulder, ...)
or, where names tell nothing, the branches of the hierarchy. With --layout, its joints are looked up
by name and the others left out: a YAML file with fewer joints does away with fingers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shapmix.data.clip import ArchiveInfo, ClipError, Keypoints
from shapmix.data.importers.base import MIB, ImportReport, SourceError
from shapmix.data.importers.bvh_motion import Motion, Skeleton, parse, positions, read_frames
from shapmix.data.importers.classes import find_classes
from shapmix.data.importers.file_sources import LabelledFiles
from shapmix.data.importers.files import SourceFiles
from shapmix.data.importers.label_files import clip_names, find_labels
from shapmix.data.importers.peek import Peek
from shapmix.data.importers.repair import drop_empty
from shapmix.data.importers.user_layouts import layout_of_names, nearest_joint, spelling
from shapmix.layouts import Layout, LayoutError
from shapmix.layouts.from_names import layout_from_names

MAX_BYTES = 24 * MIB  # four minutes of 60 joints at 60 frames a second


@dataclass(frozen=True)
class Options:
    """Options of BVH files.

    Attributes:
        labels: CSV with the columns clip and label; clips are named by path or file name. Without
            it, labels are the names of the folders.
        class_names: class names in label order: a file (.txt, .json, .csv) or names with commas.
        label_base: the first id, 0 or 1, where labels are ids.
        layout: name or YAML file of a layout whose joints are looked up by name.
        end_sites: keep the End Sites (tips of head, hands and feet) as joints.
        scale: what coordinates are multiplied by, such as 0.01 from centimetres to metres.
        units: of the coordinates in the archive.
    """

    labels: str | None = None
    class_names: str | None = None
    label_base: int | None = None
    layout: str | None = None
    end_sites: bool = False
    scale: float = 1.0
    units: str = "cm"


def recognise(peek: Peek) -> str | None:
    """See `Importer.recognise`."""
    named = peek.ending(".bvh")
    return f"BVH files such as {named[0]}" if named and not peek.source.is_file() else None


def open_source(source: Path, options: Options) -> Bvh:
    """See `Importer.open_source`."""
    if not 0 < options.scale < float("inf"):
        raise SourceError(f"scale is {options.scale}, expected a positive number")
    files = SourceFiles(source, max_bytes=MAX_BYTES)
    names = [name for name in files.names if name.lower().endswith(".bvh")]
    if not names:
        raise SourceError(f"{source} has no .bvh file")
    labels = find_labels(names, options.labels)
    labels.check_used()
    classes = find_classes(labels.values, options.class_names, options.label_base)
    first, motion = _first_sound(files, names)
    if options.layout is None:
        layout = _own_layout(motion, options.end_sites, first)
    else:
        layout = layout_of_names([joint.name for joint in motion.joints], options.layout, first)
    info = ArchiveInfo(layout, classes.names, channels="xyz", units=options.units, source="BVH")
    units = [files.unit(name) for name in names]
    clips = clip_names(names)
    return Bvh(files, units, info, labels, classes, clips, motion.skeleton, options)


def _first_sound(files: SourceFiles, names: Sequence[str]) -> tuple[str, Motion]:
    """Name and hierarchy of the first file that has one."""
    errors: list[ClipError] = []
    for name in names:
        try:
            return name, parse(files.read(name), name)
        except ClipError as error:
            errors.append(error)
    raise SourceError(f"no .bvh file can be read; of the first: {errors[0]}")


def _kept(motion: Motion, end_sites: bool) -> list[int]:
    return [j for j, joint in enumerate(motion.joints) if end_sites or not joint.is_end]


def _own_layout(motion: Motion, end_sites: bool, where: str) -> Layout:
    kept = _kept(motion, end_sites)
    number = {joint: position for position, joint in enumerate(kept)} | {-1: -1}
    try:
        return layout_from_names(
            [motion.joints[j].name for j in kept],
            [number[motion.joints[j].parent] for j in kept],
            name="bvh",
            source=f"hierarchy of {Path(where).name}",
        )
    except LayoutError as error:
        raise SourceError(f"the hierarchy of {where} makes no layout: {error}") from error


@dataclass(frozen=True)
class Bvh(LabelledFiles):
    """The .bvh files of a folder or zip."""

    skeleton: Skeleton
    options: Options

    def _keypoints_and_fps(
        self, unit: str, clip: str, report: ImportReport
    ) -> tuple[Keypoints, float | None]:
        motion = parse(self.files.read(unit), clip)
        used = self._used(motion, clip)
        values, fps, declared = read_frames(motion, clip)
        if len(values) > declared:
            report.repair("more frames than declared", clip)
        placed = positions(motion.joints, values)[:, None, used]
        with np.errstate(over="ignore"):  # the archive refuses what overflows
            keypoints, dropped = drop_empty(placed * np.float32(self.options.scale))
        if dropped:
            report.repair("frames without a body left out", clip)
        return keypoints, fps

    def _used(self, motion: Motion, clip: str) -> list[int]:
        """Numbers of the layout's joints among those of a file, which may differ with --layout."""
        if self.options.layout is None:
            if motion.skeleton != self.skeleton:
                detail = _difference(motion.skeleton, self.skeleton)
                raise ClipError("another skeleton", clip, detail)
            return _kept(motion, self.options.end_sites)
        found = {spelling(joint.name): number for number, joint in enumerate(motion.joints)}
        for joint in self.info.layout.joints:
            if spelling(joint) not in found:
                hint = nearest_joint(joint, [joint.name for joint in motion.joints])
                raise ClipError("another skeleton", clip, f"it has no joint {joint!r}{hint}")
        return [found[spelling(joint)] for joint in self.info.layout.joints]


def _difference(found: Skeleton, expected: Skeleton) -> str:
    """In what a skeleton differs from that of the first file."""
    ours, theirs = ({name for name, _, _ in skeleton} for skeleton in (expected, found))
    kinds = (("lacks", sorted(ours - theirs)), ("adds", sorted(theirs - ours)))
    changes = [f"{verb} {', '.join(names[:5])}" for verb, names in kinds if names]
    what = " and ".join(changes) or "has its joints in another order or tree"
    return f"its hierarchy {what}; import each skeleton on its own, or name joints by --layout"

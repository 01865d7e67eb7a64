"""NTU RGB+D 60 and 120 (Shahroudy et al., CVPR 2016; Liu et al., TPAMI 2019), `.skeleton` files.

SOURCE is a folder that holds, at any depth, the `.skeleton` files or the official zips, which need
not be extracted; or one such zip:

    nturgbd_skeletons_s001_to_s017.zip    NTU RGB+D 60
    nturgbd_skeletons_s018_to_s032.zip    the rest of NTU RGB+D 120

    shapmix import ntu-raw ~/downloads/ntu ntu60.arrow --dataset 60

A file is one clip, `SsssCcccPpppRrrrAaaa.skeleton`: setup, camera, performer, replication, action.
The archive has them in the order of their names: 25 joints (layout ntu25), x, y, z in metres as the
camera sees them, 30 frames a second, at most two persons; nothing is centred, turned or padded.
Metadata columns are setup, camera, performer, replication and action; the label is the action
less 1, and classes are called as in the authors' list of actions. Protocols are xsub and xview for
60 classes, xsub and xset for 120.

Frames without a body are left out. Of the bodies in a file, by default those that are seen briefly
or are too wide are removed, the rest are ordered by motion, and ids that share no frame are joined
into one person, as the CTR-GCN family does; but a body that vanishes and comes back stays in the
frames in which it was seen. --bodies pyskl joins ids as PYSKL does.

Samples that the data set's authors list as missing or incomplete (302 of 60, 535 of 120) are left
out, and so is what does not belong to the chosen data set; both count as ignored files.

Recordings of your own in this form have other names. `shapmix predict` takes them as they are, and
so does --labels none: clips called after their files, without labels and columns.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shapmix.data.clip import ArchiveInfo, Clip, ClipError
from shapmix.data.importers.base import MIB, ImportReport, SourceError, Unit
from shapmix.data.importers.files import SourceFiles
from shapmix.data.importers.label_files import NO_LABELS, UNLABELLED
from shapmix.data.importers.ntu_bodies import Selection, select_persons
from shapmix.data.importers.ntu_names import (
    CLASS_NAMES,
    COLUMNS,
    FPS,
    SETUPS_60,
    NtuName,
    missing_samples,
    parse_name,
    protocols,
)
from shapmix.data.importers.ntu_parser import parse
from shapmix.data.importers.peek import Peek
from shapmix.data.importers.repair import drop_empty
from shapmix.layouts import get_layout

MAX_BYTES = 16 * MIB  # 300 frames of 6 bodies, the most a Kinect tracks, have about 7 MB
SUFFIX = ".skeleton"
BEGINNING = re.compile(rb"\s*\d+\s+\d+\s")  # frames, bodies in the first one

MISSING = "on the authors' list of missing and incomplete samples"
OTHERS = "of NTU RGB+D 120 only"
EMPTY = "frames without a body left out"
SURPLUS = "lines after the last frame ignored"


@dataclass(frozen=True)
class Options:
    """Which samples, and which of the bodies in a file are persons.

    Attributes:
        dataset: "60" or "120" classes; "auto" is 60 when no setup is above 17 and no action above
            60. With "60", samples of the rest of 120 are left out. (Numbers: Liu et al., TPAMI
            2019.)
        keep_missing: import also the samples on the list of missing and incomplete skeletons that
            the data set's authors publish with it.
        labels: "name" takes them from the names of the files; "none" takes any .skeleton file as a
            clip without a label, called after the file.
        bodies: "ctrgcn" (Chen et al., ICCV 2021; its code has it from Zhang et al., CVPR 2020):
            bodies seen briefly or too wide are removed, the rest are ordered by motion (the sum of
            the variances of x, y, z), and each fills the first person with whom it shares no frame.
            "pyskl" (Duan et al., ACM MM 2022; tools/data/ntu_preproc.py): the same, but a body
            joins a person only before their first frame or after their last one, and a first person
            who is not there in the first frame changes places with the second. It remains different
            that a body that comes back stays in the frames in which it was seen, that frames
            without a body are left out within a clip too, and that nothing is moved or turned:
            PYSKL's models do that as they load a clip (align=first_frame in training). "all" (our
            own): every id is a person, in the order of appearance; no threshold applies.
        short_body: a body seen in this many frames or fewer is removed, unless all are. (11:
            CTR-GCN.)
        wide_frame: a frame of a body is noise when its extent in x is more than this share of its
            extent in y. (0.8: CTR-GCN.)
        wide_share: a body is removed when this share of its frames or more is noise; one body
            always stays. (0.69754: CTR-GCN.)
        motion_low: a body whose motion is below this, in square metres, is removed, but for the one
            that moves most; not applied by default. (CTR-GCN's scripts carry 0.089925, and say that
            their main processing does not use it.)
        motion_high: the same for a motion above this; not applied by default. (The same scripts
            carry 2, as little used.)
        max_persons: bodies beyond so many persons are left out. (2: CTR-GCN and PYSKL.)
    """

    dataset: Literal["auto", "60", "120"] = "auto"
    keep_missing: bool = False
    labels: Literal["name", "none"] = "name"
    bodies: Literal["ctrgcn", "pyskl", "all"] = "ctrgcn"
    short_body: int = 11
    wide_frame: float = 0.8
    wide_share: float = 0.69754
    motion_low: float | None = None
    motion_high: float | None = None
    max_persons: int = 2


def recognise(peek: Peek) -> str | None:
    """See `Importer.recognise`."""
    named = [name for name in peek.base_names() if _sample(name) is not None]
    if named:
        return f"files named as NTU RGB+D's are, such as {named[0]}"
    zips = [name for name in peek.ending(".zip") if "nturgbd_skeletons" in name]
    if zips:
        return f"official zips of NTU RGB+D, such as {zips[0]}"
    other = next((name for name in peek.names if name.endswith(SUFFIX)), None)
    if other is not None and BEGINNING.match(peek.head(other)):
        return f"files in the form of NTU RGB+D's, such as {other}"
    return None


def open_source(source: Path, options: Options) -> NtuRaw:
    """See `Importer.open_source`."""
    how = _selection(options)
    files = _all_files(source)
    found = {
        Unit(f"{number}/{name}", part.sizes[name]): sample
        for number, part in enumerate(files)
        for name in part.sizes
        if (sample := _sample(name)) is not None
        or (options.labels == NO_LABELS and name.endswith(SUFFIX))
    }
    if not found:
        raise SourceError(
            f"{source} has no NTU RGB+D clips: expected files such as "
            "S001C002P003R002A013.skeleton, or the official zips (--labels none takes .skeleton "
            "files of other names, as clips without labels)"
        )
    samples = [sample for sample in found.values() if sample is not None]
    num_classes = _num_classes(options.dataset, samples)
    others = {
        unit
        for unit, sample in found.items()
        if sample is not None and num_classes == 60 and not _is_of_60(sample)
    }
    missing = (
        set()
        if options.keep_missing
        else {
            unit
            for unit, sample in found.items()
            if sample is not None and unit not in others and _stem(unit.name) in missing_samples()
        }
    )
    units = [unit for unit in found if unit not in others | missing]
    left_out = {MISSING: len(missing), OTHERS: len(others)}
    left_out = {why: count for why, count in left_out.items() if count}
    if not units:
        counts = ", ".join(f"{count} {why}" for why, count in left_out.items())
        raise SourceError(
            f"{source}: none of its {len(found)} samples is left ({counts}); --keep-missing true "
            "keeps those on the list, --dataset 120 those of all classes"
        )
    units.sort(key=lambda unit: (_stem(unit.name), unit.name))
    zips = len(files) - 1
    ignored = sum(len(part.sizes) for part in files) - zips - len(units)
    return NtuRaw(files, units, num_classes, how, ignored, left_out, options.labels != NO_LABELS)


@dataclass(frozen=True)
class NtuRaw:
    """The `.skeleton` files of folders and zips; a unit is called after the number of its zip or
    folder in `files` and its name there."""

    files: Sequence[SourceFiles]
    units: list[Unit]
    num_classes: Literal[60, 120]
    how: Selection
    ignored: int
    left_out: Mapping[str, int]
    has_labels: bool

    @property
    def columns(self) -> Mapping[str, type[int]]:
        """What the names say; nothing of clips without labels."""
        return COLUMNS if self.has_labels else {}

    @property
    def info(self) -> ArchiveInfo:
        """Of 60 or of 120 classes, or without labels."""
        if not self.has_labels:
            return ArchiveInfo(
                layout=get_layout("ntu25"), class_names=(UNLABELLED,), source="Kinect v2 recordings"
            )
        return ArchiveInfo(
            layout=get_layout("ntu25"),
            class_names=CLASS_NAMES[: self.num_classes],
            channels="xyz",
            units="m",
            source=f"NTU RGB+D {self.num_classes} (Shahroudy et al., CVPR 2016; Liu et al., TPAMI "
            "2019)",
            splits=protocols(self.num_classes),
        )

    @property
    def stamp(self) -> str:
        """Changes with the files."""
        stamps = [files.stamp for files in self.files]
        return hashlib.sha256(repr(stamps).encode()).hexdigest()

    def read(self, units: Sequence[Unit], report: ImportReport) -> Iterator[Clip]:
        """See `Source.read`."""
        if units[0] == self.units[0]:  # once an import
            report.ignored_why |= self.left_out
        for unit in units:
            number, name = unit.name.split("/", 1)
            try:
                yield self._clip(name, self.files[int(number)].read(name), report)
            except ClipError as error:
                report.skip(error)

    def _clip(self, file: str, content: bytes, report: ImportReport) -> Clip:
        name, sample = _stem(file), _sample(file)
        metadata: dict[str, int] = {}
        label = 0
        if self.has_labels:
            assert sample is not None
            metadata, label = self._facts(name, sample)
        recording = parse(name, content)
        keypoints, notes = select_persons(name, recording, self.how)
        keypoints, _ = drop_empty(keypoints)
        if not len(keypoints):
            raise ClipError("no body", name, "every coordinate is zero or missing")
        if len(keypoints) < recording.num_frames:
            notes.append(EMPTY)
        if recording.surplus:
            notes.append(SURPLUS)
        for note in notes:
            report.repair(note, name)
        return Clip(name, label, keypoints, FPS, metadata)

    def _facts(self, name: str, sample: NtuName) -> tuple[dict[str, int], int]:
        """Metadata and label that a name says; ClipError when it is of no class."""
        if not 1 <= sample.action <= self.num_classes:
            expected = f"expected 1 to {self.num_classes}"
            raise ClipError("unknown action", name, f"action {sample.action}, {expected}")
        return {column: getattr(sample, column) for column in COLUMNS}, sample.action - 1


def _all_files(source: Path) -> list[SourceFiles]:
    """The zip or folder itself, and the zips in the folder that have clips."""
    files = SourceFiles(source, max_bytes=MAX_BYTES)
    inner = []
    if source.is_dir():
        for name in files.sizes:
            path = source / name
            if path.suffix.lower() != ".zip" or not path.is_file():
                continue
            if not path.resolve().is_relative_to(source.resolve()):
                raise SourceError(f"{path} leads out of the folder; put the zip itself there")
            try:
                members = SourceFiles(path, max_bytes=MAX_BYTES)
            except SourceError as error:
                raise SourceError(f"{error}; get it again or take it out of the folder") from error
            if any(_sample(member) is not None for member in members.sizes):
                inner.append(members)
    return [files, *inner]


def _stem(name: str) -> str:
    """The name of a file without folders and suffix: the clip's."""
    return name.rpartition("/")[2].removesuffix(SUFFIX)


def _sample(name: str) -> NtuName | None:
    """What the name of a file says; None when it is not that of a clip."""
    return parse_name(_stem(name)) if name.endswith(SUFFIX) else None


def _is_of_60(sample: NtuName) -> bool:
    return sample.setup <= SETUPS_60 and sample.action <= 60


def _num_classes(dataset: str, samples: Iterable[NtuName]) -> Literal[60, 120]:
    if dataset == "auto":
        return 60 if all(map(_is_of_60, samples)) else 120
    return 60 if dataset == "60" else 120


def _selection(options: Options) -> Selection:
    """The part of the options that chooses bodies; SourceError where it makes no sense."""
    low, high = options.motion_low, options.motion_high
    checks = (
        ("short_body", options.short_body >= 0, "0 or more"),
        ("wide_frame", options.wide_frame > 0, "a positive number"),
        ("wide_share", options.wide_share > 0, "a positive number"),
        ("motion_low", low is None or low >= 0, "0 or more, or none"),
        ("motion_high", high is None or high >= (low or 0), "motion_low or more, or none"),
        ("max_persons", options.max_persons >= 1, "1 or more"),
    )
    for name, is_sound, expected in checks:
        if not is_sound:
            raise SourceError(f"{name} is {getattr(options, name)}, expected {expected}")
    return Selection(
        bodies=options.bodies,
        short_body=options.short_body,
        wide_frame=options.wide_frame,
        wide_share=options.wide_share,
        motion_low=low,
        motion_high=high,
        max_persons=options.max_persons,
    )

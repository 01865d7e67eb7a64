"""A tidy table: one row for each joint of each person in each frame, as CSV or Parquet.

    clip,frame,person,joint,x,y,score,label,subject
    0001,0,0,nose,412.5,120.1,0.98,wave,7
    0001,0,0,left_eye,420.0,112.7,0.95,wave,7

    shapmix import table poses.csv mine.arrow
    shapmix import table poses.parquet mine.arrow --layout mine.yaml
    shapmix import table poses.csv mine.arrow --rename video=clip,keypoint=joint,action=label

SOURCE is one file (.csv, .tsv, .parquet) or a folder of such files with the same columns. The
separator of a CSV may be a comma, a semicolon or a tab; its encoding is UTF-8. Columns:

    clip      name of the clip; its rows must lie together
    frame     number of the frame, or its time; numbers left out are frames left out
    joint     name, or number from 0 or 1
    x, y      coordinates; with z in three dimensions
    label     class of the clip, a name or an id, the same in all its rows
    z, score, person, fps    if you have them; a score goes from 0, not seen, upwards
    others    become metadata of the clip (subject, camera, ...) and must not change within it;
              those that change within most clips are left out. Whole numbers stay numbers where
              some are missing (empty, NaN): these are unknown; in a text only the empty one is

In a folder, a table without the column clip is one clip, and without the column label its label is
the name of its folder: mine/wave/001.csv. --labels labels.csv gives labels by clip. Instead of
joint, x and y, a table may have a row a frame and columns such as x0, y0, s0, x1, ... or nose_x,
nose_y, nose_score.

A row or a value (empty, NaN) may be missing: with scores such a joint counts as not seen, without
it is given a place between the frames that have it. In three dimensions, a score of 0 says that the
joint is missing. Without --layout, it is the layout of the catalog that has exactly these joints.
With --layout, further joints of the table are left out. The result has the coordinates as they are,
in metres (with z) or pixels unless --units says otherwise. Tables may be larger than memory, a clip
has up to 32 MiB.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from shapmix.data.clip import ArchiveInfo, Clip, ClipError
from shapmix.data.importers.base import MIB, ImportReport, SourceError, Unit
from shapmix.data.importers.classes import MULTI_LABEL, find_classes
from shapmix.data.importers.label_files import Labels, clip_names, find_labels, folder_label
from shapmix.data.importers.peek import Peek, visible_files
from shapmix.data.importers.table_clips import ClipReader, joint_numbers
from shapmix.data.importers.table_files import SUFFIXES, TableFile, open_table
from shapmix.data.importers.table_survey import Run, Survey, survey
from shapmix.data.importers.table_tidy import NEEDED, OPTIONAL, TidyFile, tidied
from shapmix.suggest import composed, did_you_mean

MAX_CLIP_BYTES = 32 * MIB  # of the rows of one clip


@dataclass(frozen=True)
class Options:
    """Options of tables.

    Attributes:
        layout: name or YAML file of the skeleton; without it the layout of the catalog that has
            the joints of the table.
        joint_base: number of the first joint, 0 or 1, where joints are numbers; found without it
            where joint 0 or the last joint occurs.
        labels: CSV with the columns clip and label, where the table has no column label; further
            columns are metadata.
        class_names: class names in label order: a file (.txt, .json, .csv) or names with commas.
        label_base: the first id, 0 or 1, where labels are ids.
        rename: columns that have other names, such as video=clip,keypoint=joint.
        drop: columns to leave out, with commas between them.
        units: of the coordinates; m with z and px without by default.
        fps: frames a second, where the table does not say.
    """

    layout: str | None = None
    joint_base: int | None = None
    labels: str | None = None
    class_names: str | None = None
    label_base: int | None = None
    rename: str | None = None
    drop: str | None = None
    units: str | None = None
    fps: float | None = None


def recognise(peek: Peek) -> str | None:
    """See `Importer.recognise`."""
    for name in peek.ending(*SUFFIXES)[:1]:
        if peek.is_zip:
            return None
        try:
            path = peek.source / name if peek.is_folder else peek.source
            columns = tidied(open_table(path, {}, NEEDED + OPTIONAL), (), {}).columns
        except SourceError:
            return None
        needed = {"frame", "joint", "x", "y"} | (set() if peek.is_folder else {"clip"})
        if needed <= set(columns):
            return f"a table with the columns {', '.join(columns[:10])}"
    return None


def open_source(source: Path, options: Options) -> Table:
    """See `Importer.open_source`."""
    paths, ignored = _paths(source, options.labels)
    files = _files(source, paths, options)
    needed = [name for name in NEEDED if name != "label" or options.labels is None]
    columns = _columns(files, needed)
    metadata = [name for name in columns if name not in NEEDED + OPTIONAL]
    found = survey(files, metadata, labelled="label" in needed)
    labels, clip_paths = None, {}
    if options.labels is not None:
        if "clip" in files[0].constants:
            names = [path.relative_to(source).as_posix() for path in paths]
            clip_paths = {clip: name for name, clip in clip_names(names).items()}
        labels = find_labels(list(clip_paths.values()) or sorted(found.clips), options.labels)
        labels.check_used()
    classes = find_classes(_values(found, labels, options), options.class_names, options.label_base)
    layout, joints = joint_numbers(found.joints, options.layout, options.joint_base, str(source))
    channels = "xyz" if "z" in columns else "xyc" if "score" in columns else "xy"
    info = ArchiveInfo(
        layout,
        classes.names,
        channels=channels,
        units=options.units or ("m" if channels == "xyz" else "px"),
        source=f"table {source.name}",
    )
    kinds, changing = _kinds(found)
    if labels is not None and (twice := kinds.keys() & labels.columns.keys()):
        raise SourceError(f"{source} and {options.labels} both have the column {min(twice)!r}")
    reader = ClipReader(info, kinds, labels, clip_paths, classes, joints, options.fps)
    wanted = [name for name in columns if name in {*needed, *OPTIONAL, *kinds}]
    return Table(files, found.runs, reader, ignored, wanted, changing)


def _files(source: Path, paths: Sequence[Path], options: Options) -> list[TidyFile]:
    """The tables; where no column says so, a file is a clip and its folder the label."""
    rename = _renaming(options.rename)
    opened = [open_table(path, rename, NEEDED + OPTIONAL) for path in paths]
    dropped = [name.strip() for name in composed(options.drop or "").split(",") if name.strip()]
    for name in dropped:
        if name not in opened[0].columns:
            hint = did_you_mean(name, opened[0].columns)
            raise SourceError(f"{paths[0]} has no column {name!r} to drop{hint}")
        if name in NEEDED:
            raise SourceError(f"column {name!r} cannot be dropped: {', '.join(NEEDED)} are needed")
    if not source.is_dir():
        return [tidied(opened[0], dropped, {})]
    names = [path.relative_to(source).as_posix() for path in paths]
    clips = clip_names(names)
    has_folders = any(folder_label(name) for name in names)
    files = []
    for file, name in zip(opened, names, strict=True):
        constants = {"clip": clips[name]}
        if has_folders and options.labels is None:
            constants["label"] = folder_label(name) or ""
        files.append(tidied(file, dropped, constants))
    return files


def _values(found: Survey, labels: Labels | None, options: Options) -> Collection[str]:
    """All labels."""
    if labels is not None:
        return labels.values
    several = [label for label in found.labels if re.search(r"[|;]", label)]
    if several and options.class_names is None:
        raise SourceError(f"column 'label' has {min(several)!r}; {MULTI_LABEL}")
    return found.labels - {""}  # clips without are skipped, each with its name


def _kinds(found: Survey) -> tuple[dict[str, type[int] | type[str]], list[str]]:
    """Types of the metadata columns, and the columns that are none: they change in most clips."""
    changing = [name for name, its in found.metadata.items() if 2 * its.changing > len(found.clips)]
    kinds: dict[str, type[int] | type[str]] = {
        name: int if its.kinds == {int} else str
        for name, its in found.metadata.items()
        if name not in changing
    }
    return kinds, changing


def _paths(source: Path, labels: str | None) -> tuple[list[Path], int]:
    """Tables of a folder but the labels, or the one table; the number of other files."""
    if not source.is_dir():
        if source.suffix.lower() not in SUFFIXES:
            raise SourceError(f"{source} is no {', '.join(SUFFIXES)} file; unpack it if compressed")
        return [source], 0
    own = None if labels is None else Path(labels).resolve()
    files = sorted(path for path in visible_files(source) if path.is_file())
    tables = [path for path in files if path.suffix.lower() in SUFFIXES and path.resolve() != own]
    if not tables:
        raise SourceError(f"{source} has no {', '.join(SUFFIXES)} file")
    for path in tables:
        if not path.resolve().is_relative_to(source.resolve()):
            raise SourceError(f"{path} is a link that leads out of the folder; copy the file")
    return tables, len(files) - len(tables)


def _renaming(rename: str | None) -> dict[str, str]:
    pairs = [pair.split("=") for pair in composed(rename or "").split(",") if pair.strip()]
    if any(len(pair) != 2 or not all(map(str.strip, pair)) for pair in pairs):
        raise SourceError(f"rename is {rename!r}, expected such as video=clip,keypoint=joint")
    return {old.strip(): new.strip() for old, new in pairs}


def _columns(files: Sequence[TidyFile], needed: Sequence[str]) -> list[str]:
    """The columns, which all tables have."""
    first = files[0]
    if lacking := [name for name in needed if name not in first.columns]:
        raise SourceError(_missing_columns(lacking, first.file))
    for file in files[1:]:
        if different := set(first.columns) ^ set(file.columns):
            raise SourceError(
                f"{first.path} and {file.path} differ in the column {min(different)!r}; the tables "
                "of a folder need the same columns"
            )
    return first.columns


def _missing_columns(lacking: Sequence[str], file: TableFile) -> str:
    listed = ", ".join(file.columns[:12]) + (", ..." if len(file.columns) > 12 else "")
    text = f"{file.path} has no column{'s' * (len(lacking) > 1)} {', '.join(map(repr, lacking))}"
    pairs = []
    for name in lacking:
        near = get_close_matches(name, [c for c in file.columns if c not in NEEDED], n=1)
        pairs.append(f"{near[0] if near else 'NAME'}={name}")
    text += f"; it has {listed}. By other names: --rename {','.join(pairs)}"
    if "label" in lacking:
        text += ". Labels in a file of their own: --labels labels.csv, with the columns clip, label"
    if {"clip", "label"} & set(lacking):
        text += ". Of a folder, each file is a clip, and its folder the label, if no column says so"
    if {"joint", "x", "y"} & set(lacking):
        text += ". A table may also have columns such as x0, y0, x1, ... or nose_x, nose_y, ..."
    return text


@dataclass(frozen=True)
class Table:
    """The rows of one or several tables."""

    files: Sequence[TidyFile]
    runs: Sequence[Run]
    reader: ClipReader
    ignored: int
    wanted: Sequence[str]
    changing: Sequence[str]  # columns that are left out, as they change within clips

    @property
    def info(self) -> ArchiveInfo:
        """What all clips share."""
        return self.reader.info

    @property
    def columns(self) -> Mapping[str, type[int] | type[str]]:
        """Those of the table, then those of the CSV with the labels."""
        labels = self.reader.labels
        return {**self.reader.columns, **({} if labels is None else labels.columns)}

    @property
    def units(self) -> list[Unit]:
        """Runs of whole clips."""
        return [
            Unit(str(number), (run.stop - run.start) * self.files[run.file].file.row_bytes)
            for number, run in enumerate(self.runs)
        ]

    @property
    def stamp(self) -> str:
        """Changes with the size or time of modification of any file."""
        entries = [(str(file.path), file.path.stat()) for file in self.files]
        text = repr([(path, status.st_size, status.st_mtime_ns) for path, status in entries])
        labels = "" if self.reader.labels is None else self.reader.labels.stamp
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() + labels

    def read(self, units: Sequence[Unit], report: ImportReport) -> Iterator[Clip]:
        """See `Source.read`."""
        if units[0].name == "0":  # once an import
            for column in self.changing:
                report.repair(f"column {column!r} left out: it changes within clips", "most clips")
            if self.reader.labels is not None:
                self.reader.labels.note_unused(report)
        runs: dict[int, list[Run]] = {}
        for unit in units:
            run = self.runs[int(unit.name)]
            most = MAX_CLIP_BYTES if self.files[run.file].wide is None else MAX_CLIP_BYTES // 4
            if unit.size > most:
                detail = f"its rows take {unit.size} bytes, expected at most {most}"
                report.skip(ClipError("too large", run.first, detail))
            else:
                runs.setdefault(run.file, []).append(run)
        for number, its in runs.items():
            spans = [(run.start, run.stop) for run in its]
            for table in self.files[number].tables(spans, self.wanted):
                yield from self.reader.clips(table, report)

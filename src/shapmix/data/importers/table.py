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
    frame     number of the frame; numbers left out are frames left out
    joint     name, or number from 0 or 1
    x, y      coordinates; with z in three dimensions
    label     class of the clip, a name or an id, the same in all its rows
    z, score, person, fps    if you have them; a score goes from 0, not seen, upwards
    others    become metadata of the clip (subject, camera, ...) and must not change within it

A row or a value (empty, NaN) may be missing: with scores such a joint counts as not seen, without
it is given a place between the frames that have it. In three dimensions, a score of 0 says that the
joint is missing. Without --layout, it is the layout of the catalog that has exactly these joints.
With --layout, further joints of the table are left out. The result has the coordinates as they are,
in metres (with z) or pixels unless --units says otherwise. Tables may be larger than memory.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shapmix.data.clip import ArchiveInfo, Clip, ClipError
from shapmix.data.importers.base import MIB, ImportReport, SourceError, Unit
from shapmix.data.importers.classes import MULTI_LABEL, Classes, find_classes
from shapmix.data.importers.label_files import check_metadata_names
from shapmix.data.importers.peek import Peek
from shapmix.data.importers.table_clips import ClipReader, joint_numbers
from shapmix.data.importers.table_files import SUFFIXES, TableFile, open_table
from shapmix.data.importers.table_survey import Run, survey
from shapmix.suggest import did_you_mean

NEEDED = ("clip", "frame", "joint", "x", "y", "label")
OPTIONAL = ("z", "score", "person", "fps")
MAX_CLIP_BYTES = 128 * MIB  # of the rows of one clip


@dataclass(frozen=True)
class Options:
    """Options of tables.

    Attributes:
        layout: name or YAML file of the skeleton; without it the layout of the catalog that has
            the joints of the table.
        class_names: class names in label order: a file (.txt, .json, .csv) or names with commas.
        label_base: the first id, 0 or 1, where labels are ids.
        rename: columns that have other names, such as video=clip,keypoint=joint.
        drop: columns to leave out, with commas between them.
        units: of the coordinates; m with z and px without by default.
        fps: frames a second, where the table has no column fps.
    """

    layout: str | None = None
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
            columns = open_table(peek.source / name if peek.is_folder else peek.source, {}).columns
        except SourceError:
            return None
        if {"clip", "frame", "joint", "x", "y"} <= set(columns):
            return f"a table with the columns {', '.join(columns[:10])}"
    return None


def open_source(source: Path, options: Options) -> Table:
    """See `Importer.open_source`."""
    paths, ignored = _paths(source)
    rename = _renaming(options.rename)
    files = [open_table(path, rename) for path in paths]
    dropped = [name.strip() for name in (options.drop or "").split(",") if name.strip()]
    columns = _columns(files, dropped)
    metadata = [name for name in columns if name not in NEEDED + OPTIONAL]
    check_metadata_names(metadata)
    found = survey(files, metadata)
    several = [label for label in found.labels if re.search(r"[|;]|^\[", label)]
    if several and options.class_names is None:
        raise SourceError(f"column 'label' has {min(several)!r}; {MULTI_LABEL}")
    labels = found.labels - {""}  # clips without are skipped, each with its name
    classes = find_classes(labels, options.class_names, options.label_base)
    layout, joints = joint_numbers(found.joints, options.layout, str(source))
    channels = "xyz" if "z" in columns else "xyc" if "score" in columns else "xy"
    info = ArchiveInfo(
        layout,
        classes.names,
        channels=channels,
        units=options.units or ("m" if channels == "xyz" else "px"),
        source=f"table {source.name}",
    )
    kinds: dict[str, type[int] | type[str]] = {
        name: int if name in found.whole else str for name in metadata
    }
    return Table(files, found.runs, info, kinds, classes, joints, ignored, columns, options.fps)


def _paths(source: Path) -> tuple[list[Path], int]:
    """Tables of a folder, or the one table; the number of other files."""
    if not source.is_dir():
        if source.suffix.lower() not in SUFFIXES:
            raise SourceError(f"{source} is no {', '.join(SUFFIXES)} file; unpack it if compressed")
        return [source], 0
    files = sorted(path for path in source.rglob("*") if path.is_file())
    tables = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not tables:
        raise SourceError(f"{source} has no {', '.join(SUFFIXES)} file")
    for path in tables:
        if not path.resolve().is_relative_to(source.resolve()):
            raise SourceError(f"{path} is a link that leads out of the folder; copy the file")
    return tables, len(files) - len(tables)


def _renaming(rename: str | None) -> dict[str, str]:
    pairs = [pair.split("=") for pair in (rename or "").split(",") if pair.strip()]
    if any(len(pair) != 2 or not all(map(str.strip, pair)) for pair in pairs):
        raise SourceError(f"rename is {rename!r}, expected such as video=clip,keypoint=joint")
    return {old.strip(): new.strip() for old, new in pairs}


def _columns(files: Sequence[TableFile], dropped: Sequence[str]) -> list[str]:
    """Columns of interest, which all tables have."""
    first = files[0]
    for name in dropped:
        if name not in first.columns:
            hint = did_you_mean(name, first.columns)
            raise SourceError(f"{first.path} has no column {name!r} to drop{hint}")
        if name in NEEDED:
            raise SourceError(f"column {name!r} cannot be dropped: {', '.join(NEEDED)} are needed")
    for name in NEEDED:
        if name not in first.columns:
            raise SourceError(_missing_column(name, first))
    for file in files[1:]:
        if different := set(first.columns) ^ set(file.columns):
            raise SourceError(
                f"{first.path} and {file.path} differ in the column {min(different)!r}; the tables "
                "of a folder need the same columns"
            )
    return [name for name in first.columns if name not in dropped]


def _missing_column(name: str, file: TableFile) -> str:
    listed = ", ".join(file.columns[:12]) + (", ..." if len(file.columns) > 12 else "")
    text = f"{file.path} has no column {name!r}; it has {listed}"
    wide = [match[1] for column in file.columns if (match := re.fullmatch(r"(.+)[_.]x", column))]
    if name in ("joint", "x", "y") and len(wide) > 1:
        return (
            f"{text}. This is a wide table, with columns for {wide[0]}, {wide[1]}, ...: a row a "
            "joint is needed. In pandas, melt and pivot, or wide_to_long, make one of it"
        )
    other = did_you_mean(name, file.columns).removeprefix(" (did you mean ").removesuffix("?)")
    return (
        f"{text}. If it is there by another name: --rename {other.strip(chr(39)) or 'NAME'}={name}"
    )


@dataclass(frozen=True)
class Table:
    """The rows of one or several tables."""

    files: Sequence[TableFile]
    runs: Sequence[Run]
    info: ArchiveInfo
    columns: Mapping[str, type[int] | type[str]]
    classes: Classes
    joints: Mapping[str, int]
    ignored: int
    wanted: Sequence[str]
    fps: float | None

    @property
    def units(self) -> list[Unit]:
        """Runs of whole clips."""
        return [
            Unit(str(number), (run.stop - run.start) * self.files[run.file].row_bytes)
            for number, run in enumerate(self.runs)
        ]

    @property
    def stamp(self) -> str:
        """Changes with the size or time of modification of any file."""
        entries = [(str(file.path), file.path.stat()) for file in self.files]
        text = repr([(path, status.st_size, status.st_mtime_ns) for path, status in entries])
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()

    def read(self, units: Sequence[Unit], report: ImportReport) -> Iterator[Clip]:
        """See `Source.read`."""
        reader = ClipReader(self.info, self.columns, self.classes, self.joints, self.fps)
        runs: dict[int, list[Run]] = {}
        for unit in units:
            run = self.runs[int(unit.name)]
            if unit.size > MAX_CLIP_BYTES:
                detail = f"its rows take {unit.size} bytes, expected at most {MAX_CLIP_BYTES}"
                report.skip(ClipError("too large", run.first, detail))
            else:
                runs.setdefault(run.file, []).append(run)
        for number, its in runs.items():
            spans = [(run.start, run.stop) for run in its]
            for table in self.files[number].tables(spans, self.wanted):
                yield from reader.clips(table, report)

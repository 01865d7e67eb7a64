"""Clips of any source, one by one, with labels or without; nothing is written beside the source.

A source is an archive, or whatever an importer reads: folders, zips, files of many clips, and one
file of one clip too.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import yaml

from shapmix.data.archive import Archive
from shapmix.data.clip import ArchiveInfo, ClipError, Keypoints, checked_clip
from shapmix.data.importers import load_importer, recognise
from shapmix.data.importers.base import MIB, Importer, ImportReport, Source, SourceError
from shapmix.data.importers.label_files import NO_LABELS
from shapmix.data.importers.peek import is_hidden
from shapmix.data.split_file import PARTS, Split, indices_of
from shapmix.layouts import CATALOG, Layout
from shapmix.suggest import composed, did_you_mean

# Formats of which a source may be one file; of the others, a lone file is put into a folder.
OF_ONE_FILE = ("pyskl-pkl", "ctrgcn-npz", "coco", "table")
BARE = ("arrays",)  # formats of numbers only: nothing says which joints and values they are
MOST_BYTES = 64 * MIB  # of a lone file; no importer takes more of one clip
FOLDERS_KEPT = 3  # above a lone file: they may tell its class, or make its format
UNITS_AT_ONCE = 16
LABEL_FAULTS = ("no label", "unknown label", "several labels")


class Recording(NamedTuple):
    """One clip of a source.

    Attributes:
        name: as an archive would have it.
        keypoints: `(T, M, V, C)` float32.
        fps: frames a second, None where unknown.
        label: name of its class in the source, None where it has none.
    """

    name: str
    keypoints: Keypoints
    fps: float | None
    label: str | None


@dataclass(frozen=True)
class Recordings:
    """The clips of a source; iterating reads them, and fills the report.

    Attributes:
        info: what they share; its classes are those of the source.
        report: how many were read, of how many units; what was skipped and why.
    """

    info: ArchiveInfo
    report: ImportReport
    _read: Callable[[], Iterator[Recording]]

    def __iter__(self) -> Iterator[Recording]:
        return self._read()

    def only(self, name: str) -> Recordings:
        """The one clip of this name; SourceError, when it is looked for, if there is none."""

        def read() -> Iterator[Recording]:
            names = []
            for recording in self._read():
                if composed(recording.name) == composed(name):
                    yield recording
                    return
                names.append(recording.name)
            raise SourceError(f"the source has no clip {name!r}{did_you_mean(name, names)}")

        return replace(self, _read=read)


def is_archive(source: Path) -> bool:
    """Whether a source is an archive of shapmix."""
    if not source.is_file():
        return False
    with source.open("rb") as file:
        return file.read(6) == b"ARROW1"


def find_formats(source: Path) -> dict[str, str]:
    """Formats that a source looks like, the most particular first, and why.

    Raises:
        SourceError: there is no such file or folder, or no format is recognised.
    """
    if not source.is_file() and not source.is_dir():
        raise SourceError(f"no file or folder {source}")
    found = recognise(source)
    if not found and source.is_file():
        with TemporaryDirectory(prefix="shapmix-") as folder:
            found = recognise(_in_a_folder(source, Path(folder)))
    if not found:
        raise SourceError(
            f"the format of {source} was not recognised; name it by --format, one of those that "
            "`shapmix import --help` lists"
        )
    return found


def read_archive(
    path: Path, split: Path | None = None, part: str = "test", clip: str | None = None
) -> Recordings:
    """The clips of an archive, those of one part of a split of it, or the one of a name.

    Raises:
        ArchiveError, SplitError: a file is damaged, there is no such clip, or the split is of
            another archive.
        ValueError: there is no such part, or it is empty.
    """
    archive = Archive(path)
    chosen: Sequence[int] = range(len(archive))
    if split is not None:
        if part not in PARTS:
            raise ValueError(f"part is {part!r}: choose {', '.join(PARTS)}")
        names = Split.load(split, archive).parts[part]
        if not names:
            raise ValueError(f"the {part} part of {split} is empty: choose another by --part")
        chosen = indices_of(archive, names, split).tolist()
    if clip is not None:
        chosen = [i for i in chosen if i == archive.index(clip)]
        if not chosen:
            raise ValueError(f"the clip {clip!r} is not in the {part} part of {split}")
    report = ImportReport(total_units=len(chosen))

    def read() -> Iterator[Recording]:
        for i in chosen:
            found = archive.clip(i)
            label = archive.info.class_names[found.label]
            report.read += 1
            report.units += 1
            yield Recording(found.name, archive.read(i), found.fps, label)

    return Recordings(archive.info, report, read)


@contextmanager
def read_source(
    source: Path,
    format_name: str,
    options: Any = None,
    layout: Layout | None = None,
    *,
    channels: str | None = None,
    units: str | None = None,
) -> Iterator[Recordings]:
    """The clips of a source of a format of `shapmix.data.importers`.

    What is wrong with labels does no harm: a source without is read without, and so are single
    clips.

    Args:
        source: a file or folder; a lone file of a format of one file a clip is one clip, and the
            name of its folder its label.
        options: of the format's importer; its defaults when not given.
        layout: the joints that are expected: of plain arrays, and where the format needs to be
            told which they are.
        channels, units: what is expected of the values of plain arrays.

    Raises:
        SourceError: the source cannot be read.
    """
    importer = load_importer(format_name)
    if not source.is_file() and not source.is_dir():
        raise SourceError(f"no file or folder {source}")
    options = importer.Options() if options is None else options
    with TemporaryDirectory(prefix="shapmix-") as name:
        folder = Path(name)
        alone = source.is_file() and format_name not in OF_ONE_FILE and not _is_zip(source)
        path = _in_a_folder(source, folder / "source") if alone else source
        told = {} if layout is None else {"layout": _layout_option(layout, folder)}
        if format_name in BARE:
            about_values = {"channels": channels, "units": units}
            options = _told(options, told | about_values)
        try:
            opened, tried = _open(importer, path, _attempts(options, told))
        except SourceError as error:
            raise SourceError(str(error).replace(str(path), str(source))) from error
        report = ImportReport(total_units=len(opened.units), ignored=opened.ignored)
        yield Recordings(opened.info, report, lambda: _read(importer, path, opened, tried, report))


def _is_zip(source: Path) -> bool:
    return source.suffix.lower() != ".npz" and zipfile.is_zipfile(source)


def _in_a_folder(source: Path, folder: Path) -> Path:
    """A copy of a lone file, in as many folders as are kept, below `folder`, which is returned."""
    if (size := source.stat().st_size) > MOST_BYTES:
        raise SourceError(
            f"{source} has {size // MIB} MiB, a file of one clip at most {MOST_BYTES // MIB}; cut "
            "the recording, or import it from a format of many clips"
        )
    source = source.resolve()
    parents = source.parts[-1 - FOLDERS_KEPT : -1]
    while any(map(is_hidden, parents)):
        parents = parents[1:]
    copy = folder.joinpath(*(name for name in parents if name != source.anchor), source.name)
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, copy)
    return folder


def _layout_option(layout: Layout, folder: Path) -> str:
    """How an importer is told a layout: by name or, one of the user's own, by a file."""
    if CATALOG.get(layout.name) == layout:
        return layout.name
    path = folder / "layout.yaml"
    path.write_text(yaml.safe_dump(layout.to_dict()), encoding="utf-8")
    return str(path)


def _told(options: Any, values: Mapping[str, str | None]) -> Any:
    """Options with these values where the user has given none."""
    return replace(options, **{k: v for k, v in values.items() if v and _is_default(options, k)})


def _attempts(options: Any, layout: Mapping[str, str]) -> list[Any]:
    """Options to open a source with, one after the other: as they are, without labels, and both
    with the layout that is expected."""
    fitting = [options, _told(options, layout)] if _is_default(options, "layout") else [options]
    if not _is_default(options, "labels"):
        return fitting
    return [each for one in fitting for each in (one, _without_labels(one))]


def _is_default(options: Any, name: str) -> bool:
    """Whether an importer has an option that the user has not given."""
    return any(f.name == name and getattr(options, name) == f.default for f in fields(options))


def _without_labels(options: Any) -> Any:
    """The same options for a source whose labels nobody asks for."""
    about_labels = {"class_names": None, "label_base": None, "labels": NO_LABELS}
    known = {f.name for f in fields(options)}
    return replace(options, **{k: v for k, v in about_labels.items() if k in known})


def _open(importer: Importer, path: Path, attempts: Sequence[Any]) -> tuple[Source, Any]:
    """The first attempt that succeeds, with its options; else the error of the last one."""
    for options in attempts[:-1]:
        with suppress(SourceError):
            return importer.open_source(path, options), options
    return importer.open_source(path, attempts[-1]), attempts[-1]


def _read(
    importer: Importer, path: Path, source: Source, options: Any, report: ImportReport
) -> Iterator[Recording]:
    """All sound clips; those with a fault in their label come last, without it."""
    has_labels = getattr(options, "labels", None) != NO_LABELS
    seen = set()
    for recording in _clips(source, report, has_labels):
        seen.add(recording.name)
        yield recording
    if not has_labels or not hasattr(options, "labels"):
        return
    if [name for fault in LABEL_FAULTS for name in report.skipped.pop(fault, [])]:
        seen.update(*report.skipped.values())
        again, faults = importer.open_source(path, _without_labels(options)), ImportReport()
        for recording in _clips(again, faults, has_labels=False):
            if recording.name not in seen:
                report.read += 1
                yield recording
        _note_others(report, faults, seen)


def _note_others(report: ImportReport, faults: ImportReport, seen: set[str]) -> None:
    """Note faults besides those of labels, of clips that have not been seen."""
    for mine, theirs in ((report.skipped, faults.skipped), (report.repaired, faults.repaired)):
        for reason, names in theirs.items():
            if others := [name for name in names if name not in seen]:
                mine.setdefault(reason, []).extend(others)
    report.details = faults.details | report.details


def _clips(source: Source, report: ImportReport, has_labels: bool) -> Iterator[Recording]:
    names = source.info.class_names
    units = source.units
    for first in range(0, len(units), UNITS_AT_ONCE):
        some = units[first : first + UNITS_AT_ONCE]
        for found in source.read(some, report):
            try:
                clip = checked_clip(found, source.info)
            except ClipError as error:
                report.skip(error)
                continue
            report.read += 1
            label = names[clip.label] if has_labels else None
            yield Recording(clip.name, clip.keypoints, clip.fps, label)
        report.units += len(some)

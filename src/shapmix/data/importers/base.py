"""What every importer shares: its interface, the report, and safe reading of a zip or a folder.

A new source format is one module with `describe` and `read` (the `Importer` protocol) and one line
in `shapmix.data.importers.IMPORTERS`.
"""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from shapmix.data.archive import ArchiveInfo, ArchiveWriter, Clip, ClipError

MIB = 2**20


class SourceError(ValueError):
    """A source as a whole cannot be imported."""


class Importer(Protocol):
    """A module that turns one source format into clips."""

    def describe(self, source: Path) -> ArchiveInfo:
        """What all clips of `source` share; SourceError when it is not of this format."""
        ...

    def read(self, source: Path, report: ImportReport) -> Iterator[Clip]:
        """Its clips, in the order of their names, whatever the order in the source.

        A damaged clip is handed to `report.skip` and left out; what was mended goes to
        `report.repaired`, other files are counted in `report.ignored`, and `report.total` is set
        before the first clip. `report.read` is kept by the caller.
        """
        ...


@dataclass
class ImportReport:
    """What became of the files of a source.

    Attributes:
        strict: whether the first damaged clip ends the import.
        total: clips that the source seems to have; None while unknown.
        read: clips imported so far.
        ignored: files that are not clips of this format.
        skipped: reason -> names of the damaged clips.
        repaired: what was mended -> names of those clips.
    """

    strict: bool = False
    total: int | None = None
    read: int = 0
    ignored: int = 0
    skipped: dict[str, list[str]] = field(default_factory=dict)
    repaired: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, error: ClipError) -> None:
        """Leave a clip out and note why; in strict mode, SourceError instead."""
        if self.strict:
            raise SourceError(f"{error} (strict: an import without it would skip this clip)")
        self.skipped.setdefault(error.reason, []).append(error.clip)

    def repair(self, what: str, clip: str) -> None:
        """Note that a clip was imported with something mended."""
        self.repaired.setdefault(what, []).append(clip)

    @property
    def num_skipped(self) -> int:
        """Damaged clips."""
        return sum(map(len, self.skipped.values()))

    def __str__(self) -> str:
        lines = [f"{self.read} clips imported"]
        for verb, notes in (("skipped", self.skipped), ("repaired", self.repaired)):
            for reason, names in sorted(notes.items()):
                first = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
                lines.append(f"{len(names)} {verb}: {reason} ({first})")
        if self.ignored:
            lines.append(f"{self.ignored} other files ignored")
        return "\n".join(lines)


def import_clips(
    importer: Importer,
    source: Path,
    out: Path,
    *,
    strict: bool = False,
    on_progress: Callable[[ImportReport], None] | None = None,
) -> ImportReport:
    """Write an archive of all sound clips of `source`; `on_progress` is called after each.

    Raises:
        SourceError: when the source cannot be read or holds no sound clip, and in strict mode when
            a clip is damaged. `out` is then as it was.
    """
    if not source.exists():
        raise SourceError(f"no file or folder {source}")
    report = ImportReport(strict=strict)
    info = importer.describe(source)
    with ArchiveWriter(out, info) as writer:
        for clip in importer.read(source, report):
            try:
                writer.write(clip)
            except ClipError as error:
                report.skip(error)
            else:
                report.read += 1
            if on_progress is not None:
                on_progress(report)
        if not report.read:
            raise SourceError(f"no clip could be imported from {source}:\n{report}")
    return report


class SourceFiles:
    """The files of a zip or of a folder, read by name, nothing extracted; a context manager.

    Args:
        source: a .zip file or a folder (searched at any depth).
        max_bytes: size beyond which a file is refused, declared and actual.

    Attributes:
        names: of all files, sorted, with "/" between folders.

    Raises:
        SourceError: when `source` is neither.
    """

    def __init__(self, source: Path, *, max_bytes: int = 64 * MIB) -> None:
        self.source, self.max_bytes = source, max_bytes
        self._zip: zipfile.ZipFile | None = None
        if source.is_dir():
            found = (Path(folder, name) for folder, _, names in os.walk(source) for name in names)
            self.names = sorted(path.relative_to(source).as_posix() for path in found)
            return
        try:
            self._zip = zipfile.ZipFile(source)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise SourceError(f"{source} is neither a folder nor a zip file ({error})") from error
        self.names = sorted({m.filename for m in self._zip.infolist() if not m.is_dir()})

    def __enter__(self) -> SourceFiles:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._zip is not None:
            self._zip.close()

    def matching(self, pattern: str) -> dict[str, re.Match[str]]:
        """Name -> match, of the files whose last path component matches `pattern` in full, ordered
        by that component."""
        matches = {
            name: match
            for name in self.names
            if (match := re.fullmatch(pattern, PurePosixPath(name).name, re.ASCII))
        }
        return dict(sorted(matches.items(), key=lambda item: (item[1].string, item[0])))

    def read(self, name: str) -> bytes:
        """Contents of a file; ClipError when it is damaged, encrypted or too large."""
        clip = PurePosixPath(name).stem
        try:
            if self._zip is None:
                content = self._read_file(self.source / name, clip)
            else:
                content = self._read_member(self._zip, name, clip)
        except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise ClipError("unreadable file", clip, f"{name}: {error}") from error
        self._check_size(len(content), clip)
        return content

    def _read_file(self, path: Path, clip: str) -> bytes:
        if not path.is_file():  # a pipe or a device would block
            raise ClipError("unreadable file", clip, f"{path} is not a regular file")
        with path.open("rb") as file:
            return file.read(self.max_bytes + 1)

    def _read_member(self, archive: zipfile.ZipFile, name: str, clip: str) -> bytes:
        self._check_size(archive.getinfo(name).file_size, clip)
        with archive.open(name) as file:
            return file.read(self.max_bytes + 1)

    def _check_size(self, size: int, clip: str) -> None:
        if size > self.max_bytes:
            detail = f"{size} bytes or more, expected at most {self.max_bytes}"
            raise ClipError("too large", clip, detail)

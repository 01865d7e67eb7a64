"""What every importer shares: its interface and the report of what became of a source.

A new source format is one module, an `Importer`, and one line in
`shapmix.data.importers.IMPORTERS`. Nothing here or at the top of an importer imports pyarrow or
torch, so that the help of `shapmix import` is instant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from shapmix.data.clip import ArchiveInfo, Clip, ClipError

if TYPE_CHECKING:
    from shapmix.data.importers.peek import Peek

MIB = 2**20
MOST_DETAIL = 400  # characters


class SourceError(ValueError):
    """A source as a whole cannot be imported."""


class EnoughClipsError(SourceError):
    """A source has more clips than are to be looked at.

    Attributes:
        clip: the first that is not.
    """

    def __init__(self, clip: str, most: int) -> None:
        super().__init__(f"the source has more than {most} clips, sound or not")
        self.clip = clip


class Unit(NamedTuple):
    """A piece of a source that can be read on its own: a file, a record, a range of rows.

    Attributes:
        name: what it is called in the source; unique there.
        size: bytes of the source that it takes, as far as known; deals out work and measures
            progress.
    """

    name: str
    size: int = 0


class Source(Protocol):
    """A source that was opened and understood, before any clip is read.

    It is pickled to the processes that read it, so it holds no open file: what a process needs it
    opens when it reads.

    Attributes:
        info: what all clips share.
        columns: metadata column -> int or str; every clip has exactly these, in this order.
        units: in the order of the clips in the archive, whatever the order in the source. A unit
            makes no, one or several clips.
        ignored: files of the source that are not of this format.
        stamp: text that changes when the source does (sizes and times of modification).
    """

    @property
    def info(self) -> ArchiveInfo: ...
    @property
    def columns(self) -> Mapping[str, type[int] | type[str]]: ...
    @property
    def units(self) -> Sequence[Unit]: ...
    @property
    def ignored(self) -> int: ...
    @property
    def stamp(self) -> str: ...

    def read(self, units: Sequence[Unit], report: ImportReport) -> Iterator[Clip]:
        """The clips of some consecutive units, in order, in bounded memory.

        A damaged clip is handed to `report.skip` and left out; what was mended is told to
        `report.repair`. `report.read` is kept by the caller.
        """
        ...


class Importer(Protocol):
    """A module that reads one source format.

    Its `Options`, a frozen dataclass whose docstring explains each field under "Attributes:",
    become flags of `shapmix import FORMAT`; every field has a default.
    """

    Options: type[Any]

    def open_source(self, source: Path, options: Any) -> Source:
        """Understand `source` (a file or a folder that exists) without reading its clips.

        Raises:
            SourceError: it is not of this format, or the options do not fit it: what was found,
                what was expected, what to do.
        """
        ...

    def recognise(self, peek: Peek) -> str | None:
        """Why a source looks like this format, as "it has ..." would go on; None when it does not.

        Cheap: names, and at most a few heads of files.
        """
        ...


@dataclass
class ImportReport:
    """What became of the clips of a source.

    Attributes:
        strict: whether the first damaged clip ends the import.
        most_clips: imported and skipped ones together, beyond which a damaged one ends the reading;
            None for any number.
        read: clips imported so far.
        units: units done so far, of `total_units`; `resumed` of them by an earlier import that was
            stopped.
        bytes: of the source done so far, of `total_bytes`.
        ignored: files that are not of this format.
        ignored_why: reason -> how many of the ignored files, where a format knows.
        other_classes: of the source that were not chosen, `other_clips` sound clips among them.
        skipped: reason -> names of the damaged clips.
        details: reason -> what was found in the first of them, and what was expected.
        repaired: what was mended -> names of those clips.
    """

    strict: bool = False
    most_clips: int | None = None
    read: int = 0
    units: int = 0
    total_units: int = 0
    resumed: int = 0
    bytes: int = 0
    total_bytes: int = 0
    ignored: int = 0
    ignored_why: dict[str, int] = field(default_factory=dict)
    other_classes: int = 0
    other_clips: int = 0
    skipped: dict[str, list[str]] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    repaired: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, error: ClipError) -> None:
        """Leave a clip out and note why.

        Raises:
            SourceError: in strict mode.
            EnoughClipsError: it is one more than `most_clips`.
        """
        if self.strict:
            raise SourceError(f"{error} (strict: an import without it would skip this clip)")
        if self.most_clips is not None and self.read + self.num_skipped >= self.most_clips:
            raise EnoughClipsError(error.clip, self.most_clips)
        self.skipped.setdefault(error.reason, []).append(error.clip)
        self.details.setdefault(error.reason, error.detail[:MOST_DETAIL])

    def repair(self, what: str, clip: str) -> None:
        """Note that a clip was imported with something mended."""
        self.repaired.setdefault(what, []).append(clip)

    def add(self, part: ImportReport) -> None:
        """Take in the report of some units; the totals stay."""
        self.read += part.read
        self.units += part.units
        self.bytes += part.bytes
        for mine, theirs in ((self.skipped, part.skipped), (self.repaired, part.repaired)):
            for reason, names in theirs.items():
                mine.setdefault(reason, []).extend(names)
        self.details = part.details | self.details
        self.ignored_why |= part.ignored_why

    @property
    def num_skipped(self) -> int:
        """Damaged clips."""
        return sum(map(len, self.skipped.values()))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{self.read} clips imported"]
        for verb, notes in (("skipped", self.skipped), ("repaired", self.repaired)):
            for reason, names in sorted(notes.items()):
                first = ", ".join(map(_printable, names[:3])) + (", ..." if len(names) > 3 else "")
                lines.append(f"{len(names)} {verb}: {reason} ({first})")
                if verb == "skipped" and (detail := self.details.get(reason)):
                    lines.append(f"  {_printable(names[0])}: {_printable(detail)}")
        if self.other_classes:
            clips = f", {self.other_clips} clips of them" if self.other_clips else ""
            lines.append(f"{self.other_classes} classes left out{clips}")
        if self.ignored:
            why = ", ".join(f"{count} {reason}" for reason, count in self.ignored_why.items())
            lines.append(f"{self.ignored} other files ignored" + (f": {why}" if why else ""))
        return "\n".join(lines)


def _printable(name: str) -> str:
    """A name from a source, without characters that would move a terminal's cursor."""
    return name if name.isprintable() else repr(name)

"""What the sources share that are a folder or zip with the clips in files of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shapmix.data.clip import ArchiveInfo, Clip, ClipError, Keypoints
from shapmix.data.importers.base import ImportReport, Unit
from shapmix.data.importers.classes import Classes
from shapmix.data.importers.files import SourceFiles
from shapmix.data.importers.label_files import Labels


@dataclass(frozen=True)
class FileSource(ABC):
    """A folder or zip, one clip a unit: a `Source` but for `info`, `columns` and `_clip`.

    Attributes:
        files: of the folder or zip.
        units: mostly one a file.
    """

    files: SourceFiles
    units: list[Unit]

    @property
    def ignored(self) -> int:
        """Files that are not among the units."""
        return len(self.files.sizes) - len(self.units)

    @property
    def stamp(self) -> str:
        """Changes with the files."""
        return self.files.stamp

    def read(self, units: Sequence[Unit], report: ImportReport) -> Iterator[Clip]:
        """See `Source.read`."""
        for unit in units:
            try:
                yield self._clip(unit.name, report)
            except ClipError as error:
                report.skip(error)

    @abstractmethod
    def _clip(self, unit: str, report: ImportReport) -> Clip:
        """The clip of the unit of this name; ClipError when it is damaged."""


@dataclass(frozen=True)
class LabelledFiles(FileSource):
    """Clips whose labels are names of folders or stand in a CSV; see `find_labels`.

    Attributes:
        names: unit -> name of its clip.
    """

    info: ArchiveInfo
    labels: Labels
    classes: Classes
    names: Mapping[str, str]

    @property
    def columns(self) -> Mapping[str, type[int] | type[str]]:
        """Those of the CSV with the labels."""
        return self.labels.columns

    @property
    def stamp(self) -> str:
        """Changes with the files and the labels."""
        return f"{self.files.stamp}:{self.labels.stamp}"

    def read(self, units: Sequence[Unit], report: ImportReport) -> Iterator[Clip]:
        """See `Source.read`."""
        if units[0] == self.units[0]:  # once an import
            self.labels.note_unused(report)
        yield from super().read(units, report)

    def _clip(self, unit: str, report: ImportReport) -> Clip:
        name = self.names[unit]
        label = self.classes.label(self.labels.of(unit), name)
        keypoints, fps = self._keypoints_and_fps(unit, name, report)
        return Clip(name, label, keypoints, fps, self.labels.metadata(unit))

    @abstractmethod
    def _keypoints_and_fps(
        self, unit: str, clip: str, report: ImportReport
    ) -> tuple[Keypoints, float | None]:
        """(T, M, V, C) and frames a second of the clip, called `clip`, of a unit; ClipError when
        it is damaged."""

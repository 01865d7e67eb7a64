"""A cheap look at a source, from which importers recognise their format."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO

from shapmix.data.importers.base import SourceError
from shapmix.data.reading import reason, walked

MOST_NAMES = 20_000
HEAD_BYTES = 65_536
# What a damaged or strange file raises when it is read.
UNREADABLE = (OSError, EOFError, RuntimeError, KeyError, ValueError, zipfile.BadZipFile, zlib.error)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is nobody's data: `.name`, `__MACOSX`."""
    return (name.startswith(".") and name not in (".", "..")) or name == "__MACOSX"


def visible_files(source: Path) -> Iterator[Path]:
    """Files of a folder at any depth but hidden ones, folder by folder; links are not followed.

    Raises:
        SourceError: a folder cannot be read, so that its clips would be missing.
    """
    try:
        for top, folders, names in walked(source):
            folders[:] = sorted(name for name in folders if not is_hidden(name))
            yield from (Path(top, name) for name in sorted(names) if not is_hidden(name))
    except OSError as error:
        raise SourceError(f"the folder {error.filename} cannot be read: {reason(error)}") from error


@dataclass(frozen=True)
class Peek:
    """Names of the files of a folder or zip, or of the one file, and the beginnings of files.

    Attributes:
        source: the folder or file.
    """

    source: Path

    @property
    def is_folder(self) -> bool:
        """Whether the source is a folder."""
        return self.source.is_dir()

    @cached_property
    def is_zip(self) -> bool:
        """Whether the source is a zip file (an .npz is one too)."""
        return self.source.is_file() and zipfile.is_zipfile(self.source)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the files, with "/" between folders; the first ones, where there are very many."""
        if self.is_folder:
            first = islice(visible_files(self.source), MOST_NAMES)
            return tuple(sorted(path.relative_to(self.source).as_posix() for path in first))
        if self.is_zip:
            try:
                with zipfile.ZipFile(self.source) as archive:
                    names = (name for name in archive.namelist() if not name.endswith("/"))
                    shown = (n for n in names if not any(map(is_hidden, PurePosixPath(n).parts)))
                    return tuple(sorted(islice(shown, MOST_NAMES)))
            except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
                return ()
        return (self.source.name,)

    def ending(self, *suffixes: str) -> list[str]:
        """Names that end in one of the suffixes, whatever their case."""
        return [name for name in self.names if name.lower().endswith(suffixes)]

    def base_names(self) -> list[str]:
        """Last components of the names."""
        return [PurePosixPath(name).name for name in self.names]

    def head(self, name: str | None = None) -> bytes:
        """The first 64 KiB of a file (of the source itself without a name); empty if unreadable."""
        try:
            with self._open(name) as file:
                return file.read(HEAD_BYTES)
        except UNREADABLE:
            return b""

    def _open(self, name: str | None) -> IO[bytes]:
        if name is None or not (self.is_folder or self.is_zip):
            path = self.source
        elif self.is_folder:
            path = self.source / name
        else:
            with zipfile.ZipFile(self.source) as archive:
                return archive.open(name)
        if not path.is_file():  # a pipe would block
            raise FileNotFoundError(path)
        return path.open("rb")

"""Safe reading of the files of a zip or of a folder, which may come from strangers."""

from __future__ import annotations

import hashlib
import re
import stat
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from shapmix.data.clip import ClipError
from shapmix.data.importers.base import MIB, SourceError, Unit
from shapmix.data.importers.inflate import inflate
from shapmix.data.importers.peek import UNREADABLE, is_hidden, visible_files
from shapmix.data.reading import reason


@dataclass
class SourceFiles:
    """The files of a zip or of a folder, read by name, nothing extracted.

    Names are only ever looked up, never used to write: a member called "../x" is read like any
    other. Hidden files, such as those of notebooks, of macOS and of an import under way, are left
    out. Of a folder, only regular files that lie inside it are read: no link that leads out of
    it, no pipe, no device. Picklable: each process opens the zip itself.

    Args:
        source: a .zip file or a folder (searched at any depth).
        max_bytes: size beyond which a file is refused, declared and actual.

    Attributes:
        sizes: name -> bytes as declared; sorted by name, "/" between folders.
        stamp: changes when any file's name, size or time of modification does.

    Raises:
        SourceError: `source` is neither.
    """

    source: Path
    max_bytes: int = 64 * MIB
    sizes: dict[str, int] = field(init=False)
    stamp: str = field(init=False)

    def __post_init__(self) -> None:
        self._zip: zipfile.ZipFile | None = None
        self._is_folder = self.source.is_dir()
        entries = _folder(self.source) if self._is_folder else _members(self.source)
        self.sizes = {name: size for name, size, _ in entries}
        self.stamp = hashlib.sha256(repr(entries).encode("utf-8", "replace")).hexdigest()
        if not self._is_folder:
            self.stamp += f":{self.source.stat().st_mtime_ns}"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_zip": None}

    @property
    def names(self) -> list[str]:
        """Of all files, sorted."""
        return list(self.sizes)

    def matching(self, pattern: str) -> dict[str, re.Match[str]]:
        """Name -> match, of the files whose last path component matches `pattern` in full, ordered
        by that component."""
        expression = re.compile(pattern, re.ASCII)
        matches = {
            name: match
            for name in self.sizes
            if (match := expression.fullmatch(PurePosixPath(name).name))
        }
        return dict(sorted(matches.items(), key=lambda item: (item[1].string, item[0])))

    def unit(self, name: str) -> Unit:
        """A file as a unit of work."""
        return Unit(name, self.sizes[name])

    def read(self, name: str) -> bytes:
        """Contents of a file; ClipError when it is damaged, encrypted or too large."""
        try:
            return self._from_folder(name) if self._is_folder else self._from_zip(name)
        except ClipError:
            raise
        except UNREADABLE as error:
            raise ClipError("unreadable file", _clip(name), f"{name}: {reason(error)}") from error

    def _from_folder(self, name: str) -> bytes:
        path = self.source / name
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            path = self._target(path, name)
            status = path.lstat()
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device would block
            raise ClipError("unreadable file", _clip(name), f"{path} is not a regular file")
        self._check_size(status.st_size, name)
        with path.open("rb") as file:
            return file.read(status.st_size)

    def _target(self, link: Path, name: str) -> Path:
        """Where a link leads; ClipError when that is no file or outside of the folder."""
        target = link.resolve()
        if not target.is_file():
            raise ClipError("unreadable file", _clip(name), f"{link} is not a regular file")
        if not target.is_relative_to(self.source.resolve()):
            detail = f"{link} leads out of the folder, to {target}; copy the file instead"
            raise ClipError("link out of the folder", _clip(name), detail)
        return target

    def _from_zip(self, name: str) -> bytes:
        if self._zip is None:
            self._zip = zipfile.ZipFile(self.source)
        member, stream = self._zip.getinfo(name), self._zip.fp
        assert stream is not None
        self._check_size(member.file_size, name)
        content = inflate(stream, member)
        if content is None:
            with self._zip.open(member) as file:
                content = file.read(self.max_bytes + 1)
            self._check_size(len(content), name)
        return content

    def _check_size(self, size: int, name: str) -> None:
        if size > self.max_bytes:
            detail = f"{size} bytes or more, expected at most {self.max_bytes}"
            raise ClipError("too large", _clip(name), detail)


def begins_as_zip(source: Path) -> bool:
    """Whether a file begins as a zip file does, even if its end, where the names are, is lost."""
    with source.open("rb") as file:
        return file.read(4) == b"PK\3\4"


def _clip(name: str) -> str:
    return PurePosixPath(name).stem or name


def _folder(source: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of modification of each file; links to folders are not followed."""
    entries = []
    for path in visible_files(source):
        status = path.lstat()
        relative = path.relative_to(source).as_posix()
        entries.append((relative, status.st_size, status.st_mtime_ns))
    folders = () if entries else source.rglob("*")
    links = sorted(path.name for path in folders if path.is_symlink() and path.is_dir())
    if links:
        raise SourceError(
            f"{source} holds only links to folders, such as {links[0]}, which are not followed; "
            "import the folders that they lead to, or copy these"
        )
    return sorted(entries)


def _members(source: Path) -> list[tuple[str, int, int]]:
    """Name, size and CRC-32 of each member; of several with one name the last, as zip has it."""
    try:
        with zipfile.ZipFile(source) as archive:
            members = {
                m.filename: m
                for m in archive.infolist()
                if not m.is_dir() and not any(map(is_hidden, PurePosixPath(m.filename).parts))
            }
    except OSError as error:
        raise SourceError(f"{source} cannot be read: {reason(error)}") from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        if begins_as_zip(source):
            raise SourceError(
                f"{source} is a zip file that cannot be read ({error}): cut off? Get it again"
            ) from error
        raise SourceError(
            f"{source} is neither a folder nor a zip file ({error}); of a single file, give the "
            "folder that it lies in"
        ) from error
    return sorted((name, m.file_size, m.CRC) for name, m in members.items())

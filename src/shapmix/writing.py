"""Files that appear complete or not at all, and why one cannot be written, in words."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class WriteError(OSError):
    """A file cannot be written; the message names it, and says what to do."""


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A new binary file that appears at `path` complete, or not at all.

    It is written under a hidden temporary name in the same folder (made if missing), flushed to the
    disk and renamed when the block ends well; when the block raises, it is removed. A process that
    is killed meanwhile leaves at most `.NAME.*.partial` behind, and `path` as it was.

    Raises:
        WriteError: nothing can be written there.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    if path.is_dir():
        raise WriteError(f"{path} is a folder; expected the name of a file to write")
    with _told_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = partial.open("xb")
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with _told_of(path):
            partial.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise _unwritable(path, error) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: str | os.PathLike[str], content: bytes) -> Path:
    """A file of this content, by `atomic_file`; its path."""
    with atomic_file(path) as file:
        file.write(content)
    return Path(path)


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """WriteError in place of the system's own, which names a file that nobody asked for."""
    try:
        yield
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> WriteError:
    why = "that is a file" if path.parent.is_file() else (error.strerror or str(error)).lower()
    return WriteError(
        f"{path} cannot be written in the folder {path.parent} ({why}): make room there or get "
        "the right to it, or choose another place"
    )

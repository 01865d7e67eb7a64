"""Why files cannot be opened, in words for people; and folders gone through to the last one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# A folder, its folders (to be pruned in place), its files.
Walked = tuple[str, list[str], list[str]]


def reason(error: BaseException) -> str:
    """What an error means and what to do, where it is the system's; its own words otherwise."""
    name = getattr(error, "filename", None)
    if isinstance(error, IsADirectoryError):
        return "it is a folder; give a file"
    if isinstance(error, FileExistsError):
        return "it is a file where a folder is needed; give another name"
    if isinstance(error, NotADirectoryError):
        return "a part of this path is a file; give one whose parts are folders"
    if isinstance(error, FileNotFoundError):
        return "there is no such file or folder"
    if isinstance(error, PermissionError):
        if name is not None and Path(os.fsdecode(name)).is_dir():  # as Windows says of a folder
            return "it is a folder that may not be opened as a file, or not by you"
        return "permission denied; ask its owner for it, or change its mode (ls -l shows both)"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)


def walked(folder: Path) -> Iterator[Walked]:
    """`os.walk` that does not pass over a folder that cannot be read, whose clips would be missing.

    Raises:
        OSError: of such a folder.
    """

    def refuse(error: OSError) -> None:
        raise error

    yield from os.walk(folder, onerror=refuse)

"""Importers: one module a source format. Only the one in use is loaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shapmix.data.importers.base import ImportReport

__all__ = ["IMPORTERS", "run_import"]

IMPORTERS = {
    "nw-ucla": "shapmix.data.importers.nw_ucla",
}


def run_import(
    name: str,
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    strict: bool = False,
    on_progress: Callable[[ImportReport], None] | None = None,
) -> ImportReport:
    """Import `source`, of the format `name` (a key of `IMPORTERS`), into the archive `out`.

    Args:
        strict: end at the first damaged clip instead of skipping it.
        on_progress: called with the growing report after each clip.

    Returns:
        what was read, skipped and why, repaired, ignored.

    Raises:
        SourceError: for an unknown format, a source that cannot be read or has no sound clip, and
            in strict mode for a damaged clip; `out` is then as it was.
    """
    from shapmix.data.importers import base

    if name not in IMPORTERS:
        raise base.SourceError(f"unknown format {name!r} (known: {', '.join(IMPORTERS)})")
    importer: base.Importer = import_module(IMPORTERS[name])
    return base.import_clips(
        importer, Path(source), Path(out), strict=strict, on_progress=on_progress
    )

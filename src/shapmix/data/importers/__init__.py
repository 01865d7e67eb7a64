"""Importers: one module a source format. Only the one in use is loaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from shapmix.suggest import did_you_mean

if TYPE_CHECKING:
    from shapmix.data.importers.base import Importer, ImportReport

__all__ = ["IMPORTERS", "Format", "load_importer", "recognise", "run_import", "switches"]


class Format(NamedTuple):
    """A source format: the module that reads it, and what it is in one line."""

    module: str
    summary: str


# In the order in which a source is tried: what is most particular comes first.
IMPORTERS = {
    "ntu-raw": Format("ntu_raw", "NTU RGB+D 60/120: .skeleton files, folders or the official zips"),
    "ctrgcn-npz": Format("ctrgcn_npz", "NTU60_CS.npz and its like, from the CTR-GCN family"),
    "stgcn-npy": Format("stgcn_npy", "train_data.npy and train_label.pkl of ST-GCN and 2s-AGCN"),
    "pyskl-pkl": Format("pyskl_pkl", "annotation pickles of PYSKL and MMAction2, never executed"),
    "kinetics-json": Format("kinetics_json", "Kinetics-Skeleton 400 of ST-GCN: one JSON a video"),
    "nw-ucla": Format("nw_ucla", "NW-UCLA: one JSON a clip"),
    "utd-mhad": Format("utd_mhad", "UTD-MHAD: one .mat a clip"),
    "msr-action3d": Format("msr_action3d", "MSR-Action3D: one text file a clip"),
    "sbu": Format("sbu", "SBU Kinect Interaction: skeleton_pos.txt of each take"),
    "openpose": Format("openpose", "OpenPose: folders of one JSON a frame"),
    "mediapipe": Format("mediapipe", "MediaPipe pose landmarks: JSON or CSV, 33 joints"),
    "coco": Format("coco", "COCO keypoint annotations with tracks, 17 joints"),
    "bvh": Format("bvh", "BVH motion capture, by forward kinematics"),
    "table": Format("table", "tidy CSV or Parquet: clip, frame, person, joint, x, y, ..."),
    "arrays": Format("arrays", "one .npy or .npz a clip, labels from folders or a CSV"),
}


def load_importer(name: str) -> Importer:
    """The importer of a format; SourceError for an unknown one."""
    from shapmix.data.importers.base import SourceError

    if name not in IMPORTERS:
        hint = did_you_mean(name, IMPORTERS)
        raise SourceError(f"unknown format {name!r}{hint} (known: {', '.join(IMPORTERS)})")
    importer: Importer = import_module(f"shapmix.data.importers.{IMPORTERS[name].module}")
    return importer


def switches() -> frozenset[str]:
    """Names of the options of all formats that are true or false."""
    options = [field for name in IMPORTERS for field in fields(load_importer(name).Options)]
    return frozenset(option.name for option in options if isinstance(option.default, bool))


def recognise(source: str | os.PathLike[str]) -> dict[str, str]:
    """Formats that a source looks like, the most particular first, and why.

    Raises:
        OSError, SourceError: the file, or a folder in it, cannot be read.
    """
    from shapmix.data.importers.peek import Peek

    peek = Peek(Path(source))
    if peek.source.is_file():
        with peek.source.open("rb"):
            pass
    reasons = {name: load_importer(name).recognise(peek) for name in IMPORTERS}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def run_import(
    name: str,
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: Any = None,
    *,
    classes: str | None = None,
    strict: bool = False,
    workers: int = 1,
    on_progress: Callable[[ImportReport], None] | None = None,
) -> ImportReport:
    """Import `source`, of the format `name` (a key of `IMPORTERS`), into the archive `out`.

    Args:
        options: an `Options` of the format's module; its defaults when not given.
        classes: which of the source's classes stay, with labels 0..K-1 in their order: "present"
            for those of which there is a clip, or a list as `chosen_classes.find_chosen` has it.
        strict: end at the first damaged clip instead of skipping it.
        workers: processes that read; with more than one, the calling program must be importable
            (`if __name__ == "__main__":`).
        on_progress: called with the growing report as parts of the source are done.

    Returns:
        what was read, skipped and why, repaired, ignored.

    Raises:
        SourceError: for an unknown format, a source that cannot be read or has no sound clip, and
            in strict mode for a damaged clip, or `classes` is no choice of them; `out` is then as
            it was.
        ValueError: `out` is a folder or a file other than an archive, or `workers` less than 1.
    """
    from shapmix.data.importers.base import SourceError
    from shapmix.data.importers.engine import check_out, import_source

    importer = load_importer(name)
    path = Path(source)
    if not path.exists():
        raise SourceError(f"no file or folder {path}")
    check_out(Path(out))
    if workers < 1:
        raise ValueError(f"workers is {workers}, expected 1 or more")
    options = importer.Options() if options is None else options
    opened = importer.open_source(path, options)
    recipe = {"format": name, "source": str(path.absolute()), "options": asdict(options)}
    return import_source(
        opened,
        Path(out),
        recipe=recipe,
        classes=classes,
        strict=strict,
        workers=workers,
        on_progress=on_progress,
    )

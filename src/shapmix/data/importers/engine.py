"""From a source to an archive: in parts, by several processes, resumable, in bounded memory.

The units of a source are dealt out to parts of consecutive units. Each part becomes a small archive
in the hidden folder `.NAME.parts` beside the output, with its report; a part counts as done once
its report is there. When all are done they are joined, in order, into the output, which appears
complete or not at all, and the folder goes. An import that was stopped finds its parts again when
the same source is imported with the same options.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

import shapmix
from shapmix.data.archive import Archive, ArchiveWriter
from shapmix.data.clip import ClipError
from shapmix.data.importers.base import MIB, ImportReport, Source, SourceError, Unit
from shapmix.data.importers.chosen_classes import find_chosen, kept_labels
from shapmix.writing import atomic_file

PART_BYTES = 32 * MIB  # of the source in one part, unless one unit alone has more
PART_UNITS = 512

Progress = Callable[[ImportReport], None]


def import_source(
    source: Source,
    out: Path,
    *,
    recipe: dict[str, Any],
    classes: str | None = None,
    strict: bool = False,
    workers: int = 1,
    on_progress: Progress | None = None,
) -> ImportReport:
    """Write an archive of all sound clips of an opened source.

    Args:
        recipe: what else decides the result (format, path, options); parts of another recipe are
            not taken up again.
        classes: which of them stay, as `find_chosen` has it, with labels 0..K-1 in their order;
            all unless given.
        strict: end at the first damaged clip.
        workers: processes that read; 1 reads in this one.
        on_progress: called with the growing report.

    Raises:
        SourceError: no clip is sound, or in strict mode one is not.
        BlockingIOError: another import to `out` is running.
        ChildProcessError: a worker process was killed; the parts that are done stay.
            Whatever is raised, `out` is as it was.
    """
    parts = list(_deal_out(source.units))
    if not parts:
        raise SourceError("the source holds no clip")
    if classes is not None:
        find_chosen(classes, source.info.class_names)  # it is wrong before anything is read
    folder = parts_folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            _take_up(folder, source, recipe | {"strict": strict, "classes": classes})
            report = ImportReport(strict=strict, ignored=source.ignored)
            report.total_units = len(source.units)
            report.total_bytes = sum(unit.size for unit in source.units)
            jobs = [Part(folder, number, units, strict) for number, units in enumerate(parts)]
            _read_parts(source, jobs, report, workers, on_progress)
            _join(source, jobs, out, report, classes)
            _clear(folder)
    except Timeout:
        raise BlockingIOError(
            f"another import to {out} is running; wait for it or stop it"
        ) from None
    except SourceError:  # going on would end the same way
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return report


def parts_folder(out: Path) -> Path:
    """Where an import keeps the parts that are done, until all are; it is gone afterwards."""
    return out.with_name(f".{out.name}.parts")


def check_out(out: Path) -> None:
    """ValueError when an import would overwrite anything but an archive."""
    if out.is_dir():
        raise ValueError(f"{out} is a folder; name the archive to write, such as {out / 'x.arrow'}")
    if out.exists():
        with out.open("rb") as file:
            if file.read(6) != b"ARROW1":
                raise ValueError(f"{out} exists and is no archive; choose another name for it")


def _clear(folder: Path) -> None:
    """Remove everything but the lock, which another import may wait for."""
    for path in folder.iterdir():
        if path.name != "lock":
            path.unlink()


@dataclass(frozen=True)
class Part:
    """Some consecutive units, and the files they become."""

    folder: Path
    number: int
    units: tuple[Unit, ...]
    strict: bool

    @property
    def archive(self) -> Path:
        return self.folder / f"{self.number:06}.arrow"

    @property
    def report(self) -> Path:
        return self.folder / f"{self.number:06}.json"

    def done(self) -> ImportReport | None:
        """The report of a part that was read before; None when it has to be read."""
        try:
            report = ImportReport(**json.loads(self.report.read_bytes()))
            if report.read:
                Archive(self.archive)
        except (OSError, ValueError, TypeError):
            return None
        return report


def _deal_out(units: Sequence[Unit]) -> Iterator[tuple[Unit, ...]]:
    part: list[Unit] = []
    size = 0
    for unit in units:
        if part and (size + unit.size > PART_BYTES or len(part) == PART_UNITS):
            yield tuple(part)
            part, size = [], 0
        part.append(unit)
        size += unit.size
    if part:
        yield tuple(part)


def _take_up(folder: Path, source: Source, recipe: dict[str, Any]) -> None:
    """Keep the parts of an import like this one that was stopped; remove those of any other."""
    key = {
        "shapmix": shapmix.__version__,
        "recipe": recipe,
        "stamp": source.stamp,
        "info": source.info.to_dict(),
        "columns": {name: kind.__name__ for name, kind in source.columns.items()},
        "units": hashlib.sha256(repr(list(source.units)).encode("utf-8", "replace")).hexdigest(),
        "part": [PART_BYTES, PART_UNITS],
    }
    manifest = folder / "import.json"
    wanted = json.dumps(key, indent=1, default=str).encode()
    if manifest.is_file() and manifest.read_bytes() == wanted:
        return
    _clear(folder)
    with atomic_file(manifest) as file:
        file.write(wanted)


def _read_parts(
    source: Source, parts: list[Part], report: ImportReport, workers: int, progress: Progress | None
) -> None:
    def note(done: ImportReport) -> None:
        report.add(done)
        if progress is not None:
            progress(report)

    waiting = []
    for part in parts:
        done = part.done()
        if done is None:
            waiting.append(part)
        else:
            report.resumed += done.units
            note(done)
    if min(workers, len(waiting)) <= 1:
        for part in waiting:
            note(_read_part(source, part))
        return
    for done in _in_processes(source, waiting, min(workers, len(waiting))):
        note(done)


def _read_part(source: Source, part: Part) -> ImportReport:
    """Read the units of a part into its archive, then write its report."""
    report = ImportReport(strict=part.strict, units=len(part.units))
    report.bytes = sum(unit.size for unit in part.units)
    with ArchiveWriter(
        part.archive, source.info, columns=source.columns, may_be_empty=True
    ) as writer:
        for clip in source.read(part.units, report):
            try:
                writer.write(clip)
            except ClipError as error:
                report.skip(error)
            else:
                report.read += 1
    with atomic_file(part.report) as file:
        file.write(json.dumps(report.to_dict()).encode())
    return report


# What a worker process reads from; set once when it starts.
_worker_source: Source | None = None


def _start_worker(source: Source) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    global _worker_source
    _worker_source = source


def _work(part: Part) -> ImportReport:
    assert _worker_source is not None
    return _read_part(_worker_source, part)


def _in_processes(source: Source, parts: list[Part], workers: int) -> Iterator[ImportReport]:
    """Reports of the parts as they are done; few are under way at once."""
    # Fresh interpreters: a forked one may inherit locks and open files.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(source,))
    waiting = iter(parts)
    running: set[Future[ImportReport]] = set()
    try:
        while True:
            for part in waiting:
                running.add(pool.submit(_work, part))
                if len(running) > 2 * workers:
                    break
            if not running:
                break
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()
    except BrokenProcessPool:
        raise ChildProcessError(
            "a worker process was ended from outside, perhaps for lack of memory; run the same "
            "import again to go on, with fewer --workers"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _join(
    source: Source, parts: list[Part], out: Path, report: ImportReport, classes: str | None
) -> None:
    """Write the archive of all parts, in order; the first of several clips of one name stays."""
    if not report.read:
        raise SourceError(f"no clip could be imported:\n{report}")
    # Reports come in as the parts are done; the final one is in the order of the source.
    report.skipped, report.repaired, report.details = {}, {}, {}
    report.read = report.units = report.bytes = 0
    info, labels = source.info, None
    if classes is not None:
        kept = kept_labels(
            find_chosen(classes, info.class_names), _labels_there(parts), info.num_classes
        )
        report.other_classes = info.num_classes - len(kept)
        labels = {label: k for k, label in enumerate(kept)}
        info = replace(info, class_names=tuple(info.class_names[label] for label in kept))
    seen: set[str] = set()
    joined = parts[0].folder / "joined.arrow"  # a kill meanwhile leaves nothing beside `out`
    with ArchiveWriter(joined, info, columns=source.columns) as writer:
        for part in parts:
            done = part.done()
            if done is None:
                raise OSError(f"{part.archive} was changed meanwhile; run the import again")
            report.add(done)
            if done.read:
                _append(writer, Archive(part.archive), labels, seen, report)
    joined.replace(out)


def _labels_there(parts: list[Part]) -> set[int]:
    """Labels of the clips that stay when the first of several of one name does."""
    labels: dict[str, int] = {}
    for part in parts:
        done = part.done()
        if done is not None and done.read:
            archive = Archive(part.archive)
            for name, label in zip(archive.names, archive.labels.tolist(), strict=True):
                labels.setdefault(name, label)
    return set(labels.values())


def _append(
    writer: ArchiveWriter,
    part: Archive,
    labels: Mapping[int, int] | None,
    seen: set[str],
    report: ImportReport,
) -> None:
    """Append the clips of a part that was read.

    Args:
        labels: label in the source -> in the archive; None where they are the same.
        seen: names of the clips of the parts before, where there are `labels`.
    """
    if labels is None:
        for error in writer.append(part):
            report.skip(error)
            report.read -= 1
        return
    for i, (name, label) in enumerate(zip(part.names, part.labels.tolist(), strict=True)):
        if name in seen:
            report.skip(ClipError("duplicate name", name, "an earlier clip has the same name"))
        elif label in labels:
            writer.write(replace(part.clip(i), label=labels[label]))
        else:
            report.other_clips += 1
        report.read -= name in seen or label not in labels
        seen.add(name)

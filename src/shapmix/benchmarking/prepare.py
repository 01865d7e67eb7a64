"""Where the files of a suite are, and the archives and splits among them, each made once.

WORK/archives/FORMAT-HASH.arrow
WORK/splits/DATASET[-FOLD]-sSEED-HASH.json
WORK/runs/TASK-HASH/            a run folder, as `shapmix train` makes it, and TASK-HASH.log
WORK/results.parquet, .csv
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from shapmix.benchmarking.suite import DataSpec, Settings, SuiteError
from shapmix.benchmarking.tasks import Task, canonical, data_recipe, digest
from shapmix.data.archive import Archive
from shapmix.data.importers import load_importer, run_import
from shapmix.data.splits import make_split
from shapmix.data.synthetic import write_synthetic
from shapmix.training.config import TrainConfig

DATA = "{data}"  # in a text of a suite, the folder of the data


def archive_path(work: Path, data: DataSpec) -> Path:
    """The archive of a data set; data sets of one source share it."""
    kind = data.format or "synthetic"
    return work / "archives" / f"{kind}-{digest(canonical(data_recipe(data)))[:8]}.arrow"


def split_path(work: Path, task: Task) -> Path:
    """The split of a task."""
    parts = (task.dataset, task.fold, f"s{task.split['seed']}")
    decides = canonical([data_recipe(task.data), task.split])
    return work / "splits" / f"{'-'.join(filter(None, parts))}-{digest(decides)[:8]}.json"


def run_folder(work: Path, task: Task) -> Path:
    """The run folder of a task."""
    return work / "runs" / f"{task.name}-{task.key[:8]}"


def log_file(work: Path, task: Task) -> Path:
    """What was printed while the task ran."""
    folder = run_folder(work, task)
    return folder.with_name(f"{folder.name}.log")  # the name of a method may have a dot


def located(task: Task, work: Path) -> TrainConfig:
    """The configuration of a task (of its base, for a second stage) with its paths."""
    trained = task.base or task
    return replace(
        task.config,
        archive=archive_path(work, task.data),
        split=split_path(work, task),
        out=run_folder(work, trained),
    )


def prepare_archives(tasks: Iterable[Task], work: Path, source: Path, workers: int = 1) -> None:
    """Import the data sets of these tasks, from below the folder `source`, that are not there yet.

    Raises:
        SuiteError: files of a data set are missing; all that are missing are named.
        SourceError, ValueError: one cannot be imported.
    """
    tasks = list(tasks)
    check_sources(tasks, work, source)
    for out, data in _unmade(tasks, work).items():
        with lock(out):
            if out.exists():  # made by another process meanwhile
                continue
            print(f"preparing {data.name}", flush=True)
            if data.synthetic is not None:
                write_synthetic(out, **data.synthetic)
            else:
                given = _with_folder(data_recipe(data)["options"], source)
                options = load_importer(data.format).Options(**given)
                run_import(data.format, source / data.source, out, options, workers=workers)


def check_sources(tasks: Iterable[Task], work: Path, source: Path) -> None:
    """SuiteError for data sets that are not imported yet and not there, of which all are named."""
    absent = [
        data
        for data in _unmade(tasks, work).values()
        if data.synthetic is None and not (source / data.source).exists()
    ]
    if absent:
        listed = ", ".join(f"{data.source} (data set {data.name})" for data in absent)
        raise SuiteError(
            f"not below {source}: {listed}. Say where the data are with --data, or leave these out "
            "with --datasets"
        )


def _unmade(tasks: Iterable[Task], work: Path) -> dict[Path, DataSpec]:
    """The archives of these tasks that are to be made."""
    wanted = {archive_path(work, task.data): task.data for task in tasks}
    return {out: data for out, data in wanted.items() if not out.exists()}


def prepare_split(task: Task, work: Path, source: Path) -> None:
    """Make the split of a task, if it is not there yet, from its archive."""
    out = split_path(work, task)
    with lock(out):
        if not out.exists():
            arguments = _with_folder(task.split, source)
            make_split(Archive(archive_path(work, task.data)), **arguments).save(out)


def _with_folder(arguments: Settings, source: Path) -> dict[str, Any]:
    return {
        name: value.replace(DATA, str(source)) if isinstance(value, str) else value
        for name, value in arguments.items()
    }


def lock(path: Path, timeout: float = -1) -> FileLock:
    """The lock of a file that is to be made; without a timeout one waits for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f".{path.name}.lock"), timeout=timeout)

"""Runs the tasks of a suite in worker processes, and records each as it ends."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

from shapmix.benchmarking.prepare import log_file, prepare_archives, run_folder
from shapmix.benchmarking.table import append_results, finished_keys
from shapmix.benchmarking.tasks import Task
from shapmix.benchmarking.worker import Row, failed_row, run_job

Backend = Literal["loky", "dask", "ray"]
Job = tuple[Task, ...]


@dataclass(frozen=True)
class Settings:
    """How a suite is run; nothing here changes a result.

    Attributes:
        work: folder of archives, splits and runs; shared by all workers.
        data: folder of the sources of the data sets.
        results: the table.
        jobs: tasks at a time.
        backend: where they run: processes here, or a cluster of dask or ray.
        scheduler: address of the cluster; one on this machine when not given.
        limit_hours: start no task after so many hours.
        keep_runs: keep all run folders.
    """

    work: Path
    data: Path
    results: Path
    jobs: int = 1
    backend: Backend = "loky"
    scheduler: str | None = None
    limit_hours: float | None = None
    keep_runs: bool = False


def pending(tasks: Sequence[Task], results: Path) -> list[Task]:
    """The tasks that have no successful row in the table; a failed one is run again."""
    status = finished_keys(results)
    return [task for task in tasks if status.get(task.key) != "ok"]


def run_tasks(
    tasks: Sequence[Task],
    settings: Settings,
    on_row: Callable[[Row], None] = lambda row: None,
    keep: Callable[[Task], bool] = lambda task: False,
) -> None:
    """Run the tasks that are not done, in order, and record each in the table as it ends.

    Args:
        on_row: called with each new row, once it is recorded.
        keep: whether the run folder of a successful task stays, as a second stage starts from it.

    Raises:
        SuiteError, SourceError: the data of a task are not there or cannot be imported.
        ImportError: the package of the backend is not installed.
    """
    waiting = pending(tasks, settings.results)
    if not waiting:
        return
    _backend_package(settings.backend)
    prepare_archives(waiting, settings.work, settings.data, settings.jobs)
    by_key = {task.key: task for task in waiting}
    for row in _rows(_jobs(waiting), settings):
        append_results(settings.results, [row])
        task = by_key[row["key"]]
        if row["status"] == "ok" and not (settings.keep_runs or keep(task)):
            # Only now: until it is recorded, a run that is done must not have to be done again.
            shutil.rmtree(run_folder(settings.work, task), ignore_errors=True)
            log_file(settings.work, task).unlink(missing_ok=True)
        on_row(row)


def _jobs(tasks: Sequence[Task]) -> list[Job]:
    """Tasks that share their weights together, the one that trains them first."""
    jobs: dict[str, list[Task]] = {}
    for task in tasks:
        jobs.setdefault((task.base or task).key, []).append(task)
    return [tuple(sorted(job, key=lambda task: task.base is not None)) for job in jobs.values()]


def _rows(jobs: list[Job], settings: Settings) -> Iterator[Row]:
    """The rows of all jobs as they end.

    When a worker is killed, all that were running are run again, one at a time; the one that kills
    its worker then, too, has failed.
    """
    end = float("inf")
    if settings.limit_hours is not None:
        end = time.monotonic() + 3600 * settings.limit_hours
    waiting = {task.key: task for job in jobs for task in job}
    with _backend(settings):
        while True:
            running: dict[str, Job] = {}
            try:
                for rows in _parallel(_dispatched(jobs, waiting, running, end, settings), settings):
                    for row in rows:
                        del waiting[row["key"]], running[row["key"]]
                        yield row
                return
            except TerminatedWorkerError:
                suspects = dict.fromkeys(running.values())
            # Task by task: what goes well before one kills its worker has not failed.
            for task in (task for job in suspects for task in job if task.key in waiting):
                for row in _alone(task, settings):
                    del waiting[row["key"]]
                    yield row


def _alone(task: Task, settings: Settings) -> list[Row]:
    """The row of a task while nothing else runs; none if another process works on it."""
    try:
        call = delayed(run_job)((task,), settings.work, settings.data)
        rows: list[Row] = Parallel(2)([call])[0]  # two, as one would be this very process
    except TerminatedWorkerError as error:
        reason = f"its worker was killed, twice, perhaps for lack of memory: {error}"
        return [failed_row(task, reason)]
    return rows


def _dispatched(
    jobs: Sequence[Job],
    waiting: Mapping[str, Task],
    running: dict[str, Job],
    end: float,
    settings: Settings,
) -> Iterator[Job]:
    """Jobs one by one, as workers become free, without what was done meanwhile."""
    for job in jobs:
        if time.monotonic() >= end:
            return
        status = finished_keys(settings.results)
        left = tuple(t for t in job if t.key in waiting and status.get(t.key) != "ok")
        if left:
            running.update({task.key: left for task in left})
            yield left


def _parallel(jobs: Iterator[Job], settings: Settings) -> Iterator[list[Row]]:
    def calls(some: Iterator[Job]) -> Iterator[Any]:
        return (delayed(run_job)(job, settings.work, settings.data) for job in some)

    if settings.backend != "ray":
        parallel = Parallel(
            settings.jobs,
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch="n_jobs",
        )
        yield from parallel(calls(jobs))
        return
    # Ray's backend gives results only when all calls are done: as many at a time as run at once.
    while some := list(islice(jobs, settings.jobs)):
        yield from Parallel(settings.jobs, batch_size=1)(calls(iter(some)))


def _backend_package(backend: Backend) -> None:
    """ImportError that says what to install, when a backend is not."""
    package = {"loky": "joblib", "dask": "distributed", "ray": "ray"}[backend]
    install = {"dask": "'dask[distributed]'"}.get(backend, package)
    try:
        __import__(package)
    except ImportError:
        raise ImportError(
            f"the backend {backend} needs the package {package}: pip install {install}"
        ) from None


@contextmanager
def _backend(settings: Settings) -> Iterator[None]:
    """The backend as joblib's current one, connected to its cluster."""
    if settings.backend == "loky":
        with parallel_config("loky", inner_max_num_threads=1):
            yield
    elif settings.backend == "dask":
        from distributed import Client

        local = {"n_workers": settings.jobs, "threads_per_worker": 1, "dashboard_address": None}
        arguments: dict[str, Any] = {} if settings.scheduler else local
        client = Client(settings.scheduler, **arguments)  # type: ignore[no-untyped-call]
        with client, parallel_config("dask"):
            yield
    else:
        import ray
        from ray.util.joblib import register_ray

        ray.init(address=settings.scheduler, ignore_reinit_error=True)
        register_ray()
        with parallel_config("ray"):
            yield

"""Run a suite: methods x data sets x backbones x seeds, into one table and a leaderboard.

    shapmix benchmark configs/suites/smoke.yaml
    shapmix benchmark configs/suites/small.yaml --data FOLDER --dry-run
    shapmix benchmark configs/suites/small.yaml --data FOLDER --jobs 8 --limit-hours 10

What is in the table is not run again, runs that were stopped go on from their last checkpoint, and
failed ones are run again: give the same command at any time. Several processes, each with a part of
the suite (--only, --datasets, --backbones, --seeds), may write to one table at the same time.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

HELP = "run methods x data sets x seeds and rank them"


def add_arguments(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Arguments of the command."""
    parser.add_argument("suite", type=Path, help="a YAML file, such as configs/suites/small.yaml")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets")
    parser.add_argument("--work", type=Path | None, help="where all is kept; runs/SUITE by default")
    parser.add_argument(
        "--results", type=Path | None, help="the table; results.parquet in the work folder"
    )
    parser.add_argument("--jobs", type=int | None, help="tasks at a time; as many as cores")
    parser.add_argument(
        "--backend",
        choices=["loky", "dask", "ray"],
        default="loky",
        help="where tasks run: processes of this machine, or a cluster that shares the work folder",
    )
    parser.add_argument(
        "--scheduler", type=str | None, help="address of the cluster of dask or ray"
    )
    parser.add_argument("--only", type=str, nargs="+", help="run these methods only")
    parser.add_argument("--datasets", type=str, nargs="+", help="on these data sets only")
    parser.add_argument("--backbones", type=str, nargs="+", help="with these backbones only")
    parser.add_argument("--seeds", type=int, nargs="+", help="with these seeds only")
    parser.add_argument(
        "--limit_hours", type=float | None, help="start no task after so many hours"
    )
    parser.add_argument(
        "--keep_runs", action="store_true", help="keep run folders, with weights and logs"
    )
    parser.add_argument(
        "--dry_run", action="store_true", help="list the tasks, what is done and the time left"
    )
    parser.add_argument(
        "--report_only",
        action="store_true",
        help="make the leaderboard of what is in the table; of a part only with --only and others",
    )
    parser.add_argument("--baseline", type=str | None, help="gains are on this method")
    parser.add_argument(
        "--leaderboard", type=Path | None, help="its folder; that of the table by default"
    )


def run(args: Namespace) -> None:
    """Run what is left of the suite, then rank the methods."""
    from shapmix.benchmarking.engine import Settings, pending, run_tasks
    from shapmix.benchmarking.prepare import check_sources
    from shapmix.benchmarking.progress import Durations, Monitor, duration
    from shapmix.benchmarking.suite import load_suite
    from shapmix.benchmarking.tasks import Chosen, make_tasks
    from shapmix.reporting import RunError
    from shapmix.suggest import did_you_mean

    suite = load_suite(args.suite)
    if args.baseline is not None and args.baseline not in suite.methods:
        hint = did_you_mean(args.baseline, suite.methods)
        raise ValueError(f"the suite has no method {args.baseline!r} to be the baseline{hint}")
    names = (args.only, args.datasets, args.backbones, args.seeds)
    tasks = make_tasks(suite, Chosen(*(None if n is None else tuple(n) for n in names)))
    work = (Path("runs") / suite.name if args.work is None else args.work).absolute()
    jobs = _cores() if args.jobs is None else args.jobs
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}, expected 1 or more")
    settings = Settings(
        work=work,
        data=args.data.absolute(),
        results=work / "results.parquet" if args.results is None else args.results.absolute(),
        jobs=jobs,
        backend=args.backend,
        scheduler=args.scheduler,
        limit_hours=args.limit_hours,
        keep_runs=args.keep_runs,
    )
    waiting = pending(tasks, settings.results)
    if args.dry_run:
        left = {task.key for task in waiting}
        for task in tasks:
            print("   " if task.key in left else "ok ", task.name, task.key)
        time_left = duration(Durations(settings.results).left(waiting, jobs))
        print(f"{len(tasks)} tasks, {len(waiting)} to do; time left with {jobs} jobs: {time_left}")
        check_sources(waiting, work, settings.data)
        return
    failed = 0
    if not args.report_only:
        monitor = Monitor(tasks, waiting, jobs, settings.results)
        bases = {method.of for method in suite.methods.values()}
        with monitor.shown():
            run_tasks(tasks, settings, monitor.add, keep=lambda task: task.method in bases)
        failed = monitor.failed
        done = len(tasks) - len(monitor.left) - failed
        print(f"{done} done, {failed} failed, {len(monitor.left)} left; table: {settings.results}")
    called = {
        task.key: {name: getattr(task, name) for name in ("method", "dataset", "backbone", "fold")}
        for task in (tasks if args.report_only else make_tasks(suite))
    }
    folder = settings.results.parent if args.leaderboard is None else args.leaderboard
    apart = [name for name, spec in suite.datasets.items() if not spec.in_means]
    try:
        _report(settings.results, folder, args.baseline or suite.baseline, called, apart)
    except RunError as error:
        if args.report_only:
            raise
        print(f"no leaderboard yet: {error}")  # a part of the suite has been done
    if failed:
        raise ValueError(
            f"{failed} of {len(tasks)} tasks failed; the column error of the table says why, "
            f"and logs are in {work / 'runs'}. The same command runs them again"
        )


def _report(
    results: Path,
    folder: Path,
    baseline: str | None,
    called: Mapping[str, Mapping[str, str]],
    apart: Sequence[str],
) -> None:
    """Write the leaderboard of these tasks, by key, and print it."""
    from rich.console import Console

    from shapmix.benchmarking.prepare import lock
    from shapmix.benchmarking.table import finished_keys
    from shapmix.reporting.leaderboard import write_leaderboard

    ended = {key for key, status in finished_keys(results).items() if status == "ok"}
    if not ended & called.keys():
        print("no task has ended well yet, so there is no leaderboard")
        return
    with lock(results.with_name("leaderboard.html")):  # others may end at the same time
        leaderboard = write_leaderboard(results, folder, baseline, keys=called, apart=apart)
    console = Console()
    for table in leaderboard.tables:
        console.print(table)
    for path in leaderboard.files:
        print(path)


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

"""The engine: what is done is not done again, and nothing that fails stops the others."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from stand_ins import job_that_may_kill
from tiny_suite import content, tiny

from shapmix.benchmarking.engine import pending, run_tasks
from shapmix.benchmarking.prepare import archive_path, lock, log_file, run_folder, split_path
from shapmix.benchmarking.progress import Durations, duration
from shapmix.benchmarking.suite import SuiteError, load_suite
from shapmix.benchmarking.table import append_results, read_results
from shapmix.benchmarking.tasks import make_tasks
from shapmix.data.archive import Archive
from shapmix.data.split_file import Split


def rows(settings):
    return read_results(settings.results).to_pylist()


# ---- with training that takes no time


def test_what_is_done_is_not_done_again(settings, training):
    given = settings()
    tasks = make_tasks(tiny())
    seen = []
    run_tasks(tasks[:3], given, seen.append)
    assert training.trained == [("none", 0), ("mixup", 0), ("none", 1)]
    run_tasks(tasks, given, seen.append)
    assert training.trained[3:] == [("mixup", 1)]
    assert [row["key"] for row in rows(given)] == [task.key for task in tasks]
    assert [row["key"] for row in seen] == [task.key for task in tasks]
    assert pending(tasks, given.results) == []


def test_a_row_says_what_the_run_found(settings, training):
    given = settings(keep_runs=True)
    (task,) = make_tasks(tiny(runs=[{"methods": ["mixup"], "seeds": [5]}]))
    run_tasks([task], given)
    (row,) = rows(given)
    folder = run_folder(given.work, task)
    metrics = json.loads((folder / "metrics.json").read_text())
    with np.load(folder / "scores.npz") as scores:
        logits = scores["logits_last"]
    assert (row["suite"], row["method"], row["dataset"]) == ("tiny", "mixup", "embedded")
    assert (row["backbone"], row["seed"], row["fold"], row["status"]) == ("tcn", 5, "", "ok")
    assert row["config"] == task.recipe
    assert row["labels"] == [0] * 4 + [1] * 4 + [2] * 4
    assert row["predictions"] == [int(np.argmax(x)) for x in logits]
    softmax = [max(np.exp(x) / sum(np.exp(x))) for x in logits.tolist()]
    assert row["probability"] == pytest.approx(softmax, rel=1e-6)
    assert row["predictions_best"] == []
    assert row["top1"] == np.mean(np.equal(row["predictions"], row["labels"]))
    assert row["tail"] == metrics["last"]["test"]["tail"]
    assert np.isnan(row["many"])  # no class has more than 100 clips
    assert np.isnan(row["val_top1"])
    assert (row["train_seconds"], row["parameters"]) == (60, 7)
    assert row["peak_memory_mb"] > 10


def test_a_task_that_fails_does_not_stop_the_others_and_is_run_again(settings, training):
    given = settings()
    tasks = make_tasks(tiny())
    training.fails = lambda config: config.mixer == "none" and config.seed == 0
    run_tasks(tasks, given)
    status = {row["key"]: (row["status"], row["error"]) for row in rows(given)}
    assert status[tasks[0].key] == ("failed", "RuntimeError: no luck\nat all")
    assert [status[task.key] for task in tasks[1:]] == [("ok", "")] * 3
    assert "no luck" in log_file(given.work, tasks[0]).read_text()
    training.fails = lambda config: False
    run_tasks(tasks, given)
    assert training.trained[4:] == [("none", 0)]
    assert {row["status"] for row in rows(given)} == {"ok"}


def test_run_folders_go_when_they_are_recorded(settings, training):
    given = settings()
    tasks = make_tasks(tiny(runs=[{"methods": ["ce", "mixup"], "seeds": 1}]))
    run_tasks(tasks, given, keep=lambda task: task.method == "ce")
    assert run_folder(given.work, tasks[0]).is_dir()
    assert not run_folder(given.work, tasks[1]).exists()


def test_the_log_of_a_failed_task_stays_when_another_is_done(settings, training):
    ce = content()["methods"]["ce"]
    methods = {"budget-0.02": ce, "budget-0.05": {"mixer": "mixup"}}
    failing, passing = tasks = make_tasks(tiny(methods=methods, baseline=None, runs=[{"seeds": 1}]))
    training.fails = lambda config: config.mixer == "none"
    given = settings()
    run_tasks(tasks, given)
    assert "no luck" in log_file(given.work, failing).read_text()
    assert not log_file(given.work, passing).exists()


def test_a_run_that_was_not_recorded_is_read_and_not_trained_again(settings, training):
    given = settings(keep_runs=True)
    tasks = make_tasks(tiny())
    run_tasks(tasks, given)
    given.results.unlink()
    run_tasks(tasks, given)
    assert len(training.trained) == len(rows(given)) == 4


def test_second_stages_start_from_their_base_whether_it_is_asked_for_or_not(
    settings, training, monkeypatch
):
    made = []

    def second_stage(run, out, kind, options, device, model):
        made.append((run.name, kind, options, device, model))
        assert (run / "metrics.json").exists()
        out.mkdir()
        for name in ("metrics.json", "scores.npz"):
            (out / name).write_bytes((run / name).read_bytes())

    monkeypatch.setattr("shapmix.training.second_stage.second_stage", second_stage)
    stage = {"of": "ce", "second_stage": {"kind": "crt", "epochs": 3}}
    methods = content()["methods"] | {"crt": stage}
    runs = [{"methods": ["crt", "mixup", "ce", "tau-norm"], "seeds": 1}]
    crt, mixup, ce, tau = make_tasks(tiny(methods=methods, runs=runs))
    given = settings()
    run_tasks([crt], given)
    assert [row["key"] for row in rows(given)] == [crt.key]
    assert made == [(run_folder(given.work, ce).name, "crt", {"epochs": 3}, "cpu", "tcn")]
    run_tasks([crt, mixup, ce, tau], given)
    assert training.trained == [("none", 0), ("mixup", 0)]  # the base was still there
    assert [row["key"] for row in rows(given)] == [crt.key, mixup.key, ce.key, tau.key]


def test_no_task_is_started_after_the_limit(settings, training):
    given = settings(limit_hours=0.0)
    run_tasks(make_tasks(tiny()), given)
    assert training.trained == []
    assert rows(given) == []


def test_what_another_process_works_on_or_did_is_left_to_it(settings, training):
    given = settings()
    first, second, *_ = tasks = make_tasks(tiny())

    def done_elsewhere(row):
        if row["key"] == second.key:
            other = row | {"key": tasks[3].key}
            append_results(given.results, [other])

    with lock(run_folder(given.work, first)):
        run_tasks(tasks, given, done_elsewhere)
    assert training.trained == [("mixup", 0), ("none", 1)]
    assert pending(tasks, given.results) == [first]


def test_archives_and_splits_are_made_once(settings, training):
    given = settings()
    run_tasks(make_tasks(tiny()), given)
    task = make_tasks(tiny())[0]
    paths = (archive_path(given.work, task.data), split_path(given.work, task))
    before = [path.stat().st_mtime_ns for path in paths]
    split = Split.load(paths[1], Archive(paths[0]))
    assert sorted(split.class_counts.tolist())[-1] == 3
    assert split.recipe["order"] == "permuted"
    given.results.unlink()
    run_tasks(make_tasks(tiny()), given)
    assert [path.stat().st_mtime_ns for path in paths] == before
    assert len(list((given.work / "splits").glob("*.json"))) == 2  # one a seed, for all methods


def test_data_that_are_missing_are_named_before_anything_runs(settings, training):
    data = {
        name: {"import": {"format": "sbu", "source": f"{name}.zip"}} for name in ("here", "there")
    }
    tasks = make_tasks(tiny(datasets=data | content()["datasets"]))
    with pytest.raises(SuiteError, match=r"here\.zip \(data set here\), there\.zip .*--datasets"):
        run_tasks(tasks, settings())
    assert training.trained == []


def test_a_backend_that_is_not_installed(settings, training, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match="backend ray needs the package ray: pip install ray"):
        run_tasks(make_tasks(tiny()), settings(backend="ray"))


def test_time_left_follows_the_most_alike_of_the_finished(tmp_path, settings, training):
    given = settings()
    ce, mixup, ce1, _ = tasks = make_tasks(tiny())
    durations = Durations(given.results)
    assert durations.left(tasks, 2) is None
    for task, seconds in ((ce, 10.0), (mixup, 40.0)):
        durations.add(
            {
                "status": "ok",
                "train_seconds": seconds,
                "method": task.method,
                "dataset": task.dataset,
                "backbone": task.backbone,
            }
        )
    assert durations.left([ce1], 1) == 10
    assert durations.left([ce1, mixup], 2) == 25
    assert durations.left([replace(ce1, method="other")], 1) == 25
    assert durations.left([replace(ce1, backbone="other")], 1) == 25
    texts = [duration(seconds) for seconds in (None, 40.2, 700, 12000)]
    assert texts == ["unknown", "40 s", "12 min", "3 h 20 min"]


# ---- with training in other processes

PROGRAM = """
import sys
from pathlib import Path
from shapmix.benchmarking.engine import Settings, run_tasks
from shapmix.benchmarking.suite import load_suite
from shapmix.benchmarking.tasks import make_tasks
if __name__ == "__main__":
    work = Path(sys.argv[1])
    settings = Settings(work, work, work / "results.parquet", keep_runs=True)
    run_tasks(make_tasks(load_suite(sys.argv[2])), settings)
"""


def test_a_suite_that_was_killed_goes_on(settings, suite_file, worker_environment):
    """Killed within its second run; then the first stays as it is, and the second goes on from its
    last epoch."""
    methods = {"ce": content()["methods"]["ce"], "mixup": {"mixer": "mixup", "epochs": 60}}
    path = suite_file(methods=methods, runs=[{"seeds": 1}])
    given = settings(keep_runs=True)
    command = [sys.executable, "-c", PROGRAM, str(given.work), str(path)]
    process = subprocess.Popen(command, env=worker_environment, start_new_session=True)
    pattern = "runs/mixup-*/checkpoints/last.ckpt"
    while process.poll() is None and not list(given.work.glob(pattern)):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (before,) = rows(given)
    assert (before["method"], before["status"]) == ("ce", "ok")
    (run,) = given.work.glob("runs/mixup-*/")
    assert not (run / "metrics.json").exists()

    run_tasks(make_tasks(load_suite(path)), given)
    first, second = rows(given)
    assert str(first) == str(before)  # NaN differs from itself
    assert (second["method"], second["status"]) == ("mixup", "ok")
    assert len(json.loads((run / "environment.json").read_text())["resumed"]) == 1
    assert len((run / "history.csv").read_text().splitlines()) == 61


def test_only_the_task_that_kills_its_worker_fails(settings, monkeypatch):
    monkeypatch.setattr("shapmix.benchmarking.engine.run_job", job_that_may_kill)
    deadly = {"of": "ce", "second_stage": {"kind": "tau-norm"}}  # in one job with its base
    methods = {"deadly": deadly, "ce": content()["methods"]["ce"], "mixup": {}}
    tasks = make_tasks(tiny(methods=methods, runs=[{"seeds": 1}]))
    given = settings(jobs=2)
    run_tasks(tasks, given)
    found = {row["method"]: row for row in rows(given)}
    status = {name: row["status"] for name, row in found.items()}
    assert status == {"deadly": "failed", "ce": "ok", "mixup": "ok"}
    assert found["deadly"]["error"].startswith("its worker was killed, twice")
    assert os.getpid() not in (found["ce"]["seed"], found["mixup"]["seed"])


def test_a_dask_cluster(settings, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr("shapmix.benchmarking.engine.run_job", job_that_may_kill)
    tasks = make_tasks(tiny(runs=[{"methods": ["ce", "mixup"], "seeds": 1}]))
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        pids = {int(worker.pid) for worker in cluster.workers.values()}
        given = settings(backend="dask", scheduler=cluster.scheduler_address, jobs=2)
        run_tasks(tasks, given)
    assert sorted(row["key"] for row in rows(given)) == sorted(task.key for task in tasks)
    assert {row["seed"] for row in rows(given)} <= pids

import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from run_folders import COUNTS, NAMES, PARTS, write_run

from shapmix.reporting import RunError, load_run, load_saliency, load_scores


def test_a_run_folder_is_read(run_folder):
    run = load_run(run_folder)
    assert run.name == "run"
    assert run.class_names == NAMES
    assert run.class_counts == COUNTS
    assert run.config["mixer"] == "shapmix"
    assert run.environment["torch"] == "2.13"
    assert (run.last.epoch, run.best.epoch) == (65, 60)
    assert run.result("best") is run.best
    assert run.last.validation["clips"] == 70
    assert run.cost["parameters"] == 1448172
    with pytest.raises(FrozenInstanceError):
        run.last = None


def test_scores_agree_with_the_metrics(run_folder):
    run = load_run(str(run_folder))
    scores = load_scores(run)
    assert scores.logits_last.shape == (210, 7)
    assert scores.names[3] == "clip0003"
    assert scores.correct().mean() == pytest.approx(run.last.test["top1"])
    assert scores.correct("best").mean() == pytest.approx(run.best.test["top1"])


def test_saliency_is_read(run_folder):
    saliency = load_saliency(load_run(run_folder))
    assert saliency.scores.shape == (3, 7, 20)
    assert saliency.coalitions.dtype == bool
    assert saliency.part_names == PARTS
    assert saliency.values.shape == (3, 7, 32)


def test_a_run_without_selected_epoch_or_saliency(new_run):
    run = new_run("plain", best=False, saliency=False)
    assert run.best is None
    with pytest.raises(RunError, match=r"selected no epoch.*report the last one"):
        run.result("best")
    with pytest.raises(RunError, match="no logits_best"):
        load_scores(run).correct("best")
    with pytest.raises(RunError, match=r"saliency\.npz does not exist: only runs with"):
        load_saliency(run)


def test_no_folder(tmp_path):
    with pytest.raises(RunError, match="nowhere is no folder; expected a run folder"):
        load_run(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["metrics.json", "config.yaml", "environment.json", "scores.npz"])
def test_a_missing_file_is_named(run_folder, name):
    (run_folder / name).unlink()
    with pytest.raises(RunError, match=f"{name} does not exist: the run has not finished"):
        load_scores(load_run(run_folder))


@pytest.mark.parametrize("name", ["metrics.json", "config.yaml", "environment.json"])
@pytest.mark.parametrize(
    "content", ["{ no", "[1, 2]", "\udcff", pytest.param("[" * 100_000, id="nested")]
)
def test_a_damaged_file_is_named(run_folder, name, content):
    (run_folder / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(RunError, match=f"{name} is damaged .*: restore it"):
        load_run(run_folder)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 2, "has format 2; this version reads format 1"),
        ("class_names", ["only one"], "1 class names, but figures of"),
        ("last", {"epoch": 3, "test": {"top1": 0.5}, "validation": None}, "test without"),
        ("last", None, "is damaged"),
        ("cost", None, "is damaged"),
    ],
)
def test_metrics_of_another_form(run_folder, key, value, message):
    path = run_folder / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(RunError, match=message):
        load_run(run_folder)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-200])


def garble(path):
    path.write_bytes(b"no archive")


def flip(path):
    content = bytearray(path.read_bytes())
    content[2000] ^= 255
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [truncate, garble, flip])
@pytest.mark.parametrize(
    ("name", "load"), [("scores.npz", load_scores), ("saliency.npz", load_saliency)]
)
def test_damaged_arrays_are_named(run_folder, damage, name, load):
    damage(run_folder / name)
    with pytest.raises(RunError, match=f"{name} is damaged"):
        load(load_run(run_folder))


def test_pickled_arrays_are_refused(run_folder):
    arrays = dict(np.load(run_folder / "scores.npz"))
    arrays["names"] = arrays["names"].astype(object)
    np.savez(run_folder / "scores.npz", **arrays)
    with pytest.raises(RunError, match=r"scores\.npz is damaged .*allow_pickle"):
        load_scores(load_run(run_folder))


@pytest.mark.parametrize(
    ("name", "change", "load", "message"),
    [
        ("scores", {"labels": np.zeros(3)}, load_scores, r"shape \(210,\); expected \(3,\)"),
        ("scores", {"logits_last": np.zeros((210, 2))}, load_scores, r"expected \(210, 7\)"),
        ("saliency", {"coalitions": np.ones((4, 5))}, load_saliency, r"expected \(3, 7, 4\)"),
        ("saliency", {"values": np.ones((3, 7, 31))}, load_saliency, r"expected \(3, 7, 32\)"),
        ("saliency", {"epochs": np.ones(0), "scores": np.ones((0, 7, 20))}, load_saliency, "empty"),
    ],
)
def test_arrays_that_do_not_belong_together(run_folder, name, change, load, message):
    path = run_folder / f"{name}.npz"
    arrays = dict(np.load(path)) | change
    if "epochs" in change:
        del arrays["values"]
    np.savez(path, **arrays)
    with pytest.raises(RunError, match=message):
        load(load_run(run_folder))


def test_missing_array(run_folder):
    np.savez(run_folder / "scores.npz", names=np.array(["a"]), labels=np.array([0]))
    with pytest.raises(RunError, match="no array logits_last"):
        load_scores(load_run(run_folder))


def test_reading_needs_neither_torch_nor_torchmetrics(tmp_path):
    import subprocess
    import sys

    write_run(tmp_path / "run")
    program = (
        "import sys; from shapmix.reporting import *; run = load_run(sys.argv[1]);"
        "run_table(run).markdown(); compare_table([run]).csv();"
        "heavy = {'torch', 'torchmetrics', 'matplotlib', 'rich'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "run")], check=True)

"""Fusing runs, as a user types it and as a function."""

import json

import numpy as np
import pytest
import torch
import yaml

from shapmix.commands import cli
from shapmix.commands.ensemble import ensemble
from shapmix.data.archive import Archive
from shapmix.data.splits import make_split
from shapmix.metrics import evaluate
from shapmix.metrics.fusion import fit_weights
from shapmix.reporting import RunError, load_run, load_scores
from shapmix.training.config import TrainConfig
from shapmix.training.finished import open_run
from shapmix.training.run import train

MINE = "tiny:TinyModel"
STREAMS = ("joint", "bone", "joint_motion", "bone_motion")


@pytest.fixture(scope="module")
def make(archive_path, split_path, tmp_path_factory):
    """Trains a run of the small archive."""
    folder = tmp_path_factory.mktemp("runs")

    def make(name, split=split_path, **changes):
        settings = {"model": MINE, "mixer": "none", "num_frames": 16, "epochs": 2}
        settings |= {"batch_size": 8, "lr_warmup_epochs": 0, "threads": 1, "accelerator": "cpu"}
        settings |= {"progress": False}
        train(TrainConfig(archive_path, split, folder / name, **(settings | changes)))
        return folder / name

    return make


@pytest.fixture(scope="module")
def streams(make):
    return [make(stream, stream=stream) for stream in STREAMS]


def logits(folder):
    return load_scores(load_run(folder)).logits_last


def test_published_weights_as_typed(streams, tmp_path, capsys):
    out = tmp_path / "fused"
    words = ["ensemble", *map(str, streams), "--out", str(out)]
    assert cli.main([*words, "--weights", "0.6", "0.6", "0.4", "0.4"]) == 0
    text = capsys.readouterr().out
    assert f"0.300  {streams[0]}" in text
    assert "bone_motion" in text
    expected = sum(w * logits(f) for w, f in zip((0.3, 0.3, 0.2, 0.2), streams, strict=True))
    np.testing.assert_allclose(logits(out), expected, atol=1e-5)
    run, parts = load_run(out), [load_run(folder) for folder in streams]
    labels = load_scores(parts[0]).labels
    assert run.last.test["top1"] == np.mean(expected.argmax(1) == labels)
    assert run.last.validation is None
    assert run.config["stream"] == "joint + bone + joint_motion + bone_motion"
    assert run.config["ensemble"] == {"scores": "logits", "weights": [0.3, 0.3, 0.2, 0.2]}
    assert run.config["seed"] == 0
    assert run.cost["parameters"] == sum(part.cost["parameters"] for part in parts)
    made = json.loads((out / "ensemble.json").read_text())
    assert [each["run"] for each in made["runs"]] == [str(folder) for folder in streams]
    assert cli.main(["compare", str(streams[0]), str(out), "--format", "csv"]) == 0
    assert cli.main(words) == 1
    assert "holds a run already" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["config.yaml", "checkpoints"])
def test_a_stopped_run_is_not_replaced(streams, tmp_path, name, capsys):
    out = tmp_path / "unfinished"
    out.mkdir()
    if name == "checkpoints":
        (out / name).mkdir()
    else:
        (out / name).write_text("seed: 3")
    assert cli.main(["ensemble", *map(str, streams[:2]), "--out", str(out)]) == 1
    assert f"{out} holds a run already ({name}): choose another" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == [name]
    assert name == "checkpoints" or (out / name).read_text() == "seed: 3"


def test_an_ensemble_that_was_stopped_is_made_again(streams, tmp_path):
    ensemble(streams[:2], tmp_path / "out", [1, 1])
    (tmp_path / "out" / "metrics.json").unlink()
    assert ensemble(streams[:2], tmp_path / "out", [3, 1]) == [0.75, 0.25]


def test_probabilities_with_equal_weights(streams, tmp_path):
    assert ensemble(streams[:2], tmp_path / "out", [1, 1], "probabilities") == [0.5, 0.5]
    parts = [torch.tensor(logits(folder)).softmax(1) for folder in streams[:2]]
    found = torch.tensor(logits(tmp_path / "out")).softmax(1)
    torch.testing.assert_close(found, (parts[0] + parts[1]) / 2, atol=1e-5, rtol=1e-4)


def test_weights_are_fitted_on_validation_clips(streams, tmp_path, capsys):
    out = tmp_path / "fitted"
    words = ["ensemble", *map(str, streams), "--out", str(out)]
    assert cli.main([*words, "--fit", "--model", MINE]) == 0
    assert "Traceback" not in capsys.readouterr().err
    on_validation = []
    for folder in streams:
        run = open_run(folder, model=MINE)
        batch = run.transform(next(iter(_whole(run))))
        with torch.no_grad():
            on_validation.append(run.model(batch).numpy())
    labels = run.data.val.labels
    expected = fit_weights(on_validation, labels)
    made = json.loads((out / "ensemble.json").read_text())
    found = [each["weight"] for each in made["runs"]]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert made["weights"] == "fitted"
    fused = sum(w * part for w, part in zip(found, on_validation, strict=True))
    validation = load_run(out).last.validation
    assert validation["confusion"] == evaluate(fused, labels, run.data.class_counts)["confusion"]
    assert yaml.safe_load((out / "config.yaml").read_text())["ensemble"]["weights"] == "fitted"


def _whole(run):
    from shapmix.data.loader import create_loader

    return create_loader(run.data.val, len(run.data.val))


def test_clips_in_another_order_are_paired_by_name(streams, tmp_path):
    ensemble(streams[:2], tmp_path / "one", [1, 1])
    other = tmp_path / "shuffled"
    other.mkdir()
    for path in streams[1].glob("*.*"):
        if path.is_file():
            (other / path.name).write_bytes(path.read_bytes())
    with np.load(streams[1] / "scores.npz") as file:
        order = np.random.default_rng(0).permutation(len(file["names"]))
        arrays = {k: v if k == "class_counts" else v[order] for k, v in file.items()}
    np.savez(other / "scores.npz", **arrays)
    ensemble([streams[0], other], tmp_path / "two", [1, 1])
    np.testing.assert_array_equal(logits(tmp_path / "one"), logits(tmp_path / "two"))


def test_ensembles_of_ensembles(streams, tmp_path):
    ensemble(streams[:2], tmp_path / "pair", [1, 1])
    ensemble([tmp_path / "pair", streams[2]], tmp_path / "all", [2, 1])
    expected = sum(logits(folder) for folder in streams[:3]) / 3
    np.testing.assert_allclose(logits(tmp_path / "all"), expected, atol=1e-5)


def test_other_clips_are_refused(make, streams, archive_path, tmp_path):
    archive = Archive(archive_path)
    other, plain = tmp_path / "other.json", tmp_path / "plain.json"
    make_split(archive, imbalance=4, n_max=12, val_per_class=3, seed=1).save(other)
    make_split(archive, val_fraction=0).save(plain)
    with pytest.raises(RunError, match="differ in training clips: fuse runs of the same split"):
        ensemble([streams[0], make("other", split=other, epochs=1)], tmp_path / "out", [1, 1])
    without = make("plain", split=plain, epochs=1)
    with pytest.raises(RunError, match="differ in training clips per class, training clips"):
        ensemble([streams[0], without], tmp_path / "out", [1, 1])
    twin = make("twin", split=plain, epochs=1, seed=1)
    with pytest.raises(ValueError, match="no validation clips"):
        ensemble([without, twin], tmp_path / "out", None, model=MINE)
    assert not (tmp_path / "out").exists()
    assert ensemble([without, twin], tmp_path / "out", [1, 1])
    assert load_run(tmp_path / "out").config["seed"] == "0 + 1"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--weights", "1"], "expected 2 numbers"),
        (["--weights", "1", "many"], "expected equal, or a number"),
        (["--weights", "0", "0"], "not all zero"),
        (["--weights", "1", "2", "--fit"], "leave --weights out"),
    ],
)
def test_wrong_weights(streams, tmp_path, words, message, capsys):
    folders = [str(folder) for folder in streams[:2]]
    assert cli.main(["ensemble", *folders, "--out", str(tmp_path / "out"), *words]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_one_run_is_no_ensemble(streams, tmp_path):
    with pytest.raises(RunError, match="at least two"):
        ensemble(streams[:1], tmp_path / "out", [1])

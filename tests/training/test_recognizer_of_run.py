"""From finished runs to recognisers: the same scores, calibrated, in one object."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional as F

from shapmix.commands.ensemble import ensemble
from shapmix.commands.opening import open_recognizer
from shapmix.data.archive import Archive
from shapmix.data.loader import create_loader
from shapmix.data.splits import make_split
from shapmix.inference.ensemble import Ensemble
from shapmix.inference.pretrained import PretrainedError
from shapmix.mixing import mean_clip
from shapmix.training.config import TrainConfig
from shapmix.training.files import RunFolderError
from shapmix.training.finished import open_run
from shapmix.training.recognizer import ensemble_of_run, recognizer_of_run
from shapmix.training.run import train


@pytest.fixture(scope="module")
def make(archive_path, split_path, tmp_path_factory):
    """Trains a run of the small archive."""
    folder = tmp_path_factory.mktemp("runs")

    def make(name, split=split_path, **changes):
        settings = {"model": "tcn", "model_options": {"width": 4}, "mixer": "none", "epochs": 2}
        settings |= {"num_frames": 16, "batch_size": 8, "lr_warmup_epochs": 0, "threads": 1}
        settings |= {"accelerator": "cpu", "progress": False, "lr": 0.05}
        train(TrainConfig(archive_path, split, folder / name, **(settings | changes)))
        return folder / name

    return make


@pytest.fixture(scope="module")
def runs(make):
    return [make("joint"), make("bone", stream="bone", loss="ldam-drw")]


@pytest.fixture(scope="module")
def fused(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensembles") / "fused"
    ensemble(runs, folder, [2, 1])
    return folder


def raw_clips(run, part):
    return [run.data.archive.keypoints(run.data.archive.index(name)) for name in part.names]


def stored(folder, which="last"):
    """Logits of the test clips as the run wrote them."""
    with np.load(folder / "scores.npz") as file:
        return file[f"logits_{which}"]


def best_temperature(logits, labels):
    scores, truth = torch.tensor(logits, dtype=torch.float64), torch.tensor(labels)
    found = minimize_scalar(
        lambda t: float(F.cross_entropy(scores / np.exp(t), truth)),
        bounds=(np.log(0.05), np.log(20)),
        method="bounded",
    )
    return np.exp(found.x)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("which", ["last", "best"])
def test_it_gives_the_scores_of_the_run(runs, number, which):
    """Also with the cosine classifier of LDAM."""
    folder = runs[number]
    run, recognizer = open_run(folder), recognizer_of_run(folder, which, licence="mit")
    clips = raw_clips(run, run.data.test)
    np.testing.assert_allclose(recognizer.logits(clips), stored(folder, which), atol=1e-4)
    on_validation = recognizer.logits(raw_clips(run, run.data.val))
    expected = best_temperature(on_validation, run.data.val.labels)
    assert recognizer.info.temperature == pytest.approx(expected, rel=1e-3)
    metrics = json.loads((folder / "metrics.json").read_text())[which]
    found = recognizer.info.metrics
    assert found["test"]["top1"] == metrics["test"]["top1"]
    assert "confusion" not in found["test"]
    assert found["calibration"]["clips"] == len(run.data.val)
    assert found["calibration"]["nll_after"] <= found["calibration"]["nll_before"]
    assert recognizer.info.class_counts == tuple(run.data.class_counts.tolist())
    assert (recognizer.info.licence, recognizer.info.source) == ("mit", "made for tests")
    batches = create_loader(run.data.train, 8)
    torch.testing.assert_close(
        recognizer.background, mean_clip(run.transform(batch) for batch in batches)
    )


@pytest.mark.parametrize("number", [0, 1])
def test_it_can_be_saved_and_loaded(runs, number, tmp_path):
    recognizer = recognizer_of_run(runs[number])
    recognizer.save_pretrained(tmp_path / "model")
    found = open_recognizer(tmp_path / "model")
    run = open_run(runs[number])
    clips = raw_clips(run, run.data.test)[:5]
    np.testing.assert_array_equal(found.probabilities(clips), recognizer.probabilities(clips))
    assert found.info.metrics == recognizer.info.metrics
    with pytest.raises(ValueError, match="it has its own weights and licence"):
        open_recognizer(tmp_path / "model", licence="mit")
    with pytest.raises(ValueError, match="it has its own weights and licence"):
        open_recognizer(tmp_path / "model", "best")


def test_a_saved_model_is_opened_without_what_trains_models(runs, tmp_path):
    """Else the first prediction would wait for seconds."""
    recognizer_of_run(runs[0]).save_pretrained(tmp_path)
    code = (
        "import sys; from shapmix.commands.opening import open_recognizer;"
        f"open_recognizer({str(tmp_path)!r}); print(*sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(out.stdout.split())
    assert "torch" in loaded
    assert not loaded & {"pytorch_lightning", "torchmetrics", "matplotlib", "torch._dynamo"}


def test_without_the_background_training_clips_are_not_read(runs, fused, monkeypatch):
    monkeypatch.setattr("shapmix.training.data.ClipData.mean_clip", None)
    recognizer = open_recognizer(runs[0], background=False)
    assert recognizer.background is None
    assert all(part.background is None for part in open_recognizer(fused, background=False).parts)
    with pytest.raises(TypeError):
        open_recognizer(runs[0])


def test_without_validation_clips_nothing_is_fitted(make, archive_path, tmp_path):
    plain = tmp_path / "plain.json"
    make_split(Archive(archive_path), val_fraction=0).save(plain)
    folder = make("plain", split=plain, epochs=1, model="tiny:TinyModel", model_options={})
    recognizer = recognizer_of_run(folder, model="tiny:TinyModel")
    assert recognizer.info.temperature == 1.0
    assert "calibration" not in recognizer.info.metrics
    with pytest.raises(RunFolderError, match="has no 'best' weights: choose 'last'"):
        recognizer_of_run(folder, "best", model="tiny:TinyModel")
    recognizer.save_pretrained(tmp_path / "model")
    assert "not calibrated" in (tmp_path / "model" / "README.md").read_text()
    with pytest.raises(ValueError, match="pass model='tiny:TinyModel'"):
        open_recognizer(tmp_path / "model")
    open_recognizer(tmp_path / "model", model="tiny:TinyModel")


def test_an_ensemble_gives_the_scores_of_its_folder(runs, fused, tmp_path):
    recognizer = open_recognizer(fused)
    assert isinstance(recognizer, Ensemble)
    run = open_run(runs[0])
    names = sorted(run.data.test.names)
    clips = [run.data.archive.keypoints(run.data.archive.index(name)) for name in names]
    np.testing.assert_allclose(recognizer.logits(clips), stored(fused), atol=1e-4)
    on_validation = recognizer.logits(raw_clips(run, run.data.val))
    expected = best_temperature(on_validation, run.data.val.labels)
    assert recognizer.temperature == pytest.approx(expected, rel=1e-3)
    metrics = json.loads((fused / "metrics.json").read_text())
    assert recognizer.info.metrics["test"]["top1"] == metrics["last"]["test"]["top1"]
    recognizer.save_pretrained(tmp_path)
    found = open_recognizer(tmp_path)
    np.testing.assert_array_equal(found.probabilities(clips), recognizer.probabilities(clips))


def test_an_ensemble_is_opened_from_any_folder(runs, fused, tmp_path, monkeypatch):
    """Its runs are named as they were where it was made, from there."""
    monkeypatch.chdir(runs[0].parent)
    ensemble([Path(run.name) for run in runs], tmp_path / "fused", [2, 1])
    ensemble([tmp_path / "fused", Path(runs[0].name)], tmp_path / "both", [1, 1])
    monkeypatch.chdir(tmp_path)
    clips = [np.ones((5, 1, 20, 3), np.float32)]
    found = open_recognizer("fused").logits(clips)
    np.testing.assert_array_equal(found, open_recognizer(fused).logits(clips))
    open_recognizer("both")


def test_ensembles_of_ensembles(runs, fused, tmp_path):
    ensemble([fused, runs[0]], tmp_path / "both", [1, 1], "probabilities")
    run = open_run(runs[0])
    clips = [
        run.data.archive.keypoints(run.data.archive.index(name))
        for name in sorted(run.data.test.names)
    ]
    found = ensemble_of_run(tmp_path / "both")
    np.testing.assert_allclose(found.logits(clips), stored(tmp_path / "both"), atol=1e-4)
    assert "calibration" in found.info.metrics


@pytest.mark.parametrize(
    "made",
    [
        {"scores": "logits"},
        {"runs": 3},
        {"runs": [], "scores": "logits"},
        {"runs": [{"run": "x"}], "scores": "logits"},
    ],
)
def test_damaged_ensembles(made, tmp_path):
    (tmp_path / "ensemble.json").write_text(json.dumps(made))
    with pytest.raises(RunFolderError, match=r"ensemble\.json is damaged"):
        open_recognizer(tmp_path)


@pytest.mark.parametrize("name", ["ensemble.json", "config.yaml"])
def test_nested_too_deep(name, tmp_path):
    (tmp_path / name).write_text("[" * 100_000)
    with pytest.raises(RunFolderError, match=rf"{name} is (damaged|not a configuration)"):
        open_recognizer(tmp_path)


def test_ensembles_that_contain_themselves(tmp_path):
    for name, other in (("own", "own"), ("one", "two"), ("two", "one")):
        folder = tmp_path / name
        folder.mkdir()
        made = {"runs": [{"run": str(tmp_path / other), "weight": 1}], "scores": "logits"}
        (folder / "ensemble.json").write_text(json.dumps(made))
    for name in ("own", "one"):
        with pytest.raises(RunFolderError, match="which it is part of"):
            open_recognizer(tmp_path / name)


def test_what_is_no_run(tmp_path):
    with pytest.raises(RunFolderError, match=r"it has no config\.yaml"):
        open_recognizer(tmp_path)
    for name in (tmp_path / "nowhere", str(tmp_path / "nowhere")):
        with pytest.raises(PretrainedError, match="there is no folder"):
            open_recognizer(name)

"""Models as commands open them: whose code runs, and where."""

import sys

import pytest
import torch
import uvicorn

from shapmix.commands import cli
from shapmix.commands.opening import check_device, open_recognizer
from shapmix.data.archive import Archive
from shapmix.data.splits import make_split
from shapmix.data.synthetic import write_synthetic
from shapmix.training.config import TrainConfig
from shapmix.training.evaluation import evaluate_run
from shapmix.training.finished import open_run
from shapmix.training.recognizer import recognizer_of_run
from shapmix.training.run import train
from shapmix.training.second_stage import second_stage

OWN = """
from pathlib import Path

from torch import nn

Path(__file__).with_name("imported").touch()


class Network(nn.Module):
    def __init__(self, layout, num_classes, num_persons, in_channels):
        super().__init__()
        self.head = nn.Linear(in_channels * layout.num_joints * num_persons, num_classes)

    def forward(self, x):
        return self.head(x.mean(2).flatten(1))


class Other(Network):
    pass
"""
SETTINGS = {"mixer": "none", "num_frames": 8, "epochs": 1, "batch_size": 16, "accelerator": "cpu"}
SETTINGS |= {"threads": 1, "progress": False, "artefacts": False}
ON_RUNS = {
    "predict": ["DATA", "--clip", "CLIP"],
    "explain": ["--clip", "CLIP"],
    "export": ["--folder", "OUT"],
    "serve": ["--port", "0"],
    "evaluate": [],
    "second-stage": ["--kind", "tau-norm", "--out", "OUT"],
    "ensemble": ["RUN", "--fit", "--out", "OUT"],
}
ON_SAVED = ON_RUNS | {"explain": ["--source", "DATA", "--clip", "CLIP"]}
CASES = [
    *(("run", command, words) for command, words in ON_RUNS.items()),
    *(("saved", command, ON_SAVED[command]) for command in ("predict", "explain", "export")),
    ("saved", "serve", ON_SAVED["serve"]),
    *(("fused", command, ON_RUNS[command]) for command in ("predict", "export", "serve")),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network of one's own, foreign.py, a run of it, the run twice as one, and what it saved."""
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "foreign.py").write_text(OWN)
    write_synthetic(folder / "data.arrow", clips_per_class=20, seed=0)
    archive = Archive(folder / "data.arrow")
    make_split(archive, imbalance=2, n_max=4, val_per_class=1).save(folder / "split.json")
    files = (folder / "data.arrow", folder / "split.json", folder / "run")
    fused = ["ensemble", folder / "run", folder / "run", "--out", folder / "fused"]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        train(TrainConfig(*files, model="foreign:Network", **SETTINGS))
        recognizer_of_run(folder / "run", model="foreign:Network").save_pretrained(folder / "saved")
        assert cli.main([*map(str, fused)]) == 0
    return folder


@pytest.fixture
def shapmix(folder, tmp_path, monkeypatch, capsys):
    """Runs a command with the network at hand; the status, what it said, and whether it ran it."""
    monkeypatch.chdir(folder)
    monkeypatch.delitem(sys.modules, "foreign", raising=False)
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: None)
    (folder / "imported").unlink(missing_ok=True)
    clip = Archive(folder / "data.arrow").names[0]
    meant = {"RUN": "run", "DATA": "data.arrow", "CLIP": clip, "OUT": str(tmp_path / "out")}

    def call(*words):
        capsys.readouterr()
        status = cli.main([meant.get(word, word) for word in words])
        err = capsys.readouterr().err
        assert "Traceback" not in err
        return status, err, (folder / "imported").exists()

    return call


@pytest.mark.parametrize(("opened", "command", "words"), CASES)
def test_foreign_code_runs_only_if_it_is_named_again(shapmix, opened, command, words):
    for given in ([], ["--model", "foreign:Other"], ["--model", "foreign"], ["--model", "tcn"]):
        status, err, ran = shapmix(command, opened, *words, *given)
        assert (status, ran) == (1, False)
        assert "never runs code that a file names" in err
        assert "--model 'foreign:Network'" in err
    status, err, ran = shapmix(command, opened, *words, "--model", "foreign:Network")
    assert (status, ran) == (0, True), err


def test_several_of_an_ensemble_are_trusted_at_once(shapmix):
    words = ("predict", "fused", *ON_RUNS["predict"], "--model")
    assert shapmix(*words, "foreign:Other,other:Other")[0] == 1
    assert shapmix(*words, "other:Other,foreign:Network")[0] == 0


def test_in_python(shapmix, folder, tmp_path):
    run, out = folder / "run", tmp_path / "out"
    for opens in (
        open_run,
        evaluate_run,
        recognizer_of_run,
        open_recognizer,
        lambda run: second_stage(run, out, "crt"),
    ):
        with pytest.raises(ValueError, match=r"in Python, model='foreign:Network'\)"):
            opens(run)
    assert not (folder / "imported").exists()
    assert not out.exists()


def test_ones_own_training_asks_nothing(shapmix, folder):
    assert shapmix("train", "--resume", "run")[0] == 0
    words = ["--config", "run/config.yaml", "--out", "again", "--fast-dev-run", "true"]
    assert shapmix("train", *words)[::2] == (0, True)


# --- where models compute


@pytest.mark.parametrize("command", [c for c in ON_RUNS if c != "export"])
@pytest.mark.parametrize("name", ["gpu", "cuda", "cuda:0", "CPU", ""])
def test_devices_that_are_not_here(shapmix, monkeypatch, command, name):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    words = [*ON_RUNS[command], "--model", "foreign:Network", "--device", name]
    status, err, ran = shapmix(command, "run", *words)
    assert (status, ran) == (1, False)
    assert f"--device is {name!r}; expected cpu, cuda, cuda:N or mps, of which torch finds" in err
    assert err.endswith("here: cpu\n")


def test_devices_that_are_here(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    for name in ("cpu", "cuda", "cuda:0", "cuda:1", "mps"):
        check_device(name)
    with pytest.raises(ValueError, match=r"here: cpu, cuda, cuda:0, cuda:1, mps$"):
        check_device("cuda:2")

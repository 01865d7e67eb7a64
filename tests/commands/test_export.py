"""Export as a user types it, and the example that feeds what it writes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from shapmix.commands import cli
from shapmix.commands.overwriting import ONNX, PAGE, SPLIT, TORCH, check_replaceable
from shapmix.data.archive import Archive
from shapmix.data.synthetic import write_synthetic
from shapmix.inference.recognizer import ActionRecognizer
from shapmix.training.config import TrainConfig
from shapmix.training.recognizer import recognizer_of_run
from shapmix.training.run import train

EXAMPLE = Path(__file__).parents[2] / "examples" / "onnx_predict.py"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A quickly trained run on synthetic clips of one and two persons."""
    folder = tmp_path_factory.mktemp("runs")
    write_synthetic(folder / "data.arrow", clips_per_class=20)
    settings = {"model": "tcn", "model_options": {"width": 8}, "mixer": "none", "epochs": 2}
    settings |= {"num_frames": 16, "batch_size": 16, "lr_warmup_epochs": 0, "threads": 1}
    settings |= {"accelerator": "cpu", "progress": False, "lr": 0.02}
    train(TrainConfig(folder / "data.arrow", None, folder / "run", **settings))
    return folder / "run"


def shapmix(*words):
    return cli.main(["export", *map(str, words)])


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    words = ["--onnx", folder / "a.onnx", "--torch", folder / "a.pt2", "--folder", folder / "model"]
    assert shapmix(run, *words, "--licence", "cc-by-4.0") == 0
    return folder


@pytest.fixture(scope="module")
def clips(run):
    archive = Archive(run.parent / "data.arrow")
    return [archive.keypoints(i) for i in range(0, len(archive), 37)]


def test_everything_at_once(run, exported, clips):
    assert {path.name for path in exported.iterdir()} == {"a.onnx", "a.pt2", "model"}
    assert 'license: "cc-by-4.0"' in (exported / "model" / "README.md").read_text()
    expected = recognizer_of_run(run).probabilities(clips)
    assert {clip.shape[1] for clip in clips} == {1, 2}
    found = ActionRecognizer.from_pretrained(exported / "model").probabilities(clips)
    np.testing.assert_array_equal(found, expected)
    program = torch.export.load(exported / "a.pt2").module()
    keypoints = torch.zeros(len(clips), max(map(len, clips)), 2, 25, 3)
    for row, clip in zip(keypoints, clips, strict=True):
        row[: len(clip), : clip.shape[1]] = torch.from_numpy(clip.copy())
    with torch.no_grad():
        found = program(keypoints, torch.tensor([len(clip) for clip in clips]))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_example_feeds_it(run, exported, clips, tmp_path):
    """ONNX Runtime and NumPy alone; torch and shapmix cannot be imported."""
    names = []
    for i, clip in enumerate(clips):
        names.append(str(tmp_path / f"{i}.npy"))
        np.save(names[-1], clip[:, 0] if clip.shape[1] == 1 else clip)  # both forms
    code = EXAMPLE.read_text()
    lines = [line for line in code.split('"""')[2].splitlines() if line]
    assert len([line for line in lines if not line.startswith("import")]) == 10
    hidden = "import sys; sys.modules |= {'torch': None, 'shapmix': None}\n"
    words = [sys.executable, "-W", "error", "-c", hidden + code, exported / "a.onnx", *names]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    expected = recognizer_of_run(run).predict(clips, top=1)
    assert [row[0] for row in rows] == names
    assert [row[1] for row in rows] == [best.label for (best,) in expected]
    found = [float(row[2]) for row in rows]
    np.testing.assert_allclose(found, [best.probability for (best,) in expected], atol=1e-3)


def test_a_saved_folder_is_exported_too(exported, tmp_path, capsys):
    assert shapmix(exported / "model", "--folder", tmp_path / "again") == 0
    assert capsys.readouterr().out == f"folder: {tmp_path / 'again'}\n"
    for name in ("config.json", "model.safetensors", "README.md"):
        same = (exported / "model" / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == same


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_stays_a_run(run, exported, tmp_path, capsys):
    """With a config.json in its folder it would be taken for a saved model."""
    before = contents(run)
    assert shapmix(run, "--folder", run) == 1
    assert f"{run} is the folder of a run, it has config.yaml and" in capsys.readouterr().err
    assert contents(run) == before
    fused = tmp_path / "fused"
    fused.mkdir()
    for name in ("config.yaml", "metrics.json", "ensemble.json"):
        (fused / name).write_text("{}")
    assert shapmix(exported / "model", "--folder", fused) == 1
    assert "has config.yaml and metrics.json: give an empty folder" in capsys.readouterr().err


def test_files_of_a_project_are_kept(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("README.md").write_text("# My project")
    Path("train.py").write_text("")
    before = contents(tmp_path)
    assert shapmix(run, "--folder", ".") == 1
    assert "README.md is not of a saved model, and would be overwritten" in capsys.readouterr().err
    assert contents(tmp_path) == before


@pytest.mark.parametrize("option", ["--onnx", "--torch"])
def test_an_archive_is_kept(run, option, capsys):
    archive = run.parent / "data.arrow"
    before = archive.read_bytes()
    assert shapmix(run, option, archive) == 1
    assert f"{archive} exists and is no model exported" in capsys.readouterr().err
    assert archive.read_bytes() == before


@pytest.mark.parametrize(("name", "kind"), [("a.onnx", ONNX), ("a.pt2", TORCH)])
def test_an_exported_model_is_replaced_by_one_of_its_form_only(exported, name, kind):
    check_replaceable(exported / name, kind)
    for other in {ONNX, TORCH, PAGE, SPLIT} - {kind}:
        with pytest.raises(ValueError, match=f"{name} exists and is no {other.name}"):
            check_replaceable(exported / name, other)


def test_a_model_is_saved_again_where_one_was(exported, tmp_path):
    for _ in range(2):
        assert shapmix(exported / "model", "--folder", tmp_path / "model") == 0
    assert contents(tmp_path / "model").keys() == {
        tmp_path / "model" / name for name in ("config.json", "model.safetensors", "README.md")
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["RUN"], "nothing to write: give --onnx, --torch or --folder"),
        (["RUN", "--folder", "OUT", "--licence", "mit"], "has its own weights and licence"),
        (["RUN", "--onnx", "RUN"], "is a folder: give the name of the file to write"),
        (["RUN", "--torch", "."], ". is a folder: give the name of the file to write"),
        (["OUT/nowhere", "--folder", "OUT"], "there is no folder"),
        (["OUT", "--folder", "OUT"], "it has no config.yaml"),
    ],
)
def test_what_cannot_be_done_is_said(exported, tmp_path, words, message, capsys):
    places = {"RUN": str(exported / "model"), "OUT": str(tmp_path)}
    words = [places.get(word, word.replace("OUT", str(tmp_path))) for word in words]
    assert shapmix(*words) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_help_says_what_for(capsys):
    with pytest.raises(SystemExit):
        shapmix("--help")
    text = capsys.readouterr().out
    for word in ("ONNX Runtime", "torch.export.load", "from_pretrained", "onnx_predict.py"):
        assert word in text

"""The command line as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from shapmix.commands import cli

COMMANDS = list(cli.COMMANDS)


@pytest.fixture(scope="module")
def nw_ucla(real_data, tmp_path_factory):
    """The real NW-UCLA as an archive, and its long-tailed split."""
    folder = tmp_path_factory.mktemp("nw_ucla")
    archive, split = folder / "nw_ucla.arrow", folder / "lt10.json"
    assert cli.main(["import", "nw-ucla", str(real_data / "nw_ucla.zip"), str(archive)]) == 0
    words = ["split", str(archive), "--imbalance", "10", "--n-max", "100", "--out", str(split)]
    assert cli.main(words) == 0
    return archive, split


@pytest.mark.parametrize("words", [[], ["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_teaches(words, capsys):
    if words:
        with pytest.raises(SystemExit) as stop:
            cli.main(words)
        assert stop.value.code == 0
    else:
        assert cli.main(words) == 0
    text = capsys.readouterr().out
    assert "usage:" in text
    assert "_" not in "".join(word for word in text.split() if word.startswith("--"))
    assert "<class" not in text
    assert "Literal[" not in text


def test_version(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out.startswith("shapmix 0.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "did you mean 'train'"),
        (["train", "--archive", "x.arrow", "--epoch", "3"], "did you mean 'epochs'"),
        (["train", "--archive", "x.arrow", "--epochs", "three"], "epochs"),
        (["split", "x.arrow", "--imbalanc", "3", "--out", "y"], "did you mean 'imbalance'"),
        (["import", "nw-ukla", "x", "y"], "nw-ucla"),
        (["split"], "required: archive, out"),
    ],
)
def test_a_wrong_command_line_suggests_the_nearest(words, message, capsys):
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "--help" in error
    assert "Traceback" not in error


def test_unknown_key_in_a_file(tmp_path, capsys):
    path = tmp_path / "config.yaml"
    path.write_text("archive: x.arrow\nmixr: none\n")
    assert cli.main(["train", "--config", str(path)]) == 2
    assert "did you mean 'mixer'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"archive: x.arrow\n# caf\xe9\n", "is not in UTF-8 (byte 0xe9 at 22)"),
        (b"batch-size: 8\n", "'batch-size' (did you mean 'batch_size'?)"),
        (b"train: {epochs: 1}\n", "'train': write what is in it (epochs) at the top level"),
        (b"", "is empty; expected settings"),
        (b"- epochs\n", "holds a list; expected settings"),
        (b"a: [\n", "is no YAML"),
        (b"1: 2\n", "unknown setting 1"),
        (b"archive: x.arrow\nlr: ~\n", "lr is None; expected a finite number"),
        (b"archive: x.arrow\nlr: .nan\n", "lr"),
        (b"archive: x.arrow\nseed: -1\n", "seed is -1; expected from 0 to"),
        (b"archive: x.arrow\ntransform_options: ~\n", "a mapping of names"),
    ],
)
@pytest.mark.parametrize("command", ["train", "check"])
def test_a_file_of_settings_that_cannot_be_used(content, message, command, tmp_path, capsys):
    """Named, with what was found in it; the data are not read."""
    path = tmp_path / "settings.yaml"
    path.write_bytes(content)
    words = ["train"]
    if command == "check":
        archive = str(tmp_path / "x.arrow")
        assert cli.main(["import", "synthetic", "1", archive]) == 0
        words = ["check", archive]
    assert cli.main([*words, "--config", str(path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith(f"shapmix {command}: ")
    assert "--help" in error


@pytest.mark.parametrize(
    ("path", "message"), [("nothing.yaml", "does not exist"), (".", "is a folder")]
)
def test_a_file_of_settings_that_is_none(path, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "--config", path]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seed", "-1"], "seed is -1; expected from 0 to"),
        (["--momentum", "2"], "momentum is 2.0; expected from 0 to below 1"),
        (["--num-frames", "4"], "num_frames is 4; expected from 8 to"),
        (["--devices", "999"], "devices is 999; expected from 1 to"),
        (["--epochs", "0"], "epochs is 0; expected 1 or more"),
        (["--mixer-options.tau", "x"], "tau is 'x'; expected a finite number"),
        (["--transform-options.rotation", "x"], "rotation is 'x'; expected a finite number"),
    ],
)
def test_impossible_settings_are_a_wrong_command_line(words, message, capsys):
    """Found before the data, which are not there."""
    assert cli.main(["train", "--archive", "nothing.arrow", "--accelerator", "cpu", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Try `shapmix train --help`" in error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file or directory", "x"), "x: there is no such file"),
        (IsADirectoryError(21, "Is a directory", ".x.partial", None, "x"), "x: it is a folder; g"),
        (FileExistsError(17, "File exists", "x"), "x: it is a file where a folder is needed"),
        (NotADirectoryError(20, "Not a directory", "x/y"), "x/y: a part of this path is a file"),
        (OSError(5, "Input/output error", "x"), "x: Input/output error"),
        (OSError("x is no archive"), "x is no archive"),
        (ValueError("y"), "y"),
    ],
)
def test_errors_of_the_system_have_words_for_numbers(error, words, capsys):
    assert cli.refused("info", error) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"shapmix info: {words}")
    assert "Errno" not in said


@pytest.mark.parametrize("command", ["info", "check"])
@pytest.mark.parametrize(
    ("name", "message"), [("nothing.json", "does not exist"), (".", "is a folder")]
)
def test_a_split_that_is_not_there(command, name, message, tmp_path, capsys):
    archive = str(tmp_path / "x.arrow")
    assert cli.main(["import", "synthetic", "1", archive]) == 0
    assert cli.main([command, archive, "--split", str(tmp_path / name)]) == 1
    assert f"{message}; expected a split" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["info", "nothing.arrow"],
        ["evaluate", "nothing"],
        ["compare", "nothing"],
        ["train", "--archive", "nothing.arrow"],
        ["train", "--resume", "nothing", "--archive", "nothing.arrow"],
        ["import", "nw-ucla", "nothing.zip", "out.arrow"],
        ["split", "nothing.arrow", "--out", "x.json"],
    ],
)
def test_missing_files_are_errors_without_a_traceback(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 1
    error = capsys.readouterr().err
    assert "nothing" in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_import_info_and_split_of_real_data(nw_ucla, capsys):
    archive, split = nw_ucla
    assert cli.main(["info", str(archive)]) == 0
    text = capsys.readouterr().out
    assert "1484 of 10 classes" in text
    assert "walk around" in text
    recipe = json.loads(split.read_text())["recipe"]
    assert recipe["counts"]["train"] == [100, 77, 59, 46, 35, 27, 21, 16, 12, 10]
    assert sum(recipe["counts"]["test"]) == 464


def test_the_embedded_set_is_imported_too(tmp_path, capsys):
    out = str(tmp_path / "synthetic.arrow")
    assert cli.main(["import", "synthetic", "2", out]) == 0
    assert cli.main(["info", out]) == 0
    assert "40 of 20 classes" in capsys.readouterr().out
    assert cli.main(["import", "synthetic", "many", out]) == 1
    assert "clips of each class" in capsys.readouterr().err


def test_published_list_as_a_file(nw_ucla, real_data, tmp_path, capsys):
    archive, _ = nw_ucla
    published = real_data / "nw_ucla_protocol" / "NW_UCLA_exp_10_regenerated.txt"
    out = tmp_path / "published.json"
    words = ["split", str(archive), "--train-list", str(published), "--out", str(out)]
    assert cli.main(words) == 0
    assert "403" in capsys.readouterr().out
    assert set(json.loads(out.read_text())["train"]) == set(published.read_text().split())


def test_train_evaluate_compare_on_real_data(nw_ucla, tmp_path, capsys):
    """The main job, end to end, with a real backbone."""
    archive, split = nw_ucla
    settings = {
        "archive": str(archive),
        "split": str(split),
        "model_options": {"width": 4},
        "num_frames": 8,
        "epochs": 2,
        "batch_size": 32,
        "validate_every": 2,
        "progress": False,
        "artefacts": False,  # the evaluation below writes them
    }
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    folders = []
    for mixer in ("none", "shapmix"):
        for seed in ("0", "1"):
            folders.append(str(tmp_path / f"{mixer}-{seed}"))
            flags = ["--mixer", mixer, "--seed", seed, "--out", folders[-1]]
            assert cli.main(["train", "--config", str(config), *flags]) == 0
    text = capsys.readouterr().out
    assert "clips/s" in text
    assert "n/a" in text, "the empty many-shot bin"
    assert cli.main(["evaluate", folders[0], "--classes"]) == 0
    assert "donning" in capsys.readouterr().out
    for form in ("table", "markdown", "csv"):
        assert cli.main(["compare", *folders, "--format", form]) == 0
        text = capsys.readouterr().out
        assert "±" in text or form == "csv"
    assert cli.main(["train", "--config", str(config), "--out", folders[0]]) == 1
    assert "holds a run already" in capsys.readouterr().err


def test_console_script():
    script = Path(sys.executable).with_name("shapmix")
    done = subprocess.run([script, "info"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "required: archive" in done.stderr

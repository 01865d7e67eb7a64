"""`shapmix import` as a user types it: every format, auto, help, resuming, mistakes."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

from generators import ntu_raw
from shapmix.commands import cli
from shapmix.data.archive import Archive
from shapmix.data.importers import IMPORTERS, recognise, run_import, switches

FORMATS = list(IMPORTERS)


def written(name: str, folder: Path) -> Path:
    generator = import_module(f"generators.{IMPORTERS[name].module}")
    source: Path = generator.write(folder, clips=6, seed=3)
    return source


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_recognised_and_imported(name, tmp_path, capsys):
    source, out = written(name, tmp_path / "source"), tmp_path / "out" / "a.arrow"
    assert cli.main(["import", "auto", str(source), str(out), "--workers", "1"]) == 0
    text = capsys.readouterr().out
    assert f"format: {name}, because it has " in text
    assert "clips imported" in text
    assert f"next: shapmix info {out}" in text
    assert len(Archive(out)) >= 2
    assert cli.main(["info", str(out)]) == 0


@pytest.mark.parametrize("name", FORMATS)
def test_two_processes_and_one_make_the_same_archive(name, tmp_path, monkeypatch):
    from shapmix.data.importers import engine

    monkeypatch.setattr(engine, "PART_UNITS", 2)
    source = written(name, tmp_path / "source")
    reports = [run_import(name, source, tmp_path / f"{n}.arrow", workers=n) for n in (1, 2)]
    assert reports[0] == reports[1]
    assert (tmp_path / "1.arrow").read_bytes() == (tmp_path / "2.arrow").read_bytes()


@pytest.mark.parametrize("name", FORMATS)
def test_help_of_a_format_teaches_it(name, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["import", name, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert (import_module(f"shapmix.data.importers.{IMPORTERS[name].module}").__doc__ or "") in text
    options = import_module(f"shapmix.data.importers.{IMPORTERS[name].module}").Options
    for field in options.__dataclass_fields__:
        assert f"--{field.replace('_', '-')}" in text


def test_help_lists_the_formats(capsys):
    with pytest.raises(SystemExit):
        cli.main(["import", "--help"])
    text = capsys.readouterr().out
    for name, form in IMPORTERS.items():
        assert f"{name:15} {form.summary}" in text


def test_options_of_a_format_may_stand_anywhere(tmp_path, capsys):
    source = written("table", tmp_path / "source")
    out = tmp_path / "a.arrow"
    for words in (
        ["import", "--workers", "1", "table", str(source), str(out), "--fps", "25"],
        ["import", "--fps", "25", "auto", str(source), str(out)],
    ):
        assert cli.main(words) == 0
        assert Archive(out).clip(0).fps == 25
    assert cli.main(["import", "table", str(source), str(out), "--class-nam", "x"]) == 2
    assert "did you mean 'class-names'" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--end-sites"], ["--end-sites", "true"], ["--end-sites=true"]])
def test_a_switch_needs_no_value(words, tmp_path):
    source, out = written("bvh", tmp_path / "source"), tmp_path / "a.arrow"
    assert cli.main(["import", "bvh", str(source), str(tmp_path / "without.arrow")]) == 0
    assert cli.main(["import", "bvh", *words, str(source), str(out)]) == 0
    joints = [Archive(a).info.layout.num_joints for a in (tmp_path / "without.arrow", out)]
    assert joints[0] < joints[1]


@pytest.mark.parametrize(
    ("name", "switch"),
    [
        ("bvh", "--end-sites"),
        ("mediapipe", "--depth"),
        ("ntu-raw", "--keep-missing"),
        ("sbu", "--metric"),
        ("msr-action3d", "--all-clips"),
    ],
)
def test_a_switch_before_the_source_of_auto(name, switch, tmp_path, capsys):
    source = written(name, tmp_path / "source")
    for words in ([switch], [switch, "true"], [f"{switch}=true"], ["--strict", switch]):
        out = tmp_path / "a.arrow"
        assert cli.main(["import", "auto", *words, str(source), str(out), "--workers", "1"]) == 0
        assert f"format: {name}, because" in capsys.readouterr().out
        out.unlink()


def test_auto_with_words_after_two_dashes(tmp_path, monkeypatch):
    written("bvh", tmp_path / "source").rename(tmp_path / "-bvh")
    monkeypatch.chdir(tmp_path)
    for words in (["auto", "--", "-bvh", "a.arrow"], ["auto", "--strict", "--", "-bvh", "b.arrow"]):
        assert cli.main(["import", *words]) == 0
    assert Path("a.arrow").read_bytes() == Path("b.arrow").read_bytes()


def test_a_switch_before_auto_and_after_the_source(tmp_path):
    source, out = written("bvh", tmp_path / "source"), tmp_path / "a.arrow"
    joints = set()
    for words in (
        ["--end-sites", "auto", str(source), str(out)],
        ["auto", str(source), "--end-sites", str(out)],
        ["auto", str(source), str(out), "--end-sites"],
    ):
        assert cli.main(["import", *words]) == 0
        joints.add(Archive(out).info.layout.num_joints)
    assert cli.main(["import", "auto", "--end-sites", "false", str(source), str(out)]) == 0
    assert joints.pop() > Archive(out).info.layout.num_joints
    assert not joints


def test_the_switches_of_all_formats_are_known():
    assert switches() == {"end_sites", "depth", "keep_missing", "metric", "all_clips"}


def test_help_imports_no_torch():
    code = "import sys; from shapmix.commands import cli; cli.main(['import', '--help'])"
    command = f"try:\n  {code}\nfinally:\n  assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_synthetic_replaces_archives_only(tmp_path, capsys):
    notes, out = tmp_path / "notes.txt", tmp_path / "a.arrow"
    notes.write_text("mine")
    assert cli.main(["import", "synthetic", "1", str(notes)]) == 1
    assert "notes.txt exists and is no archive" in capsys.readouterr().err
    assert notes.read_text() == "mine"
    assert cli.main(["import", "synthetic", "1", str(tmp_path)]) == 1
    assert "is a folder; name the archive" in capsys.readouterr().err
    for clips in ("1", "2"):
        assert cli.main(["import", "synthetic", clips, str(out)]) == 0
        assert len(Archive(out)) == 20 * int(clips)


def test_the_report_does_not_take_the_place_of_the_source(tmp_path, capsys):
    source = tmp_path / "poses.csv"
    source.write_text("clip,frame\n")
    words = ["import", "table", str(source), str(tmp_path / "a.arrow"), "--report", str(source)]
    assert cli.main(words) == 1
    assert f"{source} exists and is no report of an import" in capsys.readouterr().err
    assert source.read_text() == "clip,frame\n"


def test_what_is_skipped_is_counted_and_strict_stops(tmp_path, capsys):
    source = written("nw-ucla", tmp_path / "source")
    assert source.is_dir()
    broken = next(source.rglob("*.json"))
    broken.write_bytes(broken.read_bytes()[:50])
    out, report = tmp_path / "a.arrow", tmp_path / "report.json"
    assert cli.main(["import", "nw-ucla", str(source), str(out), "--report", str(report)]) == 0
    assert f"1 skipped: not JSON ({broken.stem})" in capsys.readouterr().out
    assert json.loads(report.read_text())["skipped"] == {"not JSON": [broken.stem]}
    before = out.read_bytes()
    assert cli.main(["import", "nw-ucla", str(source), str(out), "--strict"]) == 1
    assert "strict" in capsys.readouterr().err
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["auto", "SOURCE", "OUT"], "was not recognised"),
        (["auto", "nothing", "OUT"], "no file or folder"),
        (["table", "SOURCE", "SOURCE"], "is a folder; name the archive"),
        (["table", "SOURCE", "SOURCE/notes.txt"], "exists and is no archive"),
        (["table", "SOURCE", "OUT", "--workers", "0"], "workers is 0"),
        (["bvh", "SOURCE", "OUT"], "bvh"),
    ],
)
def test_mistakes_are_explained(words, message, tmp_path, capsys):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "notes.txt").write_text("nothing to import")
    names = {"SOURCE": str(tmp_path / "source"), "OUT": str(tmp_path / "a.arrow")}
    words = [names.get(word, word.replace("SOURCE", names["SOURCE"])) for word in words]
    assert cli.main(["import", *words]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]
    assert (tmp_path / "source" / "notes.txt").read_text() == "nothing to import"


def test_an_import_that_is_killed_goes_on(tmp_path):
    """Killed without warning once some parts are done, then given again."""
    names = ntu_raw.sample_names(2500, 60)
    source = tmp_path / "source.zip"
    ntu_raw.write_dataset(source, names, frames=4, seed=0, zipped=True, pool=20)
    out, parts = tmp_path / "a.arrow", tmp_path / ".a.arrow.parts"
    command = [sys.executable, "-m", "shapmix.commands.cli", "import", "ntu-raw"]
    command += [str(source), str(out), "--workers", "2"]
    running = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    while not list(parts.glob("0*.json")):
        assert running.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert not out.exists()
    done = len(list(parts.glob("0*.json")))
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "went on with an import that was stopped" in again.stdout
    assert done >= 1
    assert not parts.exists()
    run_import("ntu-raw", source, tmp_path / "b.arrow")
    assert out.read_bytes() == (tmp_path / "b.arrow").read_bytes()


def test_ctrl_c_in_a_terminal_says_how_to_go_on(tmp_path):
    """The signal goes to the workers, too; they say nothing, and what is under way is kept."""
    names = ntu_raw.sample_names(2500, 60)
    source = tmp_path / "source.zip"
    ntu_raw.write_dataset(source, names, frames=4, seed=0, zipped=True, pool=20)
    out, parts = tmp_path / "a.arrow", tmp_path / ".a.arrow.parts"
    command = [sys.executable, "-m", "shapmix.commands.cli", "import", "ntu-raw"]
    command += [str(source), str(out), "--workers", "2"]
    running = subprocess.Popen(
        command, start_new_session=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    while not list(parts.glob("0*.json")):
        assert running.poll() is None, "it ended before it could be stopped"
        time.sleep(0.005)
    os.killpg(running.pid, signal.SIGINT)
    _, error = running.communicate(timeout=120)
    assert error == f"interrupted: the same command goes on with what was read, kept in {parts}\n"
    assert running.returncode == 130
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "went on with an import that was stopped" in again.stdout


def test_ctrl_c_before_anything_is_read_promises_nothing(tmp_path, monkeypatch, capsys):
    from shapmix.commands import import_

    def stop(*_args, **_options):
        raise KeyboardInterrupt

    source = written("nw-ucla", tmp_path / "source")
    monkeypatch.setattr(import_, "run_import", stop)
    assert cli.main(["import", "nw-ucla", str(source), str(tmp_path / "a.arrow")]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_the_next_command_can_be_pasted(tmp_path, capsys):
    source, out = written("nw-ucla", tmp_path / "source"), tmp_path / "my data" / "it's $a.arrow"
    for words in (["nw-ucla", str(source)], ["synthetic", "2"]):
        assert (
            cli.main(["import", *words, str(out), *(["--workers", "1"] * (words[1] != "2"))]) == 0
        )
        told = capsys.readouterr().out.split("next: ")[1].strip()
        assert shlex.split(told) == ["shapmix", "info", str(out)]


def test_recognition_does_not_depend_on_zip_or_folder(tmp_path):
    for name in ("nw-ucla", "sbu", "msr-action3d", "utd-mhad", "ntu-raw"):
        source = written(name, tmp_path / name)
        if source.is_dir():
            packed = Path(shutil.make_archive(str(tmp_path / f"{name}-packed"), "zip", source))
            assert next(iter(recognise(packed))) == name

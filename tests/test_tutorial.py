"""The tutorial docs/own_skeletons.md, followed to the letter in an empty folder.

All commands of its console blocks run in order, with nothing shortened: under a minute of one core.
"""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from shapmix.commands import cli
from shapmix.data.importers import IMPORTERS
from shapmix.layouts import get_layout
from shapmix.reporting import load_run

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "own_skeletons.md").read_text(encoding="utf-8")
TRAINED = ("train", "evaluate", "compare")  # whose figures differ between machines


class Step(NamedTuple):
    """A command of the tutorial and the lines of output that it shows."""

    words: list[str]
    shown: list[str]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def steps():
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            yield Step(shlex.split(command), [squeezed(line) for line in shown if line != "..."])


def squeezed(line):
    return " ".join(line.split())


def essential(line, words):
    """What a line must have: all of it, or what stands before the first figure of a training."""
    return squeezed(re.split(r"[\d\[]", line)[0]) if words[1] in TRAINED else line


def execute(words, capsys):
    """Output of one command of the tutorial, which must succeed."""
    if words[0] == "python":
        done = subprocess.run(
            [sys.executable, *words[1:]], capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout
    assert words[0] == "shapmix"
    status = cli.main(words[1:])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    return captured.out


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A folder with what the tutorial needs of a clone, in which it is followed."""
    (tmp_path / "examples").mkdir()
    shutil.copy(ROOT / "examples" / "own_skeletons.py", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def test_the_tutorial(clone, capsys):
    (clone / "data").mkdir()
    for text in blocks("yaml"):
        path = Path(text.splitlines()[0].removeprefix("# "))
        path.write_text(text, encoding="utf-8")
    for words, shown in steps():
        output = [squeezed(line) for line in execute(words, capsys).splitlines()]
        for line in shown:
            found = any(other.startswith(essential(line, words)) for other in output)
            assert found, f"{shlex.join(words)} does not print {line!r}, but\n" + "\n".join(output)
    first = (clone / "data" / "poses.csv").read_text().splitlines()[:4]
    assert "\n".join(first) in PAGE
    assert (clone / "data" / "poses.html").stat().st_size > 50_000
    accuracy = load_run(clone / "runs" / "poses-shapmix").last.test["top1"]
    assert accuracy > 0.6, "chance is a sixth"


def test_commands_in_the_text_have_these_options(capsys):
    """What the page names outside of its blocks exists, too."""
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    words = [["split"], ["train"], ["info"], ["evaluate"], ["import"]]
    for command in [*words, *(["import", name] for name in IMPORTERS)]:
        with pytest.raises(SystemExit):
            cli.main([*command, "--help"])
    known = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    assert options <= known


def test_formats_and_layouts_in_the_text():
    for name in re.findall(r"`shapmix import ([\w-]+) mine", PAGE):
        assert name in IMPORTERS
    catalog = PAGE.split("The catalog has")[1].split("Tables with")[0]
    assert all(get_layout(name).name == name for name in re.findall(r"`(\w+)`", catalog))


def test_pictures_and_links():
    for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", PAGE):
        path = ROOT / "docs" / target
        assert path.is_file(), target
        assert path.suffix != ".png" or path.stat().st_size < 150_000

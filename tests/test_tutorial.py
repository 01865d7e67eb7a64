"""The tutorial docs/own_skeletons.md, followed to the letter in an empty folder.

All commands of its console blocks run in order, with nothing shortened (20 s on one core), and the
error messages that it explains are provoked. The data guide lists every format.
"""

import csv
import re
import shlex
import shutil
import subprocess
import sys
from itertools import product
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


JOINTS = get_layout("coco17").joints
SOUND = {
    "clip": lambda c, t, j: f"clip{c}",
    "frame": lambda c, t, j: t,
    "joint": lambda c, t, j: JOINTS[j],
    "x": lambda c, t, j: 10 * j + t + c,
    "y": lambda c, t, j: 5 * j - t,
    "label": lambda c, t, j: ("wave", "jump")[c % 2],
    "subject": lambda c, t, j: c // 2,
}
IMPORT = "import table t.csv t.arrow"
SPLIT = "split t.arrow --out t.json"
NO_LAYOUT = "which are no layout of the catalog; the nearest is coco17, of which it lacks"
# The message, the command that prints it, and the columns of the table that are not sound.
ERRORS = [
    ("has no column 'clip'", IMPORT, {"clip": None, "video": SOUND["clip"]}),
    ("the rows of clip", IMPORT, {"clip": lambda c, t, j: f"clip{t}"}),
    (NO_LAYOUT, IMPORT, {"joint": lambda c, t, j: JOINTS[j].replace("nose", "noze")}),
    ("has 17 joints, as several layouts have", IMPORT, {"joint": lambda c, t, j: j}),
    ("skipped: several labels", IMPORT, {"label": lambda c, t, j: "ab"[c % 2 or t > c]}),
    (
        "skipped: column 'subject' changes within a clip",
        IMPORT,
        {"subject": lambda c, t, j: t if c == 1 else 0},
    ),
    ("skipped: duplicate rows", IMPORT, {"frame": lambda c, t, j: t if c else t // 2}),
    ("skipped: no number in column 'x'", IMPORT, {"x": lambda c, t, j: j + t if c else "left"}),
    ("has no protocol of its own; say which clips train and which test", SPLIT, {}),
    (
        "unknown column 'subjct' (did you mean 'subject'?)",
        f"{SPLIT} --train 'subjct == 1' --test 'subject == 2'",
        {},
    ),
    (
        "both in the training part",
        f"{SPLIT} --train 'subject <= 1' --test 'subject >= 1'",
        {},
    ),
    (
        "do the ids count from 0 or from 1?",
        f"{IMPORT} --class-names bow,clap,jump",
        {"label": lambda c, t, j: 1 + c % 2},
    ),
    ("was not recognised", "import auto t.csv t.arrow", {"clip": None}),
]


@pytest.mark.parametrize(("message", "command", "changes"), ERRORS, ids=[e[0] for e in ERRORS])
def test_the_errors_in_the_text(message, command, changes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    columns = {name: value for name, value in (SOUND | changes).items() if value is not None}
    places = product(range(6), range(4), range(len(JOINTS)))  # clips, frames, joints
    rows = [[value(*place) for value in columns.values()] for place in places]
    with Path("t.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    for words in dict.fromkeys([command] if "auto" in command else [IMPORT, command]):
        cli.main(shlex.split(words))
    captured = capsys.readouterr()
    assert message in squeezed(captured.out + captured.err)
    assert message in PAGE


def test_the_data_guide_lists_every_format():
    guide = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([\w-]+)` \|", guide, re.MULTILINE)
    assert {*IMPORTERS, "synthetic"} <= set(listed)

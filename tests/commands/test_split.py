"""`shapmix split` as a user types it, where names and paths are odd."""

import shlex

import numpy as np
import pytest

from shapmix.commands import cli
from shapmix.data.archive import Archive, ArchiveInfo, ArchiveWriter, Clip
from shapmix.data.split_file import Split
from shapmix.layouts import get_layout

CLASSES = ("[wave]", "throw[/]", "a:smile:b", "kick\x1b[2J")


@pytest.fixture
def archive(tmp_path):
    """Eight clips, of classes whose names look like markup or like commands to a terminal."""
    path = tmp_path / "[red]" / "clips[" / "bold].arrow"
    splits = {"all": ("n < 6", "n > 5")}
    info = ArchiveInfo(get_layout("coco17"), CLASSES, "xy", "px", splits=splits)
    keypoints = np.ones((3, 1, 17, 2), np.float32)
    path.parent.mkdir(parents=True)
    with ArchiveWriter(path, info) as writer:
        for i in range(8):
            writer.write(Clip(f"clip {i}", i % 4, keypoints, metadata={"n": i}))
    return path


def test_names_and_paths_with_brackets_are_printed_as_they_are(archive, capsys):
    out = archive.with_name("split[blue].json")
    assert cli.main(["split", str(archive), "--val-fraction", "0", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    for name in ("[wave]", "throw[/]", "a:smile:b", r"kick\x1b[2J"):
        assert name in text
    assert f"split: {out}\n" in text
    told = text.split("next: ")[1].splitlines()[0]
    words = ["shapmix", "train", "--archive", str(archive), "--split", str(out)]
    assert shlex.split(told) == words
    assert told.split()[-1].startswith("'"), "brackets are a pattern to a shell"
    assert Split.load(out, Archive(archive)).test == ("clip 6", "clip 7")


def test_an_archive_is_not_overwritten(archive, capsys):
    before = archive.read_bytes()
    assert cli.main(["split", str(archive), "--out", str(archive)]) == 1
    assert f"{archive} exists and is no split, so it is not replaced" in capsys.readouterr().err
    assert archive.read_bytes() == before
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]


def test_a_split_is_made_again_under_its_name(archive, tmp_path):
    words = ["split", str(archive), "--val-fraction", "0", "--out", str(tmp_path / "split.json")]
    assert cli.main(words) == 0
    assert cli.main(words) == 0

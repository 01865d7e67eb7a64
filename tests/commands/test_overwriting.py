"""What a command wrote may be written again; nothing else is lost."""

import json

import numpy as np
import pytest

from shapmix.commands import cli
from shapmix.commands.overwriting import (
    ONNX,
    PAGE,
    PICTURE,
    PREDICTIONS,
    REPORT,
    SPLIT,
    TORCH,
    check_replaceable,
)
from shapmix.data.archive import ArchiveInfo, ArchiveWriter, Clip
from shapmix.layouts import get_layout

KINDS = (ONNX, PAGE, PICTURE, PREDICTIONS, REPORT, SPLIT, TORCH)


def replaceable(path):
    """The kinds of output that may take the place of a file."""
    found = []
    for kind in KINDS:
        try:
            check_replaceable(path, kind)
        except ValueError as error:
            assert f"{path} exists and is no {kind.name}" in str(error)  # noqa: PT017
        else:
            found.append(kind)
    return found


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "mine.arrow"
    info = ArchiveInfo(
        get_layout("coco17"), ("a", "b"), "xy", "px", splits={"s": ("n < 4", "n > 3")}
    )
    with ArchiveWriter(path, info) as writer:
        for i in range(8):
            keypoints = np.random.default_rng(i).normal(size=(5, 1, 17, 2))
            writer.write(Clip(f"clip {i}", i % 2, keypoints, metadata={"n": i}))
    return path


@pytest.mark.parametrize(
    "content",
    [
        b'{"archive": "mine", "train": []}',
        b'{"type": "FeatureCollection", "about": {"format": "shapmix split"}}',
        b"clip,label\na,wave\n",
        b"clip,label_1\na,wave\n",
        b"<!doctype html>\n<html><body>My notes on shapmix</body></html>",
        b'[{"clip": "a", "label": "wave"}]',
        b"\x89PNG\r\n\x1a\n of a cat",
        b"%PDF-1.4 a paper",
        b"PK\x03\x04 photos",
        b"ARROW1\0\0 clips",
        b"\n",
    ],
)
def test_files_of_others_are_kept(tmp_path, content):
    path = tmp_path / "mine"
    path.write_bytes(content)
    assert replaceable(path) == []


def test_nothing_is_lost_where_nothing_is(tmp_path):
    (tmp_path / "empty").touch()
    assert replaceable(tmp_path / "empty") == list(KINDS)
    assert replaceable(tmp_path / "new") == list(KINDS)
    with pytest.raises(ValueError, match="is a folder: give the name of the file"):
        check_replaceable(tmp_path, SPLIT)


def test_split_page_and_report_of_an_import(archive, tmp_path, capsys):
    split, page, report = (tmp_path / name for name in ("s.json", "p.html", "r.json"))
    source = tmp_path / "poses.csv"
    joints = get_layout("coco17").joints
    rows = [f"c{i},0,{joint},{i},{i + j},wave" for i in range(2) for j, joint in enumerate(joints)]
    source.write_text("\n".join(["clip,frame,joint,x,y,label", *rows]))
    words = {
        split: ["split", str(archive), "--val-fraction", "0", "--out"],
        page: ["info", str(archive), "--html"],
        report: ["import", "table", str(source), str(tmp_path / "t.arrow"), "--report"],
    }
    for path, command in words.items():
        for _ in range(2):
            assert cli.main([*command, str(path)]) == 0, capsys.readouterr().err
    assert [replaceable(path) for path in words] == [[SPLIT], [PAGE], [REPORT]]
    for path, command in words.items():
        other = page if path == split else split
        before = other.read_bytes()
        assert cli.main([*command, str(other)]) == 1
        assert f"{other} exists and is no " in capsys.readouterr().err
        assert other.read_bytes() == before
    split.write_text(json.dumps(json.loads(split.read_text())))  # whatever the spaces
    assert replaceable(split) == [SPLIT]


def test_the_archive_is_not_lost_to_the_report_on_it(tmp_path, capsys):
    joints = get_layout("coco17").joints
    source, out = tmp_path / "poses.csv", tmp_path / "t.arrow"
    source.write_text(
        "\n".join(["clip,frame,joint,x,y,label", *(f"c,0,{joint},1,2,wave" for joint in joints)])
    )
    assert cli.main(["import", "table", str(source), str(out), "--report", str(out)]) == 1
    assert f"{out} exists and is no report of an import" in capsys.readouterr().err
    assert cli.main(["info", str(out)]) == 0


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_pictures(tmp_path, kind):
    from shapmix.reporting.drawing import new_figure
    from shapmix.reporting.figures.paper import print_style, save
    from shapmix.reporting.timeline import save_timeline

    with print_style():
        save(new_figure(1, 1), tmp_path / f"one.{kind}", kind)
        save_timeline(new_figure(1, 1), tmp_path / f"two.{kind}")
    for name in ("one", "two"):
        assert replaceable(tmp_path / f"{name}.{kind}") == [PICTURE]

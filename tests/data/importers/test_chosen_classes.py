"""Some of the classes of a source: which are meant, and what becomes of labels and clips."""

import json

import numpy as np
import pytest
from line_source import Lines, keypoints

from generators import ntu_raw
from shapmix.commands import cli
from shapmix.data.archive import Archive
from shapmix.data.clip import ArchiveInfo
from shapmix.data.importers import engine
from shapmix.data.importers.base import SourceError
from shapmix.data.importers.chosen_classes import find_chosen
from shapmix.data.importers.engine import import_source
from shapmix.data.importers.ntu_names import CLASS_NAMES
from shapmix.layouts import get_layout

NAMES = ("walk", "sit", "fall", "eat, drink", "stand-up")


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        ("present", None),
        ("fall", [2]),
        ("fall, walk", [0, 2]),
        ("fall,fall,2", [2]),
        ("1-3", [1, 2, 3]),
        ("4,0-1", [0, 1, 4]),
        ("eat, drink", [3]),
        ("stand-up", [4]),
        ("walk-fall", "expected present"),
        ("3-1", "expected present"),
        ("5", "'5'.*or labels 0 to 4"),
        ("1-5", "'1-5'"),
        ("fal", "did you mean 'fall'"),
        ("", "has ''"),
        ("walk,", "has ''"),
    ],
)
def test_which_classes_are_meant(given, labels):
    if isinstance(labels, str):
        with pytest.raises(SourceError, match=labels):
            find_chosen(given, NAMES)
    else:
        assert find_chosen(given, NAMES) == labels


def test_where_classes_are_called_by_numbers_these_are_names():
    assert find_chosen("1,3", ("1", "2", "3")) == [0, 2]
    assert find_chosen("2-3", ("1", "2", "3")) == [1, 2]
    with pytest.raises(SourceError, match=r"has '0'.*names of the 3 classes, such as '1'"):
        find_chosen("0", ("1", "2", "3"))


def test_classes_in_a_file_may_have_commas(tmp_path):
    (tmp_path / "few.txt").write_text("eat, drink\nwalk\n")
    assert find_chosen(str(tmp_path / "few.txt"), NAMES) == [0, 3]
    with pytest.raises(SourceError, match="cannot read"):
        find_chosen(str(tmp_path / "none.txt"), NAMES)


class Five(Lines):
    """Lines of five classes."""

    info = ArchiveInfo(layout=get_layout("sbu15"), class_names=NAMES)


LINES = ("a,3,2", "b,1,1", "c,skip,1", "d,3,4", "b,4,1", "e,1,3")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("classes", "names", "kept", "left_out"),
    [
        ("present", ("sit", "eat, drink"), "abde", (3, 0)),
        ("1-3", ("sit", "fall", "eat, drink"), "abde", (2, 0)),
        ("sit", ("sit",), "be", (4, 2)),
        ("0-4", NAMES, "abde", (0, 0)),
    ],
)
def test_labels_are_numbered_anew(classes, names, kept, left_out, workers, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "PART_UNITS", 2)
    out = tmp_path / "a.arrow"
    report = import_source(Five(LINES), out, recipe={}, classes=classes, workers=workers)
    archive = Archive(out)
    archive.verify()
    assert archive.info.class_names == names
    assert "".join(archive.names) == kept
    lines = {line[0]: line.split(",") for line in reversed(LINES)}  # the first of each name
    for i, name in enumerate(archive.names):
        _, label, frames = lines[name]
        assert names[archive.labels[i]] == NAMES[int(label)]
        np.testing.assert_array_equal(archive.keypoints(i), keypoints(name, int(frames)))
    assert report.read == len(kept)
    assert (report.other_classes, report.other_clips) == left_out
    assert report.skipped == {"damaged": ["c"], "duplicate name": ["b"]}


def test_an_import_of_other_classes_does_not_take_up_the_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "PART_UNITS", 2)
    source, out = Five(LINES, log=tmp_path / "log"), tmp_path / "a.arrow"

    def stop(report):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_source(source, out, recipe={}, classes="sit", on_progress=stop)
    manifest = json.loads((tmp_path / ".a.arrow.parts" / "import.json").read_text())
    assert manifest["recipe"]["classes"] == "sit"
    assert import_source(source, out, recipe={}, classes="1-3").resumed == 0
    with pytest.raises(KeyboardInterrupt):
        import_source(source, out, recipe={}, classes="sit", on_progress=stop)
    assert import_source(source, out, recipe={}, classes="sit").resumed == 2


def test_classes_without_a_clip_are_refused_and_nothing_is_left(tmp_path):
    source = Five(LINES, log=tmp_path / "log")
    with pytest.raises(SourceError, match="no clip is of the classes"):
        import_source(source, tmp_path / "a.arrow", recipe={}, classes="walk")
    (tmp_path / "log").unlink()
    with pytest.raises(SourceError, match="did you mean 'walk'"):
        import_source(source, tmp_path / "a.arrow", recipe={}, classes="walc")
    assert list(tmp_path.iterdir()) == []  # nothing was read either


def test_a_part_of_ntu_can_be_checked_and_told(tmp_path, capsys):
    """What check advises is what an import understands."""
    source = tmp_path / "ntu"
    names = [f"S001C00{c}P00{p}R001A0{a}" for c in (1, 2) for p in (1, 2) for a in (41, 44, 49)]
    ntu_raw.write_dataset(source, names, frames=8, seed=0)
    out = tmp_path / "a.arrow"
    words = ["import", "ntu-raw", str(source), str(out), "--dataset", "60"]
    assert cli.main(words) == 0
    assert cli.main(["check", str(out)]) == 1
    assert "--classes present" in capsys.readouterr().out
    for classes in ("present", "40,43,48"):
        assert cli.main([*words, "--classes", classes]) == 0
        assert "57 classes left out\n" in capsys.readouterr().out
        archive = Archive(out)
        assert archive.info.class_names == tuple(CLASS_NAMES[k] for k in (40, 43, 48))
        assert archive.labels.tolist() == [0, 1, 2] * 4
        assert archive.metadata["action"].tolist() == [41, 44, 49] * 4
    cli.main(["check", str(out)])
    assert "--classes present" not in capsys.readouterr().out
    assert cli.main(["import", "synthetic", "1", str(tmp_path / "s.arrow"), "--classes", "1"]) == 1
    assert "does not go with synthetic" in capsys.readouterr().err

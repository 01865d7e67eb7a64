"""What cannot be read is said in words: what was found, what was expected, what to do."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shapmix.commands import cli
from shapmix.data.archive import Archive, ArchiveError
from shapmix.data.importers import recognise, run_import
from shapmix.data.importers.arrays import Options
from shapmix.data.importers.base import SourceError
from shapmix.data.importers.classes import find_classes
from shapmix.data.importers.label_files import find_labels
from shapmix.data.reading import reason
from shapmix.data.split_file import Split, SplitError
from shapmix.data.splits import read_names


def closed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As if the file or folder of this name were somebody else's (who runs tests may be root)."""
    first_open, first_scandir = Path.open, os.scandir

    def refuse(path: Any) -> None:
        if not isinstance(path, int) and Path(path).name == name:
            raise PermissionError(13, "Permission denied", str(path))

    def open_(self: Path, *args: Any, **kwargs: Any) -> Any:
        refuse(self)
        return first_open(self, *args, **kwargs)

    def scandir(path: Any = ".") -> Any:
        refuse(path)
        return first_scandir(path)

    monkeypatch.setattr(Path, "open", open_)
    monkeypatch.setattr(os, "scandir", scandir)


def save(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.random.default_rng(seed).normal(size=(4, 1, 15, 3)))


def test_labels_that_are_not_there(tmp_path: Path) -> None:
    message = (
        r"no file .*nope\.csv for the labels; --labels is a CSV with the columns clip and label"
    )
    with pytest.raises(SourceError, match=message):
        find_labels(["a"], str(tmp_path / "nope.csv"))
    with pytest.raises(
        SourceError, match=r"cannot read the labels in .*: it is a folder; give a fi"
    ):
        find_labels(["a"], str(tmp_path))


def test_labels_that_are_too_large_or_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = tmp_path / "labels.csv"
    with labels.open("wb") as file:
        file.truncate(33 * 2**20)
    with pytest.raises(SourceError, match="it has 33 MiB, expected at most 32"):
        find_labels(["a"], str(labels))
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(SourceError, match="it is not a regular file"):
        find_labels(["a"], str(tmp_path / "pipe.csv"))
    labels.write_text("clip,label\na,x\n")
    closed(monkeypatch, "labels.csv")
    with pytest.raises(SourceError, match=r"in .*labels\.csv: permission denied; ask its owner"):
        find_labels(["a"], str(labels))


@pytest.mark.parametrize("first", ["[wave] hand", "[wave]", "[", "[left, right] hand"])
def test_a_label_may_begin_with_a_bracket(tmp_path: Path, first: str) -> None:
    rows = ["clip\tlabel", f"a\t{first}", "b\tkick"]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    labels = find_labels(["a", "b"], str(tmp_path / "labels.csv"))
    assert labels.of("a") == first
    assert find_classes(labels.values, None).names == (first, "kick")
    joints = [f'k,0,{j},1,1,0,"{first}"' for j in ("a", "b")]
    (tmp_path / "t.csv").write_text("\n".join(["clip,frame,joint,x,y,z,label", *joints]))
    with pytest.raises(SourceError, match="joints"):  # so the label was taken
        run_import("table", tmp_path / "t.csv", tmp_path / "t.arrow")


@pytest.mark.parametrize("text", ["[0, 1]", "['wave']", '["a", "b"]', "[3]", "[]", "[walk, sit]"])
def test_a_list_is_no_label(text: str) -> None:
    with pytest.raises(SourceError, match="is a list; a clip has one class here"):
        find_classes([text, "kick"], None)
    assert find_classes([text], f"{text}") if "," not in text else True


def test_an_archive_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.arrow").mkdir()
    message = r"a\.arrow cannot be opened: it is a folder.* An archive is an \.arrow file that"
    with pytest.raises(ArchiveError, match=message):
        Archive(tmp_path / "a.arrow")
    (tmp_path / "b.arrow").write_bytes(b"ARROW1")
    closed(monkeypatch, "b.arrow")
    with pytest.raises(ArchiveError, match=r"b\.arrow cannot be opened: permission denied; ask"):
        Archive(tmp_path / "b.arrow")


def test_a_folder_that_cannot_be_read_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("wave", "closed"):
        save(tmp_path / "mine" / name / "1.npy")
    (tmp_path / "table" / "closed").mkdir(parents=True)
    closed(monkeypatch, "closed")
    message = r"the folder .*closed cannot be read: .*"
    with pytest.raises(SourceError, match=message):
        run_import("arrays", tmp_path / "mine", tmp_path / "a.arrow", Options(layout="sbu15"))
    with pytest.raises(SourceError, match=message):
        run_import("table", tmp_path / "table", tmp_path / "a.arrow")
    with pytest.raises(SourceError, match=message):
        recognise(tmp_path / "mine")


def test_a_file_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("wave", "kick"):
        save(tmp_path / "mine" / name / f"{name}.npy")
    (tmp_path / "table.csv").write_text("clip,frame,joint,x,y,label\n")
    closed(monkeypatch, "kick.npy")
    report = run_import("arrays", tmp_path / "mine", tmp_path / "a.arrow", Options(layout="sbu15"))
    assert report.skipped == {"unreadable file": ["kick"]}
    assert "permission denied; ask its owner" in report.details["unreadable file"]
    closed(monkeypatch, "table.csv")
    assert cli.main(["import", "auto", str(tmp_path / "table.csv"), str(tmp_path / "b.arrow")]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"shapmix import: {tmp_path / 'table.csv'}: permission denied; ask")
    assert "Errno" not in error


def test_a_zip_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(13, "Permission denied", "a.zip")

    (tmp_path / "a.zip").write_bytes(b"PK")
    monkeypatch.setattr(zipfile, "ZipFile", refuse)
    with pytest.raises(SourceError, match=r"a\.zip cannot be read: permission denied"):
        run_import("arrays", tmp_path / "a.zip", tmp_path / "a.arrow", Options(layout="sbu15"))


def test_splits_lists_and_class_names_that_are_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "nope.json", tmp_path):
        said = "it is a folder; give a file" if path.is_dir() else "there is no such file or folder"
        with pytest.raises(
            SplitError, match=f"cannot read split .*: {said}; expected a .json file"
        ):
            Split.load(path)
        with pytest.raises(SplitError, match=f"cannot read the list .*: {said}; expected names of"):
            read_names(path)
    with pytest.raises(SourceError, match=r"class names in .*nope\.json: there is no such file"):
        find_classes(["a"], str(tmp_path / "nope.json"))


def test_other_errors_keep_their_words() -> None:
    assert reason(ValueError("no number")) == "no number"
    assert reason(OSError("it is not a regular file")) == "it is not a regular file"
    assert reason(OSError(28, "No space left on device", "x")) == "No space left on device"


def test_an_error_of_the_system_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["import", "synthetic", "16", str(tmp_path / "a.arrow")]) == 0
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "split.json"
    assert cli.main(["split", str(tmp_path / "a.arrow"), "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"shapmix split: {out} cannot be written in the folder")
    assert "Errno" not in error

"""Names that look alike are alike: of files of a Mac (decomposed) and in lists (composed)."""

from __future__ import annotations

import dataclasses
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest

from shapmix.data.adapting import matching_classes
from shapmix.data.archive import Archive, ArchiveInfo, ArchiveWriter, Clip
from shapmix.data.class_checks import check_class_names
from shapmix.data.duplicates import check_names
from shapmix.data.findings import Case
from shapmix.data.importers import run_import
from shapmix.data.importers.arrays import Options as ArrayOptions
from shapmix.data.importers.classes import find_classes
from shapmix.data.importers.table import Options as TableOptions
from shapmix.data.splits import make_split, read_names, select
from shapmix.data.survey import survey
from shapmix.inference.recognizer import class_index
from shapmix.layouts import get_layout
from shapmix.suggest import composed, position

OPENS, CLIP = "Fußgänger öffnet", "Tür 1"
FORMS = ["NFC", "NFD"]


def of(form: str, text: str) -> str:
    changed: str = unicodedata.normalize(form, text)  # type: ignore[arg-type]
    assert (changed == text) == (form == "NFC")
    return changed


def save(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.random.default_rng(seed).normal(size=(4, 1, 15, 3)))


@pytest.mark.parametrize("on_disk", FORMS)
@pytest.mark.parametrize("in_list", FORMS)
def test_labels_are_found_by_the_names_of_files(tmp_path: Path, on_disk: str, in_list: str) -> None:
    """Two clips that a CSV names in one form, and whose files are named in the other."""
    save(tmp_path / "mine" / f"{of(on_disk, CLIP)}.npy", 1)
    save(tmp_path / "mine" / f"{of(on_disk, 'Tür 2')}.npy", 2)
    labels = tmp_path / "labels.csv"
    rows = ["clip,label,größe", f"{CLIP},{OPENS},ä", f"Tür 2,{OPENS},o"]
    labels.write_text("\n".join(of(in_list, row) for row in rows if row), encoding="utf-8")
    given = ArrayOptions(
        layout="sbu15", labels=str(labels), class_names=of(on_disk, f"{OPENS},schließt nö")
    )
    report = run_import("arrays", tmp_path / "mine", tmp_path / "a.arrow", given)
    assert (report.read, report.skipped, report.repaired) == (2, {}, {})
    archive = Archive(tmp_path / "a.arrow")
    assert archive.names == (CLIP, "Tür 2")
    assert archive.info.class_names == (OPENS, "schließt nö")
    assert archive.metadata["größe"].tolist() == ["ä", "o"]
    for form in FORMS:
        assert select(archive, of(form, "größe == 'ä'")).tolist() == [0]


@pytest.mark.parametrize("zipped", [False, True])
def test_folders_of_one_class(tmp_path: Path, zipped: bool) -> None:
    """A class whose clips came from two computers is one class; files open by their own names."""
    for seed, form in enumerate(FORMS):
        save(tmp_path / "mine" / of(form, OPENS) / f"{seed}.npy", seed)
    if len(list((tmp_path / "mine").iterdir())) == 1:
        pytest.skip("the file system does not tell the two forms apart")
    source = tmp_path / "mine"
    if zipped:
        source = tmp_path / "mine.zip"
        with zipfile.ZipFile(source, "w") as file:
            for path in sorted((tmp_path / "mine").rglob("*.npy")):
                file.write(path, path.relative_to(tmp_path / "mine").as_posix())
    run_import("arrays", source, tmp_path / "a.arrow", ArrayOptions(layout="sbu15"))
    archive = Archive(tmp_path / "a.arrow")
    assert archive.info.class_names == (OPENS,)
    assert sorted(archive.names) == ["0", "1"]


@pytest.mark.parametrize("form", FORMS)
def test_a_table_and_its_labels(tmp_path: Path, form: str) -> None:
    joints = get_layout("sbu15").joints
    header = of(form, "clip,frame,joint,x,y,z,größe")
    rows = [of(form, f"{CLIP},0,{joint},{i},{i},1,ü") for i, joint in enumerate(joints)]
    (tmp_path / "t.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    labels = tmp_path / "labels.csv"
    labels.write_text(f"clip,label\n{CLIP},{OPENS}\n", encoding="utf-8")
    for changes in ({}, {"rename": "größe=höhe"}, {"drop": of("NFD", "größe")}):
        options = TableOptions(layout="sbu15", labels=str(labels), **changes)
        run_import("table", tmp_path / "t.csv", tmp_path / "a.arrow", options)
        archive = Archive(tmp_path / "a.arrow")
        assert archive.names == (CLIP,)
        column = {"rename": "höhe", "drop": None}.get(next(iter(changes), ""), "größe")
        assert {key: list(c) for key, c in archive.metadata.items()} == (
            {column: ["ü"]} if column else {}
        )


def decomposed_archive(path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """As an older version or another program may have written it."""
    monkeypatch.setattr("shapmix.data.clip.composed", lambda text: text)
    names = (OPENS, of("NFD", OPENS))
    with ArchiveWriter(path, ArchiveInfo(get_layout("sbu15"), names)) as writer:
        for i, name in enumerate([CLIP, of("NFD", CLIP), of("NFD", "Tür 2"), "x"]):
            keypoints = np.random.default_rng(i).normal(size=(4, 1, 15, 3))
            writer.write(Clip(name, i % 2, keypoints))
    monkeypatch.undo()
    return Archive(path)


def test_an_archive_of_the_other_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = decomposed_archive(tmp_path / "a.arrow", monkeypatch)
    assert [archive.index(of(form, CLIP)) for form in FORMS] == [0, 1]
    assert [archive.index(of(form, "Tür 2")) for form in FORMS] == [2, 2]
    assert archive.find("Tür 3") is None
    case = Case(archive, survey(archive))
    assert ["the Unicode form only" in f.title for f in check_class_names(case)] == [True]
    assert ["the Unicode form only" in f.title for f in check_names(case)] == [True]


@pytest.mark.parametrize("form", FORMS)
def test_lists_of_a_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    archive = decomposed_archive(tmp_path / "a.arrow", monkeypatch)
    (tmp_path / "train.txt").write_text(of(form, "Tür 2\n"), encoding="utf-8")
    assert read_names(tmp_path / "train.txt") == ["Tür 2"]
    split = make_split(archive, train=tmp_path / "train.txt", test="name == 'x'", val_fraction=0)
    assert split.train == (of("NFD", "Tür 2"),)


@pytest.mark.parametrize("form", FORMS)
def test_classes(form: str) -> None:
    classes = find_classes([of("NFD", OPENS), OPENS, "x"], None)
    assert classes.names == (OPENS, "x")
    assert classes.label(of(form, OPENS), "a clip") == 0
    given = find_classes([of(form, OPENS)], of("NFD", f"x,{OPENS}"))
    assert given.names == ("x", OPENS)
    assert class_index(of(form, OPENS), ["x", of("NFD", OPENS)]) == 1
    assert matching_classes([of(form, OPENS)], [OPENS]) == {of(form, OPENS): 0}
    assert position("nö", ["x"]) is None
    assert composed(of(form, OPENS)) == OPENS


def test_texts_of_a_clip_are_composed_in_an_archive(tmp_path: Path) -> None:
    clip = Clip(of("NFD", CLIP), 0, np.ones((2, 1, 15, 3)), metadata={"who": of("NFD", "Jörg")})
    with ArchiveWriter(tmp_path / "a.arrow", ArchiveInfo(get_layout("sbu15"), ("x",))) as writer:
        writer.write(clip)
        with pytest.raises(ValueError, match="an earlier clip has the same name"):
            writer.write(dataclasses.replace(clip, name=CLIP))
    archive = Archive(tmp_path / "a.arrow")
    assert (archive.names, archive.clip(0).metadata) == ((CLIP,), {"who": "Jörg"})

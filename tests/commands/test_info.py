"""`shapmix info` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from shapmix.commands import cli
from shapmix.data.archive import ArchiveInfo, ArchiveWriter, Clip
from shapmix.layouts import get_layout


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The embedded set, and a long-tailed split of it."""
    folder = tmp_path_factory.mktemp("synthetic")
    archive, split = str(folder / "synthetic.arrow"), str(folder / "split.json")
    assert cli.main(["import", "synthetic", "20", archive]) == 0
    assert cli.main(["split", archive, "--imbalance", "5", "--out", split]) == 0
    return archive, split


def info(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is printed, with every run of blanks as one."""
    assert cli.main(["info", *words]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_facts(synthetic: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    text = info([synthetic[0]], capsys)
    for fact in (
        "400 of 20 classes, imbalance 1, Gini 0.00",
        "0 many, 20 medium, 0 few (of all clips)",
        "ntu25: 25 joints, 5 parts; xyz in m",
        "a typical body is 1.6",
        "quartiles",
        "subject (20 values)",
        "xsub: train subject <= 15",
        "wave right hand",
    ):
        assert fact in text


def test_facts_of_a_split(synthetic: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    text = info([synthetic[0], "--split", synthetic[1]], capsys)
    assert "(of the training part)" in text
    assert "test 100; training imbalance 5" in text
    assert "label class clips train val test shots" in text


def test_page(
    synthetic: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "page.html"
    text = info([synthetic[0], "--split", synthetic[1], "--html", str(out)], capsys)
    assert f"page to open: {out}" in text
    page = out.read_text()
    assert "The data of synthetic.arrow" in page
    assert page.count("<img ") >= 3
    assert "http" not in page


def test_an_archive_is_not_overwritten_by_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "synthetic.arrow"
    assert cli.main(["import", "synthetic", "1", str(archive)]) == 0
    before = archive.read_bytes()
    capsys.readouterr()
    assert cli.main(["info", str(archive), "--html", str(archive)]) == 1
    out, err = capsys.readouterr()
    assert f"{archive} exists and is no page of shapmix, so it is not replaced" in err
    assert not out
    assert archive.read_bytes() == before


def test_findings_name_clips_reason_and_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also of names that look like markup, and of data with nothing to draw."""
    info_ = ArchiveInfo(get_layout("coco17"), ("[red]", "[/]"), "xy", "px", source="[bold\x1b")
    path = tmp_path / "odd.arrow"
    with ArchiveWriter(path, info_) as writer:
        for i in range(4):
            writer.write(Clip(f"[/clip] {i}\x1b", i % 2, np.zeros((3, 1, 17, 2), np.float32)))
    out = tmp_path / "page.html"
    text = info([str(path), "--html", str(out)], capsys)
    assert "error: all clips show nobody" in text
    assert r"clips: [/clip] 0\x1b, [/clip] 1\x1b" in text
    assert "why: there is nothing" in text
    assert "do: see whether the source" in text
    assert "[red]" in text
    assert "all clips show nobody" in out.read_text()


def test_sound_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from shapmix.data.synthetic import generate_clips

    info_ = ArchiveInfo(get_layout("ntu25"), ("a", "b"))
    path = tmp_path / "sound.arrow"
    with ArchiveWriter(path, info_) as writer:
        for clip in list(generate_clips(1, seed=7))[:2]:
            keypoints = clip.keypoints[clip.keypoints.any((1, 2, 3))]
            writer.write(Clip(clip.name, clip.label % 2, keypoints))
    assert "nothing suspicious was found" in info([str(path)], capsys)


def test_a_bar_shows_the_progress_of_many_clips(
    synthetic: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shapmix.commands.showing.SHOW_PROGRESS_FROM", 10)
    assert "400 of 20 classes" in info([synthetic[0]], capsys)


def test_a_split_that_cannot_be_used_is_a_finding(
    synthetic: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The archive is shown all the same."""
    other = tmp_path / "other.arrow"
    assert cli.main(["import", "synthetic", "3", str(other)]) == 0
    text = info([str(other), "--split", synthetic[1]], capsys)
    assert "split cannot be used; see the first finding" in text
    assert "make the split again" in text
    content = json.loads(Path(synthetic[1]).read_text())
    content["test"][0] = content["train"][0]
    shared = tmp_path / "shared.json"
    shared.write_text(json.dumps(content))
    out = tmp_path / "page.html"
    text = info([synthetic[0], "--split", str(shared), "--html", str(out)], capsys)
    assert "both in the train and the test part" in text
    assert "both in the train and the test part" in out.read_text()


@pytest.mark.parametrize(
    ("factor", "units", "words"),
    [
        (1, "m", "1.64 m high or wide; looks like m "),
        (1, "steps", "1.64 steps high or wide; looks like m or normalised "),
        (1000, "steps", "1.64e+03 steps high or wide; looks like mm "),
        (100, "cm", "164 cm high or wide; looks like cm "),
        (1e7, "m", "looks like no usual units "),
        (0, "m", "no clip shows a body "),
    ],
)
def test_units_are_guessed_and_empty_classes_told(
    factor: float, units: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from shapmix.data.synthetic import generate_clips

    info_ = ArchiveInfo(get_layout("ntu25"), ("a", "b", "c"), units=units)
    path = tmp_path / "units.arrow"
    with ArchiveWriter(path, info_) as writer:
        for clip in list(generate_clips(1, seed=0))[:4]:
            writer.write(Clip(clip.name, clip.label % 2, clip.keypoints * np.float32(factor)))
    text = info([str(path)], capsys)
    assert words.replace("1.64", "") in text.replace("1.64", "").replace("1.65", "")
    assert "imbalance 1 (2 of 3 classes have clips), Gini" in text


def test_real_data(real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive, out = tmp_path / "nw_ucla.arrow", tmp_path / "page.html"
    assert cli.main(["import", "nw-ucla", str(real_data / "nw_ucla.zip"), str(archive)]) == 0
    capsys.readouterr()
    text = info([str(archive), "--html", str(out)], capsys)
    assert "2 clips have one frame clips: a02_s09_e04_v02, a02_s09_e04_v03" in text
    assert out.read_text().count("<img ") == 4, "the clips to look at among them"

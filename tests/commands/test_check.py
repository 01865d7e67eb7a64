"""`shapmix check` as a user types it: exit status, findings, configuration."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from shapmix.commands import cli
from shapmix.data.archive import Archive, ArchiveWriter
from shapmix.data.clip import Clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded set, and a split of it."""
    folder = tmp_path_factory.mktemp("synthetic")
    archive, split = str(folder / "synthetic.arrow"), str(folder / "split.json")
    assert cli.main(["import", "synthetic", "20", archive]) == 0
    assert cli.main(["split", archive, "--out", split]) == 0
    return folder


def check(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit status and what is printed, with every run of blanks as one."""
    capsys.readouterr()
    status = cli.main(["check", *words])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, " ".join((out + err).split())


def test_sound_data_passes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive, split = str(folder / "synthetic.arrow"), str(folder / "split.json")
    for words in ([archive], [archive, "--split", split]):
        status, text = check(words, capsys)
        assert status == 0
        assert "error" not in text
        assert "note: " in text, "frames without anybody"


def test_an_error_fails(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Labels off by one."""
    archive = Archive(folder / "synthetic.arrow")
    names = ("nothing", *archive.info.class_names)
    info = dataclasses.replace(archive.info, class_names=names, splits={})
    with ArchiveWriter(tmp_path / "off.arrow", info) as writer:
        for i in range(len(archive)):
            clip = archive.clip(i)
            writer.write(dataclasses.replace(clip, label=clip.label + 1))
    status, text = check([str(tmp_path / "off.arrow")], capsys)
    assert status == 1
    assert "error: the first class has no clip: either 'nothing' is missing" in text
    assert "do: " in text
    assert "shapmix check: 1 error found" in text


def test_copies_between_training_and_test_fail(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = Archive(folder / "synthetic.arrow")
    path, split = tmp_path / "leaky.arrow", tmp_path / "split.json"
    with ArchiveWriter(path, archive.info) as writer:
        for i in range(len(archive)):
            writer.write(archive.clip(i))
        first = archive.clip(0)
        metadata = {**first.metadata, "subject": 20}
        writer.write(Clip("copy", first.label, first.keypoints, first.fps, metadata))
    words = ["split", str(path), "--val-fraction", "0", "--out", str(split)]
    assert cli.main(words) == 0
    status, text = check([str(path), "--split", str(split)], capsys)
    assert status == 1
    assert "error: 1 of 101 test clips are copies of train clips" in text
    assert f"{first.name} = copy" in text


def test_a_split_with_a_shared_clip_fails(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((folder / "split.json").read_text())
    content["test"][0] = content["train"][0]
    split = tmp_path / "shared.json"
    split.write_text(json.dumps(content))
    status, text = check([str(folder / "synthetic.arrow"), "--split", str(split)], capsys)
    assert status == 1
    assert "both in the train and the test part" in text
    assert "make it again" in text


def test_a_protocol_that_cannot_be_used_fails(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = Archive(folder / "synthetic.arrow")
    info = dataclasses.replace(archive.info, splits={"p": ("view > 0", "view == 3")})
    with ArchiveWriter(tmp_path / "p.arrow", info) as writer:
        for i in range(len(archive)):
            writer.write(archive.clip(i))
    status, text = check([str(tmp_path / "p.arrow")], capsys)
    assert status == 1
    assert "both in the training part" in text


def test_a_damaged_archive_fails(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray((folder / "synthetic.arrow").read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged = tmp_path / "damaged.arrow"
    damaged.write_bytes(content)
    status, text = check([str(damaged)], capsys)
    assert status == 1
    assert "damaged" in text
    assert check([str(tmp_path / "nothing.arrow")], capsys)[0] == 1


def test_configuration(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = folder / "synthetic.arrow"
    config = tmp_path / "config.yaml"

    def configured(**settings: object) -> tuple[int, str]:
        config.write_text(yaml.safe_dump({"split": str(folder / "split.json")} | settings))
        return check([str(archive), "--config", str(config)], capsys)

    status, text = configured()
    assert status == 0
    assert "num_persons" not in text
    status, text = configured(num_persons=1, num_frames=400)
    assert status == 0
    assert "warning: num_persons is 1, but" in text
    assert "note: num_frames is 400" in text
    status, text = configured(split=str(tmp_path / "nothing.json"))
    assert status == 1
    assert "nothing.json does not exist; expected a split" in text
    status, text = configured(archive="other.arrow")
    assert status == 1
    assert "trains on other.arrow" in text
    status, text = configured(num_person=1)
    assert status == 2
    assert "did you mean 'num_persons'" in text
    status, text = configured(epochs=-3)
    assert status == 2
    assert "epochs is -3" in text


def test_real_data(real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The published NW-UCLA files have the same clips in two views."""
    archive = str(tmp_path / "nw_ucla.arrow")
    assert cli.main(["import", "nw-ucla", str(real_data / "nw_ucla.zip"), archive]) == 0
    status, text = check([archive], capsys)
    assert status == 1
    assert "of 464 test clips are copies of train clips" in text
    assert "2 clips have one frame clips: a02_s09_e04_v02, a02_s09_e04_v03" in text
    assert np.all(Archive(archive).num_frames > 0)

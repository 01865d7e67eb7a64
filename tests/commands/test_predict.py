"""`shapmix predict` as a user types it: all formats, long recordings, frames as they come."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from shapmix.commands import cli
from shapmix.data.archive import Archive, ArchiveWriter
from shapmix.data.clip import ArchiveInfo, Clip
from shapmix.data.importers import IMPORTERS
from shapmix.data.splits import make_split
from shapmix.data.transforms import Transform
from shapmix.inference.ensemble import Ensemble
from shapmix.inference.recognizer import ActionRecognizer, RecognizerInfo
from shapmix.layouts import CATALOG
from shapmix.models import create_model

FORMATS = list(IMPORTERS)
COCO = CATALOG["coco17"]
CLASSES = ("wave", "walk", "jump")
NW_UCLA_CLIPS = 1484


class Stub:
    """Sees the class of a frame in its first x, from 1; sure of it up to `sureness`."""

    num_persons = 2

    def __init__(self, info: ArchiveInfo, sureness: float = 0.9) -> None:
        self.layout, self.class_names = info.layout, info.class_names
        self.info = RecognizerInfo(info.units, info.channels, "joint", 16)
        self.sureness = sureness
        self.seen: list[np.ndarray] = []

    def probabilities(self, clips: Sequence[np.ndarray], *, batch_size: int = 64) -> np.ndarray:
        """The share of frames of each class, and a little of all others."""
        K = len(self.class_names)
        rows = []
        for clip in clips:
            assert clip.shape[2:] == (self.layout.num_joints, len(self.info.channels))
            self.seen.append(np.array(clip))
            classes = np.nan_to_num(clip[:, 0, 0, 0]).clip(1, K).astype(int) - 1
            shares = np.bincount(classes, minlength=K) / len(clip)
            rows.append(shares * self.sureness + (1 - self.sureness) / K)
        return np.array(rows)


Predict = Callable[..., "Result"]


class Result(NamedTuple):
    """What a command said."""

    status: int
    out: str
    err: str


@pytest.fixture
def predict(monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> Predict:
    """Run the command with a stub as the model (or, for None, with whatever RUN is)."""

    def run(model: Any, *words: object, lines: Sequence[str] = ()) -> Result:
        if model is not None:
            opened = "shapmix.commands.opening.open_recognizer"
            monkeypatch.setattr(opened, lambda run, **_: model)
        stdin = io.TextIOWrapper(io.BytesIO("".join(f"{x}\n" for x in lines).encode()))
        monkeypatch.setattr(sys, "stdin", stdin)
        stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="utf-8")
        monkeypatch.setattr(sys, "stdout", stdout)
        capfdbinary.readouterr()
        status = cli.main(["predict", *map(str, words)])
        stdout.flush()
        out, err = (text.decode() for text in capfdbinary.readouterr())
        assert "Traceback" not in err
        return Result(status, out, err)

    return run


def info(channels: str = "xyz", units: str = "m") -> ArchiveInfo:
    return ArchiveInfo(COCO, CLASSES, channels=channels, units=units)


def frames(k: int, length: int, channels: int = 3) -> np.ndarray:
    return np.full((length, 1, 17, channels), k + 1, np.float32)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Arrays of three classes in their folders; one of them lies in the wrong one."""
    for number, (folder, k) in enumerate([("wave", 0), ("walk", 1), ("jump", 2), ("jump", 0)]):
        (tmp_path / "clips" / folder).mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "clips" / folder / f"c{number}.npy", frames(k, 20 + number))
    return tmp_path / "clips"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format(name, predict, tmp_path):
    generator = import_module(f"generators.{IMPORTERS[name].module}")
    source = generator.write(tmp_path / "source", clips=4, seed=3)
    options = []
    if name == "arrays":  # 15 joints, of no layout in the catalog
        layout = tmp_path / "stick.yaml"
        joints = [f"j{n}" for n in range(15)]
        bones = [[f"j{n}", "j0"] for n in range(1, 15)]
        parts = {"a": joints[:7], "b": joints[7:]}
        content = {"name": "stick", "joints": joints, "bones": bones, "center": "j0"}
        layout.write_text(json.dumps(content | {"parts": parts}))
        options = ["--layout", str(layout)]
    words = ["import", name, str(source), str(tmp_path / "a.arrow"), "--workers", "1", *options]
    assert cli.main(words) == 0
    archive = Archive(tmp_path / "a.arrow")
    model = Stub(archive.info)
    result = predict(model, "run", source, "--out", tmp_path / "out.csv", "--top", 1)
    assert result.status == 0, result.err
    assert f"format: {name}, because it has " in result.err
    assert "accuracy: " in result.out
    rows = rows_of(tmp_path / "out.csv")
    assert sorted(row["clip"] for row in rows) == sorted(archive.names)
    truths = {n: archive.info.class_names[k] for n, k in zip(archive.names, archive.labels)}  # noqa: B905
    assert {row["clip"]: row["truth"] for row in rows} == truths
    assert list(rows[0]) == ["clip", "label_1", "probability_1", "abstained", "truth"]


def test_the_same_in_every_form(predict, clips, tmp_path):
    model = Stub(info())
    for ending in ("csv", "json", "jsonl"):
        result = predict(model, "run", clips, "--out", tmp_path / f"out.{ending}")
        assert result.status == 0
        assert "accuracy: 3 of 4 clips, 75.0%" in result.out
        assert f"written: {tmp_path / f'out.{ending}'}" in result.out
    rows = rows_of(tmp_path / "out.csv")
    content = json.loads((tmp_path / "out.json").read_text())
    lines = (tmp_path / "out.jsonl").read_text()
    assert [json.loads(line) for line in lines.splitlines()] == content
    assert list(rows[0]) == [
        "clip",
        *(f"{what}_{i}" for i in (1, 2, 3) for what in ("label", "probability")),
        "abstained",
        "truth",
    ]
    for row, one in zip(rows, content, strict=True):
        assert row["clip"] == one["clip"]
        assert row["truth"] == one["truth"]
        assert row["abstained"] == str(one["abstained"]) == "False"
        for i, best in enumerate(one["predictions"], 1):
            assert row[f"label_{i}"] == best["label"]
            assert float(row[f"probability_{i}"]) == best["probability"]
    by_name = {one["clip"]: one for one in content}
    assert by_name["c3"]["predictions"][0] == {"label": "wave", "probability": 0.933333}
    assert by_name["c3"]["truth"] == "jump"

    piped = predict(model, "run", clips, "--out", "-")
    assert piped.out == (tmp_path / "out.csv").read_text()
    assert "accuracy: 3 of 4" in piped.err
    for words in (["--json"], ["--json", "--out", "-"]):
        assert predict(model, "run", clips, *words).out == lines
    table = " ".join(predict(model, "run", clips).out.split())
    assert "clip label probability or truth" in table
    assert "c3 wave 0.93 walk 0.03, jump 0.03 jump" in table
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "clips",
        "out.csv",
        "out.json",
        "out.jsonl",
    ]


def test_persons_beyond_those_of_the_model_are_mentioned(predict, clips):
    note = "note: clips with more persons than the model looks at: 1; only the first 2 of each"
    for words in ([], ["--stream"]):
        assert note not in predict(Stub(info()), "run", clips, *words).out
    np.save(clips / "wave" / "crowd.npy", np.concatenate([frames(0, 9)] * 3, axis=1))
    for words in ([], ["--stream"]):
        assert note in predict(Stub(info()), "run", clips, *words).out


def test_what_plain_numbers_are_taken_for_is_said(predict, clips):
    result = predict(Stub(info(units="mm")), "run", clips)
    assert "note: taken as xyz in mm of the joints of coco17 in their order" in result.err


def test_abstention(predict, clips, tmp_path):
    np.save(clips / "wave" / "unsure.npy", np.concatenate([frames(0, 9), frames(1, 11)]))
    words = ["run", clips, "--min-confidence", "0.8", "--out", tmp_path / "out.json"]
    result = predict(Stub(info()), *words)
    assert "accuracy: 3 of 5 clips, 60.0%; 1 abstained, of the others 3 of 4, 75.0%" in result.out
    content = json.loads((tmp_path / "out.json").read_text())
    assert [one["clip"] for one in content if one["abstained"]] == ["unsure"]
    table = " ".join(predict(Stub(info()), *words[:4]).out.split())
    assert "unsure (abstained) 0.53 walk 0.53, wave 0.44, jump 0.03 wave" in table


def test_without_labels_there_is_no_accuracy(predict, tmp_path):
    np.save(tmp_path / "a.npy", frames(1, 9))
    np.save(tmp_path / "b.npy", frames(2, 9))
    result = predict(Stub(info()), "run", tmp_path, "--out", tmp_path / "out.csv", "--top", 1)
    assert result.status == 0
    assert "accuracy" not in result.out
    rows = rows_of(tmp_path / "out.csv")
    assert [(row["clip"], row["label_1"]) for row in rows] == [("a", "walk"), ("b", "jump")]
    assert "truth" not in rows[0]


def test_labels_that_the_model_does_not_know(predict, clips, tmp_path):
    monday = clips.rename(tmp_path / "other")
    for folder in ("wave", "walk", "jump"):
        (monday / folder).rename(monday / f"{folder} on monday")
    result = predict(Stub(info()), "run", monday, "--json")
    assert "note: no accuracy, labels such as 'jump on monday' are none of" in result.err
    (path,) = (monday / "walk on monday").iterdir()
    assert "accuracy" not in predict(Stub(info()), "run", path, "--json").err


def test_one_file(predict, clips):
    result = predict(Stub(info()), "run", clips / "jump" / "c2.npy", "--json")
    assert json.loads(result.out)["predictions"][0]["label"] == "jump"
    assert "accuracy: 1 of 1" in result.err


def test_words_after_two_dashes_are_no_options(predict, clips, monkeypatch):
    """As in `predict RUN -- *`, where a file may begin with a dash."""
    np.save(clips / "-x", frames(0, 20))
    monkeypatch.chdir(clips)
    for words in (
        ["run", "--json", "--", "-x.npy"],
        ["--json", "--", "run", "-x.npy"],
        ["--json", "--format", "arrays", "run", "--", "-x.npy"],
    ):
        result = predict(Stub(info()), *words)
        assert (result.status, len(result.out.splitlines())) == (0, 1)
        assert "-x" in result.out
    result = predict(Stub(info()), "run", "--", "--help")
    assert (result.status, "no file or folder --help" in result.err) == (1, True)


def test_what_is_read_and_what_training_left_is_not_written_over(predict, clips, tmp_path):
    source = tmp_path / "poses.csv"
    source.write_text("clip,label\n")
    left = tmp_path / "run" / "history.csv"
    left.parent.mkdir()
    for path in (left, left.with_name("config.yaml")):
        path.write_text("epoch\n")
    own = predict(Stub(info()), "run", source, "--format", "table", "--out", source)
    assert own.status == 1
    assert f"{source} exists and is no list of predictions, so it is not replaced" in own.err
    of_the_run = predict(Stub(info()), "run", clips, "--out", left)
    assert of_the_run.status == 1
    assert f"{left} exists and is no list of predictions" in of_the_run.err
    assert (source.read_text(), left.read_text()) == ("clip,label\n", "epoch\n")


@pytest.mark.parametrize("more", [[], ["--stream"], ["--top", "1"], ["--min-confidence", "1"]])
@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl"])
def test_answers_are_replaced_by_answers(predict, clips, tmp_path, more, suffix):
    out = tmp_path / f"out.{suffix}"
    for _ in range(2):
        assert predict(Stub(info()), "run", clips, *more, "--out", out).status == 0
    out.write_text('{"clip": "a", "label": "b"}\n')
    assert predict(Stub(info()), "run", clips, *more, "--out", out).status == 1
    assert out.read_text() == '{"clip": "a", "label": "b"}\n'


def test_the_options_of_a_format(predict, tmp_path):
    (tmp_path / "clips").mkdir()
    np.save(tmp_path / "clips" / "a.npy", np.full((3, 9, 17), 2.0))
    words = ["run", tmp_path / "clips", "--json"]
    assert predict(Stub(info()), *words, "--order", "CTV").status == 0
    labels = tmp_path / "labels.csv"
    labels.write_text("clip,label\na,walk\n")
    words += ["--format", "arrays", "--order=CTV", "--labels", labels, "--top", "1"]
    result = predict(Stub(info()), *words)
    assert json.loads(result.out)["truth"] == "walk"
    unknown = predict(Stub(info()), *words, "--ordre", "CTV")
    assert unknown.status == 2
    assert "did you mean 'order'" in unknown.err


def test_a_switch_of_a_format_before_the_run(predict, tmp_path):
    source = import_module("generators.bvh").write(tmp_path / "source", clips=2, seed=3)
    archive = tmp_path / "a.arrow"
    words = ["import", "bvh", "--end-sites", str(source), str(archive), "--workers", "1"]
    assert cli.main(words) == 0
    model = Stub(Archive(archive).info)
    for switch in (["--end-sites"], ["--end-sites", "true"], ["--json", "--end-sites"]):
        result = predict(model, *switch, "run", source, "--out", "-")
        assert result.status == 0, result.err
        assert "format: bvh, because" in result.err


def test_joints_in_another_order_are_named_and_moved(predict, tmp_path):
    """A tidy table names its joints: those of BlazePose contain COCO's."""
    lines = ["clip,frame,joint,x,y,score"]
    for t in range(4):
        for n, joint in enumerate(CATALOG["mediapipe33"].joints):
            lines.append(f"c,{t},{joint},{n},{t},0.5")
    (tmp_path / "poses.csv").write_text("\n".join(lines))
    model = Stub(info("xy", "px"))
    result = predict(model, "run", tmp_path / "poses.csv", "--json")
    assert result.status == 0, result.err
    assert "note: joints are taken by name, in the order of the model's layout coco17" in result.err
    assert "note: the confidence of joints is left out" in result.err
    numbers = [CATALOG["mediapipe33"].joints.index(joint) for joint in COCO.joints]
    np.testing.assert_array_equal(model.seen[0][0, 0, :, 0], numbers)


def test_another_skeleton_is_refused(predict, tmp_path):
    source = import_module("generators.nw_ucla").write(tmp_path / "source", clips=2, seed=0)
    result = predict(Stub(info()), "run", source, "--out", tmp_path / "out.csv")
    assert result.status == 1
    assert "layout kinect20 with 20 joints, the model was trained on coco17 with 17" in result.err
    assert "Give a source with the joints of coco17" in result.err
    assert not (tmp_path / "out.csv").exists()
    np.save(tmp_path / "a.npy", np.ones((5, 20, 3)))
    result = predict(Stub(info()), "run", tmp_path / "a.npy")
    assert "shape (5, 20, 3), expected (frames, joints, coordinates) with the 17" in result.err


# Archives.


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    described = ArchiveInfo(COCO, CLASSES, splits={"xsub": ("subject < 3", "subject >= 3")})
    with ArchiveWriter(tmp_path / "a.arrow", described) as writer:
        for i in range(12):
            clip = frames(i % 3, 16) + np.float32(0.001 * i)
            writer.write(Clip(f"clip{i:02}", i % 3, clip, 30.0, {"subject": i // 3}))
    split = make_split(Archive(tmp_path / "a.arrow"), val_per_class=0)
    split.save(tmp_path / "split.json")
    return tmp_path / "a.arrow"


def test_an_archive_its_parts_and_one_clip(predict, archive):
    def names(*words: object) -> list[str]:
        result = predict(Stub(info()), "run", archive, "--json", *words)
        assert result.status == 0, result.err
        return [json.loads(line)["clip"] for line in result.out.splitlines()]

    split = ["--split", archive.with_name("split.json")]
    assert names() == [f"clip{i:02}" for i in range(12)]
    assert names(*split) == ["clip09", "clip10", "clip11"]
    assert names(*split, "--part", "train") == [f"clip{i:02}" for i in range(9)]
    assert names("--clip", "clip04", "--batch-size", "1") == ["clip04"]
    result = predict(Stub(info()), "run", archive, "--clip", "clip4")
    assert (result.status, "did you mean 'clip04'" in result.err) == (1, True)


# Long recordings.


def glued(*pieces: tuple[int, int]) -> np.ndarray:
    return np.concatenate([frames(k, length) for k, length in pieces])


def test_segments_of_a_recording(predict, tmp_path):
    np.save(tmp_path / "long.npy", glued((0, 60), (2, 90), (1, 50)))
    words = ["run", tmp_path / "long.npy", "--stream", "--window", 16, "--hop", 4]
    out = tmp_path / "segments.csv"
    picture = tmp_path / "new" / "timeline.svg"
    result = predict(Stub(info()), *words, "--fps", 20, "--out", out, "--timeline", picture)
    assert result.status == 0, result.err
    assert "segments: 3, recordings: 1" in result.out
    rows = rows_of(out)
    assert [row["label"] for row in rows] == ["wave", "jump", "walk"]
    assert [row["clip"] for row in rows] == ["long"] * 3
    edges = [0, *(int(row["end_frame"]) for row in rows)]
    assert [int(row["start_frame"]) for row in rows] == edges[:-1]
    assert edges[-1] == 200
    assert abs(edges[1] - 60) <= 8
    assert abs(edges[2] - 150) <= 8
    for row in rows:
        assert float(row["start_s"]) == int(row["start_frame"]) / 20
        assert float(row["end_s"]) == int(row["end_frame"]) / 20
        assert 0.7 < float(row["probability"]) <= 1
    assert b"<svg" in picture.read_bytes()

    plain = predict(Stub(info()), *words, "--json")
    segments = [json.loads(line) for line in plain.out.splitlines()]
    assert [s["start_s"] for s in segments] == [None] * 3
    table = " ".join(predict(Stub(info()), *words, "--fps", 20).out.split())
    assert f"long 0 to {edges[1]} 0.00 to {edges[1] / 20:.2f} wave" in table


def test_smoothing_and_hysteresis_can_be_chosen(predict, tmp_path):
    """A short action counts, unless the least duration or the median is longer."""
    np.save(tmp_path / "long.npy", glued((0, 60), (2, 8), (0, 60)))
    words = ["run", tmp_path / "long.npy", "--stream", "--window", 8, "--hop", 2, "--json"]

    def labels(*more: object) -> list[str]:
        result = predict(Stub(info()), *words, *more)
        assert result.status == 0, result.err
        return [json.loads(line)["label"] for line in result.out.splitlines()]

    assert labels("--smoothing", 1) == ["wave", "jump", "wave"]
    assert labels("--smoothing", 1, "--min-frames", 20) == ["wave"]
    assert labels("--smoothing", 9, "--smoother", "median") == ["wave"]
    assert labels("--smoothing", 1, "--margin", 1) == ["wave"]
    unsure = ["--smoothing", 1, "--min-confidence", "0.99"]
    assert labels(*unsure) == []


def test_a_timeline_shows_one_recording(predict, archive, tmp_path):
    words = ["run", archive, "--timeline", tmp_path / "t.png", "--out", tmp_path / "out.json"]
    result = predict(Stub(info()), *words)
    assert result.status == 1
    assert "the source has 'clip00', 'clip01' and perhaps more: choose one by --clip" in result.err
    assert not (tmp_path / "out.json").exists()
    assert not (tmp_path / "t.png").exists()
    assert predict(Stub(info()), *words, "--clip", "clip02").status == 0
    assert (tmp_path / "t.png").read_bytes()[:4] == b"\x89PNG"
    (segment,) = json.loads((tmp_path / "out.json").read_text())
    assert (segment["label"], segment["end_s"]) == ("jump", 0.533333)


def test_frames_that_were_left_out_are_said(predict, tmp_path):
    recording = glued((0, 30), (1, 30))
    recording[10:15] = 0
    np.save(tmp_path / "long.npy", recording)
    result = predict(Stub(info()), "run", tmp_path / "long.npy", "--stream")
    assert "frames without a body left out" in result.out
    assert "note: frames are counted without those that were left out" in result.out


# Frames as they come.


def test_a_line_each_time_the_window_moves_on(predict):
    recording = glued((0, 40), (1, 40))
    lines = [json.dumps(frame.ravel().tolist()) for frame in recording]
    lines.insert(5, "")
    words = ["run", "-", "--window", 8, "--hop", 4, "--fps", 10, "--top", 2]
    result = predict(Stub(info()), *words, lines=lines)
    assert result.status == 0, result.err
    answers = [json.loads(line) for line in result.out.splitlines()]
    assert [a["end_frame"] for a in answers] == list(range(8, 81, 4))
    assert answers[0] == {
        "start_frame": 0,
        "end_frame": 8,
        "end_s": 0.8,
        "label": "wave",
        "probability": 0.933333,
        "abstained": False,
        "predictions": [
            {"label": "wave", "probability": 0.933333},
            {"label": "walk", "probability": 0.033333},
        ],
    }
    labels = [a["label"] for a in answers]
    changes = [a["end_frame"] for a, b in zip(answers[1:], labels, strict=False) if a["label"] != b]
    assert len(changes) == 1
    assert 44 <= changes[0] <= 56


def test_a_stream_abstains(predict):
    lines = [json.dumps(frames(t % 2, 1)[0].tolist()) for t in range(20)] + ["[]"] * 20
    words = ["run", "-", "--window", 8, "--min-confidence", 0.8]
    result = predict(Stub(info()), *words, lines=lines)
    answers = [json.loads(line) for line in result.out.splitlines()]
    assert {(a["label"], a["probability"], a["abstained"]) for a in answers} == {(None, None, True)}


@pytest.mark.parametrize("lines", [[], ["", " "]])
def test_a_pipe_without_frames_is_an_error(predict, lines):
    result = predict(Stub(info()), "run", "-", lines=lines)
    assert result.status != 0
    assert result.out == ""
    assert "ended before its first frame" in result.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "line 3: no such frame"),
        ("[1, 2]", "line 3: the frame is int64 of shape (2,); expected a list of numbers"),
        ("[" + "0," * 600_000 + "0]", "line 3 has more than 1048576 bytes"),
    ],
)
def test_lines_that_are_no_frames(line, message, predict):
    good = json.dumps(frames(0, 1)[0].tolist())
    result = predict(Stub(info()), "run", "-", lines=[good, "", line, good])
    assert result.status == 1
    assert message in result.err


# Mistakes.


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["CLIPS", "--window", "8"], "--window is for long recordings: add --stream"),
        (["CLIPS", "--min-frames", "8"], "--min-frames is for long recordings"),
        (["CLIPS", "--out", "out.txt"], "--out is 'out.txt'; expected a name in .csv, .json"),
        (["CLIPS", "--timeline", "t.gif"], "expected a name in .png, .svg, .pdf"),
        (["CLIPS", "--top", "0"], "--top is 0"),
        (["CLIPS", "--batch-size", "0"], "--batch-size 0: expected 1 or more"),
        (["CLIPS", "--min-confidence", "80"], "--min-confidence is 80.0: expected 0 to 1"),
        (["CLIPS", "--stream", "--smoothing", "2"], "expected an odd number"),
        (["CLIPS", "--stream", "--fps", "0"], "--fps is 0.0: expected a positive number"),
        (["CLIPS", "--split", "s.json"], "--split is for archives"),
        (["CLIPS", "--clip", "c9"], "the source has no clip 'c9'"),
        (["missing"], "no file or folder missing"),
        (["EMPTY"], "was not recognised; name it by --format"),
        (["EMPTY", "--format", "arrays"], "has no .npy or .npz file"),
        (["-", "--clip", "a"], "--clip does not go with frames from the standard input"),
        (["-", "--out", "a.csv"], "--out does not go with frames"),
    ],
)
def test_mistakes_are_explained(words, message, predict, clips, tmp_path):
    (tmp_path / "empty").mkdir()
    known = {"CLIPS": str(clips), "EMPTY": str(tmp_path / "empty")}
    result = predict(Stub(info()), "run", *(known.get(word, word) for word in words))
    assert (result.status, result.out) == (1, "")
    assert message in result.err


def test_damaged_clips(predict, clips, tmp_path):
    (clips / "wave" / "c0.npy").write_bytes(b"nonsense")
    result = predict(Stub(info()), "run", clips, "--out", tmp_path / "out.csv")
    assert result.status == 0
    assert "1 skipped: " in result.out
    assert len(rows_of(tmp_path / "out.csv")) == 3
    for path in clips.rglob("*.npy"):
        np.save(path, np.full((4, 17, 3), np.inf))
    result = predict(Stub(info()), "run", clips, "--out", tmp_path / "other.csv")
    assert result.status == 1
    assert not (tmp_path / "other.csv").exists()


def test_names_from_a_source_do_not_move_the_cursor(predict, tmp_path):
    (tmp_path / "clips").mkdir()
    np.save(tmp_path / "clips" / "a\x1b[2Jb.npy", frames(0, 9))
    result = predict(Stub(info()), "run", tmp_path / "clips")
    assert "\x1b[2J" not in result.out + result.err
    assert json.loads(predict(Stub(info()), "run", tmp_path / "clips", "--json").out)["clip"]


@pytest.mark.parametrize("name", [None, *FORMATS])
def test_help(name, capsys):
    words = [] if name is None else ["--format", name]
    with pytest.raises(SystemExit) as stop:
        cli.main(["predict", *words, "--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "camera | shapmix predict RUN -" in text
    assert "--min-confidence" in text
    if name is not None:
        module = import_module(f"shapmix.data.importers.{IMPORTERS[name].module}")
        for field in module.Options.__dataclass_fields__:
            assert f"--{field.replace('_', '-')}" in text


# Real models.


def recognizer(seed: int, stream: str = "joint", layout: str = "coco17") -> ActionRecognizer:
    transform = Transform(layout, num_frames=8, stream=stream)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = create_model("tcn", CATALOG[layout], 3, num_persons=1, in_channels=3, width=4)
    facts = RecognizerInfo("m", "xyz", stream, 8, 0.5, model="tcn", model_options={"width": 4})
    return ActionRecognizer(model, transform, CATALOG[layout], CLASSES, num_persons=1, info=facts)


@pytest.fixture
def moving(tmp_path: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    (tmp_path / "moving").mkdir()
    found = {f"m{i}": rng.normal(size=(9 + i, 17, 3)).astype(np.float32) for i in range(5)}
    for name, clip in found.items():
        np.save(tmp_path / "moving" / f"{name}.npy", clip)
    return found


@pytest.mark.parametrize("kind", ["model", "ensemble"])
def test_a_saved_model_or_ensemble(kind, predict, moving, tmp_path):
    one = recognizer(0)
    model = one if kind == "model" else Ensemble([one, recognizer(1, "bone")], [2, 1])
    model.save_pretrained(tmp_path / "saved")
    result = predict(None, tmp_path / "saved", tmp_path / "moving", "--json", "--top", 3)
    assert result.status == 0, result.err
    for line in result.out.splitlines():
        answer = json.loads(line)
        p = model.probabilities([moving[answer["clip"]]])[0]
        found = {each["label"]: each["probability"] for each in answer["predictions"]}
        assert list(found) == [CLASSES[k] for k in np.argsort(-p)]
        np.testing.assert_allclose([found[name] for name in CLASSES], p, atol=2e-6)


def test_no_model_there(predict, clips, tmp_path):
    (tmp_path / "empty").mkdir()
    result = predict(None, tmp_path / "empty", clips)
    assert result.status == 1
    assert str(tmp_path / "empty") in result.err


def test_a_camera_program_gets_its_answers_at_once(tmp_path):
    """Answers come while the standard input is open, and nobody minds when they are not read."""
    recognizer(0).save_pretrained(tmp_path / "saved")
    words = ["predict", tmp_path / "saved", "-", "--window", "4", "--hop", "2"]
    command = [sys.executable, "-m", "shapmix.commands.cli", *map(str, words)]
    frame = (json.dumps(frames(0, 1)[0].tolist()) + "\n").encode()
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for end in (4, 6):
            for _ in range(4 if end == 4 else 2):
                process.stdin.write(frame)
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["end_frame"] == end
        process.stdout.close()
        process.stdin.write(frame * 2)
        process.stdin.close()
        assert process.wait() == 0
        assert process.stderr.read() == b""


def test_real_data(real_data, predict, tmp_path):
    """The published files of NW-UCLA, whole and one of them."""
    model = recognizer(0, layout="kinect20")
    model.save_pretrained(tmp_path / "saved")
    source = real_data / "nw_ucla.zip"
    out = tmp_path / "out.csv"
    result = predict(None, tmp_path / "saved", source, "--out", out)
    assert result.status == 0, result.err
    assert "format: nw-ucla" in result.err
    rows = rows_of(out)
    assert len({row["clip"] for row in rows}) == len(rows) == NW_UCLA_CLIPS
    row = rows[700]
    with zipfile.ZipFile(source) as files:
        member = next(name for name in files.namelist() if name.endswith(f"{row['clip']}.json"))
        path = Path(files.extract(member, tmp_path))
    result = predict(None, tmp_path / "saved", path, "--json")
    assert json.loads(result.out)["predictions"][0]["label"] == row["label_1"]


@pytest.mark.parametrize("name", ["utd_mhad", "msr_action3d", "sbu"])
def test_real_sources_of_other_skeletons(name, real_data, predict):
    result = predict(Stub(info()), "run", real_data / f"{name}.zip")
    assert result.status == 1
    assert "the model was trained on coco17 with 17" in result.err

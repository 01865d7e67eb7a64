"""`shapmix explain` as a user types it, on a run of one epoch."""

import json

import numpy as np
import pytest
from PIL import Image

from shapmix.commands import cli
from shapmix.commands.overwriting import PICTURE, check_replaceable
from shapmix.data.archive import Archive, ArchiveInfo, ArchiveWriter, Clip
from shapmix.data.splits import make_split
from shapmix.data.synthetic import CLASS_NAMES, write_synthetic
from shapmix.layouts import get_layout
from shapmix.training.config import TrainConfig
from shapmix.training.data import ClipData
from shapmix.training.recognizer import recognizer_of_run
from shapmix.training.run import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run, beside its archive."""
    folder = tmp_path_factory.mktemp("explained")
    write_synthetic(folder / "data.arrow", clips_per_class=20, seed=0)
    split = make_split(Archive(folder / "data.arrow"), imbalance=2, n_max=4, val_per_class=1)
    split.save(folder / "split.json")
    train(
        TrainConfig(
            archive=folder / "data.arrow",
            split=folder / "split.json",
            out=folder / "run",
            model="tcn",
            model_options={"width": 8},
            mixer="none",
            num_frames=8,
            epochs=1,
            batch_size=16,
            accelerator="cpu",
            threads=1,
            progress=False,
        )
    )
    return folder


@pytest.fixture(scope="module")
def recognizer(folder):
    return recognizer_of_run(folder / "run")


@pytest.fixture(scope="module")
def class_clips(folder):
    """Name, keypoints and label of the test clips of one class."""
    data = ClipData(
        TrainConfig(archive=folder / "data.arrow", split=folder / "split.json", num_frames=8)
    )
    clips = [data.archive.clip(i) for i in data.test.indices]
    return [clip for clip in clips if clip.label == 3]


@pytest.fixture
def explain(capsys):
    def call(*words, status=0):
        assert cli.main(["explain", *map(str, words)]) == status
        out, err = capsys.readouterr()
        return " ".join((err if status else out).split()) if "--json" not in words else out

    return call


def test_one_clip(explain, folder, recognizer, class_clips):
    clip = class_clips[0]
    found = json.loads(explain(folder / "run", "--clip", clip.name, "--json"))
    assert (found["format"], found["kind"], found["layout"]) == (1, "clip", "ntu25")
    (best,) = recognizer.predict(clip.keypoints, top=1)[0]
    assert found["clip"]["name"] == clip.name
    assert (found["clip"]["label"], found["clip"]["class"]) == (3, CLASS_NAMES[3])
    assert found["clip"]["predicted_class"] == found["class"] == best.label
    assert found["clip"]["probability"] == pytest.approx(best.probability, abs=1e-5)
    assert found["v_full"] == pytest.approx(best.probability, abs=1e-5)
    assert found["efficiency"]["holds"]
    values = recognizer.explain(clip.keypoints).parts()[best.index]
    assert [part["value"] for part in found["parts"]] == pytest.approx(values.tolist(), abs=1e-5)
    assert all(part["error"] is None for part in found["parts"])
    assert len(found["coalitions"]) == 31
    assert len(found["interactions"]) == 10


def test_one_clip_about_another_class(explain, folder, recognizer, class_clips):
    clip = class_clips[0]
    words = folder / "run", "--clip", clip.name, "--about"
    by_name = json.loads(explain(*words, CLASS_NAMES[3], "--json"))
    by_number = json.loads(explain(*words, "3", "--json"))
    assert by_name == by_number
    expected = recognizer.probabilities([clip.keypoints])[0, 3]
    assert by_name["v_full"] == pytest.approx(expected, abs=1e-5)
    text = explain(*words, "3")
    assert f"truly {CLASS_NAMES[3]}" in text
    assert f"What each part does for '{CLASS_NAMES[3]}'" in text
    for name in recognizer.layout.part_names:
        assert name.replace("_", " ") in text
    assert "The parts add up to" in text
    assert "Coalitions of 2 or 3 parts" in text
    assert "Pairs that interact most" in text


def test_a_class_is_the_mean_over_its_class_clips(explain, folder, recognizer, class_clips):
    import torch

    found = json.loads(explain(folder / "run", "--class", CLASS_NAMES[3], "--json"))
    assert (found["kind"], found["label"], found["clips"]) == ("class", 3, len(class_clips))
    clip_values = torch.stack([recognizer.explain(c.keypoints).clip_values[3] for c in class_clips])
    mean = clip_values.mean(0)
    assert found["v_full"] == pytest.approx(float(mean[-1]), abs=1e-5)
    assert found["v_empty"] == pytest.approx(float(mean[0]), abs=1e-5)
    parts = torch.stack([recognizer.explain(c.keypoints).parts()[3] for c in class_clips])
    assert [p["value"] for p in found["parts"]] == pytest.approx(parts.mean(0).tolist(), abs=1e-5)
    errors = parts.std(0) / len(parts) ** 0.5
    assert [p["error"] for p in found["parts"]] == pytest.approx(errors.tolist(), abs=1e-5)
    fewer = json.loads(explain(folder / "run", "--class", "3", "--most", "1", "--json"))
    assert fewer["clips"] == 1
    assert "mean over 1 clip " in explain(folder / "run", "--class", "3", "--most", "1")
    assert "±" in explain(folder / "run", "--class", "3")


def test_all_classes_the_rarest_first(explain, folder, recognizer):
    found = json.loads(explain(folder / "run", "--most", "2", "--json"))
    assert found["kind"] == "overview"
    assert sorted(entry["class"] for entry in found["classes"]) == sorted(CLASS_NAMES)
    counts = [entry["train_clips"] for entry in found["classes"]]
    assert counts == sorted(counts)
    assert counts == [recognizer.info.class_counts[entry["label"]] for entry in found["classes"]]
    assert {entry["clips"] for entry in found["classes"]} == {2}
    assert found["without_clips"] == []
    text = explain(folder / "run", "--most", "1")
    assert "Train: training clips." in text
    assert "Left out" not in text


def test_classes_without_clips_are_named(explain, folder, tmp_path):
    archive = Archive(folder / "data.arrow")
    with ArchiveWriter(tmp_path / "few.arrow", archive.info) as writer:
        for i in np.flatnonzero(archive.labels >= len(CLASS_NAMES) - 2)[:40].tolist():
            writer.write(archive.clip(i))
    words = [folder / "run", "--source", tmp_path / "few.arrow", "--most", "1"]
    found = json.loads(explain(*words, "--json"))
    assert found["without_clips"] == list(CLASS_NAMES[:-2])
    assert len(found["classes"]) == 2
    text = explain(*words)
    assert f"no clips of them to explain: {CLASS_NAMES[0]}, " in text
    assert f"and {len(CLASS_NAMES) - 2 - 10} more." in text


@pytest.mark.parametrize("ending", ["png", "gif"])
@pytest.mark.parametrize("what", ["clip", "class", "overview"])
def test_pictures(explain, folder, class_clips, tmp_path, what, ending):
    words = {"clip": ["--clip", class_clips[0].name], "class": ["--class", "3"]}.get(what, [])
    path = tmp_path / f"drawn.{ending}"
    if (what, ending) == ("overview", "gif"):
        assert "only a clip or a class moves" in explain(folder / "run", "--out", path, status=1)
        return
    assert f"drawn: {path}" in explain(folder / "run", *words, "--most", "2", "--out", path)
    with Image.open(path) as image:
        assert image.format == ending.upper()
    check_replaceable(path, PICTURE)
    path.write_bytes(b"a poster")
    message = f"{path} exists and is no picture of shapmix"
    assert message in explain(folder / "run", *words, "--most", "2", "--out", path, status=1)


def test_a_saved_model_with_a_source(explain, folder, recognizer, class_clips, tmp_path):
    recognizer.save_pretrained(tmp_path / "saved")
    clip = class_clips[0]
    run, saved = folder / "run", tmp_path / "saved"
    from_run = json.loads(explain(run, "--clip", clip.name, "--json"))
    source = ["--source", folder / "data.arrow"]
    from_source = json.loads(explain(saved, "--clip", clip.name, *source, "--json"))
    assert from_source == from_run | {"model": str(saved)}
    of_class = json.loads(explain(saved, "--class", "3", "--most", "2", *source, "--json"))
    assert of_class["clips"] == 2
    np.save(tmp_path / "one.npy", clip.keypoints)
    alone = json.loads(explain(saved, "--source", tmp_path / "one.npy", "--json"))
    assert alone["clip"]["label"] is None
    assert alone["parts"] == from_run["parts"]
    assert "give some, --source" in explain(saved, "--clip", clip.name, status=1)
    unlabelled = explain(saved, "--class", "3", "--source", tmp_path / "one.npy", status=1)
    assert f"no clip of class '{CLASS_NAMES[3]}'" in unlabelled
    name = clip.name[:-1]
    assert "did you mean" in explain(saved, "--clip", name, *source, status=1)


@pytest.fixture
def spelt_source(tmp_path, class_clips):
    """An archive whose classes are spelt in another way, some unknown to the model."""
    archive = tmp_path / "spelt.arrow"
    theirs = CLASS_NAMES[3].title().replace(" ", "_")
    assert theirs not in CLASS_NAMES
    names = (theirs, "juggle", "fly away", "without clips")
    with ArchiveWriter(archive, ArchiveInfo(get_layout("ntu25"), names)) as writer:
        for i, clip in enumerate(class_clips[:2]):
            writer.write(Clip(f"known {i}", 0, clip.keypoints))
            writer.write(Clip(f"strange {i}", 1 + i, clip.keypoints))
    return archive


def test_classes_of_a_source_are_found_however_they_are_spelt(
    folder, class_clips, spelt_source, capsys
):
    words = ["explain", str(folder / "run"), "--source", str(spelt_source)]
    assert cli.main([*words, "--json"]) == 0
    out, err = capsys.readouterr()
    (entry,) = json.loads(out)["classes"]
    assert (entry["class"], entry["clips"]) == (CLASS_NAMES[3], len(class_clips[:2]))
    note = "labels that are none of the model's classes are left out: 'fly away', 'juggle'\n"
    assert note in err
    assert cli.main([*words, "--class", "3", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["clips"] == len(class_clips[:2])
    assert note in err
    assert cli.main([*words, "--clip", "known 0", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["clip"]["class"] == CLASS_NAMES[3]
    assert "note" not in err


def test_many_labels_that_are_no_classes_are_counted(folder, tmp_path, class_clips, capsys):
    names = tuple(f"trick {i}" for i in range(7))
    with ArchiveWriter(tmp_path / "a.arrow", ArchiveInfo(get_layout("ntu25"), names)) as writer:
        for i in range(7):
            writer.write(Clip(f"clip {i}", i, class_clips[0].keypoints))
    words = ["explain", str(folder / "run"), "--source", str(tmp_path / "a.arrow")]
    assert cli.main(words) == 1
    err = capsys.readouterr().err
    assert "'trick 0', 'trick 1', 'trick 2', 'trick 3', 'trick 4' and 2 more\n" in err
    assert "there is no clip of any class to explain" in err


def test_a_clip_is_found_however_its_name_is_composed(explain, folder, tmp_path, class_clips):
    archive = tmp_path / "a.arrow"
    with ArchiveWriter(archive, ArchiveInfo(get_layout("ntu25"), CLASS_NAMES)) as writer:
        writer.write(Clip("caf\u00e9", 0, class_clips[0].keypoints))
    words = folder / "run", "--source", archive, "--clip"
    assert json.loads(explain(*words, "cafe\u0301", "--json"))["clip"]["name"] == "caf\u00e9"
    said = explain(*words, "caf", status=1)
    assert "the source has no clip 'caf' (did you mean 'caf\u00e9'" in said


def test_about_is_of_one_clip_of_a_source(explain, folder, spelt_source):
    words = folder / "run", "--source", spelt_source, "--about", "3"
    said = explain(*words, status=1)
    assert f"--about is of a clip, but {spelt_source} has several, such as 'known 0'" in said
    assert "name one by --clip" in said
    found = json.loads(explain(*words, "--clip", "known 1", "--json"))
    assert found["label"] == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--class", "wavee hand"], "there is no class 'wavee hand'"),
        (["--class", "99"], "there is no class 99"),
        (["--clip", "x", "--class", "3"], "do not go together"),
        (["--class", "3", "--about", "2"], "--about is of a clip"),
        (["--about", "2"], "--about is of a clip"),
        (["--most", "0"], "expected 1 or more"),
        (["--out", "a.jpg"], "expected .png, .svg, .pdf"),
    ],
    ids=str,
)
def test_words_for_what_cannot_be(explain, folder, words, said):
    assert said in explain(folder / "run", *words, status=1)


def test_clips_and_folders_that_are_not_there(explain, folder, class_clips, tmp_path):
    almost = class_clips[0].name + "x"
    assert f"did you mean '{class_clips[0].name}'" in explain(
        folder / "run", "--clip", almost, status=1
    )
    assert str(tmp_path) in explain(tmp_path, status=1)


def test_values_are_of_calibrated_probabilities(folder, recognizer, class_clips):
    """What is explained is what is predicted: the temperature is in both."""
    from shapmix.commands.explaining import Example, explain_examples

    examples = [Example(c.name, c.keypoints, c.label, c.fps) for c in class_clips]
    found = explain_examples(recognizer, examples, [3] * len(examples))
    expected = recognizer.probabilities([c.keypoints for c in class_clips])[:, 3]
    np.testing.assert_allclose(found.clip_values[:, -1], expected, atol=1e-5)

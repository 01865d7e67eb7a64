"""What a run writes for its report: against oracles, read back, repeated, and when it fails."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shapmix.data.archive import Archive, ArchiveWriter
from shapmix.data.clip import ArchiveInfo, Clip
from shapmix.data.splits import make_split
from shapmix.data.synthetic import write_synthetic
from shapmix.layouts import get_layout
from shapmix.reporting.examples import is_confusion, load_examples, scenes
from shapmix.reporting.runs import load_explanation, load_history, load_run, load_scores
from shapmix.training import artefacts
from shapmix.training.artefacts import clips_to_explain, data_findings
from shapmix.training.config import TrainConfig
from shapmix.training.data import ClipData
from shapmix.training.evaluation import evaluate_run
from shapmix.training.examples import choose_clips
from shapmix.training.finished import open_run
from shapmix.training.run import train
from shapmix.training.second_stage import second_stage

MINE = "tiny:TinyModel"
OPTIONS = {
    "shapmix": {"warmup_epochs": 1, "saliency_budget": 2.0},
    "stmix": {},
    "mixup": {},
    "cutmix": {},
    "remix": {},
    "cmo": {},
}


@pytest.fixture(scope="module")
def runs(archive_path, split_path, tmp_path_factory):
    """A finished run of each mixer, made when asked for."""
    made = {}

    def run(mixer="shapmix", **changes):
        key = json.dumps([mixer, changes])
        if key not in made:
            config = TrainConfig(
                archive_path,
                split_path,
                tmp_path_factory.mktemp("run") / "run",
                mixer=mixer,
                mixer_options=OPTIONS.get(mixer, {}),
                **{
                    "model": MINE,
                    "num_frames": 16,
                    "epochs": 3,
                    "batch_size": 8,
                    "lr": 0.05,
                    "accelerator": "cpu",
                    "threads": 1,
                    "progress": False,
                    **changes,
                },
            )
            train(config)
            made[key] = config.folder
        return made[key]

    return run


def test_clips_are_read_back(runs, archive_path):
    """Confused pairs, then recognised clips, with the archive's own keypoints."""
    run, archive = load_run(runs()), Archive(archive_path)
    examples, scores = load_examples(run), load_scores(run)
    clips = scenes(examples, "clip")
    position = {name: i for i, name in enumerate(scores.names.tolist())}
    chosen = choose_clips(scores.logits_last, scores.labels, np.array(run.class_counts))
    assert [[position[e.name] for e in scene] for scene in clips] == chosen
    pairs = [scene for scene in clips if is_confusion(scene)]
    assert pairs == clips[: len(pairs)]
    assert len(pairs) >= 1
    for scene in pairs:
        assert scene[0].predicted == scene[-1].label or len(scene) == 1
    for example in (e for scene in clips for e in scene):
        raw = archive.keypoints(archive.index(example.name))
        assert example.label == archive.labels[archive.index(example.name)]
        assert example.target == ((example.label, 1.0),)
        assert example.predicted == scores.logits_last[position[example.name]].argmax()
        shift = raw - example.keypoints
        np.testing.assert_allclose(shift, np.broadcast_to(shift[0, 0, 0], shift.shape), atol=3e-3)
        assert not example.keypoints[0, 0, archive.info.layout.center].any()
        assert (example.window, example.lam, example.pasted.any()) == (None, None, False)
        for name in ("name", "joints", "bones", "center", "parts"):
            assert getattr(example.layout, name) == getattr(archive.info.layout, name)
        assert (example.channels, example.units) == ("xyz", "m")


@pytest.mark.parametrize("mixer", OPTIONS)
def test_mixes_are_what_the_mixer_makes(runs, archive_path, mixer):
    """Outside the paste the receiver, inside the partner, but for where the origin is."""
    run = load_run(runs(mixer))
    data = ClipData(open_run(run.path, model=MINE).config)
    mixes = scenes(load_examples(run), "mix")
    assert len(mixes) >= 3
    for scene in mixes:
        receiver, partner, mixed = scene
        assert [e.role for e in scene] == ["receiver", "partner", "mixed"]
        assert {receiver.name, partner.name} <= set(data.train.names)
        assert mixed.name == f"{receiver.name} + {partner.name}"
        assert [e.keypoints.shape for e in scene] == [(16, 1, 20, 3)] * 3
        weights = dict(mixed.target)
        assert sum(weights.values()) == pytest.approx(1, abs=1e-6)
        assert weights.get(receiver.label, 0) == pytest.approx(mixed.lam, abs=1e-6)
        assert set(weights) <= {receiver.label, partner.label}
        if mixer in ("mixup", "remix"):
            assert [e.window for e in scene] == [None] * 3
            assert not mixed.pasted.any()
            continue
        start, length = mixed.window
        assert receiver.window == mixed.window
        inside = np.zeros((16, 20), dtype=bool)
        inside[start : start + length, mixed.pasted] = True
        assert inside.any()
        kept = ~inside[:, None, :, None]
        assert np.array_equal(mixed.keypoints * kept, receiver.keypoints * kept)
        first, number = partner.window
        source = [first + k * number // length for k in range(length)]
        given = partner.keypoints[source][:, 0][:, mixed.pasted]
        shift = mixed.keypoints[start : start + length, 0][:, mixed.pasted] - given
        np.testing.assert_allclose(shift, np.broadcast_to(shift[0, 0], shift.shape), atol=5e-3)
        if mixer != "shapmix":  # whose label follows the saliency
            assert mixed.lam == pytest.approx(1 - inside.mean(), abs=1e-6)


def test_mixes_heed_what_the_mixer_learnt(runs):
    """With all saliency on one part, a rarer partner gives it and a rarer receiver keeps it."""
    folder = runs()
    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    mixer = {k.removeprefix("mixer."): v for k, v in state.items() if k.startswith("mixer.")}
    run = open_run(folder, model=MINE)
    part = run.data.archive.info.layout.part_masks()[2]
    bits = torch.arange(32) >> 2 & 1
    mixer["saliency.values"] = (1000.0 * bits).expand(4, 32).clone()
    mixer["saliency.weight"] = torch.ones_like(mixer["saliency.weight"])
    mixes = artefacts.mix_scenes(run.config, run.data, mixer)
    counts = run.data.class_counts
    for receiver, partner, mixed in mixes:
        gives = counts[partner.label] < counts[receiver.label]
        assert np.all(np.array(mixed.pasted)[part] == gives)
    assert len(mixes) == 4


def test_a_run_that_mixes_nothing_shows_clips_only(runs):
    examples = load_examples(load_run(runs("none")))
    assert {e.kind for e in examples} == {"clip"}


def test_other_streams_show_joints(runs):
    folder = runs("stmix", stream="bone_motion")
    for _, _, mixed in scenes(load_examples(load_run(folder)), "mix"):
        spans = np.ptp(mixed.keypoints[:, 0], axis=0).max(0)
        assert spans.max() > 1  # the sines of the data, which a motion would halve at least


def test_an_aligned_run_shows_mixes_with_the_axis_up_that_clips_have(config, tmp_path):
    """The transform lays the spine along z; in the clips of the archive it is along y."""
    write_synthetic(tmp_path / "synthetic.arrow", clips_per_class=17)
    run = config(
        archive=tmp_path / "synthetic.arrow",
        split=None,
        mixer="stmix",
        mixer_options={},
        transform_options={"align": "first_frame"},
        epochs=1,
    )
    train(run)
    examples = load_examples(load_run(run.folder))
    head, feet = (examples[0].layout.joints.index(name) for name in ("head", "left_foot"))
    assert {e.up for e in examples} == {"y"}
    for example in examples:
        upright = np.median(example.keypoints[:, 0, head] - example.keypoints[:, 0, feet], axis=0)
        assert abs(upright).argmax() == 1
        assert upright[1] > 0
    assert len(scenes(examples, "mix")) == 12


def test_pictures_of_two_people_with_confidence(config, tmp_path):
    """In pixels, downwards; the second person comes late, and single joints are not seen."""
    layout = get_layout("coco17")
    splits = {"halves": ("half == 0", "half == 1")}
    info = ArchiveInfo(layout, ("wave", "kick", "fall"), "xyc", "px", splits=splits)
    rng, height = np.random.default_rng(0), np.array([100.0] * 5 + [200] * 8 + [300] * 4)
    with ArchiveWriter(tmp_path / "pictures.arrow", info) as writer:
        for i in range(60):
            keypoints = rng.normal(300, 5, (20, 2, 17, 3)).astype(np.float32)
            keypoints[..., 1] = height + rng.normal(0, 3, (20, 2, 17))
            keypoints[..., 2] = rng.uniform(0.2, 1, (20, 2, 17))
            keypoints[3, 0, 4] = 0
            keypoints[:6, 1] = 0
            writer.write(Clip(f"clip{i}", i % 3, keypoints, metadata={"half": i // 30}))
    make_split(Archive(tmp_path / "pictures.arrow"), val_fraction=0).save(tmp_path / "split.json")
    run = config(
        archive=tmp_path / "pictures.arrow",
        split=tmp_path / "split.json",
        stream="bone",
        mixer_options={"preset": "paper", "warmup_epochs": 0},
    )
    train(run)
    examples = load_examples(load_run(run.folder))
    assert {(e.channels, e.units, e.up) for e in examples} == {("xyc", "px", "-y")}
    assert {e.kind for e in examples} == {"clip", "mix"}
    for example in examples:
        points = example.coordinates()
        assert points.shape[1:] == (2, 17, 2)
        if example.kind == "clip":
            assert np.isnan(points[:6, 1]).all()
            assert np.isnan(points[3, 0, 4]).all()
            assert np.isnan(points).sum() == 2 * (6 * 17 + 1)
            assert -120 < np.nanmin(points[..., 1]) < np.nanmax(points[..., 1]) < 220


def test_the_same_seed_writes_the_same(runs, archive_path, split_path, tmp_path):
    folder = runs()
    config = open_run(folder, model=MINE).config
    train(replace(config, out=tmp_path / "again"))
    for name in ("examples.arrow", "data_profile.json"):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    one, two = (load_explanation(load_run(f)) for f in (folder, tmp_path / "again"))
    assert np.array_equal(one.coalition_values, two.coalition_values)
    train(replace(config, out=tmp_path / "other", seed=1))
    other = load_examples(load_run(tmp_path / "other"))
    names = [e.name for e in load_examples(load_run(folder)) if e.kind == "mix"]
    assert names != [e.name for e in other if e.kind == "mix"]


# ---- the explanation


@given(st.integers(1, 200), st.integers(4, 10**5), st.integers(2, 400), st.integers(2, 8))
def test_an_explanation_costs_little(epochs, clips, classes, parts):
    config = TrainConfig("a.arrow", epochs=epochs)
    number = clips_to_explain(config, clips, classes, parts)
    masked, most = classes * 2**parts, 2 * epochs * clips / 10
    assert 1 <= number <= 4
    assert number == 1 or number * masked <= most
    assert number == 4 or (number + 1) * masked > most


@pytest.mark.parametrize("mixer", ["shapmix", "none"])
def test_every_run_is_explained_by_training_clips(config, mixer, monkeypatch):
    """Single parts share out what the model sees in whole clips beyond the mean clip."""
    monkeypatch.setattr(artefacts, "SHARE", 5.0)
    train(made := config(mixer=mixer, mixer_options=OPTIONS.get(mixer, {})))
    folder, shown = made.folder, []
    run = open_run(folder, model=MINE)
    loader = artefacts.create_loader

    def spy(dataset, batch_size):
        shown.append(dataset)
        return loader(dataset, batch_size)

    monkeypatch.setattr(artefacts, "create_loader", spy)
    again = artefacts.explain_training_clips(run.config, run.data, run.model, run.transform)
    found = load_explanation(load_run(folder))
    np.testing.assert_array_equal(again["parts"], found.parts)
    [dataset] = shown
    assert set(dataset.names) <= set(run.data.train.names)
    assert found.clips.tolist() == np.bincount(dataset.labels).tolist() == [4, 4, 4, 3]
    background = run.data.mean_clip(run.transform)
    with torch.no_grad():
        for k in range(4):
            clips = [dataset[i] for i in np.flatnonzero(dataset.labels == k)]
            x = run.transform(dataset.collate(clips))
            gain = run.model(x).softmax(1)[:, k].mean()
            gain -= run.model(background[None]).softmax(1)[0, k]
            assert found.parts[k].sum() == pytest.approx(float(gain), abs=1e-5)
    singles = found.coalitions.sum(1) == 1
    assert found.part_names == run.data.archive.info.layout.part_names
    order = found.coalitions[singles].argmax(1)
    np.testing.assert_allclose(found.coalition_values[:, singles], found.parts[:, order], atol=1e-6)
    assert np.isfinite(found.part_errors).all()
    np.testing.assert_allclose(found.interactions, found.interactions.transpose(0, 2, 1))


# ---- the health of the data


def copied(archive_path, path):
    """The archive with two test clips that are copies of training clips."""
    archive = Archive(archive_path)
    with ArchiveWriter(path, archive.info) as writer:
        for i in range(len(archive)):
            clip = archive.clip(i)
            copy = {20: 0, 92: 4}.get(i)
            writer.write(clip if copy is None else replace(clip, keypoints=archive.read(copy)))
    return path


def test_findings_are_told(config, archive_path, tmp_path):
    """Of clips, of the split and of the settings; errors first."""
    copy = copied(archive_path, tmp_path / "copied.arrow")
    run = config(archive=copy, split=None, batch_size=33, epochs=1)
    train(run)
    findings = json.loads((run.folder / "data_profile.json").read_text())["findings"]
    assert all(set(finding) == {"kind", "title", "text"} for finding in findings)
    kinds = [finding["kind"] for finding in findings]
    assert kinds == sorted(kinds, key=["error", "warning", "note"].index)
    [leak] = [f for f in findings if "2 of 32 test clips are copies of train clips" in f["title"]]
    assert leak["kind"] == "error"
    assert leak["text"].startswith("What was learnt by heart is counted as recognised")
    assert leak["text"].endswith("Clips: clip000 = clip020, clip004 = clip092.")
    assert any("batch_size 33 and drop_last" in finding["title"] for finding in findings)


def test_of_large_archives_the_tables_alone_are_checked(
    config, archive_path, tmp_path, monkeypatch
):
    copy = copied(archive_path, tmp_path / "copied.arrow")
    data = ClipData(config(archive=copy, split=None, batch_size=33))
    whole = data_findings(data)
    monkeypatch.setattr(artefacts, "EXAMINED", 95)
    monkeypatch.delattr(Archive, "read")
    monkeypatch.delattr(Archive, "keypoints")
    found = data_findings(data)
    [note] = [f for f in found if "96 clips were not looked at" in f["title"]]
    assert (note["kind"], "`shapmix info`" in note["text"]) == ("note", True)
    rest = [f for f in found if f != note]
    assert rest == [f for f in whole if "copies" not in f["title"]]
    assert any("batch_size 33" in f["title"] for f in rest)


def test_findings_are_not_compared(runs):
    folder = runs("none")
    path = folder / "data_profile.json"
    profile = json.loads(path.read_text())
    path.write_text(json.dumps(profile | {"findings": [{"kind": "note", "title": "", "text": ""}]}))
    ClipData(open_run(folder, model=MINE).config).check_unchanged(folder)
    evaluate_run(folder, model=MINE)
    assert json.loads(path.read_text()) == profile


# ---- when, and when not


FILES = ("examples.arrow", "explanation.npz")


def test_a_run_without_artefacts_gets_them_by_evaluating(config):
    run = config(epochs=1, artefacts=False)
    train(run)
    assert not any((run.folder / name).exists() for name in FILES)
    assert "findings" not in json.loads((run.folder / "data_profile.json").read_text())
    evaluate_run(run.folder, model=run.model)
    assert load_examples(load_run(run.folder))
    assert load_explanation(load_run(run.folder)).clips.sum() > 0
    assert "findings" in json.loads((run.folder / "data_profile.json").read_text())


def test_a_failure_costs_nothing_but_itself(config, monkeypatch):
    def fails(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(artefacts, "write_examples", fails)
    run = config(epochs=1)
    words = r"examples.*could not be written \(OSError: no space left.*`shapmix evaluate "
    with pytest.warns(UserWarning, match=words):
        metrics = train(run)
    assert json.loads((run.folder / "metrics.json").read_text()) == json.loads(json.dumps(metrics))
    assert not (run.folder / "examples.arrow").exists()
    assert load_explanation(load_run(run.folder)).parts.shape == (4, 5)


def test_a_second_stage_has_its_own(runs):
    folder = runs()
    out = folder.with_name("second")
    second_stage(folder, out, "tau-norm", {"tau": 1.0}, model=MINE)
    assert {e.kind for e in load_examples(load_run(out))} == {"clip"}
    first, second = (load_explanation(load_run(f)).parts for f in (folder, out))
    assert not np.allclose(first, second)


def test_the_history_is_read(runs):
    history = load_history(load_run(runs()))
    assert list(history) == ["epoch", "lr", "train_loss", "val_top1", "val_mean_class"]
    assert history["epoch"].tolist() == [0, 1, 2]
    assert np.isfinite(history["train_loss"]).all()

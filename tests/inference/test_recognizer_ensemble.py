"""Several recognisers that predict as one, against the fusion of their scores by hand."""

import json

import numpy as np
import pytest
import torch
from small_recognizers import CLASSES, random_clips, small_recognizer

from shapmix.inference.ensemble import Ensemble, load_saved
from shapmix.inference.pretrained import PretrainedError
from shapmix.inference.recognizer import ActionRecognizer

CLIPS = random_clips(10, "ntu25")


@pytest.fixture(scope="module")
def members():
    return [
        small_recognizer(stream="joint"),
        small_recognizer(stream="bone", num_frames=8, persons=1, seed=1),
        small_recognizer("stgcn", stream="joint_motion", seed=2, temperature=0.5),
    ]


@pytest.fixture(scope="module")
def saved(members, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "ensemble"
    Ensemble(members, [2, 1, 1], temperature=0.8, metrics={"test": {"top1": 0.5}}).save_pretrained(
        folder
    )
    return folder


def logits(recognizer):
    return torch.from_numpy(recognizer.logits(CLIPS)).double()


def test_logits_are_averaged_before_the_members_temperatures(members):
    ensemble = Ensemble(members, [2, 1, 1], temperature=0.8)
    a, b, c = map(logits, members)
    expected = (2 * a + b + c) / 4
    np.testing.assert_allclose(ensemble.logits(CLIPS), expected, atol=1e-5)
    np.testing.assert_allclose(
        ensemble.probabilities(CLIPS), (expected / 0.8).softmax(1), atol=1e-5
    )


def test_probabilities_are_averaged_on_request(members):
    ensemble = Ensemble(members[:2], scores="probabilities")
    a, b = (logits(member).softmax(1) for member in members[:2])
    np.testing.assert_allclose(ensemble.probabilities(CLIPS), (a + b) / 2, atol=1e-6)


def test_it_predicts_like_one(members):
    ensemble = Ensemble(members)
    found = ensemble.predict(CLIPS, top=2)
    best = ensemble.probabilities(CLIPS).argmax(1)
    assert [each[0].index for each in found] == best.tolist()
    assert [each[0].label for each in found] == [CLASSES[k] for k in best]
    assert all(len(each) == 2 for each in found)
    assert len(ensemble.predict(CLIPS[0])) == 1
    assert ensemble.class_names == CLASSES
    assert ensemble.layout == members[0].layout
    assert ensemble.num_persons == 2
    assert (ensemble.info.units, ensemble.info.channels) == ("m", "xyz")
    with pytest.raises(ValueError, match="clip 0 is float64"):
        ensemble.predict(np.zeros((3, 1, 4, 3)))


def test_ensembles_may_be_members(members):
    inner = Ensemble(members[:2], [1, 1], temperature=3.0)
    ensemble = Ensemble([inner, members[2]], [2, 1])
    expected = sum(map(logits, members)) / 3
    np.testing.assert_allclose(ensemble.logits(CLIPS), expected, atol=1e-5)


def test_what_is_loaded_is_what_was_saved(members, saved, tmp_path):
    ensemble = Ensemble(members, [2, 1, 1], temperature=0.8)
    for found in (Ensemble.from_pretrained(saved), load_saved(str(saved))):
        assert isinstance(found, Ensemble)
        np.testing.assert_array_equal(found.probabilities(CLIPS), ensemble.probabilities(CLIPS))
        assert found.weights == ensemble.weights == (0.5, 0.25, 0.25)
        assert found.info.metrics == {"test": {"top1": 0.5}}
    names = {path.name for path in saved.iterdir()}
    assert names == {"README.md", "config.json", "member-0", "member-1", "member-2"}
    nested = Ensemble([ensemble, members[0]], scores="probabilities")
    nested.save_pretrained(tmp_path)
    found = load_saved(tmp_path)
    np.testing.assert_array_equal(found.probabilities(CLIPS), nested.probabilities(CLIPS))
    assert isinstance(load_saved(saved / "member-1"), ActionRecognizer)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"kind": "shapmix recognizer"}, r"load it by\s+ActionRecognizer.from_pretrained"),
        ({"weights": [1]}, "2 to 64 numbers"),
        ({"weights": [1] * 65}, "2 to 64 numbers"),
        ({"weights": [1, 1, "one"]}, "2 to 64 numbers"),
        ({"weights": [1, 1, -1]}, "none negative"),
        ({"weights": [0, 0, 0]}, "not all zero"),
        ({"weights": [1, 1, 1, 1]}, "there is no folder .*member-3"),
        ({"scores": "votes"}, "expected one of logits, probabilities"),
        ({"temperature": 0}, "temperature is 0.0"),
        ({"metrics": []}, "expected dict"),
    ],
)
def test_impossible_entries_are_named(saved, tmp_path, entries, message):
    for path in saved.rglob("*.*"):
        copy = tmp_path / path.relative_to(saved)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    config = json.loads((saved / "config.json").read_text()) | entries
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(PretrainedError, match=message):
        Ensemble.from_pretrained(tmp_path)


def test_members_must_belong_together(members):
    first = members[0]
    others = {
        "classes": small_recognizer(class_names=("a", "b", "c", "d", "e")),
        "layout": small_recognizer(layout="kinect20"),
        "channels": small_recognizer(layout="coco17", channels="xy"),
    }
    for what, other in others.items():
        ours = small_recognizer(layout="coco17", channels="xyc") if what == "channels" else first
        with pytest.raises(ValueError, match=f"members differ in {what}"):
            Ensemble([ours, other])
    for weights, message in (
        ([1], "2 members and 1 weights"),
        ([1, -1], "none negative"),
        ([0, 0], "not all zero"),
        ([1, float("nan")], "none negative"),
        ([1, float("inf")], "none negative"),
    ):
        with pytest.raises(ValueError, match=message):
            Ensemble(members[:2], weights)
    with pytest.raises(ValueError, match="1 members"):
        Ensemble(members[:1])
    with pytest.raises(ValueError, match="expected one of logits"):
        Ensemble(members, scores="votes")


def test_a_folder_that_holds_something_else_is_left_alone(members, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(PretrainedError, match=r"README\.md is not of a saved model"):
        Ensemble(members, [1, 1, 1]).save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]

"""Raw keypoints to named actions, against the transform and the network taken one by one."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from small_recognizers import CLASSES, random_clips, small_recognizer

import shapmix
from shapmix.data.loader import Sample, collate
from shapmix.inference.explain import explain
from shapmix.inference.recognizer import ActionRecognizer, Prediction, RecognizerInfo, ranked

LAYOUT = "ntu25"


@pytest.fixture(scope="module")
def recognizer():
    return small_recognizer()


@pytest.fixture(scope="module")
def clips():
    return random_clips(12, LAYOUT)


def oracle(recognizer, clip):
    """Calibrated probabilities of one clip, by hand."""
    batch = collate([Sample(clip, 0, 0)], recognizer.num_persons)
    with torch.no_grad():
        logits = recognizer.model(recognizer.transform(batch))[0]
    raised = torch.exp(logits.double() / recognizer.info.temperature)
    return (raised / raised.sum()).numpy()


def test_probabilities_are_those_of_each_clip_alone(recognizer, clips):
    found = recognizer.probabilities(clips)
    assert found.dtype == np.float32
    assert found.shape == (12, 5)
    assert 0.05 < found.max(1).mean() < 0.95  # else the comparison says little
    np.testing.assert_allclose(found, [oracle(recognizer, clip) for clip in clips], atol=1e-5)
    np.testing.assert_allclose(recognizer.probabilities(clips, batch_size=5), found, atol=1e-6)


def test_logits_have_no_temperature(recognizer, clips):
    logits = torch.from_numpy(recognizer.logits(clips))
    expected = (logits / 1.3).softmax(1)
    np.testing.assert_allclose(recognizer.probabilities(clips), expected, atol=1e-6)
    assert not np.allclose(recognizer.probabilities(clips), logits.softmax(1), atol=1e-3)


def test_persons_are_padded_and_cut(recognizer, clips):
    clip = next(clip for clip in clips if clip.shape[1] == 1)
    rng = np.random.default_rng(0)
    third = rng.normal(size=(len(clip), 1, 25, 3)).astype(np.float32)
    nobody = np.zeros_like(clip)
    forms = [clip, clip[:, 0], np.concatenate([clip, nobody, third], 1), clip.astype(np.float64)]
    found = recognizer.probabilities(forms)
    np.testing.assert_allclose(found, found[[0, 0, 0, 0]], atol=1e-6)
    two = np.concatenate([clip, third], 1)
    assert abs(recognizer.probabilities([two])[0] - found[0]).max() > 1e-4


def test_no_clips_give_no_rows(recognizer):
    assert recognizer.probabilities([]).shape == (0, 5)
    assert recognizer.predict([]) == []


def test_predictions_are_ranked_and_named(recognizer, clips):
    probabilities = recognizer.probabilities(clips)
    for found, row in zip(recognizer.predict(clips, top=3), probabilities, strict=True):
        assert [each.index for each in found] == sorted(range(5), key=lambda k: -row[k])[:3]
        assert [each.label for each in found] == [CLASSES[each.index] for each in found]
        assert [each.probability for each in found] == [float(row[each.index]) for each in found]
    for one in (clips[0], clips[0][:, 0], [clips[0]], clips[0][None]):
        assert len(recognizer.predict(one)) == 1
        assert len(recognizer.predict(one)[0]) == 5


def test_equal_probabilities_go_to_the_lower_index():
    row = np.array([[0.2, 0.4, 0.4]], dtype=np.float32)
    assert [each.index for each in ranked(row, "abc", 2)[0]] == [1, 2]
    assert ranked(row, "abc", 1)[0] == [Prediction("b", float(row[0, 1]), 1)]
    with pytest.raises(ValueError, match="top is 0; expected 1 or more"):
        ranked(row, "abc", 0)


def test_an_explanation_adds_up_to_the_probabilities(recognizer, clips):
    found = recognizer.explain(clips[0])
    nothing = found.clip_values[:, 0]
    expected = torch.from_numpy(recognizer.probabilities(clips[:1])[0])
    torch.testing.assert_close(found.parts().sum(1) + nothing, expected, atol=1e-5, rtol=0)
    batch = collate([Sample(clips[0], 0, 0)], 2)
    x = recognizer.transform(batch)[0]
    same = explain(recognizer, x, recognizer.layout, recognizer.info.background)
    torch.testing.assert_close(found.clip_values, same.clip_values)


def test_one_class_is_explained_by_index_or_name(recognizer, clips):
    whole = recognizer.explain(clips[0])
    for label in (3, "stand up"):
        found = recognizer.explain(clips[0], label)
        assert found.labels.tolist() == [3]
        torch.testing.assert_close(found.parts()[3], whole.parts()[3])
        assert not found.parts()[:3].any()
    halves = {"upper": range(12), "lower": range(12, 25)}
    assert recognizer.explain(clips[0], 3, parts=halves).part_names == ("upper", "lower")
    for label, message in (("stnd up", "did you mean 'stand up'"), (5, "expected 0 to 4")):
        with pytest.raises(ValueError, match=message):
            recognizer.explain(clips[0], label)
    recognizer = small_recognizer(info={"background": None})
    assert recognizer.background is None
    with pytest.raises(ValueError, match="no background clip"):
        recognizer.explain(clips[0])


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (
            np.zeros((4, 2, 24, 3)),
            r"clip 1 is float64 of shape \(4, 2, 24, 3\); expected .*25 join",
        ),
        (np.zeros((4, 2, 25, 2)), "3 channels 'xyz'"),
        (np.zeros((0, 2, 25, 3)), "at least one frame"),
        (np.zeros((4, 0, 25, 3)), "one person"),
        (np.zeros((25, 3)), r"shape \(25, 3\)"),
        (np.zeros((4, 25, 3), dtype=bool), "is bool"),
        (np.full((4, 25, 3), "x"), "<U1"),
        ("a text", "<U6"),
        (np.full((4, 25, 3), np.nan), "values that are NaN, infinite or beyond float32: set"),
        (np.full((4, 25, 3), np.inf), "NaN, infinite"),
        (np.full((4, 25, 3), 1e300), "beyond float32"),
    ],
)
def test_bad_clips_are_named(recognizer, clips, clip, message):
    with pytest.raises(ValueError, match=message):
        recognizer.probabilities([clips[0], clip])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": ("a", "a")}, "not unique"),
        ({"class_names": ()}, "empty"),
        ({"num_persons": 0}, "num_persons is 0"),
        ({"layout": shapmix.get_layout("coco17")}, "transform is for layout 'ntu25'"),
        ({"stream": "bone"}, "info has stream 'bone', but the transform 'joint'"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"class_counts": (1, 2)}, "2 class_counts for 5 classes"),
        ({"background": torch.zeros(3, 16, 25, 1)}, r"expected \(3, 16, 25, 2\)"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(recognizer, changes, message):
    info = {"units": "m", "channels": "xyz", "stream": "joint", "num_frames": 16}
    given = {"layout": recognizer.layout, "class_names": CLASSES, "num_persons": 2}
    given |= {key: value for key, value in changes.items() if key in given}
    info |= {key: value for key, value in changes.items() if key not in given}
    with pytest.raises(ValueError, match=message):
        ActionRecognizer(
            recognizer.model, recognizer.transform, **given, info=RecognizerInfo(**info)
        )


def test_nothing_else_is_touched(clips):
    """Modes of the network, gradients, random state, and the clips stay as they were."""
    recognizer = small_recognizer()
    recognizer.model.train()
    statistics = {k: v.clone() for k, v in recognizer.model.state_dict().items()}
    state, copies = torch.get_rng_state(), [clip.copy() for clip in clips]
    recognizer.predict(clips)
    assert all(module.training for module in recognizer.model.modules())
    assert torch.equal(state, torch.get_rng_state())
    for name, value in recognizer.model.state_dict().items():
        assert torch.equal(value, statistics[name])
    for clip, copy in zip(clips, copies, strict=True):
        np.testing.assert_array_equal(clip, copy)


def test_forward_is_the_network_with_its_temperature(recognizer):
    x = torch.randn(3, 3, 16, 25, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(recognizer(x), recognizer.model(x) / 1.3)


def test_it_moves_with_its_parts(recognizer):
    assert recognizer.device == torch.device("cpu")
    moved = small_recognizer().to("meta")
    assert moved.device == moved.background.device == torch.device("meta")


def test_it_loads_little():
    """Recognising needs torch and numpy; the hub and files are loaded when they are used."""
    code = "import sys, shapmix; shapmix.ActionRecognizer; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"huggingface_hub", "safetensors", "pyarrow", "scipy"} & set(done.stdout.split())

"""Exported models against the recogniser that they were made of."""

import json
import zipfile
from functools import partial
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_recognizers import CLASSES, random_clips, small_recognizer

from shapmix.data.loader import Sample, collate
from shapmix.data.transforms import Transform
from shapmix.inference import export
from shapmix.inference.ensemble import Ensemble
from shapmix.inference.export import (
    ExportError,
    PaddedRecognizer,
    export_onnx,
    export_torch,
)
from shapmix.layouts import Layout, get_layout

STREAMS = ("joint", "bone", "joint_motion", "bone_motion")


def padded(clips, persons, filling=np.nan):
    """Clips as an exported model takes them; what it must not read is not a number."""
    longest = max(map(len, clips))
    keypoints = np.full((len(clips), longest, persons, *clips[0].shape[2:]), filling, np.float32)
    for row, clip in zip(keypoints, clips, strict=True):
        row[: len(clip)] = 0
        row[: len(clip), : clip.shape[1]] = clip[:, :persons]
    return keypoints, np.array([len(clip) for clip in clips])


def by_onnx(path, clips, persons):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    keypoints, lengths = padded(clips, persons)
    (found,) = session.run(None, {"keypoints": keypoints, "lengths": lengths})
    return found


def by_torch(program):
    """A function like `by_onnx` of something that takes tensors."""

    def predict(clips, persons):
        with torch.no_grad():
            return program(*map(torch.from_numpy, padded(clips, persons))).numpy()

    return predict


def check(recognizer, clips, predict):
    """An exported model gives the recogniser's probabilities, for several numbers of clips."""
    expected = recognizer.probabilities(clips)
    assert expected.std(0).max() > 0.02  # clips are told apart, so equality means something
    for chosen in (slice(None), slice(0, 1), slice(1, 4)):
        np.testing.assert_allclose(predict(clips[chosen], 2), expected[chosen], atol=1e-4)


# --- the transform of padded clips


OPTIONS = st.fixed_dictionaries(
    {
        "stream": st.sampled_from(STREAMS),
        "sampling": st.sampled_from(["crop", "segments"]),
        "center": st.sampled_from(["none", "first_frame", "every_frame"]),
        "first_frame_of": st.sampled_from(["crop", "clip"]),
        "normalize": st.sampled_from(["none", "box"]),
        "num_frames": st.sampled_from([1, 7, 16]),
    }
)


@settings(max_examples=50)
@given(
    options=OPTIONS,
    kind=st.sampled_from([("ntu25", "xyz"), ("coco17", "xyc"), ("coco17", "xy")]),
    persons=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
    align=st.booleans(),
)
def test_the_transform_of_padded_clips(options, kind, persons, seed, align):
    """It gives what the transform of ragged batches gives; paddings of NaN show what is read."""
    layout, channels = kind
    if align and channels == "xyz":
        options = options | {"align": "first_frame"}
    transform = Transform(layout, channels=channels, **options)
    clips = random_clips(4, layout, channels, persons=persons, seed=seed)
    expected = transform(collate([Sample(clip, 0, i) for i, clip in enumerate(clips)], persons))
    found = transform.apply_padded(*map(torch.from_numpy, padded(clips, persons)))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_persons_who_are_never_there_in_padded_clips():
    transform = Transform("ntu25", num_frames=8, first_frame_of="clip")
    clip = random_clips(1, "ntu25", persons=1)[0]
    clips = [np.zeros_like(clip), clip, np.zeros((1, 1, 25, 3), np.float32)]
    expected = transform(collate([Sample(c, 0, i) for i, c in enumerate(clips)], 2))
    found = transform.apply_padded(*map(torch.from_numpy, padded(clips, 2)))
    torch.testing.assert_close(found, expected)


def test_lengths_outside_are_taken_as_the_nearest():
    module = PaddedRecognizer(small_recognizer())
    clip = torch.from_numpy(random_clips(1, "ntu25")[0])[None]
    shape = (1, clip.shape[1], 2, 25, 3)
    keypoints = torch.zeros(shape)
    keypoints[:, :, : clip.shape[2]] = clip
    lengths = [torch.tensor([n]) for n in (0, 1, len(clip[0]), 1000)]
    with torch.no_grad():
        low, one, whole, high = (module(keypoints, length) for length in lengths)
    assert torch.equal(low, one)
    assert torch.equal(whole, high)
    assert not torch.allclose(one, whole, atol=1e-3)


@pytest.mark.parametrize("scores", ["logits", "probabilities"])
def test_every_stream_in_an_ensemble_of_padded_clips(scores):
    members = [small_recognizer(stream=stream, seed=i) for i, stream in enumerate(STREAMS)]
    ensemble = Ensemble(members, [3, 2, 2, 2], scores=scores, temperature=0.25)
    check(ensemble, random_clips(12, "ntu25"), by_torch(PaddedRecognizer(ensemble)))


# --- graphs: each takes seconds to make, so each is looked at in many ways


KINDS = {
    "tcn": {"stream": "bone_motion", "sampling": "segments", "center": "none"},
    "stgcn": {"align": "first_frame", "first_frame_of": "clip", "center": "every_frame"},
    "ctrgcn": {"stream": "joint_motion", "normalize": "box"},
}


@pytest.fixture(scope="module")
def onnx_models(tmp_path_factory):
    """Recognisers of two persons by the kind of their network, and the files made of them."""
    folder = tmp_path_factory.mktemp("onnx")
    made = {}

    def get(kind):
        if kind not in made:
            about = {"licence": "cc-by-4.0", "source": "made up"}
            recognizer = small_recognizer(
                kind, layout="kinect20", num_frames=12, info=about, shallow=True, **KINDS[kind]
            )
            path = folder / kind / "model.onnx"
            assert 0 <= export_onnx(recognizer, path) <= 1e-4
            made[kind] = recognizer, path
        return made[kind]

    return get


@pytest.mark.parametrize("kind", KINDS)
def test_clips_of_one_and_two_persons(kind, onnx_models):
    recognizer, path = onnx_models(kind)
    check(recognizer, random_clips(12, "kinect20"), partial(by_onnx, path))


@pytest.mark.parametrize("kind", KINDS)
def test_real_clips(kind, onnx_models, real_data):
    """100 clips of NW-UCLA, by ONNX Runtime, within 1e-4 of torch."""
    source = real_data / "nw_ucla.zip"
    if not source.is_file():
        pytest.skip(f"NW-UCLA not found at {source}")
    with zipfile.ZipFile(source) as files:
        names = sorted(name for name in files.namelist() if name.endswith(".json"))[::14][:100]
        clips = [np.array(json.loads(files.read(name))["skeletons"], np.float32) for name in names]
    assert len(clips) == 100
    recognizer, path = onnx_models(kind)
    expected = recognizer.probabilities(clips)
    assert expected.std(0).max() > 0.01
    found = by_onnx(path, [clip[:, None] for clip in clips], 2)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_an_ensemble_with_confidences(tmp_path):
    """The weights are such that 1e-4 of the ensemble is about 1e-4 of each."""
    options = {"layout": "coco17", "channels": "xyc"}
    members = [
        small_recognizer(**options, stream="bone", model_options={"absent": "zero"}),
        small_recognizer(**options, persons=1, num_frames=8, seed=1),
    ]
    ensemble = Ensemble(members, [3, 2], scores="probabilities", temperature=0.7)
    export_onnx(ensemble, tmp_path / "model.onnx")
    clips = random_clips(12, "coco17", "xyc")
    check(ensemble, clips, partial(by_onnx, tmp_path / "model.onnx"))


def test_torch_export(onnx_models, tmp_path):
    """The file holds the facts of the ONNX model too."""
    recognizer, path = onnx_models("tcn")
    export_torch(recognizer, tmp_path / "model.pt2")
    extra = {export.METADATA_FILE: ""}
    program = torch.export.load(tmp_path / "model.pt2", extra_files=extra).module()

    check(recognizer, random_clips(12, "kinect20"), by_torch(program))
    facts = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert json.loads(extra[export.METADATA_FILE]) == facts
    with zipfile.ZipFile(tmp_path / "model.pt2") as parts:
        assert not any(export.__file__.encode() in parts.read(name) for name in parts.namelist())


# --- what else the files say


def test_the_file_says_what_goes_in_and_out(onnx_models):
    _, path = onnx_models("tcn")
    content = path.read_bytes()
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    keypoints, lengths = session.get_inputs()
    assert (keypoints.name, keypoints.type) == ("keypoints", "tensor(float)")
    assert keypoints.shape == ["clips", "frames", 2, 20, 3]
    assert (lengths.name, lengths.type) == ("lengths", "tensor(int64)")
    assert lengths.shape == ["clips"]
    (output,) = session.get_outputs()
    assert (output.name, output.shape) == ("probabilities", ["clips", 5])
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["shapmix.class_names"]) == list(CLASSES)
    assert Layout.from_dict(json.loads(facts["shapmix.layout"])) == get_layout("kinect20")
    assert (facts["shapmix.units"], facts["shapmix.channels"]) == ("m", "xyz")
    assert (facts["shapmix.licence"], facts["shapmix.source"]) == ("cc-by-4.0", "made up")
    assert facts["shapmix.num_persons"] == "2"
    assert export.__file__.encode() not in content
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]


class Looks(torch.nn.Module):
    """A network that looks at values in Python."""

    def forward(self, x):
        return x.mean((1, 2, 3, 4))[:, None].repeat(1, 5) * (1 if float(x.sum()) > 0 else 2)


@pytest.mark.parametrize("write", [export_onnx, export_torch])
def test_a_network_that_cannot_be_traced(write, tmp_path):
    recognizer = small_recognizer(info={"model": "mine:Looks"})
    recognizer.model = Looks()
    with pytest.raises(ExportError, match=r"mine:Looks cannot be exported, .*must not look at val"):
        write(recognizer, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_model_that_gives_something_else_is_not_written(tmp_path, monkeypatch, onnx_models):
    """ONNX Runtime's answer is compared before the file gets its name: here, another model's."""
    _, path = onnx_models("tcn")
    graph = SimpleNamespace(graph=[], metadata_props={})
    program = SimpleNamespace(model=graph, model_proto=onnx.load(path))
    monkeypatch.setattr("torch.onnx.export", lambda *_, **__: program)
    other = small_recognizer(layout="kinect20", num_frames=12, seed=1)
    with pytest.raises(ExportError, match=r"differ from torch's by up to 0.\d+; expected at most"):
        export_onnx(other, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs onnx, onnxscript, onnxruntime: pip install"):
        export_onnx(small_recognizer(), tmp_path / "model.onnx")

"""Exported models against the recogniser that they were made of."""

import json
import zipfile
from functools import partial

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


@settings(max_examples=50, deadline=None)
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


# --- graphs: each takes seconds to make, so several things are looked at in one


def check(recognizer, clips, predict, persons=2):
    """An exported model gives the recogniser's probabilities, for several numbers of clips."""
    expected = recognizer.probabilities(clips)
    assert expected.std(0).max() > 0.02  # clips are told apart, so equality means something
    for chosen in (slice(None), slice(0, 1), slice(1, 4)):
        np.testing.assert_allclose(predict(clips[chosen], persons), expected[chosen], atol=1e-4)


def onnx_model(recognizer, folder):
    export_onnx(recognizer, folder / "model.onnx")
    return partial(by_onnx, folder / "model.onnx")


def torch_model(recognizer, folder):
    export_torch(recognizer, folder / "model.pt2")
    program = torch.export.load(folder / "model.pt2").module()

    def predict(clips, persons):
        with torch.no_grad():
            return program(*map(torch.from_numpy, padded(clips, persons)))

    return predict


def test_every_stream_in_one_ensemble(tmp_path):
    """The weights are such that 1e-4 of the ensemble is about 1e-4 of each."""
    members = [small_recognizer(stream=stream, seed=i) for i, stream in enumerate(STREAMS)]
    members[3] = small_recognizer(stream="bone_motion", persons=1, num_frames=8, seed=3)
    ensemble = Ensemble(members, [3, 2, 2, 2], temperature=0.25)
    check(ensemble, random_clips(12, "ntu25"), onnx_model(ensemble, tmp_path))


def test_an_ensemble_of_probabilities(tmp_path):
    options = {"layout": "coco17", "channels": "xyc"}
    members = [
        small_recognizer(**options, sampling="segments", center="none"),
        small_recognizer(**options, normalize="box", seed=1),
    ]
    ensemble = Ensemble(members, [3, 1], scores="probabilities", temperature=0.7)
    clips = random_clips(12, "coco17", "xyc")
    check(ensemble, clips, onnx_model(ensemble, tmp_path))


def test_aligned_clips(tmp_path):
    options = {"align": "first_frame", "first_frame_of": "clip", "center": "every_frame"}
    recognizer = small_recognizer(**options, model_options={"absent": "zero"})
    check(recognizer, random_clips(12, "ntu25"), onnx_model(recognizer, tmp_path))


@pytest.mark.parametrize(("model", "stream"), [("stgcn", "bone_motion"), ("ctrgcn", "bone")])
def test_graph_networks_with_two_persons(model, stream, tmp_path):
    recognizer = small_recognizer(model, stream=stream, num_frames=12)
    check(recognizer, random_clips(12, "ntu25"), torch_model(recognizer, tmp_path))


@pytest.mark.parametrize("model", ["tcn", "stgcn", "ctrgcn"])
def test_real_clips(model, tmp_path, real_data):
    """100 clips of NW-UCLA, by ONNX Runtime, within 1e-4 of torch."""
    source = real_data / "nw_ucla.zip"
    if not source.is_file():
        pytest.skip(f"NW-UCLA not found at {source}")
    with zipfile.ZipFile(source) as files:
        names = sorted(name for name in files.namelist() if name.endswith(".json"))[::14][:100]
        clips = [np.array(json.loads(files.read(name))["skeletons"], np.float32) for name in names]
    assert len(clips) == 100
    recognizer = small_recognizer(model, layout="kinect20", persons=1, num_frames=12)
    export_onnx(recognizer, tmp_path / "model.onnx")
    expected = recognizer.probabilities(clips)
    assert expected.std(0).max() > 0.02
    found = by_onnx(tmp_path / "model.onnx", [clip[:, None] for clip in clips], 1)
    np.testing.assert_allclose(found, expected, atol=1e-4)


# --- what else the files say


def test_the_files_say_what_goes_in_and_out(tmp_path):
    recognizer = small_recognizer(info={"licence": "cc-by-4.0", "source": "made up"})
    difference = export_onnx(recognizer, tmp_path / "sub" / "model.onnx")
    assert 0 <= difference <= 1e-4
    content = (tmp_path / "sub" / "model.onnx").read_bytes()
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    keypoints, lengths = session.get_inputs()
    assert (keypoints.name, keypoints.type) == ("keypoints", "tensor(float)")
    assert keypoints.shape == ["clips", "frames", 2, 25, 3]
    assert (lengths.name, lengths.type) == ("lengths", "tensor(int64)")
    assert lengths.shape == ["clips"]
    (output,) = session.get_outputs()
    assert (output.name, output.shape) == ("probabilities", ["clips", 5])
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["shapmix.class_names"]) == list(CLASSES)
    assert Layout.from_dict(json.loads(facts["shapmix.layout"])) == get_layout("ntu25")
    assert (facts["shapmix.units"], facts["shapmix.channels"]) == ("m", "xyz")
    assert (facts["shapmix.licence"], facts["shapmix.source"]) == ("cc-by-4.0", "made up")
    assert facts["shapmix.num_persons"] == "2"
    export_torch(recognizer, tmp_path / "model.pt2")
    extra = {export.METADATA_FILE: ""}
    torch.export.load(tmp_path / "model.pt2", extra_files=extra)
    assert json.loads(extra[export.METADATA_FILE]) == facts
    here = export.__file__.encode()
    assert here not in content
    with zipfile.ZipFile(tmp_path / "model.pt2") as parts:
        assert not any(here in parts.read(name) for name in parts.namelist())
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["model.onnx"]


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


def test_a_model_that_gives_something_else_is_not_written(tmp_path, monkeypatch):
    """ONNX Runtime's answer is compared before the file gets its name."""
    recognizer = small_recognizer(layout="coco17", persons=1, num_frames=4)
    right = recognizer.probabilities
    monkeypatch.setattr(recognizer, "probabilities", lambda clips: right(clips) + 0.01)
    with pytest.raises(ExportError, match=r"differ from torch's by up to 0.01; expected at most"):
        export_onnx(recognizer, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs onnx, onnxscript, onnxruntime: pip install"):
        export_onnx(small_recognizer(), tmp_path / "model.onnx")

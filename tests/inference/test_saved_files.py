"""Saved recognisers: nothing is lost, nothing is run, and whatever is wrong is said."""

import json
import pickle
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from small_recognizers import CLASSES, random_clips, small_recognizer

from shapmix.data.transforms import Transform
from shapmix.inference.description import RecognizerInfo, transform_options
from shapmix.inference.pretrained import MAX_CONFIG_BYTES, PretrainedError
from shapmix.inference.recognizer import ActionRecognizer
from shapmix.layouts import Layout, get_layout
from shapmix.losses import with_cosine_classifier
from shapmix.models import create_model

FILES = {"README.md", "config.json", "model.safetensors"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    small_recognizer().save_pretrained(folder)
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    """A copy of the files, and functions that damage it."""
    for name in FILES:
        (tmp_path / name).write_bytes((saved / name).read_bytes())
    return tmp_path


def change(folder, **entries):
    config = json.loads((folder / "config.json").read_text()) | entries
    (folder / "config.json").write_text(json.dumps(config))


def check_same(ours, theirs, clips):
    np.testing.assert_array_equal(ours.probabilities(clips), theirs.probabilities(clips))
    assert theirs.layout == ours.layout
    assert theirs.class_names == ours.class_names
    assert theirs.num_persons == ours.num_persons
    assert transform_options(theirs.transform) == transform_options(ours.transform)
    assert torch.equal(theirs.background, ours.background)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("tcn", {}),
        ("stgcn", {"stream": "bone"}),
        ("ctrgcn", {"stream": "bone_motion", "persons": 1}),
        ("tcn", {"layout": "coco17", "channels": "xyc", "sampling": "segments", "center": "none"}),
        ("tcn", {"layout": "coco17", "channels": "xy", "normalize": "box", "mirror": 0.5}),
        ("tcn", {"align": "first_frame", "first_frame_of": "clip", "center": "every_frame"}),
        ("tcn", {"center_joint": "head", "crop_ratio": (0.6, 0.9), "test_ratio": 0.8}),
        ("tcn", {"model_options": {"dropout": 0.3}, "stream": "joint_motion"}),
    ],
)
def test_what_is_loaded_is_what_was_saved(tmp_path, model, options):
    recognizer = small_recognizer(model, **options)
    recognizer.save_pretrained(tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == FILES
    found = ActionRecognizer.from_pretrained(tmp_path / "model")
    layout, channels = recognizer.layout, recognizer.info.channels
    check_same(recognizer, found, random_clips(6, layout, channels))
    assert not any(module.training for module in found.modules())


def test_every_fact_travels(tmp_path):
    metrics = {"test": {"top1": 0.5, "per_class": [{"label": 0, "accuracy": None}]}}
    info = {"metrics": metrics, "licence": "cc-by-4.0", "class_counts": (9, 7, 5, 3, 1)}
    recognizer = small_recognizer(info=info | {"source": "made up"})
    recognizer.save_pretrained(tmp_path)
    found = ActionRecognizer.from_pretrained(str(tmp_path)).info
    for key, value in info.items():
        assert getattr(found, key) == value
    assert (found.source, found.units, found.temperature) == ("made up", "m", 1.3)
    assert found.model_options["width"] == 8
    assert found.model_options["absent"] == "learned"  # the default of this version, written down


def test_layouts_travel_as_data(tmp_path):
    """A skeleton that no catalog has."""
    own = Layout(
        name="own",
        joints=("hip", "chest", "hand", "foot"),
        bones=((1, 0), (2, 1), (3, 0)),
        center=0,
        parts={"upper": (1, 2), "lower": (0, 3)},
    )
    recognizer = small_recognizer(layout=own)
    recognizer.save_pretrained(tmp_path)
    found = ActionRecognizer.from_pretrained(tmp_path)
    assert found.layout == own
    check_same(recognizer, found, random_clips(3, own))


def test_a_cosine_classifier_travels(tmp_path):
    given = small_recognizer()
    network = with_cosine_classifier(create_model("tcn", "ntu25", 5, num_persons=2), 5, 12.0)
    info = RecognizerInfo("m", "xyz", "joint", 16, model="tcn", cosine_scale=12.0)
    recognizer = ActionRecognizer(
        network, given.transform, given.layout, CLASSES, num_persons=2, info=info
    )
    recognizer.save_pretrained(tmp_path)
    clips = random_clips(3, "ntu25")
    found = ActionRecognizer.from_pretrained(tmp_path).probabilities(clips)
    np.testing.assert_array_equal(found, recognizer.probabilities(clips))
    assert recognizer.background is None


def test_saving_twice_gives_the_same_bytes(saved, tmp_path):
    small_recognizer().save_pretrained(tmp_path)
    ActionRecognizer.from_pretrained(tmp_path).save_pretrained(tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (saved / name).read_bytes()


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"README.md": "# Mine"}, "README.md"),
        ({"model.safetensors": "weights"}, "model.safetensors"),
        ({"config.json": '{"kind": "a web server"}'}, "config.json"),
        ({"config.json": '{"model_type": "bert"}', "README.md": "# Mine"}, "config.json"),
        ({"config.json": "[1]"}, "config.json"),
        ({"config.json": "{damaged"}, "config.json"),
        ({"config.json": " " * (MAX_CONFIG_BYTES + 1)}, "config.json"),
        ({"config.yaml": "seed: 0", "checkpoints/last.ckpt": ""}, "config.yaml and checkpoints"),
    ],
    ids=["card", "weights", "kind", "other", "list", "damaged", "large", "run"],
)
def test_files_of_others_are_not_overwritten(tmp_path, files, named):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    with pytest.raises(PretrainedError, match=rf"{named}.*an\s+empty folder"):
        small_recognizer().save_pretrained(tmp_path)
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {str(path.relative_to(tmp_path)): path.read_text() for path in found} == files


def test_a_model_of_another_version_is_overwritten(copy, saved):
    """Reading one says to save it again; and files beside it do no harm."""
    change(copy, format=0)
    (copy / "config.yaml").write_text("notes: of the user")
    small_recognizer().save_pretrained(copy)
    for name in FILES:
        assert (copy / name).read_bytes() == (saved / name).read_bytes()


def test_loading_leaves_the_random_state(saved):
    state = torch.get_rng_state()
    ActionRecognizer.from_pretrained(saved)
    assert torch.equal(state, torch.get_rng_state())


def test_a_wrong_description_is_refused_when_it_is_saved(tmp_path):
    wrong = small_recognizer(info={"model_options": {"width": 4}})
    with pytest.raises(PretrainedError, match=r"not what info.model 'tcn' with .*makes"):
        wrong.save_pretrained(tmp_path)

    class Mine(Transform):
        pass

    recognizer = small_recognizer()
    recognizer.transform = Mine("ntu25", num_frames=16)
    with pytest.raises(PretrainedError, match="the transform is a Mine"):
        recognizer.save_pretrained(tmp_path)


# --- foreign code


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A saved recogniser whose network is a user's own; importing its module leaves a mark."""
    path = "danger:Network"
    with torch.random.fork_rng(devices=[]):
        recognizer = small_recognizer_of(create_model(path, "ntu25", 5, num_persons=2, scale=0.5))
    recognizer.save_pretrained(tmp_path)
    monkeypatch.delitem(sys.modules, "danger")
    monkeypatch.setenv("DANGER", str(tmp_path / "imported"))
    return tmp_path, recognizer


def small_recognizer_of(network, model="danger:Network"):
    given = small_recognizer()
    info = RecognizerInfo("m", "xyz", "joint", 16, model=model, model_options={"scale": 0.5})
    return ActionRecognizer(
        network, given.transform, given.layout, CLASSES, num_persons=2, info=info
    )


@pytest.mark.parametrize("given", [None, "danger:Other", "other:Network", "tcn"])
def test_foreign_code_is_not_run(own, given):
    folder, _ = own
    with pytest.raises(PretrainedError, match="if you trust it, pass model='danger:Network'"):
        ActionRecognizer.from_pretrained(folder, model=given)
    assert "danger" not in sys.modules
    assert not (folder / "imported").exists()


def test_foreign_code_may_be_trusted_or_given(own):
    folder, recognizer = own
    clips = random_clips(3, "ntu25")
    expected = recognizer.probabilities(clips)
    trusted = ActionRecognizer.from_pretrained(folder, model="danger:Network")
    assert (folder / "imported").exists()
    np.testing.assert_array_equal(trusted.probabilities(clips), expected)
    mine = create_model("danger:Network", "ntu25", 5, num_persons=2, scale=0.5)
    found = ActionRecognizer.from_pretrained(folder, model=mine)
    assert found.model is mine
    np.testing.assert_array_equal(found.probabilities(clips), expected)
    with pytest.raises(PretrainedError, match=r"lacks .*unknown"):
        ActionRecognizer.from_pretrained(folder, model=torch.nn.Linear(2, 3, bias=False))


def test_a_network_that_nobody_described_must_be_given(tmp_path):
    recognizer = small_recognizer(info={"model": "", "model_options": {}})
    recognizer.save_pretrained(tmp_path)
    with pytest.raises(PretrainedError, match="do not say how to make the network"):
        ActionRecognizer.from_pretrained(tmp_path)
    network = create_model("tcn", "ntu25", 5, num_persons=2, width=8)
    found = ActionRecognizer.from_pretrained(tmp_path, model=network)
    check_same(recognizer, found, random_clips(3, "ntu25"))


# --- damage


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"format": 2}, "has the format 2; this version of shapmix reads 1"),
        ({"kind": "something else"}, "are of a 'something else'"),
        ({"kind": "shapmix ensemble"}, "Ensemble.from_pretrained"),
        ({"class_names": ["a", "b", "c", "d", 5]}, "an entry that is no text"),
        ({"class_names": ["a", "a", "b", "c", "d"]}, "not unique"),
        ({"class_names": ["a", "b"]}, "has the shape .*; config.json describes"),
        ({"class_names": "abcde"}, "class_names = 'abcde'; expected list"),
        ({"class_names": ["x"] * 200_000}, "200000 classes; expected at most 100000"),
        ({"class_counts": [1, 2, 3, 4, -5]}, "no number of clips"),
        ({"num_persons": 10**9}, "1000000000 persons; expected at most 64"),
        ({"num_persons": True}, "num_persons = 'True'; expected int"),
        ({"num_persons": 0}, "num_persons is 0"),
        ({"temperature": "hot"}, "temperature = 'hot'; expected float"),
        ({"temperature": 0}, "temperature is 0.0"),
        ({"temperature": 10**400}, "temperature = .*expected float"),
        ({"layout": {"joints": []}}, "the layout is invalid"),
        ({"layout": {"joints": ["j"] * 5000}}, "5000 joints; expected at most 1024"),
        ({"layout": "ntu25"}, "expected dict"),
        ({"transform": {}}, "transform has no 'num_frames'"),
        ({"transform": {"num_frames": 10**7}}, "10000000 frames"),
        ({"transform": {"num_frames": 16, "stram": "bone"}}, "transform has stram = 'bone'"),
        ({"transform": {"num_frames": 16, "channels": [1]}}, "channels = .*expected options like"),
        ({"transform": {"num_frames": 16, "crop_ratio": [0.5]}}, r"crop_ratio = '\[0.5\]'"),
        ({"transform": {"num_frames": 16, "offset": 10**400}}, "offset"),
        (
            {"transform": {"num_frames": 16, "mirror": 2}},
            "the transform cannot be made: .*mirror 2",
        ),
        ({"transform": {"num_frames": 32}}, r"background has the shape .*describes \(3, 32"),
        ({"model": "resnet"}, "the code of somebody else"),
        ({"model": "os:system"}, "the code of somebody else"),
        ({"model_options": {"width": 10**12}}, "shape|cannot be made"),
        ({"model_options": {"width": 10**30}}, "cannot be made"),
        ({"model_options": {"width": 16}}, "shape"),
        ({"model_options": {"width": "wide"}}, "cannot be made"),
        ({"model_options": {"wdth": 8}}, "did you mean 'width'"),
        ({"cosine_scale": 3}, "it has the unknown model.classifier.head.bias"),
    ],
)
def test_impossible_entries_are_named(copy, entries, message):
    change(copy, **entries)
    with pytest.raises(PretrainedError, match=message):
        ActionRecognizer.from_pretrained(copy)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "damaged"),
        ("{", "damaged"),
        ("[1]", "is list; expected a JSON object"),
        ("[" * 200_000, "damaged"),
        ('{"format": NaN}', "NaN is no number of JSON"),
        ("\ud800".encode("utf-8", "surrogatepass"), "damaged"),
        ('{"format": 1}', "expected a 'shapmix recognizer'"),
        (" " * (MAX_CONFIG_BYTES + 1), "expected at most"),
    ],
    ids=range(8),
)
def test_damaged_json(copy, text, message):
    (copy / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PretrainedError, match=message):
        ActionRecognizer.from_pretrained(copy)


def test_missing_files(copy, tmp_path):
    (copy / "model.safetensors").unlink()
    with pytest.raises(PretrainedError, match=r"has no model\.safetensors"):
        ActionRecognizer.from_pretrained(copy)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PretrainedError, match=r"has no config\.json: give a folder"):
        ActionRecognizer.from_pretrained(tmp_path / "empty")
    for name in (tmp_path / "nowhere", "./nowhere", "a/b/c", "nowhere"):
        with pytest.raises(PretrainedError, match="there is no folder"):
            ActionRecognizer.from_pretrained(name)


def drop(tensors):
    del tensors["model.classifier.head.bias"]


def add(tensors):
    tensors["model.more"] = torch.zeros(1)


def reshape(tensors):
    tensors["model.classifier.head.weight"] = torch.zeros(5, 17)


def retype(tensors):
    tensors["model.classifier.head.bias"] = torch.zeros(5, dtype=torch.float64)


def spoil(tensors):
    tensors["model.classifier.head.bias"][2] = torch.nan


def spoil_background(tensors):
    tensors["background"] = torch.zeros(3, 16, 25, 3)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop, "lacks model.classifier.head.bias"),
        (add, "the unknown model.more"),
        (reshape, r"head.weight has the shape \(5, 17\); config.json describes \(5, 16\)"),
        (retype, r"head.bias is torch.float64; expected torch.float32"),
        (spoil, "head.bias has values that are not finite"),
        (spoil_background, r"background has the shape \(3, 16, 25, 3\)"),
    ],
)
def test_damaged_tensors(copy, damage, message):
    tensors = load_file(copy / "model.safetensors")
    damage(tensors)
    save_file(tensors, copy / "model.safetensors")
    with pytest.raises(PretrainedError, match=message):
        ActionRecognizer.from_pretrained(copy)


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, pickle.dumps({"a": 1}), b"\xff" * 8])
def test_what_is_no_safetensors(copy, content):
    (copy / "model.safetensors").write_bytes(content)
    with pytest.raises(PretrainedError, match="damaged"):
        ActionRecognizer.from_pretrained(copy)


def test_a_truncated_file(copy):
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(PretrainedError, match="damaged"):
        ActionRecognizer.from_pretrained(copy)


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([10**9, 10**30, 1e300, -1e-9, "", "joint", "__class__", [], {}, [[]], ["a"]]),
)


def paths(value, at=()):
    """The way to every entry of nested JSON."""
    if at:
        yield at
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from paths(value[key], (*at, key))


@settings(
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_other_value_is_loaded_or_refused(copy, saved, data):
    """One entry of the JSON, anywhere, is replaced or removed: no error but PretrainedError."""
    config = json.loads((saved / "config.json").read_text())
    top = data.draw(st.sampled_from(sorted(config)))
    at = data.draw(st.sampled_from([p for p in paths(config) if p[0] == top]))
    owner = config
    for key in at[:-1]:
        owner = owner[key]
    if data.draw(st.booleans()):
        owner[at[-1]] = data.draw(ODD)
    else:
        del owner[at[-1]]
    (copy / "config.json").write_text(json.dumps(config))
    try:
        found = ActionRecognizer.from_pretrained(copy)
    except PretrainedError:
        return
    clips = random_clips(1, found.layout, found.info.channels)
    assert np.isfinite(found.probabilities(clips)).all()


def test_ntu_names_are_not_looked_up(copy):
    """The layout of the file counts, not the catalog's of the same name."""
    layout = get_layout("ntu25").to_dict()
    layout["joints"][3], old = "helmet", layout["joints"][3]
    text = json.dumps(layout).replace(json.dumps(old), json.dumps("helmet"))
    change(copy, layout=json.loads(text), transform={"num_frames": 16})
    assert ActionRecognizer.from_pretrained(copy).layout.joints[3] == "helmet"

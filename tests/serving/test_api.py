"""The API as a program uses it, with good input and with bad."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pyarrow import csv
from serving_models import ARM, CLASSES, LAYOUT, LIMITS, refused, waving

from generators import ctrgcn_npz
from shapmix.inference.ensemble import Ensemble
from shapmix.inference.explanation_json import explanation_json
from shapmix.serving.app import create_app
from shapmix.serving.clips import LARGEST, RefusedError, as_keypoints


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def post_file(client, name, content, **fields):
    return client.post("/predict/file", files={"file": (name, content)}, data=fields)


# --- what it is for ---


def test_health_and_model(client):
    assert client.get("/health").json() == {"status": "ok", "pending": 0}
    model = client.get("/model").json()
    assert model["class_names"] == list(CLASSES)
    assert model["layout"]["joints"] == list(LAYOUT.joints)
    assert [tuple(bone) for bone in model["layout"]["bones"]] == list(LAYOUT.bones)
    assert (model["units"], model["channels"], model["licence"]) == ("m", "xyz", "cc-by-4.0")
    assert model["limits"]["frames"] == LIMITS.frames
    assert model["explains"] is True


@pytest.mark.parametrize("persons", ["persons", "one person"])
def test_predict_gives_what_the_recogniser_gives(client, recognizer, persons):
    clip = waving()
    sent = clip if persons == "persons" else clip[:, 0]
    answer = client.post("/predict", json={"keypoints": sent.tolist(), "top": 2})
    assert answer.status_code == 200
    found = answer.json()
    assert (found["frames"], found["persons"]) == (12, 1)
    expected = recognizer.probabilities([clip])[0]
    assert [each["label"] for each in found["predictions"]] == ["wave", "still"]
    for each in found["predictions"]:
        assert each["probability"] == pytest.approx(expected[each["index"]])


def test_batches_of_clips_of_any_length(client):
    clips = [waving(), waving(30, 2), np.full((5, 1, 20, 3), 0.1)]
    answer = client.post("/predict/batch", json={"clips": [c.tolist() for c in clips], "top": 1})
    results = answer.json()["results"]
    assert [r["frames"] for r in results] == [12, 30, 5]
    alone = [client.post("/predict", json={"keypoints": c.tolist(), "top": 1}) for c in clips]
    for result, one in zip(results, alone, strict=True):
        mine, other = result["predictions"][0], one.json()["predictions"][0]
        assert mine["label"] == other["label"]
        assert mine["probability"] == pytest.approx(other["probability"], abs=1e-6)


def test_explain_gives_what_the_recogniser_gives(client, recognizer):
    clip = waving()
    found = client.post("/explain", json={"keypoints": clip.tolist()}).json()
    assert (found["label"], found["index"]) == ("wave", 1)
    expected = explanation_json(recognizer.explain(clip), 1)
    assert {key: found[key] for key in expected} == expected
    best = max(found["parts"], key=lambda part: part["value"])
    assert best["name"] == ARM
    assert found["efficiency"]["holds"]
    by_name = client.post("/explain", json={"keypoints": clip.tolist(), "label": "kick"}).json()
    assert by_name["index"] == 2
    assert by_name["v_full"] < 0.1


def as_csv(clip):
    rows = ["clip,frame,person,joint,x,y,z"]
    for (t, m, v), (x, y, z) in zip(np.ndindex(clip.shape[:3]), clip.reshape(-1, 3), strict=True):
        rows.append(f"one,{t},{m},{LAYOUT.joints[v]},{x},{y},{z}")
    return "\n".join(rows).encode()


def as_table(clip):
    file = io.BytesIO()
    pq.write_table(csv.read_csv(io.BytesIO(as_csv(clip))), file)
    return file.getvalue()


def as_npz(clip):
    file = io.BytesIO()
    np.savez_compressed(file, clip)
    return file.getvalue()


def as_nw_ucla(clip):
    record = {"file_name": "a01_s01_e00_v01", "skeletons": clip[:, 0].tolist(), "label": 1}
    return json.dumps(record).encode()


@pytest.mark.parametrize(
    ("name", "written"),
    {
        "one.npy": npy,
        "person.npy": lambda clip: npy(clip[:, 0]),
        "turned.npy": lambda clip: npy(clip.transpose(3, 0, 2, 1)),
        "one.npz": as_npz,
        "one.csv": as_csv,
        "one.parquet": as_table,
        "list.json": lambda clip: json.dumps(clip.tolist()).encode(),
        "object.json": lambda clip: json.dumps({"keypoints": clip.tolist()}).encode(),
        "a01_s01_e00_v01.json": as_nw_ucla,
    }.items(),
)
def test_files_of_many_forms(client, name, written):
    clip = waving()
    answer = post_file(client, name, written(clip), top=1, keypoints="true")
    assert answer.status_code == 200, answer.text
    (found,) = answer.json()["clips"]
    assert found["predictions"][0]["label"] == "wave"
    np.testing.assert_allclose(found["keypoints"], clip, atol=1e-4)
    assert found["up"] in ("y", "-y", "z")
    without = post_file(client, name, written(clip)).json()["clips"][0]
    assert without["keypoints"] is None


def test_a_file_of_several_clips_one_of_them_too_long(client):
    header = "clip,frame,joint,x,y,z,fps"
    rows = [
        f"{name},{t},{joint},0.1,0.2,0.3,30"
        for name, frames in (("a", 5), ("b", 70), ("c", 4), ("d", 4), ("e", 4))
        for t in range(frames)
        for joint in LAYOUT.joints
    ]
    answer = post_file(client, "many.csv", "\n".join([header, *rows]).encode())
    found = answer.json()
    assert [clip["name"] for clip in found["clips"]] == ["a", "c"]
    assert found["clips"][0]["fps"] == 30
    why = {entry["name"]: entry["why"] for entry in found["skipped"]}
    assert why == {
        "b": "the clip has 70 frames; at most 60 are taken: cut the clip",
        "d": "only 3 clips of a file are read, sound or not",
    }


@pytest.mark.parametrize("damaged", [4, 2000])
def test_clips_that_cannot_be_read_count(client, damaged):
    header = "clip,frame,joint,x,y,z,label"
    rows = [f"bad{n:04},0,{LAYOUT.joints[0]},,," for n in range(damaged)]
    rows += [f"good,0,{joint},0.1,0.2,0.3" for joint in LAYOUT.joints]
    answer = post_file(client, "many.csv", "\n".join([header, *(f"{row}," for row in rows)]))
    refused(answer, 422, "no clip can be used; of the first, bad0000")
    answer = post_file(client, "few.csv", "\n".join([header, *(f"{row}," for row in rows[-22:])]))
    assert [clip["name"] for clip in answer.json()["clips"]] == ["good"]
    assert len(answer.json()["skipped"]) == 2


def test_labels_are_not_asked_for(client):
    """None, the same or several in a clip: each is read once."""
    rows = [
        f"{name},{t},{joint},0.1,0.2,0.3,{label}"
        for name, labels in (("a", ("", "")), ("b", ("x", "x")), ("c", ("x", "y")))
        for t, label in enumerate(labels)
        for joint in LAYOUT.joints
    ]
    content = "\n".join(["clip,frame,joint,x,y,z,label", *rows])
    answer = post_file(client, "labelled.csv", content)
    assert [clip["name"] for clip in answer.json()["clips"]] == ["a", "b", "c"]
    assert answer.json()["skipped"] == []


def test_more_keypoints_than_are_sent_back(recognizer):
    clip = waving()
    app = create_app(recognizer, limits=replace(LIMITS, numbers=clip.size - 1))
    with TestClient(app, base_url="http://localhost") as client:
        answer = post_file(client, "a.npy", npy(clip), keypoints="true")
        refused(answer, 413, f"have {clip.size} numbers", "fewer or shorter clips")
        assert post_file(client, "a.npy", npy(clip)).status_code == 200
        assert post_file(client, "a.npy", npy(clip[1:]), keypoints="true").status_code == 200


def test_an_ensemble_predicts_but_does_not_explain(recognizer):
    app = create_app(Ensemble([recognizer, recognizer], [0.5, 0.5]))
    body = {"keypoints": waving().tolist()}
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/model").json()["explains"] is False
        assert client.post("/predict", json=body).json()["predictions"][0]["label"] == "wave"
        refused(client.post("/explain", json=body), 422, "background")


# --- bad clips ---


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=30,
)


@given(ANYTHING)
def test_whatever_is_sent_is_keypoints_or_is_refused_in_words(recognizer, value):
    with pytest.raises(RefusedError, match="keypoints"):
        as_keypoints(value, recognizer, LIMITS)


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 3), st.integers(1, 2), st.just(20), st.just(3)),
        elements=st.floats() | st.floats(-2, 2),
    )
)
def test_what_is_taken_is_finite(recognizer, values):
    try:
        found = as_keypoints(values.tolist(), recognizer, LIMITS)
    except RefusedError:
        assert not (np.abs(values) <= LARGEST).all() or not values.any()
    else:
        np.testing.assert_array_equal(found, values.astype(np.float32))
        assert np.isfinite(recognizer.probabilities([found])).all()


def with_value(value, where=(3, 0, 4, 1)):
    clip = waving().tolist()
    frame, person, joint, channel = where
    clip[frame][person][joint][channel] = value
    return clip


@pytest.mark.parametrize(
    ("keypoints", "words"),
    [
        ([], ("expected (frames, persons, 20, 3)",)),
        (5, ("shape ()",)),
        (None, ("shape ()",)),
        ("abc", ("no array of numbers",)),
        ({"a": 1}, ("no array of numbers",)),
        ([[[1.0, 2.0], [1.0]]], ("no array of numbers", "one length")),
        (np.ones((4, 25, 3)).tolist(), ("(4, 25, 3)", "20 joints of layout 'kinect20'")),
        (np.ones((4, 1, 20, 2)).tolist(), ("(4, 1, 20, 2)", "x, y, z (m)")),
        (np.ones((61, 20, 3)).tolist(), ("61 frames", "at most 60")),
        (np.ones((2, 4, 20, 3)).tolist(), ("4 persons", "at most 3")),
        (np.zeros((4, 20, 3)).tolist(), ("nobody",)),
        (with_value(1e30), ("beyond 1e+06", "frame 3, person 0, y of joint", LAYOUT.joints[4])),
        (with_value(None), ("not finite",)),
        (with_value(10**400), ("no array of numbers",)),
        (with_value("x"), ("no array of numbers",)),
        (with_value([1.0]), ("no array of numbers",)),
    ],
    ids=lambda value: str(value)[:20],
)
def test_clips_that_cannot_be_used(client, keypoints, words):
    for path in ("/predict", "/explain"):
        refused(client.post(path, json={"keypoints": keypoints}), 422, *words)
    batch = {"clips": [waving().tolist(), keypoints]}
    refused(client.post("/predict/batch", json=batch), 422, "clip 1")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite(client, value):
    body = json.dumps({"keypoints": with_value(77.5)}).replace("77.5", value)
    answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    refused(answer, 422, "1 values that are not finite", "frame 3")


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"", 400, "no JSON"),
        (b"{", 400, "no JSON"),
        (b"\xff\xfe\x00", 400, "no JSON"),
        (b"[]", 422, "body"),
        (b"{}", 422, "keypoints"),
        (b'{"keypoints": [], "what": 1}', 422, "what"),
        (b'{"keypoints": [], "top": 0}', 422, "top"),
        (b'{"keypoints": [], "top": 1e400}', 422, "top"),
        (b'{"keypoints": [], "top": true}', 422, "top"),
        (b'{"keypoints": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400, "no JSON"),
        (b'{"keypoints": ' + b"[" * 100 + b"]" * 100 + b"}", 422, "keypoints"),
        (b'{"keypoints": ' + b"9" * 5000 + b"}", 400, "no JSON"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_bodies_that_cannot_be_used(client, body, status, word):
    headers = {"Content-Type": "application/json"}
    refused(client.post("/predict", content=body, headers=headers), status, word)


@pytest.mark.parametrize("label", ["waves", -1, 3, 10**30, "0"])
def test_unknown_labels(client, label):
    answer = client.post("/explain", json={"keypoints": waving().tolist(), "label": label})
    refused(answer, 422, "label")


def test_wrong_content_types_and_methods(client):
    body = json.dumps({"keypoints": waving().tolist()})
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = client.post("/predict", content=body, headers={"Content-Type": kind})
        refused(answer, 415, "expected application/json")
    assert client.get("/predict").status_code == 405
    assert client.post("/predict/file", content=b"x").status_code in (400, 422)
    assert client.get("/docs").status_code == 404
    assert client.get("/../../etc/passwd").status_code == 404


def test_a_batch_of_too_many_clips(client):
    clips = [waving(2).tolist()] * 4
    refused(client.post("/predict/batch", json={"clips": clips}), 413, "at most 3")


# --- bad files ---


def bomb():
    """A .npz of 40 kB that would inflate to 40 MB."""
    file = io.BytesIO()
    header = npy(np.zeros(0, dtype="u1"))[:128].replace(b"(0,), ", b"(3,), ")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", header + b"\0" * (40 * 2**20))
    return file.getvalue()


def pickled_npy():
    file = io.BytesIO()
    np.save(file, np.array([{"a": print}], dtype=object), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("a.npy", b"", 422),
        ("a.npy", b"\x93NUMPY" + bytes(range(200)), 422),
        ("a.npy", npy(np.zeros((3, 7))), 422),
        ("a.npy", npy(np.full((3, 20, 3), np.inf)), 422),
        ("a.npy", npy(np.array(["text"])), 422),
        ("a.npy", pickled_npy(), 422),
        ("a.npy", npy(np.ones((3, 20, 3)))[:-9], 422),
        ("a.npz", b"PK\x03\x04 no zip", 422),
        ("a.json", b"[" * 30_000, 422),
        ("a.json", b'{"keypoints": 5}', 422),
        ("a.json", b'{"frames": []}', 422),
        ("a.csv", b"\0\0\0", 422),
        ("a.csv", b"frame,joint,x,y,z\n0,head,1,2,3\n", 422),
        ("a.skeleton", b"1\n1\n", 422),
        ("a.bvh", b"HIERARCHY\n", 422),
        ("a.mat", b"MATLAB 5.0", 422),
        ("a.parquet", b"PAR1", 422),
        ("a.pkl", b"\x80\x04.", 415),
        ("a", b"x", 415),
        ("", b"x", 422),
        ("../../../etc/passwd", b"x", 415),
        ("a.zip", b"PK", 415),
    ],
    ids=lambda value: str(value)[:24],
)
def test_files_that_cannot_be_used(client, name, content, status):
    answer = post_file(client, name, content)
    assert answer.status_code == status, answer.text
    assert "shapmix-" not in answer.text, "a folder of the server is told"
    assert answer.json()["detail"].count("'") % 2 == 0, "half of a quotation is lost"


def test_bombs_are_refused(client):
    content = bomb()
    assert len(content) < LIMITS.body_bytes
    refused(post_file(client, "a.npz", content), 413, "unpacks to")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("clip/a.npy", npy(waving()))
    refused(post_file(client, "a.csv", file.getvalue()), 415, "zip")


def zipped(members, compression=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def test_a_training_set_is_refused(client, tmp_path):
    path = ctrgcn_npz.write(tmp_path, clips=2, compressed=True)
    answer = post_file(client, "NTU60_CS.npz", path.read_bytes())
    refused(answer, 415, "ctrgcn-npz, a whole data set", "clips as files of their own")


@pytest.mark.parametrize("suffix", [".json", ""])
def test_a_npz_of_something_else_is_refused(client, suffix):
    clip = json.dumps({"keypoints": waving().tolist()})
    answer = post_file(client, "a.npz", zipped({"a.npy": npy(waving()), f"b{suffix}": clip}))
    refused(answer, 415, f"'a.npz' holds 'b{suffix}'", "one by one")


def test_a_npz_that_unpacks_to_far_more_than_was_sent(client):
    half = npy(np.ones(2 * LIMITS.body_bytes, dtype="u1"))
    content = zipped({"a.npy": half, "b.npy": half})
    assert len(content) < LIMITS.body_bytes / 10
    refused(post_file(client, "a.npz", content), 413, "unpacks to 800", "--max-mb")
    content = zipped({f"{n}.npy": b"" for n in range(101)}, zipfile.ZIP_STORED)
    refused(post_file(client, "a.npz", content), 413, "more than 100 arrays")


def as_parquet(rows):
    columns = {name: pa.array(np.ones(rows)) for name in "xyz"}
    file = io.BytesIO()
    pq.write_table(pa.table({"frame": pa.array(np.zeros(rows)), **columns}), file)
    return file.getvalue()


def test_a_parquet_of_more_cells_than_a_csv_could_have(client):
    most = LIMITS.body_bytes // 2 // 4
    content = as_parquet(most + 1)
    assert len(content) < LIMITS.body_bytes / 10
    words = refused(post_file(client, "a.parquet", content), 413, f"{most + 1} rows of 4 columns")
    assert "fewer or shorter clips" in words
    refused(post_file(client, "a.parquet", as_parquet(most)), 422, "not recognised")


def test_options_of_the_command_line_are_not_to_be_had(client):
    """Two persons in one frame: or two frames of a person?"""
    turned = npy(waving(1, 2))
    words = refused(post_file(client, "a.npy", turned), 422, "unless you say --order TMVC")
    assert "here, send keypoints as JSON" in words
    body = {"keypoints": waving(1, 2).tolist()}
    assert client.post("/predict", json=body).status_code == 200


def test_a_name_is_never_a_path(client):
    for name in ("/a/b/../clip one.npy", "..\\..\\clip one.npy", ".clip one.npy"):
        answer = post_file(client, name, npy(waving()))
        assert answer.json()["clips"][0]["name"].endswith("clip_one")

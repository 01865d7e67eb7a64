"""Examples, explanation and history of a run: read, and refused where they are not sound."""

import subprocess
import sys
import zipfile
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pytest
from example_files import (
    ABOUT,
    LAYOUT,
    TYPES,
    make_explanation,
    make_mix,
    make_row,
    make_rows,
    write_examples,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_folders import PARTS

from shapmix.reporting import RunError, load_run
from shapmix.reporting.examples import is_confusion, load_examples, scenes
from shapmix.reporting.runs import load_explanation, load_history


@pytest.fixture
def run(run_folder):
    return load_run(run_folder)


def test_examples_are_read(run):
    write_examples(run.path)
    examples = load_examples(run)
    assert [e.group for e in examples] == [0, 0, 1, 2, 3, 3, 3]
    first = examples[0]
    assert (first.kind, first.role, first.name, first.label) == ("clip", "", "clip0", 3)
    assert (first.predicted, first.target, first.window, first.lam) == (5, ((3, 1.0),), None, None)
    assert first.keypoints.shape == (6, 2, 20, 3)
    assert first.keypoints[0, 0, 1].tolist() == [0.75, 1.0, 1.25]
    assert first.layout.joints == LAYOUT.joints
    assert first.layout.parts == LAYOUT.parts
    assert (first.channels, first.units, first.up) == ("xyz", "m", "y")
    receiver, partner, mixed = examples[4:]
    assert (receiver.window, partner.window, mixed.window) == ((2, 3), (0, 6), (2, 3))
    assert (receiver.label, partner.label, mixed.label) == (1, 6, None)
    assert {e.predicted for e in (receiver, partner, mixed)} == {None}
    assert mixed.target == ((1, 0.75), (6, 0.25))
    assert np.flatnonzero(mixed.pasted).tolist() == list(LAYOUT.parts["left_arm"])
    assert (mixed.lam, receiver.lam, receiver.pasted.any()) == (0.75, None, False)


def test_scenes(run):
    write_examples(run.path)
    examples = load_examples(run)
    assert [len(scene) for scene in scenes(examples)] == [2, 1, 1, 3]
    assert [len(scene) for scene in scenes(examples, "clip")] == [2, 1, 1]
    assert [len(scene) for scene in scenes(examples, "mix")] == [3]
    assert [is_confusion(scene) for scene in scenes(examples)] == [True, True, False, False]


def test_a_run_without_examples_worth_showing(run):
    write_examples(run.path, [])
    assert load_examples(run) == ()


def test_what_is_not_there_has_no_coordinates(run):
    x = np.ones((2, 2, 20, 3), dtype="<f2")
    x[0, 1] = 0  # no second body in the first frame
    row = make_row(0, frames=2, keypoints=x.tobytes())
    write_examples(run.path, [row])
    points = load_examples(run)[0].coordinates()
    assert np.isnan(points[0, 1]).all()
    assert (points[[0, 1, 1], [0, 0, 1]] == 1).all()
    x[1, 0, 7, 2] = 0  # no confidence in a joint
    row = make_row(0, frames=2, keypoints=x.tobytes())
    write_examples(run.path, [row], ABOUT | {"channels": "xyc"})
    points = load_examples(run)[0].coordinates()
    assert points.shape == (2, 2, 20, 2)
    assert np.isnan(points[1, 0, 7]).all()
    assert np.isnan(points).sum() == 2 + 2 * 20


def test_no_examples(run):
    with pytest.raises(RunError, match=r"examples\.arrow does not exist"):
        load_examples(run)


def changed(number, **values):
    rows = make_rows()
    rows[number] |= values
    return rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (changed(0, label=7), "label 7, where there are 7 classes"),
        (changed(0, label=-1), "label -1"),
        (changed(6, label=-2), "label -2"),
        (changed(0, predicted=7), "predicted 7"),
        (changed(0, kind="film"), "a 'film' with the role ''"),
        (changed(0, role="mixed"), "a 'clip' with the role 'mixed'"),
        (changed(0, frames=2**31 - 1), "2147483647 frames"),
        (changed(0, frames=0), "0 frames"),
        (changed(0, persons=-2), "-2 persons"),
        (changed(0, persons=2**31 - 1), "bytes of keypoints for the shape"),
        (changed(0, joints=19), "19 joints with 3 channels"),
        (changed(0, channels=2), "20 joints with 2 channels"),
        (changed(0, keypoints=b"\0"), "1 bytes of keypoints"),
        (changed(0, keypoints=b"\xff" * 1440), "not finite"),
        (changed(0, target=[]), "the target"),
        (changed(0, target=[{"class": 7, "weight": 1.0}]), "the target"),
        (changed(0, target=[{"class": 0, "weight": float("nan")}]), "the target"),
        (changed(0, target=[{"class": None, "weight": 1.0}]), "TypeError"),
        (changed(4, start=5, length=2), "a window of 2 frames from 5 on"),
        (changed(4, start=0, length=0), "a window of 0 frames"),
        (changed(4, start=-1, length=3), "a window of 3 frames"),
        (changed(4, start=2**31 - 1, length=2**31 - 1), "a window"),
        (changed(6, pasted=[True]), "1 joints pasted or not"),
        (changed(6, lam=1.5), "lam is 1.5"),
        (changed(6, lam=float("nan")), "lam is nan"),
        (changed(0, name=None), "no name in a row"),
        (make_rows()[:-1], r"a scene of the roles \('receiver', 'partner'\)"),
        ([*make_mix(0)[1:], make_mix(0)[0]], "a scene of the roles"),
        (
            [
                *make_mix(0)[:2],
                make_row(0, "mix", "mixed", -1, 5, target=make_mix(0)[2]["target"], lam=0.5),
            ],
            "frames",
        ),
        ([make_row(0), make_row(1), make_row(0)], "do not follow one another"),
        ([make_row(0)] * 3, "a scene of the roles"),
        ([make_row(i) for i in range(2001)], "2001 rows"),
    ],
)
def test_hostile_rows_are_refused(run, rows, message):
    write_examples(run.path, rows)
    with pytest.raises(RunError, match=rf"examples\.arrow is damaged .*{message}"):
        load_examples(run)


def about(**values):
    return ABOUT | values


def skeleton(**values):
    return ABOUT | {"layout": ABOUT["layout"] | values}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (about(format=2), "format 2, expected 1"),
        (about(channels="xyzw"), "channels 'xyzw'"),
        (about(channels=["xyz"]), "channels"),
        (about(up="x"), "'x' up"),
        (about(up={}), "up"),
        (about(layout=[]), "TypeError"),
        (about(layout={}), "KeyError"),
        (skeleton(bones=[[0, 1, 2]]), "too many"),
        (skeleton(bones=[]), "the layout"),
        (skeleton(center=99), "the layout"),
        (skeleton(center="hip"), "TypeError"),
        (skeleton(parts=[]), "the layout"),
        (skeleton(parts={"all": list(range(20))}), "the layout"),
        (skeleton(joints=["a"] * 20), "the layout"),
        ({k: v for k, v in ABOUT.items() if k != "units"}, "units"),
    ],
)
def test_hostile_descriptions_are_refused(run, metadata, message):
    write_examples(run.path, about=metadata)
    with pytest.raises(RunError, match=rf"examples\.arrow is damaged .*{message}"):
        load_examples(run)


def test_a_description_that_is_no_json_is_refused(run):
    for text in (b"{", b"\xff", b"[" * 100_000):
        schema = pa.schema(TYPES, metadata={"format": "1", "layout": text, "up": "1"})
        with pa.ipc.new_file(run.path / "examples.arrow", schema) as writer:
            writer.write_batch(pa.RecordBatch.from_pylist(make_rows(), schema=schema))
        with pytest.raises(RunError, match=r"examples\.arrow is damaged"):
            load_examples(run)


@pytest.mark.parametrize("column", TYPES)
def test_columns_of_other_types_are_refused(run, column):
    missing = {name: kind for name, kind in TYPES.items() if name != column}
    for types in (missing, missing | {column: pa.null()}):
        write_examples(run.path, [], types=types)
        with pytest.raises(RunError, match=rf"column {column} is (None|null), expected"):
            load_examples(run)


@pytest.mark.parametrize("batches", [0, 2])
def test_other_than_one_batch_is_refused(run, batches):
    write_examples(run.path, batches=batches)
    with pytest.raises(RunError, match=f"{batches} record batches, expected 1"):
        load_examples(run)


def test_much_in_little_is_refused(run):
    """Compressed to a few kilobytes, more than a run ever writes."""
    rows = [make_row(i, keypoints=bytes(2_000_000)) for i in range(20)]
    path = write_examples(run.path, rows, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(RunError, match="which is too much"):
        load_examples(run)


def test_a_file_that_is_too_large_is_not_read(run, monkeypatch):
    path = write_examples(run.path)
    monkeypatch.setattr("shapmix.reporting.examples.MOST_BYTES", path.stat().st_size - 1)
    with pytest.raises(RunError, match=f"is damaged .{path.stat().st_size} bytes"):
        load_examples(run)


def test_a_folder_in_place_of_the_file(run):
    (run.path / "examples.arrow").mkdir()
    with pytest.raises(RunError, match=r"examples\.arrow is damaged"):
        load_examples(run)


@given(st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files_are_refused_or_read(run, data):
    """Bytes changed, or cut off: never another error than the one that names the file."""
    path = write_examples(run.path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.sampled_from([len(content), len(content) - 1, len(content) // 2, 7, 0]))
    path.write_bytes(content[:end])
    with suppress(RunError):
        assert all(np.isfinite(e.keypoints).all() for e in load_examples(run))


# ---- the explanation


def write_explanation(run, **changes):
    arrays = make_explanation(7, PARTS) | changes
    arrays = {name: value for name, value in arrays.items() if value is not None}
    np.savez(run.path / "explanation.npz", **arrays)


def test_an_explanation_is_read(run):
    write_explanation(run)
    found, written = load_explanation(run), make_explanation(7, PARTS)
    assert found.part_names == PARTS
    assert found.clips.tolist() == [4] * 6 + [1]
    for name in written.keys() - {"part_names"}:
        np.testing.assert_array_equal(getattr(found, name), written[name])
    assert found.coalitions.shape == (31, 5)
    assert found.coalitions.dtype == bool
    assert np.isnan(found.part_errors[-1]).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parts": None}, "no array parts"),
        ({"clips": np.ones(6)}, r"clips has shape \(6,\); expected \(7,\)"),
        ({"parts": np.ones((7, 4))}, r"expected \(7, 5\)"),
        ({"coalitions": np.ones((20, 5))}, r"expected \(31, 5\)"),
        ({"coalition_errors": np.ones((7, 30))}, r"expected \(7, 31\)"),
        ({"interactions": np.full((7, 5, 5), np.inf)}, "not finite"),
        ({"part_names": np.array(["a"] * 200_000)}, "200000 parts; expected 2 to 8"),
        ({"part_names": np.array([], dtype=str)}, "0 parts"),
    ],
)
def test_explanations_that_are_not_sound(run, changes, message):
    write_explanation(run, **changes)
    with pytest.raises(RunError, match=rf"explanation\.npz is damaged .*{message}"):
        load_explanation(run)


@pytest.mark.parametrize("shape", [(10**13,), (10**30,), (-1,), (2,) * 70])
def test_arrays_that_claim_more_than_there_is(run, shape):
    write_explanation(run, parts=None)
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(255) + "\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    with zipfile.ZipFile(run.path / "explanation.npz", "a") as file:
        file.writestr("parts.npy", content + bytes(140))
    with pytest.raises(RunError, match=r"explanation\.npz is damaged"):
        load_explanation(run)


def test_no_explanation(run):
    with pytest.raises(RunError, match=r"explanation\.npz does not exist"):
        load_explanation(run)


# ---- the history


def test_a_history_is_read(run):
    (run.path / "history.csv").write_text(
        "epoch,lr,train_loss,val_top1\n0,0.1,2.5,\n1,0.05,1.5,0.4\n"
    )
    history = load_history(run)
    assert {name: len(values) for name, values in history.items()} == dict.fromkeys(
        ("epoch", "lr", "train_loss", "val_top1"), 2
    )
    assert history["train_loss"].tolist() == [2.5, 1.5]
    assert np.isnan(history["val_top1"][0])
    assert history["val_top1"][1] == 0.4


def test_a_history_without_epochs(run):
    (run.path / "history.csv").write_text("epoch,lr\n")
    assert load_history(run)["lr"].shape == (0,)


@pytest.mark.parametrize(
    "text",
    ["", "lr\n0.1\n", "epoch,lr\n0\n", "epoch\nsoon\n", "epoch,epoch\n0,1\n", "epoch\n1,2\n"],
)
def test_histories_that_are_not_sound(run, text):
    (run.path / "history.csv").write_text(text)
    with pytest.raises(RunError, match=r"history\.csv is damaged"):
        load_history(run)


def test_no_history(run):
    with pytest.raises(RunError, match=r"history\.csv does not exist"):
        load_history(run)


def test_reading_examples_needs_no_torch(run):
    write_examples(run.path)
    program = (
        "import sys; from shapmix.reporting import load_run;"
        "from shapmix.reporting.examples import load_examples;"
        "assert len(load_examples(load_run(sys.argv[1]))) == 7;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(run.path)], check=True)

"""Arrays: axes, layouts, labels, missing joints, and files that lie."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generators import arrays as written
from shapmix.data.archive import Archive
from shapmix.data.importers import arrays, npy_content, run_import
from shapmix.data.importers.arrays import Options
from shapmix.data.importers.base import Importer, SourceError
from shapmix.data.importers.peek import Peek

importer: Importer = arrays  # the interface, checked by mypy

NTU = Options("ntu25")
random = np.random.default_rng(0)
TMVC = random.normal(size=(5, 2, 25, 3)).astype(np.float32)


def npy(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def folder(path: Path, files: dict[str, Any]) -> Path:
    """Files of bytes or arrays."""
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content if isinstance(content, bytes) else npy(content))
    return path


def imported(tmp_path: Path, values: Any, **options: Any) -> Archive:
    source = folder(tmp_path / "source", {"wave/a.npy": values})
    options = {"layout": "ntu25"} | options
    run_import("arrays", source, tmp_path / "a.arrow", Options(**options))
    return Archive(tmp_path / "a.arrow")


def test_archive_of_generated_files(tmp_path: Path) -> None:
    source = written.write(tmp_path)
    report = run_import("arrays", source, tmp_path / "a.arrow")
    assert (report.read, report.skipped, report.repaired) == (6, {}, {})
    archive = Archive(tmp_path / "a.arrow")
    info = archive.info
    assert (info.layout.name, info.channels, info.units) == ("sbu15", "xyz", "m")
    assert info.class_names == ("walk", "wave")
    for i, name in enumerate(archive.names):
        path = next(source.rglob(f"{name}.np?"))
        loaded = np.load(path)
        values = loaded if path.suffix == ".npy" else loaded["keypoints"]
        np.testing.assert_array_equal(archive.keypoints(i), values.astype(np.float32))
        assert info.class_names[archive.labels[i]] == path.parent.name


@pytest.mark.parametrize("order", ["TMVC", "MTVC", "CTVM", "VTCM"])
def test_orders_of_axes(tmp_path: Path, order: str) -> None:
    values = TMVC.transpose(["TMVC".index(letter) for letter in order])
    archive = imported(tmp_path, values, order=order)
    np.testing.assert_array_equal(archive.keypoints(0), TMVC)
    assert archive.info.layout.name == "ntu25"


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (TMVC[:, 0], {}),
        (TMVC[:, 0].transpose(2, 0, 1), {"order": "CTV"}),
        (np.asfortranarray(TMVC[:, 0]), {}),
        (TMVC[:, 0].reshape(5, 75), {}),
        (TMVC[:, 0].astype(">f8"), {}),
    ],
)
def test_one_person(tmp_path: Path, values: Any, options: dict[str, Any]) -> None:
    np.testing.assert_array_equal(imported(tmp_path, values, **options).keypoints(0), TMVC[:, :1])


def test_a_flat_array_with_known_channels_has_a_number_of_joints(tmp_path: Path) -> None:
    values = random.normal(size=(5, 54))
    archive = imported(tmp_path, values, layout=None, channels="xyz")
    assert archive.info.layout.name == "openpose18"
    np.testing.assert_array_equal(archive.keypoints(0).reshape(5, 54), values.astype(np.float32))


def test_whole_numbers_two_dimensions_and_frame_rate(tmp_path: Path) -> None:
    values = random.integers(1, 640, size=(4, 17, 2), dtype=np.int16)
    archive = imported(tmp_path, values, fps=25, layout="coco17")
    np.testing.assert_array_equal(archive.keypoints(0)[:, 0], values)
    assert (archive.info.channels, archive.info.units, archive.clip(0).fps) == ("xy", "px", 25)


def test_scores_hide_joints(tmp_path: Path) -> None:
    values = random.uniform(1, 2, size=(4, 17, 3))
    values[1, 3, 2] = 0
    values[2] = np.nan
    source = folder(tmp_path / "source", {"wave/a.npy": values})
    report = run_import(
        "arrays", source, tmp_path / "a.arrow", Options(layout="coco17", channels="xyc")
    )
    assert report.repaired == {"frames without a body left out": ["a"]}
    found = Archive(tmp_path / "a.arrow").keypoints(0)[:, 0]
    expected = values[[0, 1, 3]].astype(np.float32)
    expected[1, 3] = 0
    np.testing.assert_array_equal(found, expected)


def test_missing_joints_are_given_a_place(tmp_path: Path) -> None:
    values = np.ones((3, 25, 3))
    values[:, 4, 0] = [1, np.nan, 3]
    source = folder(tmp_path / "source", {"wave/a.npy": values})
    report = run_import("arrays", source, tmp_path / "a.arrow", NTU)
    assert report.repaired == {"missing joints given a place": ["a"]}
    assert Archive(tmp_path / "a.arrow").keypoints(0)[:, 0, 4, 0].tolist() == [1, 2, 3]


def test_zips_and_labels_with_metadata(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        for name in ("a", "b"):
            file.writestr(f"{name}.npy", npy(TMVC))
    labels = tmp_path / "labels.csv"
    labels.write_text("clip,label,subject,room\na,2,7,x1\nb,1,8,x2\n")
    options = Options("ntu25", str(labels), class_names="sit,stand", label_base=1)
    run_import("arrays", tmp_path / "x.zip", tmp_path / "a.arrow", options)
    archive = Archive(tmp_path / "a.arrow")
    assert archive.labels.tolist() == [1, 0]
    assert archive.metadata["subject"].tolist() == [7, 8]
    assert archive.metadata["room"].tolist() == ["x1", "x2"]


def npz(**values: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **values)
    return file.getvalue()


def test_the_key_of_an_npz(tmp_path: Path) -> None:
    content = npz(keypoints=TMVC, scores=TMVC[..., 0])
    source = folder(tmp_path / "source", {"wave/a.npz": content})
    with pytest.raises(SourceError, match="arrays keypoints, scores; say which, by --key"):
        run_import("arrays", source, tmp_path / "a.arrow", NTU)
    with pytest.raises(SourceError, match=r"no array 'keypoint' .did you mean 'keypoints'"):
        run_import("arrays", source, tmp_path / "a.arrow", Options("ntu25", key="keypoint"))
    run_import("arrays", source, tmp_path / "a.arrow", Options("ntu25", key="keypoints"))
    np.testing.assert_array_equal(Archive(tmp_path / "a.arrow").keypoints(0), TMVC)


@pytest.mark.parametrize("names", [("keypoints", "scores"), ("keypoint", "keypoint_score")])
def test_scores_in_an_array_of_their_own(tmp_path: Path, names: tuple[str, str]) -> None:
    values = random.uniform(1, 300, size=(2, 9, 17, 3))
    content = npz(**{names[0]: values[..., :2], names[1]: values[..., 2], "label": 3})
    source = folder(tmp_path / "source", {"wave/a.npz": content})
    with pytest.raises(SourceError, match="it fits --order MTVC"):
        run_import("arrays", source, tmp_path / "a.arrow", Options("coco17"))
    run_import("arrays", source, tmp_path / "a.arrow", Options("coco17", order="MTVC"))
    archive = Archive(tmp_path / "a.arrow")
    assert archive.info.channels == "xyc"
    expected = values.transpose(1, 0, 2, 3).astype(np.float32)
    np.testing.assert_array_equal(archive.keypoints(0), expected)


def test_the_only_order_that_fits_is_taken(tmp_path: Path) -> None:
    values = random.normal(size=(9, 1, 25, 3)).astype(np.float32)
    files = {"wave/a.npy": values[:, 0].transpose(2, 0, 1), "wave/b.npy": np.ones((3, 30, 25))}
    source = folder(tmp_path / "source", files)
    report = run_import("arrays", source, tmp_path / "a.arrow", NTU)
    assert report.repaired == {"axes read as CTV, which alone fits the layout": ["a", "b"]}
    np.testing.assert_array_equal(Archive(tmp_path / "a.arrow").keypoints(0), values)
    with pytest.raises(SourceError, match=r"30 joints are of no layout.*Is it --order CTV"):
        run_import(
            "arrays",
            folder(tmp_path / "b", {"x/b.npy": np.ones((3, 30, 25))}),
            tmp_path / "b.arrow",
        )


def test_short_clips_do_not_turn_the_axes(tmp_path: Path) -> None:
    """One frame of two persons fits (persons, frames, ...) better, but the other files do not."""
    source = folder(tmp_path / "s", {"x/a.npy": TMVC[:1], "x/b.npy": TMVC})
    report = run_import("arrays", source, tmp_path / "a.arrow", NTU)
    assert (report.skipped, report.read, report.repaired) == ({"wrong shape": ["a"]}, 1, {})


@pytest.mark.parametrize("shape", [(1, 2, 25, 3), (2, 5, 25, 3)])
def test_more_persons_than_frames_are_asked_about(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Sizes alone do not say whether two axes are frames and persons or persons and frames."""
    values = random.normal(size=shape).astype(np.float32)
    with pytest.raises(SourceError, match=r"unless you say --order TMVC.*it fits --order MTVC"):
        imported(tmp_path, values)
    np.testing.assert_array_equal(imported(tmp_path, values, order="TMVC").keypoints(0), values)
    turned = imported(tmp_path, values, order="MTVC").keypoints(0)
    np.testing.assert_array_equal(turned, values.transpose(1, 0, 2, 3))


@pytest.mark.parametrize(("scale", "layout"), [(300, "ntu25"), (1, "openpose25")])
def test_three_values_may_be_a_score(tmp_path: Path, scale: float, layout: str) -> None:
    values = random.uniform(size=(5, 25, 3)) * [scale, scale, 1]
    with pytest.raises(SourceError, match="say --channels xyc"):
        imported(tmp_path, values, layout=layout)
    assert imported(tmp_path, values, layout=layout, channels="xyc").info.units == "px"
    assert imported(tmp_path, values / 300).info.channels == "xyz"


def test_names_of_clips_that_several_files_have(tmp_path: Path) -> None:
    source = folder(tmp_path / "s", {f"s{k}/00{n}.npy": TMVC for k in (1, 2) for n in (0, 1)})
    labels = tmp_path / "labels.csv"
    options = Options("ntu25", str(labels))
    labels.write_text("clip,label\n000,wave\n001,jump\n")
    with pytest.raises(SourceError, match=r"'000', which may be 's1/000\.npy' or 's2/"):
        run_import("arrays", source, tmp_path / "a.arrow", options)
    labels.write_text(",Clip,LABEL\n0,s1/000,a\n1,s1/001.npy,b\n2,s2/000,c\n3,001,d\n4,s9/1,e\n")
    report = run_import("arrays", source, tmp_path / "a.arrow", options)
    archive = Archive(tmp_path / "a.arrow")
    found = {
        n: archive.info.class_names[k] for n, k in zip(archive.names, archive.labels, strict=True)
    }
    assert found == {"s1/000": "a", "s1/001": "b", "s2/000": "c", "s2/001": "d"}
    assert report.repaired == {"labels of clips that are not there left out": ["s9/1"]}


GOOD = npy(TMVC)
HEADER = "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 2, 25, 3), }"


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + TMVC.tobytes()


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not .npy"),
    "text": (b"hello world, this is text", "not .npy"),
    "cut": (GOOD[:-4], "other size than declared"),
    "huge": (header(HEADER.replace("5", "9" * 2000)), "other size than declared"),
    "huge product": (header(HEADER.replace("5, 2", "4294967296, 4294967296")), "other size"),
    "negative": (header(HEADER.replace("5, 2", "-5, -2")), "not .npy"),
    "code": (header("__import__('os').abort()"), "not .npy"),
    "nested": (header("(" * 4000), "not .npy"),
    "no key": (header("{}"), "not .npy"),
    "objects": (npy(np.array([{}], dtype=object)), "no numbers"),
    "texts": (npy(np.array(["a"])), "no numbers"),
    "complex": (npy(TMVC.astype(np.complex64)), "no numbers"),
    "24 joints": (npy(TMVC[:, :, :24]), "wrong shape"),
    "2 coordinates": (npy(TMVC[..., :2]), "wrong shape"),
    "no frames": (npy(TMVC[:0]), "wrong shape"),
    "one axis": (npy(TMVC.ravel()), "wrong shape"),
    "six axes": (npy(TMVC[None, None]), "wrong shape"),
    "infinite": (npy(np.where(TMVC > 2, np.inf, TMVC)), "not finite"),
    "overflow": (npy(TMVC.astype(float) * 1e300), "not finite"),
    "zeros": (npy(TMVC * 0), "no body"),
    "nan": (npy(TMVC * np.nan), "no body"),
}


@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=BAD)
def test_bad_files_are_skipped(tmp_path: Path, content: bytes, reason: str) -> None:
    source = folder(tmp_path / "source", {"wave/a.npy": GOOD, "wave/b.npy": content})
    report = run_import("arrays", source, tmp_path / "a.arrow", NTU)
    ((found, names),) = report.skipped.items()
    assert (found.startswith(reason), names, report.read) == (True, ["b"], 1)


def test_bad_npz_files_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npy_content, "MAX_BYTES", 10_000)
    file = io.BytesIO()
    np.savez_compressed(file, a=np.zeros((1000, 25, 3)))
    files = {"bomb": file.getvalue(), "cut": npz(a=TMVC)[:-30], "many": npz(a=TMVC, b=TMVC)}
    files |= {"good": npz(a=TMVC), "none": npz()}
    source = folder(tmp_path / "s", {f"x/{name}.npz": content for name, content in files.items()})
    report = run_import("arrays", source, tmp_path / "a.arrow", NTU)
    assert report.read == 1
    assert report.skipped == {
        "too large": ["bomb"],
        "unreadable file": ["cut"],
        "several arrays": ["many", "none"],
    }


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (TMVC.transpose(3, 0, 2, 1), {"layout": "ntu25"}, "it fits --order MTVC or CTVM"),
        (TMVC[:, 0], {"layout": "coco17"}, "with the 17 joints of coco17"),
        (
            TMVC[:, :, :20],
            {"layout": None},
            "20 joints, as several layouts have; say which: --layout kinect20",
        ),
        (
            np.ones((5, 7, 3)),
            {"layout": None},
            r"7 joints, as none of .*Describe the skeleton in a file mine",
        ),
        (np.ones((5, 74)), {"layout": None}, "which does not say the number of joints"),
        (np.ones((5, 74)), {"layout": "ntu25"}, r"or \(frames, 25 x coordinates\)"),
        (np.ones((5, 25, 4)), {}, "4 coordinates a joint"),
        (TMVC, {"channels": "xy"}, "3 coordinates a joint, expected xy, 2"),
        (TMVC, {"order": "NCTV"}, "order is 'NCTV'"),
        (TMVC, {"layout": "nut25"}, r"unknown layout 'nut25' .did you mean 'ntu25'"),
    ],
)
def test_errors_say_what_to_do(
    tmp_path: Path, values: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        imported(tmp_path, values, **options)


def test_one_file_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(GOOD)
    with pytest.raises(SourceError, match="is one file; give a folder"):
        run_import("arrays", tmp_path / "a.npy", tmp_path / "a.arrow")
    (tmp_path / "all.npy").write_bytes(npy(TMVC[None]))
    with pytest.raises(SourceError, match=r"its 1 rows are clips, .*np.save.*--order CTVM"):
        run_import("arrays", tmp_path / "all.npy", tmp_path / "a.arrow")
    with pytest.raises(SourceError, match="no labels"):
        run_import("arrays", tmp_path, tmp_path / "a.arrow")
    with pytest.raises(SourceError, match=r"no \.npy or \.npz file"):
        run_import("arrays", folder(tmp_path / "x", {"a.txt": b""}), tmp_path / "a.arrow")


def test_recognise(tmp_path: Path) -> None:
    assert "clip00.npy" in str(arrays.recognise(Peek(written.write(tmp_path))))
    (tmp_path / "x.npz").write_bytes(npz(x_train=TMVC))
    assert arrays.recognise(Peek(tmp_path / "x.npz")) is None

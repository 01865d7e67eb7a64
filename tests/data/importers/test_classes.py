"""Labels of a source to class indices: ids from 0 or 1, names, files of names, several labels."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapmix.data.clip import ClipError
from shapmix.data.importers.base import SourceError
from shapmix.data.importers.classes import Classes, as_id, find_classes, read_class_names

NAMES = "walk,sit,fall"


@pytest.mark.parametrize(
    ("labels", "class_names", "base", "names", "index"),
    [
        ({"walk", "fall", "sit"}, None, None, ("fall", "sit", "walk"), {"walk": 2, "fall": 0}),
        ({"walk", "fall"}, NAMES, None, ("walk", "sit", "fall"), {"walk": 0, "fall": 2}),
        # ids without names are names, whatever they count from
        ({0, 2}, None, None, ("0", "2"), {0: 0, 2.0: 1, "2": 1}),
        ({1, 10, 9}, None, None, ("1", "9", "10"), {1: 0, 10: 2}),
        ({"0.0", "10.0", "2.0"}, None, None, ("0", "2", "10"), {"10.0": 2, 2: 1}),
        ({20190101, 20190102}, None, None, ("20190101", "20190102"), {20190102: 1}),
        # unless they are said to be indices
        ({0, 2}, None, 0, ("0", "1", "2"), {0: 0, 2: 2}),
        ({1, 3}, None, 1, ("1", "2", "3"), {1: 0, 3: 2}),
        ({1.0, 2.0}, None, 1, ("1", "2"), {2.0: 1}),
        # with names
        ({0, 2}, NAMES, None, ("walk", "sit", "fall"), {0: 0, 2: 2, "sit": 1}),
        ({1, 3}, NAMES, None, ("walk", "sit", "fall"), {1: 0, 3: 2}),
        ({1, 2}, NAMES, 0, ("walk", "sit", "fall"), {1: 1, 2: 2}),
        ({1, 2}, NAMES, 1, ("walk", "sit", "fall"), {1: 0, 2: 1}),
        ({"1", " 3"}, NAMES, None, ("walk", "sit", "fall"), {"1": 0, " 3": 2}),
        ({"2", "1"}, "2,1", None, ("2", "1"), {"2": 0, "1": 1}),
        ({"sit; down", "sit; up"}, None, None, ("sit; down", "sit; up"), {"sit; up": 1}),
        ({"a", "a|b"}, "a,a|b", None, ("a", "a|b"), {"a|b": 1}),
    ],
)
def test_classes(labels, class_names, base, names, index):
    classes = find_classes(labels, class_names, base)
    assert classes.names == names
    for label, k in index.items():
        assert classes.label(label, "clip") == k


@pytest.mark.parametrize(
    ("labels", "class_names", "base", "message"),
    [
        ([], None, None, "no clip of the source has a label"),
        ([[0, 1]], None, None, "has labels .*one class.*main label"),
        (["walk", "walk|sit"], None, None, "'walk|sit' joins walk and sit; a clip has one class"),
        (["walk", "sit", "walk, sit"], None, None, "'walk, sit' joins walk and sit"),
        ([0, "walk"], None, None, "partly ids such as 0, partly text like 'walk'"),
        (["wlak"], NAMES, None, r"'wlak' \(did you mean 'walk'\?\) is none of the 3"),
        ([0, 3], NAMES, None, "ids from 0 to 3, but 3 class names .* expected 0 to 2"),
        ([1, 4], NAMES, None, "ids from 1 to 4, but 3 class names .* expected 1 to 3"),
        ([1, 3], NAMES, 0, "Do the ids count from 1.*--label-base 1"),
        ([1, 2], NAMES, None, "ids from 1 to 2 and there are 3 class names: .* --label-base 0"),
        ([0, 1], NAMES, 1, "ids from 0 to 1, expected ids from 1.*--label-base 0"),
        ([-1], None, None, "ids from -1"),
        ([10**9], None, 0, "1000000000"),
        ([1], None, 7, "label_base is 7"),
    ],
)
def test_labels_that_cannot_be(labels, class_names, base, message):
    with pytest.raises(SourceError, match=message):
        find_classes(labels, class_names, base)


def test_a_file_of_names_with_ids_says_what_they_count_from(tmp_path: Path) -> None:
    file = tmp_path / "names.json"
    file.write_text(json.dumps({"walk": 1, "sit": 2, "run": 3}))
    classes = find_classes({1, 2}, str(file), None)
    assert (classes.names, classes.label(2, "clip")) == (("walk", "sit", "run"), 1)


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        ("runn", "unknown label", "'runn' is none of the 2 classes"),
        (2, "unknown label", "label 2, expected an id from 0 to 1"),
        (-1, "unknown label", "label -1"),
        ([0, 1], "several labels", "cut it into one clip a label"),
        (None, "unknown label", "None"),
        (True, "unknown label", "True"),
        (float("nan"), "unknown label", "nan"),
    ],
)
def test_a_clip_with_a_strange_label(value, reason, message):
    with pytest.raises(ClipError, match=message) as caught:
        Classes(("run", "sit")).label(value, "clip 1")
    assert (caught.value.reason, caught.value.clip) == (reason, "clip 1")


@given(st.integers(-5, 2_000_000_000))
def test_ids_are_whole_numbers_however_written(number):
    assert as_id(number) == as_id(float(number)) == number
    assert as_id(str(number)) == (number if 0 <= number < 10**9 else None)
    assert as_id(number + 0.5) is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "walk\n\n sit \nfall\n"),
        ("a.json", json.dumps(["walk", "sit", "fall"])),
        ("a.json", json.dumps({"fall": 2, "walk": 0, "sit": 1})),
        ("a.json", json.dumps({"3": "fall", "1": "walk", "2": "sit"})),
        ("a.csv", "id,name\n2,sit\n3,fall\n1,walk\n"),
        ("a.txt", "\ufeffwalk\nsit\nfall"),
    ],
)
def test_files_of_names(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_class_names(str(tmp_path / name)).names == ("walk", "sit", "fall")
    assert read_class_names("walk, sit,fall").names == ("walk", "sit", "fall")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"walk\nwalk\n", "'walk' occurs twice"),
        ("a.txt", b"", "at least one"),
        ("a.txt", b"\xff\xfe\x00", "cannot read"),
        ("a.json", b"3", "holds a int"),
        ("a.json", b"[1, 2]", "at least one, none of them empty"),
        ("a.json", b'{"a": 0, "b": 2}', "from 0 or 1 without a gap"),
        ("a.json", b"[" * 100_000, "cannot read"),
        ("a.csv", b"number,name\n1,walk\n", "the columns id and name"),
        ("a.csv", b"id,name\nx,walk\n", "cannot read"),
    ],
)
def test_files_of_names_that_are_none(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read_class_names(str(tmp_path / name))
    with pytest.raises(SourceError, match="cannot read"):
        read_class_names(str(tmp_path / "missing.txt"))
    with pytest.raises(SourceError, match=r"expected a \.txt, \.json or \.csv file"):
        read_class_names(str(tmp_path / "names.tsv"))

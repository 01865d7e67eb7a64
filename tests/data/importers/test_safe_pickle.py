"""The reader of pickles: what it reads equals what Python reads, and nothing is ever executed."""

from __future__ import annotations

import builtins
import collections
import contextlib
import copyreg
import os
import pickle
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shapmix.data.importers import safe_pickle
from shapmix.data.importers.pickle_values import Stored
from shapmix.data.importers.safe_pickle import (
    PickledArray,
    UnreadablePickle,
    load_pickle,
    mapped_file,
)

RNG = np.random.default_rng(0)
SHARED = ["a", "b"]


def array(kind: str, *shape: int) -> np.ndarray[Any, Any]:
    return (100 * RNG.normal(size=shape)).astype(kind)


VALUES: dict[str, Any] = {
    "annotations": {
        "split": {"train": ["a", "b"], "val": ["c"]},
        "annotations": [
            {
                "frame_dir": name,
                "label": label,
                "img_shape": (1080, 1920),
                "keypoint": array("f2", 2, 40, 17, 2),
                "keypoint_score": array("f4", 2, 3, 17),
                "valid": {0.5: 10, 0.1: 20},
            }
            for label, name in enumerate("abc")
        ],
    },
    "numbers": [
        0,
        1,
        255,
        256,
        65535,
        65536,
        -1,
        2**31,
        -(2**31),
        2**63,
        -(2**63),
        1.5,
        -0.0,
        1e300,
    ],
    "constants": [None, True, False, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}, set()],
    "texts": [
        "",
        "a",
        "é",
        "\n\\\t\"'",
        "日本",
        "\U0001f600",
        "x" * 255,
        "x" * 256,
        b"",
        b"\x00\xff",
    ],
    "sets": [{1, "a", 2.5}, frozenset({1, 2}), bytearray(b"abc"), bytearray()],
    "dictionaries": [
        collections.OrderedDict(a=1, b=[2]),
        collections.defaultdict(list, a=[1]),
        {1: 2, 2.5: 3, None: 4, "x": 5, b"y": 6},
    ],
    "many": [list(range(5000)), {i: str(i) for i in range(3000)}],
    "shared": [SHARED, SHARED, {"again": SHARED}, tuple(SHARED)],
    "arrays": [
        array(kind, 3, 4)
        for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
    ],
    "forms": [
        np.asfortranarray(array("f4", 5, 6)),
        array("f4", 5, 6)[::2, 1:].T,
        array(">f4", 30, 40),
        np.zeros((0, 3), np.float32),
        np.array(5.0),
        np.array([True, False]),
        np.array(["ab", "c"]),
        array("f8", 1000),
    ],
    "scalars": [np.float32(2.5), np.int64(-3), np.float16(1), np.bool_(True), np.str_("ab")],
}


def resolved(value: Any, file: bytes) -> Any:
    """`value` with its arrays loaded."""
    if isinstance(value, PickledArray):
        return value.load(file)
    if isinstance(value, dict):
        return {key: resolved(item, file) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(resolved(item, file) for item in value)
    return value


def plain(value: Any) -> Any:
    """What Python read, with the types that this reader has."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    return bytes(value) if isinstance(value, bytearray) else value


def assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, np.ndarray):
        assert found.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
        assert found.shape == expected.shape
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert type(found) is type(expected)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, set | frozenset):
        assert found == expected
    else:
        assert type(found) is type(expected)
        assert found == expected


def old_numpy(content: bytes) -> bytes:
    """The pickle as NumPy 1 wrote it: modules numpy.core instead of numpy._core."""
    for name in ("multiarray", "numeric"):
        old, new = f"numpy.core.{name}".encode(), f"numpy._core.{name}".encode()
        content = content.replace(b"c" + new, b"c" + old)  # GLOBAL
        content = content.replace(  # SHORT_BINUNICODE
            b"\x8c" + bytes([len(new)]) + new, b"\x8c" + bytes([len(old)]) + old
        )
    return content  # its frames are too long now, which does not matter here


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_equals_what_python_reads(value: Any, protocol: int) -> None:
    content = pickle.dumps(value, protocol)
    expected = plain(pickle.loads(content))
    assert_same(resolved(load_pickle(content), content), expected)
    old = old_numpy(content)
    assert (old != content) == (b"numpy._core" in content)
    assert_same(resolved(load_pickle(old), old), expected)


@pytest.mark.parametrize("protocol", range(6))
def test_shared_objects_stay_shared(protocol: int) -> None:
    first, second, *_ = load_pickle(pickle.dumps(VALUES["shared"], protocol))
    assert first is second
    endless: list[Any] = []
    endless.append(endless)
    again = load_pickle(pickle.dumps(endless, protocol))
    assert again[0] is again


@pytest.mark.parametrize("protocol", range(6))
def test_long_texts_stay_in_the_file(protocol: int) -> None:
    content = pickle.dumps(["é" * 2000], protocol)
    (text,) = load_pickle(content)
    assert isinstance(text, Stored)
    assert text.read(content) == ("é" * 2000).encode("latin-1")


def test_texts_of_python_2() -> None:
    assert load_pickle(b"\x80\x02]q\x00(U\x03abcT\x02\x00\x00\x00de.".replace(b".", b"e.")) == [
        "abc",
        "de",
    ]
    assert load_pickle(b"(lp0\nS'abc'\np1\naI01\naL5L\na.") == ["abc", True, 5]
    with pytest.raises(UnreadablePickle, match="Python 2"):
        load_pickle(b"S'a\\nb'\n.")


# ---- programs

TARGET = "ran"


def short(text: str | bytes) -> bytes:
    content = text.encode() if isinstance(text, str) else text
    return (b"\x8c" if isinstance(text, str) else b"C") + bytes([len(content)]) + content


COMMAND = short(f"touch {TARGET}")
SYSTEM = short("posix") + short("system") + b"\x93"


class Calls:
    """Pickled as a call."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> Any:
        return self.reduced


class WithState:
    def __setstate__(self, state: Any) -> None:
        os.system(f"touch {TARGET}")

    def __getstate__(self) -> Any:
        return {"a": 1}


def nested_in_array() -> bytes:
    """The data of an array is a call."""
    start = pickle.dumps(np.zeros(3), 4).split(b"C\x18")[0]
    return start + SYSTEM + COMMAND + b"\x85R" + b"t\x94b."


PROGRAMS: dict[str, tuple[bytes, str]] = {
    "GLOBAL, REDUCE": (b"cposix\nsystem\n(S'touch ran'\ntR.", "posix.system"),
    "os": (b"cos\nsystem\n(S'touch ran'\ntR.", "os.system"),
    "STACK_GLOBAL": (b"\x80\x04" + SYSTEM + COMMAND + b"\x85R.", "posix.system"),
    "INST": (b"(S'touch ran'\niposix\nsystem\n.", "posix.system"),
    "INST of a known class": (b"(icollections\nOrderedDict\n.", "INST"),
    "OBJ": (b"(cposix\nsystem\nS'touch ran'\no.", "posix.system"),
    "NEWOBJ": (b"\x80\x02csubprocess\nPopen\nU\x02ls\x85\x81.", "subprocess.Popen"),
    "NEWOBJ of a known class": (b"\x80\x02cnumpy\nndarray\n)\x81.", "NEWOBJ"),
    "NEWOBJ_EX": (b"\x80\x04csubprocess\nPopen\n)}\x92.", "subprocess.Popen"),
    "BUILD, __setstate__": (pickle.dumps(WithState()), "WithState"),
    "BUILD of a global": (b"cnumpy\ndtype\n}S'x'\nI1\nsb.", "state of a Global"),
    "BUILD of a list": (b"]}b.", "state of a list"),
    "eval": (b"cbuiltins\neval\n(S'1'\ntR.", "builtins.eval"),
    "exec of Python 2": (b"c__builtin__\nexecfile\n(S'1'\ntR.", "builtins.execfile"),
    "getattr": (pickle.dumps(Calls(getattr, ("", "upper"))), "builtins.getattr"),
    "attribute of a known name": (b"cnumpy\nndarray.tofile\n.", "numpy.ndarray.tofile"),
    "module with the known name in it": (b"cnumpy.dtype\n__init__\n.", "numpy.dtype.__init__"),
    "copyreg": (b"ccopyreg\n_reconstructor\n(cos\nsystem\nNNtR.", "copyreg._reconstructor"),
    "importlib": (b"cimportlib\nimport_module\n(S'this'\ntR.", "importlib.import_module"),
    "partial": (b"cfunctools\npartial\n)R.", "functools.partial"),
    "fromfile": (b"cnumpy\nfromfile\n(S'/etc/passwd'\ntR.", "numpy.fromfile"),
    "load": (b"cnumpy\nload\n(S'/etc/passwd'\nNI01\ntR.", "numpy.load"),
    "EXT1": (b"\x80\x02\x82\x05.", "EXT1"),
    "EXT2": (b"\x80\x02\x83\x05\x00.", "EXT2"),
    "EXT4": (b"\x80\x02\x84\x05\x00\x00\x00.", "EXT4"),
    "PERSID": (b"Pname\n.", "PERSID"),
    "BINPERSID": (b"NQ.", "BINPERSID"),
    "NEXT_BUFFER": (b"\x80\x05\x97.", "NEXT_BUFFER"),
    "READONLY_BUFFER": (b"\x80\x05N\x98.", "READONLY_BUFFER"),
    "in an array": (nested_in_array(), "posix.system"),
    "as subtype": (
        b"cnumpy.core.multiarray\n_reconstruct\n(cos\nsystem\n(I0\ntS'b'\ntR.",
        "os.system",
    ),
    "another array class": (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntS'b'\ntR.",
        "another class than numpy.ndarray",
    ),
    "object array": (pickle.dumps(np.array([{}, []], object)), "dtype 'O8'"),
    "structured dtype": (pickle.dumps(np.zeros(2, [("a", "f4")])), "dtype 'V4'"),
    "ndarray called": (b"cnumpy\nndarray\n((I100000000000\nttR.", "refuses to call numpy.ndarray"),
    "text called": (b"\x80\x04" + COMMAND + b")R.", "refuses to call an object of type str"),
    "int called": (b"cbuiltins\nint\n(S'9'\ntR.", "refuses to call builtins.int"),
    "another codec": (b"c_codecs\nencode\n(S'a'\nS'bz2'\ntR.", "latin1"),
    "control characters": (b"c\x1b[2Jos\nsystem\n.", r"\\x1b\[2Jos.system"),
    "Path": (pickle.dumps(Path("x")), "pathlib"),
    "class": (pickle.dumps(WithState), "WithState"),
}


@pytest.mark.parametrize(("content", "named"), PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, named: str
) -> None:
    def called(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("it was executed")

    monkeypatch.chdir(tmp_path)
    for module, name in ((os, "system"), (builtins, "eval"), (subprocess, "Popen")):
        monkeypatch.setattr(module, name, called)
    modules = set(sys.modules)
    for wrapped in (content, b"](" + content[:-1] + b"e.", b"}(I1\n" + content[:-1] + b"u."):
        with pytest.raises(UnreadablePickle, match=named):
            load_pickle(wrapped)
    assert not (tmp_path / TARGET).exists()
    assert set(sys.modules) == modules


def test_the_programs_would_run_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the test above tests something."""
    monkeypatch.chdir(tmp_path)
    for name in ("GLOBAL, REDUCE", "STACK_GLOBAL", "INST", "OBJ", "BUILD, __setstate__"):
        pickle.loads(PROGRAMS[name][0])
        assert (tmp_path / TARGET).exists(), name
        (tmp_path / TARGET).unlink()


def test_extensions_are_not_looked_up() -> None:
    copyreg.add_extension("os", "system", 240)
    try:
        with pytest.raises(UnreadablePickle, match="EXT1"):
            load_pickle(pickle.dumps(os.system, 2).replace(b"cposix\nsystem\n", b"\x82\xf0"))
    finally:
        copyreg.remove_extension("os", "system", 240)


# ---- damage and bombs

GOOD = pickle.dumps(VALUES["annotations"], 4)

DAMAGED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "cut off"),
    "no pickle": (b"\xff\xfe", "no opcode"),
    "text": (b"hello", "no opcode|cut off|damaged"),
    "only a STOP": (b".", "damaged"),
    "stack underflow": (b"R.", "damaged"),
    "no MARK": (b"t.", "damaged"),
    "no memo": (b"h\x05.", "damaged"),
    "odd items": (b"}(I1\nu.", "damaged"),
    "into a text": (b"\x80\x04" + short("a") + b"Na.", "put into a str"),
    "list as key": (b"}]Ns.", "key of type list"),
    "deep key": (b"}" + b")" + b"\x85" * 60_000 + b"Ns.", "key of type tuple"),
    "digits": (b"I" + b"9" * 10_000 + b"\n.", "an integer of 10000 digits"),
    "long int": (b"\x80\x02\x8b\xff\x00\x00\x00" + b"\x7f" * 255 + b".", "integer of 255 bytes"),
    "declared length": (b"\x80\x04\x8d" + b"\xff" * 8 + b".", "cut off"),
    "declared frame": (b"\x80\x04\x95" + b"\xff" * 7, "cut off"),
    "no line end": (b"Iabc", "cut off"),
    "not UTF-8": (b"\x80\x04\x8c\x01\xff.", "damaged"),
    "wrong number of arguments": (b"cnumpy\ndtype\n)R.", "damaged"),
    "state of a dtype": (
        b"cnumpy\ndtype\n(S'f4'\ntRNb.",
        "a dtype of NumPy is not of its usual form",
    ),
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_damage_is_an_error(content: bytes, message: str) -> None:
    with pytest.raises(UnreadablePickle, match=message):
        load_pickle(content)


def test_a_pickle_that_is_cut_off_anywhere() -> None:
    for stop in range(0, len(GOOD) - 1, 7):
        with pytest.raises(UnreadablePickle):
            load_pickle(GOOD[:stop])


@pytest.mark.parametrize("protocol", range(6))
def test_any_change_of_bytes_is_survived(protocol: int) -> None:
    rng = np.random.default_rng(1)
    good = pickle.dumps(VALUES["annotations"], protocol)
    for _ in range(300):
        content = bytearray(good)
        for position in rng.integers(0, len(content), int(rng.integers(1, 4))):
            content[position] = rng.integers(256)
        with contextlib.suppress(UnreadablePickle):
            resolved(load_pickle(bytes(content)), bytes(content))


def test_deep_nesting_is_survived() -> None:
    for content in (b"](" * 30_000 + b"e" * 30_000 + b".", b")" + b"\x85" * 60_000 + b"."):
        load_pickle(content)


@pytest.mark.parametrize("shape", [(3, 5), (10**18, 10**18), (0, 10**18), (2**62, 4), (12,) * 100])
def test_the_shape_of_an_array_must_fit_its_bytes(shape: tuple[int, ...]) -> None:
    values = PickledArray(shape, np.dtype("f4"), "C", b"\x00" * 48)
    with pytest.raises(UnreadablePickle, match="array"):
        values.load(b"")


def test_an_array_beyond_the_file_is_an_error() -> None:
    with pytest.raises(UnreadablePickle, match="has 2 bytes, expected 48"):
        PickledArray((12,), np.dtype("f4"), "C", Stored(8, 56)).load(b"\x00" * 10)


BOMBS: dict[str, Callable[[int], bytes]] = {
    "lists": lambda n: b"(" + b"]" * n + b"l.",
    "marks": lambda n: b"(" * n + b".",
    "references": lambda n: b"]q\x00(" + b"h\x00" * n + b"e.",
    "copies": lambda n: (
        b"]q\x00(" + b"N2" * 5000 + b"e0" + b"c__builtin__\nset\nh\x00\x85R" * n + b"."
    ),
    "doubling": lambda n: b"]" + b"q\x00(h\x00h\x00l" * n + b".",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_bombs_are_refused(monkeypatch: pytest.MonkeyPatch, bomb: Callable[[int], bytes]) -> None:
    monkeypatch.setattr(safe_pickle, "MOST_HELD", 2**20)
    with pytest.raises(UnreadablePickle, match="more than 1048576 bytes"):
        load_pickle(bomb(20_000))


def small(item: Any) -> Any:
    return item["frame_dir"] if isinstance(item, dict) and "frame_dir" in item else item


def test_what_is_shrunk_is_no_longer_held(monkeypatch: pytest.MonkeyPatch) -> None:
    annotations = [
        {"frame_dir": str(i), "more": [str(i + j) for j in range(99)]} for i in range(2500)
    ]
    content = pickle.dumps({"annotations": annotations}, 4)
    monkeypatch.setattr(safe_pickle, "MOST_HELD", 2**26)
    found = load_pickle(content, small)
    assert found == {"annotations": [str(i) for i in range(2500)]}
    monkeypatch.setattr(safe_pickle, "MOST_HELD", 2**25)
    with pytest.raises(UnreadablePickle, match="of memory"):
        load_pickle(content)


def test_what_lives_on_in_the_memo_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    annotations = [{"frame_dir": str(i), "more": [*map(str, range(99))]} for i in range(3000)]
    monkeypatch.setattr(safe_pickle, "MOST_HELD", 2**25)
    load_pickle(pickle.dumps(annotations, 4), small)
    content = pickle.dumps([annotations, [annotation["more"] for annotation in annotations]], 4)
    with pytest.raises(UnreadablePickle, match="of memory"):
        load_pickle(content, small)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "large.pkl"
    with path.open("wb") as file:  # a list of 32 dictionaries with 2 MB each
        file.write(b"\x80\x03](")
        for i in range(32):
            item = {"frame_dir": str(i), "keypoint": np.full((512, 1024), i, np.float32)}
            file.write(pickle.dumps(item, 3)[2:-1])
        file.write(b"e.")
    tracemalloc.start()
    with mapped_file(path) as content:
        items = load_pickle(content)
        assert tracemalloc.get_traced_memory()[1] < 2**20
        for i, item in enumerate(items):
            assert item["keypoint"].load(content)[-1, -1] == i
    assert tracemalloc.get_traced_memory()[1] < 3 * 2**21
    tracemalloc.stop()


def test_only_regular_files_are_mapped(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    for name in ("pipe", "empty", "nothing", "."):
        with pytest.raises(UnreadablePickle, match="cannot be read"), mapped_file(tmp_path / name):
            pass

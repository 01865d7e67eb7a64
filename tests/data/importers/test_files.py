"""Reading of zips and folders from strangers: links, pipes, sizes, names, pickling."""

import os
import pickle
import zipfile
from pathlib import Path

import pytest

from shapmix.data.clip import ClipError
from shapmix.data.importers.base import SourceError
from shapmix.data.importers.files import SourceFiles
from shapmix.data.importers.peek import Peek


def test_links_that_lead_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "inside").write_bytes(b"inside")
    (folder / "sub" / "good").symlink_to(folder / "inside")
    (folder / "bad").symlink_to(tmp_path / "secret")
    (folder / "broken").symlink_to(tmp_path / "nothing")
    (folder / "loop").symlink_to(folder)
    files = SourceFiles(folder)
    assert files.read("sub/good") == b"inside"
    with pytest.raises(ClipError, match="leads out of the folder"):
        files.read("bad")
    with pytest.raises(ClipError, match="not a regular file"):
        files.read("broken")
    assert not any(name.startswith("loop/") for name in files.names)


def test_a_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_bytes(b"a")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert SourceFiles(tmp_path / "link").read("a") == b"a"


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ClipError, match="not a regular file"):
        SourceFiles(tmp_path).read("pipe")
    assert Peek(tmp_path).head("pipe") == b""


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_large_files_are_refused_and_the_stamp_follows_changes(tmp_path: Path, form: str) -> None:
    def make(content: bytes) -> Path:
        if form == "folder":
            (tmp_path / "x").mkdir(exist_ok=True)
            (tmp_path / "x" / "a").write_bytes(content)
            return tmp_path / "x"
        with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a", content)
        return tmp_path / "x.zip"

    files = SourceFiles(make(b"x" * 100), max_bytes=100)
    assert files.read("a") == b"x" * 100
    assert pickle.loads(pickle.dumps(files)).read("a") == b"x" * 100
    assert files.unit("a") == ("a", 100)
    larger = SourceFiles(make(b"x" * 101), max_bytes=100)
    assert larger.stamp != files.stamp
    with pytest.raises(ClipError, match="expected at most 100"):
        larger.read("a")


def test_of_two_members_of_one_name_the_last_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"first")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a", b"last")
    files = SourceFiles(path)
    assert files.names == ["a"]
    assert files.read("a") == b"last"


def test_neither_zip_nor_folder(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x05\x06")
    with pytest.raises(SourceError, match=r"neither a folder nor a zip file .* give the folder"):
        SourceFiles(tmp_path / "a.zip")


def test_a_zip_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"first")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SourceError, match=r"a\.zip is a zip file .*: cut off\? Get it again"):
        SourceFiles(path)


def test_a_peek_is_cheap_and_never_fails(tmp_path: Path) -> None:
    (tmp_path / "b.JSON").write_bytes(b"{" * 100_000)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.csv").write_bytes(b"clip,frame")
    peek = Peek(tmp_path)
    assert peek.names == ("b.JSON", "sub/a.csv")
    assert peek.base_names() == ["b.JSON", "a.csv"]
    assert peek.ending(".json", ".txt") == ["b.JSON"]
    assert len(peek.head("b.JSON")) == 65_536
    assert peek.head("sub/a.csv") == b"clip,frame"
    assert peek.head("nothing") == b""
    alone = Peek(tmp_path / "sub" / "a.csv")
    assert (alone.names, alone.head()) == (("a.csv",), b"clip,frame")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("x/y.txt", b"hello")
    packed = Peek(tmp_path / "c.zip")
    assert (packed.is_zip, packed.names, packed.head("x/y.txt")) == (True, ("x/y.txt",), b"hello")

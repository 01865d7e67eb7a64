"""What is written appears complete or not at all; where nothing can be written, in words."""

import errno
from pathlib import Path

import pytest

from shapmix.writing import WriteError, atomic_file


def write(path: Path) -> None:
    with atomic_file(path) as file:
        file.write(b"new")


def test_it_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    write(path)
    write(path)
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=f"{tmp_path} is a folder; expected the name of a file"):
        write(tmp_path)


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    for name in ("file/x.html", "file/inside/x.html"):
        with pytest.raises(WriteError, match=r"x\.html cannot be written in the folder"):
            write(tmp_path / name)
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.parametrize(
    ("call", "number"),
    [
        ("pathlib.Path.open", errno.EACCES),
        ("pathlib.Path.open", errno.EROFS),
        ("pathlib.Path.mkdir", errno.EACCES),
        ("pathlib.Path.replace", errno.EPERM),
        ("os.fsync", errno.ENOSPC),
    ],
)
def test_the_folder_is_named_and_not_the_temporary_file(
    call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a folder that is read-only, or a disk that is full."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "No Way", "/x/.x.1234.partial")

    path = tmp_path / "x"
    path.write_text("old")
    with monkeypatch.context() as patched:
        patched.setattr(call, refuse)
        with pytest.raises(WriteError) as caught:
            write(path)
    assert "partial" not in str(caught.value)
    assert f"{path} cannot be written in the folder {tmp_path} (no way)" in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["x"]
    assert path.read_text() == "old"


def test_other_errors_are_those_of_the_block(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "x"):
        (tmp_path / "nothing").read_bytes()
    assert not list(tmp_path.iterdir())

"""Members of zips inflated in one go: what `zipfile` gives, or None where it shall have its say."""

from __future__ import annotations

import random
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from shapmix.data.clip import ClipError
from shapmix.data.importers import inflate as module
from shapmix.data.importers.files import SourceFiles
from shapmix.data.importers.inflate import inflate

CONTENT = b"".join(b"%d %.7g\n" % (n, n**0.5) for n in range(20_000))
HEADER = 30  # bytes of a member's header before its name


@pytest.fixture(params=["ISA-L", "zlib"], autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Both libraries, whichever would be chosen."""
    if request.param == "zlib":
        monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    else:
        pytest.importorskip("isal")
    module._deflate.cache_clear()
    yield request.param
    module._deflate.cache_clear()


def test_the_library_is_the_faster_one_that_is_there(library: str) -> None:
    assert module._deflate().__name__ == {"ISA-L": "isal.isal_zlib", "zlib": "zlib"}[library]


def write(path: Path, content: bytes = CONTENT, name: str = "a/b.txt", level: int = 6) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        archive.writestr(name, content)
    return path


def from_zip(path: Path) -> bytes | None:
    """The only member, as `inflate` has it."""
    with zipfile.ZipFile(path) as archive:
        assert archive.fp is not None
        return inflate(archive.fp, archive.infolist()[0])


@pytest.mark.parametrize("level", [1, 6, 9])
def test_sound_members(tmp_path: Path, level: int) -> None:
    assert from_zip(write(tmp_path / "a.zip", level=level)) == CONTENT


def test_names_of_any_script_extra_fields_and_data_descriptors(tmp_path: Path) -> None:
    assert from_zip(write(tmp_path / "a.zip", name="Öl/骨.skeleton")) == CONTENT
    member = zipfile.ZipInfo("a")
    member.compress_type = zipfile.ZIP_DEFLATED
    member.extra = struct.pack("<HH3s", 0x9999, 3, b"abc")
    stream = Stream()
    with zipfile.ZipFile(stream, "w") as archive:  # type: ignore[call-overload]
        archive.writestr(member, CONTENT)
        assert archive.infolist()[0].flag_bits & 1 << 3
    (tmp_path / "b.zip").write_bytes(b"something before the zip" + stream.content)
    assert from_zip(tmp_path / "b.zip") == CONTENT


class Stream:
    """A file that cannot go back: sizes and checksums then follow the members."""

    def __init__(self) -> None:
        self.content = b""

    def write(self, content: bytes) -> int:
        self.content += content
        return len(content)

    def flush(self) -> None:
        pass


def test_what_zipfile_shall_read(tmp_path: Path) -> None:
    random_bytes = random.Random(0).randbytes(1000)  # packed they take more bytes
    others = {"empty": b"", "random": random_bytes, "short": b"abc"}
    for name, content in others.items():
        assert from_zip(write(tmp_path / name, content)) in (content, None)
        assert SourceFiles(tmp_path / name).read("a/b.txt") == content
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "other.zip", "w", method) as archive:
            archive.writestr("a", CONTENT)
        assert from_zip(tmp_path / "other.zip") is None
        assert SourceFiles(tmp_path / "other.zip").read("a") == CONTENT


def replaced(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    return path


def number(value: int) -> bytes:
    return struct.pack("<L", value)


def test_members_that_are_not_what_the_directory_says(tmp_path: Path) -> None:
    """Each fault alone; the sizes and checksums stand in the header and in the directory."""
    size, crc = number(len(CONTENT)), number(zlib.crc32(CONTENT))
    lies = {
        "shorter": (size, number(len(CONTENT) - 100)),
        "checksum": (crc, number(1)),
        "signature": (b"PK\x03\x04", b"PK\x03\x05"),
    }
    for name, (old, new) in lies.items():
        path = replaced(write(tmp_path / name), old, new)
        assert from_zip(path) is None
        with pytest.raises(ClipError) as caught:
            SourceFiles(path).read("a/b.txt")
        assert (caught.value.reason, caught.value.clip) == ("unreadable file", "b")
    longer = replaced(write(tmp_path / "longer"), size, number(len(CONTENT) + 100))
    assert from_zip(longer) is None
    renamed = write(tmp_path / "renamed")
    content = bytearray(renamed.read_bytes())
    content[HEADER] = ord("x")
    renamed.write_bytes(content)
    assert from_zip(renamed) is None
    with pytest.raises(ClipError, match="differ"):
        SourceFiles(renamed).read("a/b.txt")


def test_encrypted_and_oversized_members_are_left_to_zipfile(tmp_path: Path) -> None:
    with zipfile.ZipFile(write(tmp_path / "a.zip")) as archive:
        assert archive.fp is not None
        for change in ({"flag_bits": 1}, {"flag_bits": 1 << 6}, {"compress_size": 2**40}):
            (member,) = archive.infolist()
            for field, value in change.items():
                setattr(member, field, value)
            assert inflate(archive.fp, member) is None


def test_a_bomb_is_inflated_no_further_than_declared(tmp_path: Path) -> None:
    bomb = bytes(50_000_000)
    path = replaced(write(tmp_path / "a.zip", bomb), number(len(bomb)), number(60_000))
    assert from_zip(path) is None
    with pytest.raises(ClipError) as caught:
        SourceFiles(path, max_bytes=100_000).read("a/b.txt")
    assert caught.value.reason == "unreadable file"


def test_damage_anywhere_gives_what_zipfile_gives(tmp_path: Path) -> None:
    """Where `inflate` answers, its answer is that of `zipfile`."""
    sound = write(tmp_path / "a.zip", CONTENT[:3000]).read_bytes()
    rng = random.Random(1)
    path = tmp_path / "b.zip"
    for _ in range(400):
        damaged = bytearray(sound)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            found = from_zip(path)
        except (zipfile.BadZipFile, NotImplementedError, IndexError):
            continue  # the directory is damaged
        if found is not None:
            with zipfile.ZipFile(path) as archive:
                assert archive.read(archive.infolist()[0]) == found

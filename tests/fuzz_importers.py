"""Mutation fuzzing of an importer: damage a small valid source in many ways and import it.

    python tests/fuzz_importers.py FORMAT [--inputs 2000] [--seed 0]

Each input must end in an archive that verifies, or in a SourceError with nothing left behind:
never in another exception, a hang, a gigabyte of memory, executed code or a file written elsewhere.
An input is a function of (format, seed, number): the one that fails is printed and kept.
"""

import argparse
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import FrameType

from shapmix.data.archive import Archive
from shapmix.data.importers import IMPORTERS, recognise, run_import
from shapmix.data.importers.base import SourceError

SECONDS = 30
MOST_MEMORY = 1_000_000_000
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.", "socket.connect")
FORBIDDEN += ("pickle.find_class",)
WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
TOKENS = [
    *(b"", b"0", b"-1", b"1", b"999999999999", b"4294967295", b"18446744073709551616", b"9" * 400),
    *(b"nan", b"NaN", b"inf", b"-Infinity", b"1e400", b"1e39", b"1_0", b"null", b"true"),
    *(b"[]", b"{}", b'""', b'"\\ud800"', b"[" * 5000, b"../../x"),
    *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b",", b" "),
]


def mutate(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """One to four changes of a file."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = rng.choice(MUTATIONS)(content, rng, others)
    return content


def _flip(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 2, 8))):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _flip_early(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """Headers lie at the beginning."""
    return _flip(content[:128], rng, others) + content[128:]


def _truncate(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _span(content: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.choice((1, 4, 50, 500, 5000)))


def _delete(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    start, stop = _span(content, rng)
    return content[:start] + content[stop:]


def _repeat(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    start, stop = _span(content, rng)
    return content[:stop] + content[start:stop] * rng.choice((1, 2, 20)) + content[stop:]


def _insert(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    start, _ = _span(content, rng)
    return content[:start] + rng.choice((rng.choice(TOKENS), rng.randbytes(8))) + content[start:]


def _token(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """Another value in place of a number or word."""
    start = rng.randrange(len(content) + 1)
    while start < len(content) and not content[start : start + 1].isalnum():
        start += 1
    stop = start
    while stop < len(content) and (content[stop : stop + 1].isalnum() or content[stop] in b".-+"):
        stop += 1
    return content[:start] + rng.choice(TOKENS) + content[stop:]


def _line(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """A line taken out, doubled or moved."""
    lines = content.splitlines(keepends=True)
    if not lines:
        return content
    line = lines.pop(rng.randrange(len(lines)))
    for _ in range(rng.choice((0, 1, 2))):
        lines.insert(rng.randrange(len(lines) + 1), line)
    return b"".join(lines)


def _cross(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    other = rng.choice(others)
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other) + 1) :]


def _replace(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    return rng.choice((b"", b"\x00" * 1000, rng.randbytes(300), rng.choice(others), b"[" * 100_000))


MUTATIONS: list[Callable[[bytes, random.Random, list[bytes]], bytes]] = [
    *(_flip, _flip_early, _truncate, _delete, _repeat, _insert),
    *(_token, _token, _token, _line, _cross, _replace),
]


def damage(source: Path, rng: random.Random) -> Path:
    """Change a file or two of a source in place; sometimes as a zip, which is changed itself."""
    if source.is_dir() and rng.random() < 0.15:
        packed = source.with_suffix(".zip")
        with warnings.catch_warnings(), zipfile.ZipFile(packed, "w", rng.choice((0, 8))) as archive:
            for path in sorted(p for p in source.rglob("*") if p.is_file()):
                archive.write(path, path.relative_to(source))
        source = packed
    files = sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]
    others = [path.read_bytes() for path in rng.sample(files, min(3, len(files)))]
    for path in rng.sample(files, min(len(files), rng.choice((1, 1, 2, 5)))):
        renamed = path.with_name(rng.choice(("x", "-", "ä" + path.name, path.stem)))
        if rng.random() < 0.05 and not renamed.exists():
            path.rename(renamed)
        else:
            path.write_bytes(mutate(path.read_bytes(), rng, others))
    return source


class Watch:
    """Counts what an importer must never do, by Python's audit events."""

    def __init__(self, allowed: Path) -> None:
        self.allowed, self.seen = str(allowed), []
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if event.startswith(FORBIDDEN):
            self.seen.append(f"{event} {args!r}"[:200])
        if event == "open":
            mode, flags = args[1], args[2]
            writes = bool(set(mode) & set("wax+")) if isinstance(mode, str) else bool(flags & WRITE)
        else:
            changes = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink")
            writes = event in changes and Path(str(args[0])).is_absolute()
        if writes and not str(args[0]).startswith((self.allowed, "/dev/null")):
            self.seen.append(f"{event} {args!r}"[:200])


class Hang(BaseException):
    """An input took longer than it may."""


def _alarm(number: int, frame: FrameType | None) -> None:
    raise Hang(f"more than {SECONDS} s")


def try_one(name: str, source: Path, out: Path, rng: random.Random) -> bool:
    """Import a damaged source; whether it became an archive. Raises what it must not raise."""
    damaged = damage(source, rng)
    if rng.random() < 0.1 and damaged.exists():
        recognise(damaged)
    try:
        report = run_import(name, damaged, out)
    except SourceError:
        assert not out.exists(), "an error, but an archive"
        assert not list(out.parent.glob(f".{out.name}*")), "an error, but files are left behind"
        return False
    archive = Archive(out)
    archive.verify()
    assert len(archive) == report.read, "the report counts other clips than the archive"
    return True


def peak_memory() -> int:
    """Most bytes that this program had resident; getrusage would count who started it, too."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def fuzz(name: str, inputs: int, seed: int, folder: Path) -> tuple[int, int]:
    """Archives and refusals among the inputs; AssertionError or what else an input raised."""
    generator = import_module(f"generators.{IMPORTERS[name].module}")
    made = generator.write(folder / "made", clips=6, seed=seed)
    inside = made.relative_to(folder / "made")
    run_import(name, made, folder / "warm.arrow")  # imports what is imported lazily
    recognise(made)
    watch = Watch(folder)
    signal.signal(signal.SIGALRM, _alarm)
    archives = 0
    for number in range(inputs):
        case = folder / "case"
        shutil.rmtree(case, ignore_errors=True)
        shutil.copytree(folder / "made", case)
        signal.alarm(SECONDS)
        try:
            rng = random.Random(f"{name}/{seed}/{number}")
            archives += try_one(name, case / inside, folder / "out" / "a.arrow", rng)
            assert not watch.seen, f"forbidden: {watch.seen}"
            memory = peak_memory()
            assert memory < MOST_MEMORY, f"{memory / 1e6:.0f} MB of memory"
        except BaseException:
            print(f"{name}: input {number} of seed {seed}, kept in {case}", file=sys.stderr)
            raise
        finally:
            signal.alarm(0)
        shutil.rmtree(folder / "out", ignore_errors=True)
    return archives, inputs - archives


def main() -> int:
    """Fuzz one format in a folder of its own, which stays when an input fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("format", choices=list(IMPORTERS))
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (16 * 2**30, 16 * 2**30))
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{args.format}-"))
    try:
        archives, refusals = fuzz(args.format, args.inputs, args.seed, folder)
    except BaseException:
        traceback.print_exc()
        return 1
    shutil.rmtree(folder)
    print(f"{args.format}: {archives} archives, {refusals} refusals of {args.inputs} inputs")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How fast the NTU RGB+D importer is, and how much memory it takes.

    python benchmarks/import_ntu.py --files 2000 [--frames 80] [--zip | --folder] [--json OUT.json]

Writes generated `.skeleton` files of realistic size into a temporary folder, imports them with
`shapmix import ntu-raw` in a process of its own, and prints a Markdown table: wall time and memory
of the whole command, from the start of Python to the finished archive.

In the same run, on one core and the same sample of files, it times this importer against a
reference written as such parsers usually are: line by line, a dictionary a joint. "ratio" has both
go from the file on disk, in the memory of the operating system by then, to arrays. The reference
reads with `open` or `zipfile` and ends with an array a body; ours also reads safely, chooses the
persons and drops empty frames. "parsing" leaves out the reading and what comes after the parser.
Writing the archive is in the wall time only. Seconds are of the processor, the least of several
rounds in turn.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from shapmix.data.archive import Archive
from shapmix.data.importers.base import ImportReport
from shapmix.data.importers.ntu_parser import parse
from shapmix.data.importers.ntu_raw import Options, open_source

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from generators import ntu_raw as generator

ROUNDS = 5
PAGE = os.sysconf("SC_PAGE_SIZE")
BODY_FIELDS = (
    *("bodyID", "clipedEdges", "handLeftConfidence", "handLeftState", "handRightConfidence"),
    *("handRightState", "isRestricted", "leanX", "leanY", "trackingState"),
)
JOINT_FIELDS = (
    *("x", "y", "z", "depthX", "depthY", "colorX", "colorY"),
    *("orientationW", "orientationX", "orientationY", "orientationZ", "trackingState"),
)


def reference(content: bytes) -> dict[str, np.ndarray]:
    """Body id -> (n, 25, 3), line by line, a dictionary a joint."""
    file = io.StringIO(content.decode())
    frames = []
    for _ in range(int(file.readline())):
        bodies = []
        for _ in range(int(file.readline())):
            body: dict[str, Any] = dict(zip(BODY_FIELDS, file.readline().split(), strict=True))
            body["joints"] = []
            for _ in range(int(file.readline())):
                values = map(float, file.readline().split())
                body["joints"].append(dict(zip(JOINT_FIELDS, values, strict=True)))
            bodies.append(body)
        frames.append(bodies)
    tracks: dict[str, list[Any]] = {}
    for body in (body for bodies in frames for body in bodies):
        joints = [[joint["x"], joint["y"], joint["z"]] for joint in body["joints"]]
        tracks.setdefault(body["bodyID"], []).append(joints)
    return {body_id: np.array(joints, np.float32) for body_id, joints in tracks.items()}


def on_one_core(source: Path, sample: int) -> dict[str, float]:
    """Seconds a file of the reference and of ours, with and without reading the file."""
    opened = open_source(source, Options())
    units = opened.units[:: max(1, len(opened.units) // sample)][:sample]
    names = [unit.name.split("/", 1)[1] for unit in units]
    with contextlib.ExitStack() as stack:
        read = (
            stack.enter_context(zipfile.ZipFile(source)).read
            if source.is_file()
            else lambda name: (source / name).read_bytes()
        )
        contents = [read(name) for name in names]  # and the files are cached
        for content in contents[:20]:
            agree(content)  # and all modules are loaded
        runs: dict[str, Callable[[], Iterable[object]]] = {
            "reference": lambda: (reference(read(name)) for name in names),
            "ours": lambda: opened.read(units, ImportReport(strict=True)),
            "reference, parsing": lambda: map(reference, contents),
            "ours, parsing": lambda: (parse("", content) for content in contents),
        }
        rounds = [{name: timed(run) for name, run in runs.items()} for _ in range(ROUNDS)]
    return {name: min(seconds[name] for seconds in rounds) / len(units) for name in runs}


def timed(run: Callable[[], Iterable[object]]) -> float:
    """Seconds of the processor, so that other processes on the machine count for little."""
    start = time.process_time()
    for _ in run():
        pass
    return time.process_time() - start


def agree(content: bytes) -> None:
    """Both parsers find the same numbers, to the last bit."""
    ours, theirs = parse("", content), reference(content)
    ids = np.array(ours.ids)
    for body_id, joints in theirs.items():
        np.testing.assert_array_equal(ours.joints[ids == body_id.encode()], joints)


def import_all(source: Path, out: Path, workers: int | None) -> dict[str, float]:
    """Wall seconds and the peak of the resident memory of all processes together, in MiB."""
    command = [sys.executable, "-m", "shapmix.commands.entry", "import", "ntu-raw"]
    command += [str(source), str(out)]
    command += [] if workers is None else ["--workers", str(workers)]
    start = time.perf_counter()
    process = subprocess.Popen(command)  # noqa: S603
    peak = 0
    while process.poll() is None:
        peak = max(peak, resident(process.pid))
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(process.returncode)
    return {"seconds": time.perf_counter() - start, "peak MiB": peak / 2**20}


def resident(pid: int) -> int:
    """Bytes of memory of a process and its descendants; pages that they share count for each."""
    try:
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [child for task in tasks for child in (task / "children").read_text().split()]
    except (OSError, IndexError):  # it has just ended
        return 0
    return own + sum(resident(int(child)) for child in children)


def measure(args: argparse.Namespace, form: str, folder: Path) -> dict[str, Any]:
    source = folder / ("source.zip" if form == "zip" else "source")
    names = generator.sample_names(args.files)
    kinds = ("plain", "plain", "plain", "two", "gap", "changed id")
    generator.write_dataset(
        source, names, frames=args.frames, zipped=form == "zip", kinds=kinds, pool=args.pool
    )
    opened = open_source(source, Options())
    megabytes = sum(unit.size for unit in opened.units) / 1e6
    out = folder / f"{form}.arrow"
    figures = import_all(source, out, args.workers)
    seconds = figures["seconds"]
    return {
        "source": form,
        "files": len(opened.units),
        "clips": len(Archive(out)),
        "text MB": megabytes,
        "archive MB": out.stat().st_size / 1e6,
        **figures,
        "files/s": len(opened.units) / seconds,
        "MB/s": megabytes / seconds,
        "seconds a file on one core": on_one_core(source, args.sample),
    }


def table(results: list[dict[str, Any]]) -> str:
    rows = [
        "| source | files | text | archive | wall | files/s | MB/s | peak memory "
        "| reference, one core | ours, one core | ratio | ratio, parsing |",
        "|---|" + "---:|" * 11,
    ]
    for r in results:
        one = r["seconds a file on one core"]
        rows.append(
            f"| {r['source']} | {r['files']} | {r['text MB']:.0f} MB | {r['archive MB']:.0f} MB "
            f"| {r['seconds']:.1f} s | {r['files/s']:.0f} | {r['MB/s']:.0f} "
            f"| {r['peak MiB']:.0f} MiB | {one['reference'] * 1e3:.2f} ms/file "
            f"| {one['ours'] * 1e3:.2f} ms/file | {one['reference'] / one['ours']:.1f} "
            f"| {one['reference, parsing'] / one['ours, parsing']:.1f} |"
        )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--frames", type=int, default=80, help="of a clip, on average")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--zip", dest="forms", action="store_const", const=["zip"])
    form.add_argument("--folder", dest="forms", action="store_const", const=["folder"])
    parser.add_argument("--pool", type=int, default=60, help="different files to generate")
    parser.add_argument("--sample", type=int, default=200, help="files for the comparison")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--temp", type=Path, help="where to write, with room for the source")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    results = []
    for name in args.forms or ["folder", "zip"]:
        with tempfile.TemporaryDirectory(dir=args.temp) as folder:
            results.append(measure(args, name, Path(folder)))
    if args.json is not None:
        args.json.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()

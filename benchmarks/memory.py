"""Resident memory of a training run on as many clips as NTU RGB+D 120 has.

    python benchmarks/memory.py [--clips N] [--archive FILE] [--steps N] [--json FILE]

Makes an archive of N clips (114480 when not given, about 2.7 GB; kept and used again if FILE is
given), loads a whole shuffled epoch and trains a small model on its first batches. The same
training in another process, on one batch made in memory, is what the program needs without data;
the difference is the memory for data. Pages of the mapped archive count as resident memory
(RssFile), although the system may take them back at any time. The padded float32 array of the
usual pipelines, N x 3 x 300 x 25 x 2, stands beside. Linux only: reads /proc/self/status.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

NUM_CLIPS = 114_480  # of NTU RGB+D 120
NUM_CLASSES = 120
LENGTHS, PAIRS = (40, 150), 26 / 120  # frames; share of clips with two persons
BATCH = 64
FIELDS = ("VmRSS", "RssAnon", "RssFile", "VmHWM")
PADDED_BYTES = 4 * 3 * 300 * 25 * 2  # of one clip


def write_archive(path: Path, clips: int) -> None:
    """Clips cut from one long random walk: cheap to make, of realistic sizes and names."""
    from shapmix.data.archive import ArchiveInfo, ArchiveWriter, Clip
    from shapmix.layouts import get_layout

    rng = np.random.default_rng(0)
    walk = rng.normal(0, 0.01, size=(4096, 2, 25, 3)).cumsum(0).astype(np.float32)
    class_names = tuple(f"action {k}" for k in range(NUM_CLASSES))
    with ArchiveWriter(path, ArchiveInfo(get_layout("ntu25"), class_names)) as writer:
        for i in range(clips):
            length, persons = int(rng.integers(*LENGTHS)), 1 + int(rng.random() < PAIRS)
            start = int(rng.integers(len(walk) - length))
            setup, rest = divmod(i, 3600)
            subject, label = divmod(rest, NUM_CLASSES)
            columns = {"setup": setup + 1, "camera": i % 3 + 1, "subject": subject + 1}
            name = f"S{setup:03}C{i % 3 + 1:03}P{subject:03}R001A{label + 1:03}"
            keypoints = walk[start : start + length, :persons]
            writer.write(Clip(name, label, keypoints, 30.0, columns))


def memory() -> dict[str, float]:
    """Resident memory of this process in MB: all, of its own, of files, and the peak so far."""
    lines = (line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {key: int(value.split()[0]) / 1000 for key, value in lines if key in FIELDS}


def program(archive: Path | None, steps: int) -> dict[str, float]:
    """The largest values of `memory` during training, with or without data."""
    import torch

    from shapmix.data.archive import Archive
    from shapmix.data.loader import ClipDataset, RaggedBatch, create_loader
    from shapmix.data.transforms import Transform

    torch.set_num_threads(1)
    lengths = torch.full((BATCH,), LENGTHS[1])
    frames = torch.randn(int(lengths.sum()), 2, 25, 3)
    labels = torch.arange(BATCH)
    batches = [RaggedBatch(frames, lengths, labels, labels)] * steps
    if archive is not None:
        batches = create_loader(ClipDataset(Archive(archive)), BATCH, shuffle=True)
    transform, source = Transform("ntu25"), torch.Generator().manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64 * 25 * 2, NUM_CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    largest = memory()
    begin = time.perf_counter()
    for step, batch in enumerate(batches):
        if step < steps:
            loss = torch.nn.functional.cross_entropy(model(transform(batch, source)), batch.labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        largest = {key: max(value, largest[key]) for key, value in memory().items()}
    return largest | {"seconds": time.perf_counter() - begin}


def in_own_process(*arguments: object) -> dict[str, float]:
    """`program` in a fresh process."""
    command = [sys.executable, __file__, "--program", *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    return json.loads(done.stdout)


def measure(archive: Path, clips: int, steps: int) -> dict[str, float]:
    """Print the table; the numbers in MB."""
    without = in_own_process("--steps", steps)
    with_data = in_own_process("--steps", steps, "--archive", archive)
    print(f"| largest, MB | without data | {clips} clips | for data |\n|---|---|---|---|")
    for key in FIELDS:
        a, b = without[key], with_data[key]
        print(f"| {key} | {a:.0f} | {b:.0f} | {b - a:.0f} |")
    size, padded = archive.stat().st_size / 1e6, PADDED_BYTES * clips / 1e6
    print(f"\narchive {size:.0f} MB; the same clips padded {padded:.0f} MB")
    print(f"an epoch loaded in {with_data['seconds']:.0f} s, with {steps} training steps")
    data = {f"data_{key}": with_data[key] - without[key] for key in FIELDS}
    return data | {"clips": clips, "archive": size, "padded": padded}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=int, default=NUM_CLIPS)
    parser.add_argument("--archive", type=Path, help="where the archive is, or is to be made")
    parser.add_argument("--steps", type=int, default=100, help="training steps")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("--program", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.program:
        print(json.dumps(program(args.archive, args.steps)))
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = args.archive or Path(folder) / "clips.arrow"
        if not archive.exists():
            write_archive(archive, args.clips)
        result = measure(archive, args.clips, args.steps)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

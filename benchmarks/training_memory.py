"""Peak resident memory of Shap-Mix training: ours, ours with checkpointing, and the naive loop.

    python benchmarks/training_memory.py [--quick] [--threads N] [--json FILE]

Each in a process of its own: two steps of CTR-GCN at full width on NTU-like clips, and for ours the
refresh of the saliency; at several batch sizes N (2N clips are trained on), with the clips of
LT-NTU60 (7 892; the naive loop holds them in memory, padded) and, for the goal, also with hardly
any clips, so that the data are out of it. Linux only: reads /proc/self/status.
"""

import json
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

import torch
from end_to_end import OurLoop
from harness import Curve, Figure, Report, run
from naive_loop import NaiveLoop
from ntu_like import LT_NTU60, long_tailed_labels, write_archive
from straightforward import StraightforwardCTRGCN

from shapmix import Archive, create_model

STEPS = 2
LOOPS = {"ours": "ours", "checkpointed": "ours, with checkpointing", "naive": "the naive loop"}


def program(loop: str, archive: Path, batch: int, width: int) -> float:
    """Peak resident memory of this process in MB after a little training."""
    options = {"num_persons": 2, "width": width}
    clips = Archive(archive)
    if loop == "naive":
        model = StraightforwardCTRGCN("ntu25", 60, **options)
        theirs = NaiveLoop(clips, torch.from_numpy(LT_NTU60).float(), model, batch)
        list(islice(theirs.epoch(), STEPS))
    else:
        checkpoint = loop == "checkpointed"
        model = create_model("ctrgcn", "ntu25", 60, **options, checkpoint=checkpoint)
        ours = OurLoop(clips, model, batch)
        list(islice(ours.epoch(), STEPS))
        ours.mixer.credit.fill_(256)
        ours.mixer.refresh(model)
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def in_own_process(loop: str, archive: Path, batch: int, width: int, threads: int) -> float:
    """`program` in a fresh process."""
    words = [loop, archive, batch, width, threads]
    command = [sys.executable, __file__, "--program", *map(str, words)]
    done = subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    return float(json.loads(done.stdout))


def measure(quick: bool) -> Report:
    """Peaks over batch sizes, and the goal at the largest."""
    sizes, width = ((4,), 4) if quick else ((4, 8, 16), 64)
    largest, threads = sizes[-1], torch.get_num_threads()
    held = {"hardly any clips": 4 * largest} | ({} if quick else {"7 892 clips": 7892})
    figures, curves = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, clips in held.items():
            archive = Path(folder) / f"{clips}.arrow"
            write_archive(archive, long_tailed_labels(clips), 60)
            peaks = {
                loop: [
                    (n, in_own_process(loop, archive, n, width, threads))
                    for n in (sizes if not curves else (largest,))
                ]
                for loop in LOOPS
            }
            curves = curves or [
                Curve("memory", LOOPS[loop], "batch size N", "peak resident memory, MB", points)
                for loop, points in peaks.items()
            ]
            figures += at_largest(f"N = {largest}, {name}", {k: v[-1][1] for k, v in peaks.items()})
    return Report({"width": width, "steps": STEPS, "threads": threads}, figures, curves)


def at_largest(name: str, peaks: dict[str, float]) -> list[Figure]:
    """Peaks of the loops at one size, and ours as shares of the naive one. Goal: at most half."""
    figures = [Figure(f"{name}: {LOOPS[loop]}", peak, "MB") for loop, peak in peaks.items()]
    for loop, goal in (("ours", 0.5), ("checkpointed", None)):
        share = peaks[loop] / peaks["naive"]
        what = f"{name}: {LOOPS[loop]}, against the naive loop"
        figures.append(Figure(what, share, "x", goal=goal))
    return figures


if __name__ == "__main__":
    if sys.argv[1:2] == ["--program"]:
        name, file, *numbers = sys.argv[2:]
        batch_size, channels, cpu_threads = map(int, numbers)
        torch.set_num_threads(cpu_threads)
        print(json.dumps(program(name, Path(file), batch_size, channels)))
    else:
        run("training_memory", measure, __doc__)

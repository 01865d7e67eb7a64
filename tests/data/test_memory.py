"""Loading a whole archive leaves hardly any of it in memory, mapped pages included."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shapmix.data.archive import ArchiveInfo, ArchiveWriter, Clip
from shapmix.layouts import get_layout

SHAPE = (150, 2, 25, 3)
CLIPS = 3400  # 306 MB

PROGRAM = """
import sys
from pathlib import Path

import torch

from shapmix.data.archive import Archive
from shapmix.data.loader import ClipDataset, create_loader

def resident():
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) / 1000

def epoch(path):
    loader = create_loader(ClipDataset(Archive(path)), 64, shuffle=True)
    clips, total, peak = 0, 0.0, 0.0
    for batch in loader:
        clips, total = clips + len(batch), total + batch.frames.sum(dtype=torch.float64).item()
        peak = max(peak, resident())
    return clips, total, peak

torch.set_num_threads(1)
few, many = sys.argv[1:]
epoch(few)  # loads libraries, sets up allocators
before = resident()
clips, total, peak = epoch(many)
print(clips, total, peak - before)
"""


def write(path: Path, clips: int) -> Path:
    """Clip i is i throughout."""
    with ArchiveWriter(path, ArchiveInfo(get_layout("ntu25"), ("a",))) as writer:
        for i in range(clips):
            writer.write(Clip(f"clip {i}", 0, np.full(SHAPE, i, dtype=np.float32)))
    return path


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_an_epoch_does_not_fill_the_memory(tmp_path: Path) -> None:
    few, many = (write(tmp_path / f"{clips}.arrow", clips) for clips in (128, CLIPS))
    assert many.stat().st_size > 300e6
    command = [sys.executable, "-c", PROGRAM, str(few), str(many)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    many.unlink()
    clips, total, growth = map(float, output.split())
    assert clips == CLIPS
    assert total == sum(range(CLIPS)) * np.prod(SHAPE)
    assert growth < 100  # MB

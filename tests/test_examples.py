"""The examples and the README's loop run as they stand, only shorter."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]


def run(code, *words):
    words = [sys.executable, "-W", "error", "-c", code, *map(str, words)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)


def test_own_loop():
    text = (ROOT / "examples" / "own_loop.py").read_text()
    code, changed = re.subn(r"EPOCHS, CLASSES = 32, 25, 20", "EPOCHS, CLASSES = 32, 2, 20", text)
    assert changed == 1
    assert len(text.splitlines()) < 70
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert "test clips right" in done.stdout


def test_draw_mixed_clip(tmp_path):
    code = (ROOT / "examples" / "draw_mixed_clip.py").read_text()
    done = run(code, tmp_path / "picture.png")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "picture.png").stat().st_size > 20_000


@pytest.mark.parametrize("page", ["README.md", "docs/methods/shapmix.md"])
def test_the_loop_of_the_documents(page):
    """The code block runs on a small loader, as a reader would paste it."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    x = torch.randn(24, 3, 16, 25, 1)
    y = torch.arange(24) % 3
    names = {
        "torch": torch,
        "class_counts": [12, 8, 4],
        "batches": [x],
        "loader": list(zip(x.split(8), y.split(8), strict=True)),
        "model": lambda clips: clips.mean((2, 3, 4)),
        "epochs": 2,
    }
    exec(blocks[0], names)
    assert torch.isfinite(names["loss"])
    assert int(names["mixer"].epoch) == 2

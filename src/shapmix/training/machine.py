"""The machine that trains: what is on it, whether it suffices, and what is written down of it."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from shapmix.settings import SettingError
from shapmix.training.config import TrainConfig
from shapmix.training.module import TrainingError

PACKAGES = ("shapmix", "torch", "numpy", "pytorch-lightning", "torchmetrics", "pyarrow")
NO_MEMORY = re.compile(
    r"out of memory|(not|t) (enough|allocate) memory|storage size calculation", re.IGNORECASE
)


def check_devices(config: TrainConfig) -> None:
    """SettingError for more devices than this machine has; too many processes would halt it."""
    if config.accelerator in ("auto", "gpu") and torch.cuda.is_available():
        most, what = torch.cuda.device_count(), "GPUs"
    elif config.accelerator in ("auto", "cpu"):
        most, what = os.cpu_count() or 1, "cores"
    else:  # Lightning knows
        return
    if config.devices > most:
        raise SettingError(
            f"devices is {config.devices}; expected from 1 to {most}, the {what} here"
        )


@contextmanager
def enough_memory(config: TrainConfig) -> Iterator[None]:
    """TrainingError in place of what torch raises where memory does not suffice."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch has one of its own for GPUs only
        text = str(error)
        if isinstance(error, RuntimeError) and not NO_MEMORY.search(text):
            raise
        raise TrainingError(
            f"the memory does not suffice ({' '.join(text.split())[:200]}): lower batch_size "
            f"({config.batch_size}), num_frames ({config.num_frames}) or the width of the model"
        ) from error


def environment() -> dict[str, Any]:
    """Versions, commit, machine, command and working folder of this process."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "folder": str(Path.cwd()),
        "commit": commit(),
        "packages": versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def commit(package: Path = Path(__file__).parents[1]) -> str | None:
    """The git commit of the package, with a + when a file of it is changed; None outside of git."""

    def git(*words: str) -> str:
        found = subprocess.run(  # noqa: S603
            ["git", "-C", str(package), *words],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        )
        return found.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")
        head = git("rev-parse", "HEAD")
        dirty = git("status", "--porcelain", "--untracked-files=no", "--", ".")
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if dirty else "")

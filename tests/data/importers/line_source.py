"""A format of the tests' own: lines "name,label,frames", one unit each, to drive the engine with.

A line with the label "skip" is a damaged clip.
"""

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from shapmix.data.clip import ArchiveInfo, Clip, ClipError
from shapmix.data.importers.base import ImportReport, Unit
from shapmix.layouts import get_layout


@dataclass(frozen=True)
class Lines:
    """A source whose units are lines.

    Attributes:
        log: file in which each line that is read is noted.
        trap: line at which the process that reads it is killed.
    """

    lines: tuple[str, ...]
    log: Path | None = None
    trap: str | None = None
    stamp: str = "1"
    ignored: int = 0

    info = ArchiveInfo(layout=get_layout("sbu15"), class_names=("a", "b"))
    columns = MappingProxyType({"number": int})

    @property
    def units(self) -> Sequence[Unit]:
        return [Unit(line, 10) for line in self.lines]

    def read(self, units: Sequence[Unit], report: ImportReport) -> Iterator[Clip]:
        for unit in units:
            if self.log is not None:
                with self.log.open("a") as log:
                    log.write(unit.name + "\n")
            if unit.name == self.trap:
                os.kill(os.getpid(), signal.SIGKILL)
            name, label, frames = unit.name.split(",")
            if label == "skip":
                report.skip(ClipError("damaged", name, "damaged on purpose"))
            else:
                report.repair("numbered", name)
                yield Clip(name, int(label), keypoints(name, int(frames)), metadata={"number": 1})


def keypoints(name: str, frames: int) -> Any:
    """Known values of a clip."""
    rng = np.random.default_rng(list(name.encode()))
    return rng.normal(size=(frames, 1, 15, 3)).astype(np.float32)

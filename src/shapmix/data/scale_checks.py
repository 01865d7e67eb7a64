"""How large bodies are: which units that suggests, and whether all clips are in the same ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from shapmix.data.archive import ArchiveInfo
from shapmix.data.findings import Case, Finding, counted
from shapmix.data.survey import Floats

# Plausible sizes (largest extent along an axis) of a typical person: crouching child to stretching
# adult, or a person over some of a picture.
SIZES = {
    ("xyz", "m"): (0.3, 3.0),
    ("xyz", "cm"): (30.0, 300.0),
    ("xyz", "mm"): (300.0, 3000.0),
    ("xyz", "normalised"): (0.0, 5.0),
    ("xy", "px"): (5.0, 20_000.0),
    ("xy", "normalised"): (0.0, 5.0),
}
OTHER_SIZE = 10.0  # times smaller or larger than the median body
GAP = 3.0  # between sizes, sorted: no two clips of one scale are followed by such a factor
OF_POWER = 1.5  # two scales' medians lie a power of ten apart, up to this factor
MANY_MIXED = 0.1  # of the clips in other units: training is useless


def looks_like(info: ArchiveInfo, size: float) -> tuple[str, ...]:
    """Units in which a typical body has this size; none when it is no usual one."""
    kind = info.channels.removesuffix("c")
    return tuple(u for (k, u), (low, high) in SIZES.items() if k == kind and low <= size <= high)


def check_units(case: Case) -> Iterator[Finding]:
    """Coordinates of a magnitude that the archive's units do not suggest."""
    info, size = case.archive.info, case.survey.typical_size
    low, high = SIZES.get((info.channels.removesuffix("c"), info.units), (0.0, np.inf))
    if np.isnan(size) or low <= size <= high:
        return
    fitting = looks_like(info, size)
    guess = f"; that looks like {' or '.join(map(repr, fitting))}" if fitting else ""
    yield Finding(
        "warning",
        f"the units are {info.units!r}, but a typical body is {size:.3g} high or wide{guess}",
        "what depends on the scale is off: weights trained on other data, noise in absolute units, "
        "pictures",
        "convert the coordinates, or name the right units, and import again",
    )


def check_sizes(case: Case) -> Iterator[Finding]:
    """Clips in other units, or otherwise on another scale than the rest."""
    size = case.survey.size
    power = _powers_of_ten(size)
    mixed = power != 0
    if mixed.any():
        factors = ", ".join(f"{10.0**p:g}" for p in np.unique(power[mixed]).tolist())
        yield Finding(
            "error" if mixed.sum() > MANY_MIXED * len(size) else "warning",
            f"mixed units: {counted(int(mixed.sum()), 'clip has', 'clips have')} bodies {factors} "
            "times as large as the rest",
            "the network would learn the units; clips in small ones look as if nothing moved",
            "convert these clips to the units of the rest, and import again",
            case.names(mixed),
        )
    ratio = size / case.survey.typical_size
    other = np.isfinite(ratio) & ((ratio > OTHER_SIZE) | (ratio < 1 / OTHER_SIZE))
    if other.any() and not mixed.any():
        yield Finding(
            "warning",
            f"{counted(int(other.sum()), 'clip has', 'clips have')} bodies more than "
            f"{OTHER_SIZE:g} times smaller or larger than usual",
            "they are in other units than the rest, or their coordinates are wrong",
            "look at these clips; convert them, or leave them out",
            case.names(other),
        )


def _powers_of_ten(size: Floats) -> npt.NDArray[np.int64]:
    """(N,) by which power of ten, up to three, a clip's scale is off that of most clips.

    Scales are clusters of sizes with a gap between them, so that a spread of sizes, as of near and
    far people in pictures, is one scale.
    """
    power = np.zeros(len(size), dtype=np.int64)
    known = np.flatnonzero(np.isfinite(size) & (size > 0))
    order = known[np.argsort(size[known], kind="stable")]
    digits = np.log10(size[order])
    scales = np.split(order, np.flatnonzero(np.diff(digits) > np.log10(GAP)) + 1)
    usual = np.median(np.log10(size[max(scales, key=len)])) if len(order) else 0.0
    for scale in scales:
        off = float(np.median(np.log10(size[scale])) - usual) if len(scale) else 0.0
        if 0 < abs(round(off)) <= 3 and abs(off - round(off)) < np.log10(OF_POWER):
            power[scale] = round(off)
    return power

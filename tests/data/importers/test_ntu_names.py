"""Names, classes and protocols of NTU RGB+D, against the lists published with the data set."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from generators import ntu_raw as generator
from shapmix.data.expression import decide
from shapmix.data.importers.ntu_names import (
    CLASS_NAMES,
    COLUMNS,
    NtuName,
    missing_samples,
    parse_name,
    protocols,
)


def sides(names: Iterable[str], num_classes: Literal[60, 120]) -> dict[str, tuple[int, int]]:
    """Protocol -> number of training and of test clips, which together are all."""
    parsed = [parse_name(name) for name in names]
    assert None not in parsed
    columns = {column: np.array([getattr(name, column) for name in parsed]) for column in COLUMNS}
    found = {}
    for protocol, (train, test) in protocols(num_classes).items():
        in_train, in_test = decide(train, columns).holds, decide(test, columns).holds
        assert (in_train ^ in_test).all()
        found[protocol] = int(in_train.sum()), int(in_test.sum())
    return found


def test_names_are_matched_in_full() -> None:
    assert parse_name("S001C002P003R002A013") == NtuName(1, 2, 3, 2, 13)
    for wrong in ("", "S001C002P003R002A13", "xS001C002P003R002A013", "S001C002P003R002A013\n"):
        assert parse_name(wrong) is None
    assert parse_name("S٠٠١C002P003R002A013") is None  # digits of another script


def test_classes() -> None:
    assert len(CLASS_NAMES) == len(set(CLASS_NAMES)) == 120
    assert (CLASS_NAMES[0], CLASS_NAMES[60]) == ("drink water", "put on headphone")
    assert (CLASS_NAMES[49], CLASS_NAMES[119]) == (
        "punching/slapping other person",
        "finger-guessing game",
    )


def test_missing_samples() -> None:
    missing = missing_samples()
    parsed = [parse_name(name) for name in missing]
    assert len(missing) == 535
    assert sum(name is not None and name.setup <= 17 for name in parsed) == 302


@pytest.mark.parametrize("num_classes", [60, 120])
def test_generated_names_cover_classes_and_protocols(num_classes: Literal[60, 120]) -> None:
    names = generator.sample_names(6 * num_classes, num_classes)
    parsed = [parse_name(name) for name in names]
    assert {name.action for name in parsed if name} == set(range(1, num_classes + 1))
    assert len(set(names)) == len(names)
    for train, test in sides(names, num_classes).values():
        assert min(train, test) >= num_classes


@pytest.fixture
def lists(real_data: Path) -> Path:
    folder = real_data / "ntu_protocol"
    if not folder.is_dir():
        pytest.skip(f"the published lists of NTU RGB+D are not at {folder}")
    return folder


def test_published_missing_samples(lists: Path) -> None:
    text = (lists / "NTU_RGBD120_samples_with_missing_skeletons.txt").read_text()
    assert missing_samples() == set(text.split())
    of_60 = set((lists / "NTU_RGBD_samples_with_missing_skeletons.txt").read_text().split())
    assert of_60 == {name for name in missing_samples() if int(name[1:4]) <= 17}


def test_published_class_names(lists: Path) -> None:
    assert tuple((lists / "label_map_ntu60.txt").read_text().splitlines()) == CLASS_NAMES[:60]


@pytest.mark.parametrize(
    ("num_classes", "folder", "expected"),
    [
        (60, "ntu", {"xsub": (40091, 16487), "xview": (37646, 18932)}),
        (120, "ntu120", {"xsub": (63026, 50919), "xset": (54468, 59477)}),
    ],
)
def test_published_protocols(
    lists: Path,
    num_classes: Literal[60, 120],
    folder: str,
    expected: dict[str, tuple[int, int]],
) -> None:
    names = (lists / "statistics" / folder / "skes_available_name.txt").read_text().split()
    assert sides(names, num_classes) == expected
    assert missing_samples().isdisjoint(names)

"""The published long-tailed lists of NTU RGB+D, against the formula and through a split.

The archives hold every available sample of the data sets, as one frame of one body.
"""

from dataclasses import asdict

import numpy as np
import pytest

from shapmix.data.archive import Archive, ArchiveWriter
from shapmix.data.clip import ArchiveInfo, Clip
from shapmix.data.importers import ntu_names
from shapmix.data.longtail import class_counts, draw_long_tail, long_tail_counts
from shapmix.data.splits import SplitError, make_split, read_names
from shapmix.layouts import get_layout

# (classes, protocol): clips of the largest class, and training clips at imbalance 10, 50, 100
PUBLISHED = {
    (60, "xsub"): (600, {10: 14142, 50: 9150, 100: 7892}),
    (60, "xview"): (600, {10: 14142, 50: 9150, 100: 7892}),
    (120, "xsub"): (600, {10: 28182, 50: 18137, 100: 15600}),
    (120, "xset"): (400, {10: 18771, 50: 12069, 100: 10378}),
}
# Training and test clips of the whole protocols, as CTR-GCN and its like report them
WHOLE = {
    (60, "xsub"): (40091, 16487),
    (60, "xview"): (37646, 18932),
    (120, "xsub"): (63026, 50919),
    (120, "xset"): (54468, 59477),
}
SHOTS = {  # classes with many, a medium number of and few training clips at imbalance 100
    (60, "xsub"): (23, 21, 16),
    (60, "xview"): (23, 21, 16),
    (120, "xsub"): (47, 41, 32),
    (120, "xset"): (36, 42, 42),
}
LISTS = [(*key, imbalance) for key, (_, sizes) in PUBLISHED.items() for imbalance in sizes]


def published_list(real_data, num_classes, protocol, imbalance):
    folder = real_data / "ntu_protocol" / f"NTU{num_classes}_LT"
    return folder / f"NTU{num_classes}_{protocol}_exp_{imbalance}.txt"


@pytest.fixture(scope="module")
def archives(real_data, tmp_path_factory):
    """Number of classes -> archive of all samples that have a skeleton."""
    folder = tmp_path_factory.mktemp("ntu")
    keypoints = np.ones((1, 1, 25, 3), np.float32)
    for num_classes, name in ((60, "ntu"), (120, "ntu120")):
        statistics = real_data / "ntu_protocol" / "statistics" / name
        info = ArchiveInfo(
            layout=get_layout("ntu25"),
            class_names=ntu_names.CLASS_NAMES[:num_classes],
            splits=ntu_names.protocols(num_classes),
        )
        with ArchiveWriter(folder / f"ntu{num_classes}.arrow", info) as writer:
            for sample in (statistics / "skes_available_name.txt").read_text().split():
                parts = ntu_names.parse_name(sample)
                label = parts.action - 1
                writer.write(Clip(sample, label, keypoints, None, asdict(parts)))
    return {num_classes: Archive(folder / f"ntu{num_classes}.arrow") for num_classes in (60, 120)}


@pytest.mark.parametrize(("key", "sizes"), WHOLE.items())
def test_whole_protocols_have_the_reported_sizes(key, sizes, archives):
    num_classes, protocol = key
    split = make_split(archives[num_classes], protocol=protocol, val_fraction=0)
    assert (len(split.train), len(split.val), len(split.test)) == (sizes[0], 0, sizes[1])


@pytest.mark.parametrize(("num_classes", "protocol", "imbalance"), LISTS)
def test_a_published_list_is_a_split(num_classes, protocol, imbalance, archives, real_data):
    archive, key = archives[num_classes], (num_classes, protocol)
    names = read_names(path := published_list(real_data, num_classes, protocol, imbalance))
    split = make_split(archive, protocol=protocol, train_list=path)
    assert len(names) == PUBLISHED[key][1][imbalance]
    assert sorted(split.train) == sorted(names)
    assert len(split.test) == WHOLE[key][1]
    assert set(split.counts["val"].tolist()) == {20}  # a long tail leaves enough of every class
    whole = make_split(archive, protocol=protocol, val_fraction=0)
    assert set(split.train) | set(split.val) <= set(whole.train)
    if imbalance == 100:
        shots = split.shot_bins
        found = tuple(len(shots[name]) for name in ("many", "medium", "few"))
        assert found == SHOTS[key]


@pytest.mark.parametrize(("num_classes", "protocol", "imbalance"), LISTS)
def test_our_long_tail_is_as_long(num_classes, protocol, imbalance, archives, real_data):
    """The same number of clips in every class as the published list has."""
    archive, n_max = archives[num_classes], PUBLISHED[num_classes, protocol][0]
    published = read_names(published_list(real_data, num_classes, protocol, imbalance))
    labels = [int(name[-3:]) - 1 for name in published]
    expected = class_counts(labels, num_classes)

    pool = make_split(archive, protocol=protocol, val_fraction=0).train
    available = [int(name[-3:]) - 1 for name in pool]
    counts = long_tail_counts(class_counts(available, num_classes), n_max, imbalance)
    drawn = draw_long_tail(pool, available, counts, seed=0)
    assert np.array_equal(counts, expected)
    found = class_counts([int(name[-3:]) - 1 for name in drawn], num_classes)
    assert np.array_equal(found, expected)

    split = make_split(archive, protocol=protocol, imbalance=imbalance, n_max=n_max)
    assert set(split.train) == set(drawn)
    assert np.array_equal(split.class_counts, expected)


def test_a_list_of_another_protocol_is_refused(archives, real_data):
    path = published_list(real_data, 60, "xview", 100)
    with pytest.raises(SplitError, match="not in the protocol's training part: 'S0"):
        make_split(archives[60], protocol="xsub", train_list=path)
    with pytest.raises(SplitError, match=r"not in ntu60\.arrow, but in .*NTU120_xset"):
        make_split(archives[60], train_list=published_list(real_data, 120, "xset", 10))


def test_missing_samples_are_in_no_list(real_data):
    missing = ntu_names.missing_samples()
    for num_classes, protocol, imbalance in LISTS:
        path = published_list(real_data, num_classes, protocol, imbalance)
        assert missing.isdisjoint(read_names(path))

"""Splits: what is trained, selected and tested on, always the same, never overlapping."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shapmix.data.archive import Archive, ArchiveInfo, ArchiveWriter, Clip
from shapmix.data.expression import ExpressionError
from shapmix.data.importers import run_import
from shapmix.data.splits import Split, SplitError, make_split, read_names, select
from shapmix.layouts import get_layout

SBU = get_layout("sbu15")
POSE = np.zeros((1, 1, 15, 3), np.float32)
PROTOCOLS = {"xview": ("view != 3", "view == 3"), "xsub": ("subject <= 2", "subject > 2")}
CLASSES = ("push", "hug", "punch", "kick")

Rows = list[tuple[str, int, dict[str, str | int]]]


def make_archive(path: Path, rows: Rows, **info: Any) -> Archive:
    facts = ArchiveInfo(SBU, CLASSES, splits=PROTOCOLS)
    with ArchiveWriter(path, replace(facts, **info)) as writer:
        for name, label, metadata in rows:
            writer.write(Clip(name, label, POSE, metadata=metadata))
    return Archive(path)


def multiview_rows(subjects: int = 4, replications: int = 5) -> Rows:
    """4 classes x subjects x replications x 3 views."""
    return [
        (f"a{k}s{s}e{e}v{v}", k, {"subject": s, "replication": e, "view": v})
        for k in range(4)
        for s in range(1, subjects + 1)
        for e in range(replications)
        for v in (1, 2, 3)
    ]


@pytest.fixture(scope="module")
def multiview(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return make_archive(tmp_path_factory.mktemp("multiview") / "views.arrow", multiview_rows())


@pytest.fixture(scope="module")
def nw_ucla(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    out = tmp_path_factory.mktemp("nw_ucla") / "nw_ucla.arrow"
    if not (real_data / "nw_ucla.zip").is_file():
        pytest.skip(f"NW-UCLA not found at {real_data / 'nw_ucla.zip'}")
    run_import("nw-ucla", real_data / "nw_ucla.zip", out)
    return Archive(out)


def traits(archive: Archive, name: str) -> dict[str, Any]:
    i = archive.index(name)
    return {key: column[i] for key, column in archive.metadata.items()} | {
        "label": archive.labels[i]
    }


# ---- the real data set

IF_10 = [100, 77, 59, 46, 35, 27, 21, 16, 12, 10]


def test_nw_ucla_protocol_is_the_standard_one(nw_ucla: Archive, real_data: Path) -> None:
    split = make_split(nw_ucla, val_fraction=0)
    lists = real_data / "nw_ucla_protocol"
    assert (len(split.train), len(split.val), len(split.test)) == (1020, 0, 464)
    assert set(split.train) == set(read_names(lists / "standard_train_v01v02_1020.json"))
    assert set(split.test) == set(read_names(lists / "standard_val_v03_464.json"))
    from_lists = make_split(
        nw_ucla,
        train=lists / "standard_train_v01v02_1020.json",
        test=str(lists / "standard_val_v03_464.json"),
        val_fraction=0,
    )
    assert from_lists.parts == split.parts


def test_nw_ucla_long_tail(nw_ucla: Archive, real_data: Path) -> None:
    list_file = real_data / "nw_ucla_protocol" / "NW_UCLA_exp_10_regenerated.txt"
    ours = make_split(nw_ucla, imbalance=10, n_max=100)
    theirs = make_split(nw_ucla, train_list=list_file)
    assert set(theirs.train) == set(list_file.read_text().split())
    for split in (ours, theirs):
        assert split.class_counts.tolist() == IF_10
        assert len(split.test) == 464
        assert split.imbalance_factor == 10
        assert [len(ks) for ks in split.shot_bins.values()] == [0, 7, 3]
        val = split.counts["val"]
        assert val[0] == 2  # class 0 has 102 clips and trains on 100 of them
        assert (val[1:] == 20).all()
        assert {traits(nw_ucla, name)["view"] for name in split.val} == {1, 2}
    assert ours.test == theirs.test


# ---- properties of any split


def tail_splits() -> list[dict[str, Any]]:
    return [
        {"imbalance": 10},
        {"imbalance": 4, "profile": "step", "protocol": "xsub"},
        {"imbalance": 3.5, "profile": "pareto", "n_max": 12, "order": "size"},
        {"imbalance": 1, "n_max": 7, "seed": 5},
        {"imbalance": 6, "order": "permuted", "seed": 2},
        {"val_fraction": 0.25},
        {"val_fraction": 0, "protocol": "xsub"},
        {"train": "view == 1", "test": "view == 2 and label != 1"},
    ]


@pytest.mark.parametrize("arguments", tail_splits(), ids=str)
def test_a_split_keeps_to_its_protocol(multiview: Archive, arguments: dict[str, Any]) -> None:
    split = make_split(multiview, **arguments)
    protocol = arguments.get("protocol", "xview")
    train = arguments.get("train", PROTOCOLS[protocol][0])
    test = arguments.get("test", PROTOCOLS[protocol][1])
    pool = {multiview.names[i] for i in select(multiview, train)}
    assert split.test == tuple(multiview.names[i] for i in select(multiview, test))
    assert set(split.train) | set(split.val) <= pool
    assert not set(split.train) & set(split.val)
    if "imbalance" not in arguments:
        assert set(split.train) | set(split.val) == pool
    for part, names in split.parts.items():
        assert list(names) == sorted(names, key=multiview.index)
        counts = Counter(int(traits(multiview, name)["label"]) for name in names)
        assert split.counts[part].tolist() == [counts[k] for k in range(4)]


@pytest.mark.parametrize("arguments", tail_splits(), ids=str)
def test_a_split_follows_from_its_recipe(multiview: Archive, arguments: dict[str, Any]) -> None:
    split = make_split(multiview, **arguments)
    recipe = dict(split.recipe)
    counts, fingerprint = recipe.pop("counts"), recipe.pop("fingerprint")
    if recipe["protocol"] is not None:
        del recipe["train"], recipe["test"]
    again = make_split(multiview, **recipe)
    assert again == split
    assert again.recipe["counts"] == counts
    assert fingerprint == multiview.fingerprint
    assert arguments.items() <= split.recipe.items()


def test_a_split_does_not_depend_on_the_order_of_the_archive(
    tmp_path: Path, multiview: Archive
) -> None:
    rows = multiview_rows()
    np.random.default_rng(0).shuffle(rows)
    shuffled = make_archive(tmp_path / "views.arrow", rows)
    for arguments in tail_splits():
        a, b = make_split(multiview, **arguments), make_split(shuffled, **arguments)
        assert {part: set(names) for part, names in a.parts.items()} == {
            part: set(names) for part, names in b.parts.items()
        }
        assert a.recipe == b.recipe


def test_the_seed_matters_and_tails_are_nested(multiview: Archive) -> None:
    a = make_split(multiview, imbalance=4, n_max=20)
    assert set(make_split(multiview, imbalance=10, n_max=20).train) <= set(a.train)
    assert make_split(multiview, imbalance=4, n_max=20, seed=1).train != a.train
    natural = [make_split(multiview, seed=seed).val for seed in (0, 1)]
    assert natural[0] != natural[1]


# ---- validation from what a long tail left out


def likeness(archive: Archive, name: str, train: tuple[str, ...]) -> int:
    """0 unseen subject, 1 seen subject, 2 seen in this class, 3 another view of a training clip."""
    own = traits(archive, name)
    level = 0
    for other in (traits(archive, other) for other in train):
        if other["subject"] == own["subject"]:
            level = max(level, 1)
            if other["label"] == own["label"]:
                level = max(level, 2)
                if other["replication"] == own["replication"]:
                    return 3
    return level


@given(st.integers(0, 50), st.integers(1, 12), st.integers(0, 8))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_least_alike_are_preferred(
    multiview: Archive, seed: int, n_max: int, per_class: int
) -> None:
    split = make_split(multiview, imbalance=6, n_max=n_max, seed=seed, val_per_class=per_class)
    pool = {multiview.names[i] for i in select(multiview, "view != 3")}
    for k in range(4):
        left_out = [n for n in pool - set(split.train) if multiview.labels[multiview.index(n)] == k]
        level = {name: likeness(multiview, name, split.train) for name in left_out}
        chosen = [name for name in left_out if name in split.val]
        assert len(chosen) == min(per_class, len(left_out))
        rest = [level[name] for name in left_out if name not in split.val]
        assert max((level[name] for name in chosen), default=0) <= min(rest, default=3)


def test_all_four_preferences_in_one_class(tmp_path: Path) -> None:
    def row(name: str, label: int, s: int, e: int, v: int) -> tuple[str, int, dict[str, str | int]]:
        return name, label, {"subject": s, "replication": e, "view": v}

    rows = [
        row("trained", 0, 1, 0, 1),
        row("other class", 1, 2, 0, 1),
        row("other view", 0, 1, 0, 2),
        row("other performance", 0, 1, 1, 1),
        row("other subject in class", 0, 2, 0, 1),
        row("other subject", 0, 3, 0, 1),
        row("test", 0, 4, 0, 3),
    ]
    archive = make_archive(tmp_path / "a.arrow", rows)
    (tmp_path / "train.txt").write_text("trained\nother class\n")
    expected = ["other subject", "other subject in class", "other performance", "other view"]
    for n in range(5):
        split = make_split(archive, train_list=tmp_path / "train.txt", val_per_class=n)
        assert set(split.val) == set(expected[:n])


def test_a_setup_makes_another_performance(tmp_path: Path) -> None:
    """As in NTU: the same performer, replication and class in another setup is not the same."""

    def row(name: str, setup: int, camera: int) -> tuple[str, int, dict[str, str | int]]:
        return name, 0, {"subject": 1, "replication": 1, "setup": setup, "view": camera}

    rows = [row("trained", 1, 1), row("other view", 1, 2), row("other setup", 2, 1)]
    archive = make_archive(tmp_path / "a.arrow", [*rows, row("test", 1, 3)])
    (tmp_path / "train.txt").write_text("trained")
    split = make_split(archive, train_list=tmp_path / "train.txt", val_per_class=1)
    assert split.val == ("other setup",)


def test_validation_without_metadata(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "a.arrow", [(f"c{i}", i % 4, {}) for i in range(80)])
    split = make_split(
        archive, train="num_frames == 1 and name < 'c7'", test="name >= 'c7'", imbalance=2
    )
    assert split.counts["val"].sum() > 0
    natural = make_split(archive, train="name < 'c7'", test="name >= 'c7'")
    pool = natural.counts["val"] + natural.class_counts
    assert natural.counts["val"].tolist() == np.floor(0.1 * pool + 0.5).tolist()


# ---- validation from a natural tail


@given(st.integers(0, 20), st.sampled_from([0.05, 0.1, 0.3, 0.5]))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_natural_validation_takes_whole_performances(
    multiview: Archive, seed: int, fraction: float
) -> None:
    split = make_split(multiview, val_fraction=fraction, seed=seed)
    performances = [
        {tuple(traits(multiview, n)[key] for key in ("label", "subject", "replication")) for n in p}
        for p in (split.train, split.val)
    ]
    assert not performances[0] & performances[1]
    # 40 clips a class in performances of two views
    assert split.counts["val"].tolist() == [2 * round(40 * fraction / 2)] * 4


def test_rare_classes_give_none_and_none_gives_more_than_half(tmp_path: Path) -> None:
    sizes = {0: 4, 1: 5, 2: 14, 3: 15}
    rows: Rows = [
        (f"a{k}e{i}", k, {"view": 1, "subject": 1, "replication": i if k != 2 else i // 8})
        for k, size in sizes.items()
        for i in range(size)
    ]
    archive = make_archive(tmp_path / "a.arrow", [*rows, ("test", 0, dict(rows[0][2], view=3))])
    for seed in range(5):
        split = make_split(archive, seed=seed)
        # class 2: performances of 8 and 6 clips, of which only the second is less than half
        assert split.counts["val"].tolist() == [0, 1, 6, 2]
        assert split.class_counts.tolist() == [4, 4, 8, 13]


# ---- selecting


def test_select_knows_metadata_and_built_in_columns(multiview: Archive) -> None:
    rows = multiview_rows()

    def expected(condition: Callable[[str, int, Any], bool]) -> list[int]:
        return [i for i, row in enumerate(rows) if condition(*row)]

    assert select(multiview, "view != 3 and subject in (1, 2)").tolist() == expected(
        lambda name, label, m: m["view"] != 3 and m["subject"] in (1, 2)
    )
    assert select(multiview, "label == 2 and replication % 2 == 0").tolist() == expected(
        lambda name, label, m: label == 2 and m["replication"] % 2 == 0
    )
    assert select(multiview, "name == 'a1s2e3v1'").tolist() == [multiview.index("a1s2e3v1")]
    assert len(select(multiview, "num_frames == 1 and num_persons == 1")) == len(multiview)
    with pytest.raises(ExpressionError, match=r"'num_frame' .did you mean 'num_frames'"):
        select(multiview, "num_frame == 1")


# ---- what make_split refuses


def write_list(folder: Path, content: object, name: str = "list.json") -> Path:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"protocol": "xveiw"},
            r"unknown protocol 'xveiw' \(did you mean 'xview'\?\); known",
        ),
        ({"train": "view == 1"}, "give a protocol, or both train and test"),
        ({"protocol": "xsub", "train": "view == 1", "test": "view == 2"}, "give a protocol, or"),
        ({"train": "view < 3", "test": "view > 1"}, "both in the training part 'view < 3' and the"),
        ({"train": "view == 9", "test": "view == 1"}, "training part 'view == 9' selects no clip"),
        ({"train": "view == 1", "test": "view == 9"}, "test part 'view == 9' selects no clip"),
        ({"train": "veiw == 1", "test": "view == 9"}, "unknown column 'veiw' .did you mean 'view'"),
        ({"n_max": 5}, "n_max needs an imbalance factor"),
        ({"imbalance": 0.5}, "imbalance is 0.5"),
        ({"imbalance": 2, "n_max": 0}, "n_max is 0"),
        ({"imbalance": 2, "profile": "exp"}, "profile is 'exp', expected one of exponential"),
        ({"imbalance": 2, "order": "name"}, "order is 'name', expected one of label, size, perm"),
        ({"imbalance": 2, "train_list": "x.txt"}, "both define the long tail"),
        ({"val_per_class": -1}, "val_per_class is -1"),
        ({"val_fraction": 0.6}, "val_fraction 0.6; expected .* share from 0 to 0.5"),
        ({"train_list": "nothing.txt"}, "cannot read the list nothing.txt"),
    ],
    ids=str,
)
def test_contradictory_arguments(
    multiview: Archive, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_split(multiview, **arguments)


def test_a_list_may_call_clips_by_their_skeleton_files(multiview: Archive, tmp_path: Path) -> None:
    names = ["a0s1e0v1", "a1s1e0v1", "a2s1e0v1"]
    plain = make_split(multiview, train_list=write_list(tmp_path, names))
    files = [f"{name}.skeleton" for name in names[:2]] + names[2:]
    split = make_split(multiview, train_list=write_list(tmp_path, files))
    assert split.parts == plain.parts
    with pytest.raises(SplitError, match="names 1 clips twice"):
        make_split(multiview, train_list=write_list(tmp_path, [*files, names[0]]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            ["a0s1e0v1", "a0s1e0v9"],
            r"not in views\.arrow, but in .*list\.json: 'a0s1e0v9'; the arc",
        ),
        (["a0s1e0v3"], "not in the protocol's training part: 'a0s1e0v3'"),
        ([], "names no clip"),
        (["a0s1e0v1", "a0s1e0v1"], "names 1 clips twice"),
        ({"file_name": "a0s1e0v1"}, "holds a dict, expected a JSON list"),
        ([{"name": "a0s1e0v1"}], "entry 0 of .* is {'name': 'a0s1e0v1'}, expected a name or an"),
        (["a0s1e0v1", 3], "entry 1 of .* is 3"),
        ("[", "cannot read the list"),
        ("[" * 100_000, "cannot read the list"),
    ],
    ids=lambda x: str(x)[:20],
)
def test_bad_lists(multiview: Archive, tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(SplitError, match=message):
        make_split(multiview, train_list=write_list(tmp_path, content))


def test_lists_of_either_form(tmp_path: Path) -> None:
    names = ["a b", "c"]
    forms = [
        write_list(tmp_path, names, "1.json"),
        write_list(tmp_path, [{"file_name": name, "label": 1} for name in names], "2.json"),
        write_list(tmp_path, "a b\n\n  c\r\n", "3.txt"),
    ]
    assert [read_names(form) for form in forms] == [names] * 3


def test_an_archive_without_protocol_needs_arguments(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "a.arrow", multiview_rows(), splits={})
    with pytest.raises(SplitError, match=r"a\.arrow has no protocol of its own; say which clips"):
        make_split(archive)


def test_the_protocol_of_an_archive_opens_no_file(tmp_path: Path) -> None:
    names = write_list(tmp_path, "a0s1e0v1", "list.txt")
    splits = {"evil": (str(names), "view == 3")}
    archive = make_archive(tmp_path / "a.arrow", multiview_rows(), splits=splits)
    with pytest.raises(ExpressionError, match="cannot read"):
        make_split(archive)


# ---- saving and loading


def test_save_and_load(multiview: Archive, tmp_path: Path) -> None:
    split = make_split(multiview, imbalance=10)
    split.save(tmp_path / "new" / "split.json")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["split.json"]
    assert Split.load(tmp_path / "new" / "split.json") == split
    assert Split.load(tmp_path / "new" / "split.json", multiview) == split
    assert split.archive == "views.arrow"
    assert not split.class_counts.flags.writeable


def alter(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], str]:
    def altered(content: dict[str, Any]) -> str:
        change(content)
        return json.dumps(content)

    return altered


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: "{", "cannot read split"),
        (lambda c: "[" * 100_000, "cannot read split"),
        (lambda c: "[]", "not a split"),
        (alter(lambda c: c.update(format="x")), "not a split: it does not say 'shapmix split'"),
        (
            alter(lambda c: c.update(format_version=9)),
            "version 9, but this program reads version 1",
        ),
        (alter(lambda c: c.pop("val")), "the val part is not a list of names"),
        (alter(lambda c: c.update(test=[3])), "the test part is not a list of names"),
        (alter(lambda c: c.pop("recipe")), "has no recipe"),
        (alter(lambda c: c["recipe"].pop("counts")), "does not count the clips .* train part"),
        (alter(lambda c: c["recipe"]["counts"].pop("val")), "does not count .* of the val part"),
        (alter(lambda c: c["recipe"]["counts"].update(val=[-1])), "does not count"),
        (alter(lambda c: c["recipe"]["counts"]["val"].append(0)), "different numbers of classes"),
        (alter(lambda c: c["test"].append(c["train"][0])), "both in the train and the test part"),
        (alter(lambda c: c["val"].append(c["train"][0])), "both in the train and the val part"),
        (alter(lambda c: c["test"].append(c["test"][0])), "the test part names 1 clips more than"),
        (alter(lambda c: c["train"].pop()), r"train: \d+ names, but the recipe counts \d+"),
        (alter(lambda c: c["train"].__setitem__(0, "a")), r"not in views.arrow, but in the train"),
        (alter(lambda c: c["recipe"].update(fingerprint="0")), "with other clips or labels than"),
        (alter(lambda c: swap_labels(c)), "other classes"),
    ],
)
def test_bad_split_files(
    multiview: Archive,
    tmp_path: Path,
    change: Callable[[dict[str, Any]], str],
    message: str,
) -> None:
    path = tmp_path / "split.json"
    make_split(multiview, imbalance=10).save(path)
    path.write_text(change(json.loads(path.read_text())))
    with pytest.raises(SplitError, match=rf"split\.json.*{message}|{message}.*split\.json"):
        Split.load(path, multiview)


def swap_labels(content: dict[str, Any]) -> None:
    counts = content["recipe"]["counts"]["train"]
    counts[0], counts[1] = counts[1], counts[0]


@pytest.fixture
def with_copies(tmp_path: Path) -> Archive:
    """Views 1 to 3 of four performances a class; of "b" view 3 is view 2 again."""
    layout = get_layout("sbu15")
    info = ArchiveInfo(layout, ("a", "b"), splits={"xview": ("view != 3", "view == 3")})
    with ArchiveWriter(tmp_path / "copies.arrow", info) as writer:
        for k, performance, view in product(range(2), range(4), (1, 2, 3)):
            shown = 2 if k == 1 and view == 3 else view
            rng = np.random.default_rng((k, performance, shown))
            keypoints = rng.normal(size=(3, 1, 15, 3)).astype(np.float32)
            metadata = {"view": view, "subject": performance}
            name = f"{'ab'[k]}{performance}v{view}"
            writer.write(Clip(name, k, keypoints, metadata=metadata))
    return Archive(tmp_path / "copies.arrow")


def test_copies_are_left_out_where_asked(with_copies: Archive) -> None:
    whole = make_split(with_copies, val_fraction=0)
    fewer = make_split(with_copies, val_fraction=0, drop_copies="train")
    assert set(whole.train) - set(fewer.train) == {f"b{i}v2" for i in range(4)}
    assert fewer.test == whole.test
    fewer = make_split(with_copies, val_fraction=0, drop_copies="test")
    assert set(whole.test) - set(fewer.test) == {f"b{i}v3" for i in range(4)}
    assert fewer.train == whole.train
    assert fewer.recipe["drop_copies"] == "test"


def test_near_and_altered_copies_are_left_out_too(tmp_path: Path) -> None:
    """Copies under other names, shifted, with a frame less or with noise; also of each other."""
    layout = get_layout("sbu15")
    rng = np.random.default_rng(0)
    info = ArchiveInfo(layout, ("a", "b"), splits={"p": ("number < 9", "number >= 9")})
    base = [rng.normal(size=(20, 1, 15, 3)).astype(np.float32) for _ in range(12)]
    noise = rng.normal(0, 0.003, base[2].shape)
    clips = [*base, base[0] + np.float32(1), base[1][1:], base[2] + noise]
    with ArchiveWriter(tmp_path / "near.arrow", info) as writer:
        for i, keypoints in enumerate(clips):
            writer.write(Clip(f"c{i}", i % 2, keypoints.astype(np.float32), metadata={"number": i}))
    archive = Archive(tmp_path / "near.arrow")
    assert make_split(archive, val_fraction=0).test == tuple(f"c{i}" for i in range(9, 15))
    split = make_split(archive, val_fraction=0, drop_copies="test")
    assert split.test == ("c9", "c10", "c11")
    assert make_split(archive, val_fraction=0, drop_copies="train").train == tuple(
        f"c{i}" for i in range(3, 9)
    )


def test_copies_do_not_validate_either(with_copies: Archive) -> None:
    protocol = {"train": "view != 1", "test": "view == 1"}  # now views 2 and 3 of "b" may train
    for seed in range(5):
        split = make_split(
            with_copies, **protocol, imbalance=1, n_max=4, seed=seed, drop_copies="test"
        )
        performances = {part: {n[:2] for n in split.parts[part]} for part in ("train", "val")}
        assert split.val
        assert not {p for p in performances["train"] & performances["val"] if p[0] == "b"}


def test_copies_that_leave_nothing_or_a_strange_choice(with_copies: Archive) -> None:
    only = {"train": "view == 2 and label == 1", "test": "view == 3 and label == 1"}
    with pytest.raises(SplitError, match="every test clip is a copy"):
        make_split(with_copies, **only, drop_copies="test")
    with pytest.raises(SplitError, match="drop_copies is 'val'"):
        make_split(with_copies, drop_copies="val")


def test_a_missing_split_file(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match=r"cannot read split .*: there is no such file"):
        Split.load(tmp_path / "nothing.json")


def test_a_split_of_another_archive(multiview: Archive, tmp_path: Path) -> None:
    make_split(multiview).save(tmp_path / "split.json")
    other = [(name, 3 - label, m) for name, label, m in multiview_rows()]
    archive = make_archive(tmp_path / "other.arrow", other)
    with pytest.raises(SplitError, match=r"made for an archive 'views\.arrow' with other clips or"):
        Split.load(tmp_path / "split.json", archive)

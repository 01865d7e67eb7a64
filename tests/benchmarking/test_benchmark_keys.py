"""Keys: the same for what is the same, and another for anything that changes a result."""

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_suite import content, tiny

from shapmix.benchmarking.suite import parse_suite
from shapmix.benchmarking.tasks import KEY_FORMAT, make_tasks


def first(**changes):
    return make_tasks(tiny(**changes))[0]


def reversed_keys(value):
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return value


def test_a_key_is_the_digest_of_the_recipe():
    task = first()
    assert task.key == hashlib.sha256(task.recipe.encode()).hexdigest()[:16]
    recipe = json.loads(task.recipe)
    assert task.recipe == json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    assert recipe["format"] == KEY_FORMAT
    assert recipe["train"]["loss"] == "ce"
    assert recipe["split"] == {
        "imbalance": 3.0,
        "n_max": 3,
        "order": "permuted",
        "seed": 0,
        "val_per_class": 1,
    }


PINNED = ["24701955bc182710", "a8cffca56b6ce798", "eaa62ed7c68d0986"]


def test_keys_stay_as_they_are():
    """Results are found by them. A new field of TrainConfig belongs into LATER_FIELDS; where a
    default changed or a program gives another result, raise KEY_FORMAT."""
    before = {"mixed_view": "same", "mix_from": 0.0, "validate_every": 1}
    before = content()["train"] | before
    assert [task.key for task in make_tasks(tiny(runs=[{"seeds": 1}], train=before))] == PINNED


def test_results_of_before_a_field_are_found():
    """Mixing had one view and began at once; without a mixer neither means anything."""

    def recipe(**changes):
        return json.loads(first(methods={"ce": changes}, runs=[{"seeds": 1}]).recipe)["train"]

    before = {"mixed_view": "same", "mix_from": 0.0}
    assert not before.keys() & recipe(mixer="stmix", **before).keys()
    assert recipe(mixer="stmix", mix_from=0.2)["mix_from"] == 0.2
    assert recipe(mixer="stmix", mixed_view="own")["mixed_view"] == "own"
    assert recipe(mixer="none", mixed_view="own", mix_from=0.2) == recipe(mixer="none")


def test_runs_of_a_suite_write_nothing_for_reports():
    """It would cost time, and keys must not depend on it."""
    tasks = make_tasks(tiny())
    assert not any(task.config.artefacts for task in tasks)
    assert not any("artefacts" in task.recipe for task in tasks)


def test_keys_do_not_depend_on_the_order_of_yaml_or_on_names():
    keys = [task.key for task in make_tasks(tiny())]
    again = [task.key for task in make_tasks(parse_suite(reversed_keys(content())))]
    assert again == keys
    assert first(name="other").key == keys[0]
    renamed = {"d": content()["datasets"]["embedded"]}
    assert first(datasets=renamed).key == keys[0]


@pytest.mark.parametrize("changes", [{"threads": 4}, {"workers": 2}, {"accelerator": "auto"}])
def test_how_a_run_is_run_does_not_change_its_key(changes):
    assert first(train=content()["train"] | changes).key == first().key


@pytest.mark.parametrize("source", ["a.zip", "b/a.zip"])
def test_folders_do_not_change_a_key(source):
    def key(source):
        data = {"d": {"import": {"format": "sbu", "source": source}}}
        return first(datasets=data).key

    assert key(source) == key("a.zip")
    assert key("other.zip") != key("a.zip")


CHANGES = [
    {"train": content()["train"] | {name: value}}
    for name, value in {
        "epochs": 2,
        "lr": 0.06,
        "batch_size": 8,
        "num_frames": 17,
        "weight_decay": 1e-4,
        "momentum": 0.8,
        "schedule": "cosine",
        "milestones": [0.5],
        "validate_every": 2,
        "stream": "bone",
        "precision": "bf16",
        "sampler": "square-root",
        "transform_options": {"mirror": 0.5},
    }.items()
]
SPLITS = [{"imbalance": 4}, {"n_max": 4}, {"order": "label"}, {"seed": 5}, {"drop_copies": "train"}]
SPLITS += [{"protocol": "xview"}, {"val_per_class": 2}]
DATA = [{"synthetic": {"clips_per_class": 21}}, {"synthetic": {"clips_per_class": 20, "seed": 1}}]
DATA += [{"folds": ["xsub"]}] + [
    {"split": {"imbalance": 3, "n_max": 3, **split}} for split in SPLITS
]
CHANGES += [{"datasets": {"embedded": content()["datasets"]["embedded"] | data}} for data in DATA]
CHANGES += [{"backbones": {"tcn": {"model": "tcn", "model_options": {"width": 9}}}}]
CHANGES += [{"runs": [{"methods": ["ce"], "seeds": [1]}]}]
CHANGES += [{"methods": {"ce": {"mixer": "none", "loss": "focal"}}, "runs": [{"seeds": 1}]}]


def test_anything_else_changes_the_key():
    keys = [first().key, *(first(**changes).key for changes in CHANGES)]
    keys += [task.key for task in make_tasks(tiny(runs=[{"seeds": 1}]))[1:]]
    assert len(set(keys)) == len(keys)


@given(st.dictionaries(st.sampled_from(["tau", "gamma"]), st.floats(0.1, 3), max_size=1))
@settings(max_examples=20)
def test_tasks_share_a_key_exactly_when_their_options_are_equal(options):
    def key(options):
        loss = "focal" if "gamma" in options else "balanced-softmax"
        method = {"mixer": "none", "loss": loss, "loss_options": options}
        return first(methods={"ce": method}, runs=[{"seeds": 1}]).key

    assert key(dict(options)) == key(options)
    assert all(key({name: value * 2}) != key(options) for name, value in options.items())

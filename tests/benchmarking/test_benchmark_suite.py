"""Suites: what is accepted, what is refused and how; the suites of the project are valid."""

from pathlib import Path

import pytest
from tiny_suite import content, tiny

from shapmix.benchmarking.suite import SuiteError, load_suite, parse_suite
from shapmix.benchmarking.tasks import Chosen, make_tasks

SUITES = sorted((Path(__file__).parents[2] / "configs" / "suites").glob("*.yaml"))


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_the_suites_of_the_project_are_valid(path):
    suite = load_suite(path)
    assert suite.name.replace("-", "_") == path.stem
    tasks = make_tasks(suite)
    assert {task.method for task in tasks} == set(suite.methods)
    assert {task.dataset for task in tasks} == set(suite.datasets)
    assert {task.backbone for task in tasks} == set(suite.backbones)


def test_full_width_is_small_at_full_width():
    full, small = (load_suite(p) for p in SUITES if p.stem in ("full_width", "small"))
    assert (small.name, full.name) == ("small", "full-width")
    assert small.methods == full.methods
    assert small.datasets == full.datasets
    assert small.runs == full.runs


def test_the_order_of_work_is_seed_by_seed():
    names = [task.name for task in make_tasks(tiny())]
    assert names == [f"{m}-embedded-tcn-s{seed}" for seed in (0, 1) for m in ("ce", "mixup")]


def test_what_two_entries_ask_for_is_one_task():
    runs = [{"methods": ["ce"], "seeds": [3]}, {"methods": "all", "seeds": [3, 1]}]
    names = [(task.method, task.seed) for task in make_tasks(tiny(runs=runs))]
    assert names == [(m, seed) for seed in (3, 1) for m in ("ce", "mixup", "tau-norm")]


def test_folds_are_tasks_and_seeds_go_to_split_and_training():
    data = {"embedded": {"synthetic": {}, "folds": ["xsub", "xview"]}}
    tasks = make_tasks(tiny(datasets=data))
    assert [task.fold for task in tasks[:4]] == ["xsub", "xview"] * 2
    assert all(task.split == {"seed": task.seed, "protocol": task.fold} for task in tasks)
    assert all(task.config.seed == task.seed for task in tasks)
    fixed = {"embedded": {"synthetic": {}, "split": {"seed": 7}}}
    assert {task.split["seed"] for task in make_tasks(tiny(datasets=fixed))} == {7}


def test_the_last_of_train_dataset_backbone_method_counts_and_options_merge():
    config = make_tasks(
        tiny(
            train={"lr": 1e-4, "epochs": 2, "batch_size": 2, "model": "ctrgcn"},
            datasets={
                "embedded": {
                    "synthetic": {},
                    "train": {"epochs": 3, "model_options": {"width": 4}, "batch_size": 3},
                }
            },
            backbones={"tcn": {"model": "tcn", "batch_size": 4, "model_options": {"depth": 2}}},
            methods={"ce": {"mixer": "none", "batch_size": 5}},
            baseline="ce",
            runs=[{"seeds": 1}],
        )
    )[0].config
    assert (config.lr, config.epochs, config.model, config.batch_size) == (1e-4, 3, "tcn", 5)
    assert config.model_options == {"width": 4, "depth": 2}


def test_numbers_of_yaml_1_2(tmp_path):
    path = tmp_path / "s.yaml"
    text = "name: x\ndatasets: {d: {synthetic: {}}}\nbackbones: {tcn: {model: tcn}}\n"
    text += "methods: {ce: {mixer: none, weight_decay: 4e-4, loss: focal, "
    path.write_text(text + "loss_options: {gamma: 1e1}}}\nruns: [{seeds: 1}]\n")
    config = make_tasks(load_suite(path))[0].config
    assert config.weight_decay == 4e-4
    assert config.loss_options == {"gamma": 10.0}


REFUSED = [
    ({"methds": {}}, "the suite has no 'methds' .did you mean 'methods'"),
    ({"name": "a/b"}, "name is 'a/b'"),
    ({"methods": {"../x": {}}}, "a name in methods is '../x'"),
    ({"methods": {}}, "methods is empty"),
    ({"baseline": "mixupp"}, "baseline: no 'mixupp' .did you mean 'mixup'"),
    ({"runs": []}, "expected a list of combinations"),
    (
        {"runs": [{"seeds": 2, "method": ["ce"]}]},
        "entry 1 of runs has no 'method' .did you mean 'm",
    ),
    ({"runs": [{"methods": ["mxup"], "seeds": 2}]}, "methods of entry 1 of runs: no 'mxup' .did"),
    ({"runs": [{"seeds": -1}]}, "seeds of entry 1 of runs is -1"),
    ({"runs": [{"seeds": [0, "1"]}]}, "seeds of entry 1"),
    ({"runs": [{}]}, "entry 1 of runs needs 'seeds'"),
    (
        {"datasets": {"d": {"synthetic": {}, "import": {}}}},
        "data set d needs one of import and syn",
    ),
    ({"datasets": {"d": {"import": {"format": "sbu"}}}}, "import of data set d needs a source"),
    (
        {"datasets": {"d": {"synthetic": {}, "in_means": "no"}}},
        "in_means of data set d is 'no'; expected true or false",
    ),
    (
        {"datasets": {"d": {"synthetic": {}, "spilt": {}}}},
        "data set d has no 'spilt' .did you mean",
    ),
    (
        {"datasets": {"d": {"synthetic": {}, "folds": ["a"], "split": {"protocol": "b"}}}},
        "data set d has folds, which are protocols, and a protocol",
    ),
    ({"methods": {"ce": {}, "x": {"of": "ce"}}}, "method x needs 'second_stage'"),
    (
        {"methods": {"ce": {}, "x": {"of": "cee", "second_stage": {"kind": "crt"}}}},
        "`of` of method x: no 'cee' .did you mean 'ce'",
    ),
    ({"methods": {"ce": {}, "x": {"of": "x", "second_stage": {"kind": "crt"}}}}, "itself a second"),
]
IMPOSSIBLE = [
    ({"train": {"epohcs": 3}}, "train has no 'epohcs' .did you mean 'ep"),
    ({"train": {"epochs": "many"}}, "train: .*epochs"),
    ({"train": {"epochs": 0}}, "epochs is 0; expected 1 or more"),
    ({"train": {"seed": 3}}, "seed is not for a suite to set"),
    ({"train": {"out": "x"}}, "out is not for a suite to set"),
    ({"train": {"artefacts": True}}, "artefacts is not for a suite to set"),
    ({"methods": {"ce": {"mixer": "shapmx"}}}, "method ce: .*shapmx .did you mean 'shapmix'"),
    (
        {"methods": {"ce": {"mixer": "mixup", "mixer_options": {"alhpa": 1}}}},
        "has no option 'alhpa'",
    ),
    ({"methods": {"ce": {"mixer": "none", "loss_options": {"taw": 1}}}}, "has no option 'taw'"),
    (
        {"methods": {"ce": {}, "x": {"of": "ce", "second_stage": {"kind": "tau-nrom"}}}},
        "method x: no second stage 'tau-nrom' .did you mean 'tau-norm'",
    ),
    (
        {"methods": {"ce": {}, "x": {"of": "ce", "second_stage": {"kind": "crt", "ephocs": 1}}}},
        "method x: second stage crt has no option 'ephocs'",
    ),
    ({"datasets": {"d": {"synthetic": {"clips": 3}}}}, "data set d has no 'clips'"),
    (
        {"datasets": {"d": {"synthetic": {}, "split": {"n_mx": 3}}}},
        "split of data set d has no 'n_mx",
    ),
    ({"datasets": {"d": {"import": {"format": "sbuu", "source": "x"}}}}, "unknown format 'sbuu'"),
    (
        {
            "datasets": {
                "d": {"import": {"format": "sbu", "source": "x", "options": {"mtric": True}}}
            }
        },
        "import of data set d has no 'mtric' .did you mean 'metric'",
    ),
    ({"methods": {"ce": {}, "ec": {}}, "runs": [{"seeds": 1}]}, "are the same run under two names"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=str)
def test_what_is_no_suite_is_refused(changes, message):
    with pytest.raises(SuiteError, match=message):
        parse_suite(content(**({"baseline": None} | changes)) | {})


@pytest.mark.parametrize(("changes", "message"), IMPOSSIBLE, ids=str)
def test_every_setting_is_checked_before_anything_runs(changes, message):
    given = {"baseline": None, "runs": [{"seeds": 1}]} | changes
    with pytest.raises(SuiteError, match=message):
        make_tasks(parse_suite(content(**given)))


def test_no_yaml_and_a_key_given_twice(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("name: [")
    with pytest.raises(SuiteError, match=r"s\.yaml is no YAML"):
        load_suite(path)
    path.write_text("name: a\nname: b\n")
    with pytest.raises(SuiteError, match="'name' is given twice"):
        load_suite(path)
    path.write_text("!!python/object/apply:os.system [exit]")
    with pytest.raises(SuiteError, match=r"s\.yaml is no YAML"):
        load_suite(path)


def test_a_part_of_a_suite():
    tasks = make_tasks(tiny(), Chosen(methods=("mixup",), seeds=(1, 5)))
    assert [task.name for task in tasks] == ["mixup-embedded-tcn-s1"]
    with pytest.raises(SuiteError, match=r"no method 'mxup' .did you mean 'mixup'"):
        make_tasks(tiny(), Chosen(methods=("mxup",)))
    with pytest.raises(SuiteError, match="no task of the suite"):
        make_tasks(tiny(), Chosen(seeds=(9,)))

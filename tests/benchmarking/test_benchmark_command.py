"""`shapmix benchmark`, as a user types it."""

import pytest
from tiny_suite import content

from shapmix.benchmarking.table import read_results
from shapmix.commands import cli


@pytest.fixture
def command(suite_file, settings, capsys):
    given = settings()

    def run(*words, **changes):
        path = str(suite_file(**changes))
        status = cli.main(["benchmark", path, "--work", str(given.work), "--jobs", "1", *words])
        out = capsys.readouterr()
        return status, out.out, out.err

    run.results = given.results
    return run


def test_a_suite_from_its_file_to_its_leaderboard(command):
    runs = [{"methods": ["ce", "mixup", "tau-norm"], "seeds": 1}]
    status, out, err = command("--only", "ce", "tau-norm", "--limit-hours", "1", runs=runs)
    assert (status, err) == (0, "")
    assert "[1/2] ce-embedded-tcn-s0: top-1 " in out
    assert "[2/2] tau-norm-embedded-tcn-s0: top-1 " in out
    assert "2 done, 0 failed, 0 left" in out
    folder = command.results.parent
    for name in ("leaderboard.md", "leaderboard.html"):
        assert (folder / name).is_file()
        assert str(folder / name) in out
    found = read_results(command.results).to_pylist()
    assert [(row["method"], row["status"]) for row in found] == [("ce", "ok"), ("tau-norm", "ok")]
    status, out, _ = command("--dry-run", runs=runs)
    assert status == 0
    lines = [line.split()[:2] for line in out.splitlines()[:-1]]
    assert lines[0] == ["ok", "ce-embedded-tcn-s0"]
    assert lines[1][0] == "mixup-embedded-tcn-s0"
    assert lines[2] == ["ok", "tau-norm-embedded-tcn-s0"]
    assert out.splitlines()[-1].startswith("3 tasks, 1 to do; time left with 1 jobs: ")
    before = command.results.read_bytes()
    status, out, _ = command("--report-only", runs=runs)
    assert status == 0
    assert "leaderboard.html" in out
    assert command.results.read_bytes() == before


def test_a_dry_run_says_which_data_are_not_there(command):
    datasets = {"ours": {"import": {"format": "ntu-raw", "source": "ours.zip"}}}
    for words in (["--dry-run"], []):
        status, out, err = command(*words, datasets=datasets)
        assert status != 0
        assert "ours.zip (data set ours). Say where the data are with --data" in err
        assert ("tasks, " in out) == bool(words)


def test_a_report_of_a_part_on_another_baseline_in_a_folder_of_its_own(command, tmp_path):
    status, _, err = command()
    assert (status, err) == (0, "")
    whole = (command.results.parent / "leaderboard.md").read_text()
    part = tmp_path / "part"
    words = ["--report-only", "--leaderboard", str(part), "--baseline", "mixup"]
    status, out, err = command(*words, "--seeds", "0")
    assert (status, err) == (0, "")
    assert str(part / "leaderboard.html") in out
    board = (part / "leaderboard.md").read_text()
    assert "Gain on mixup" in board
    assert "over 1 seed," in board
    assert "over 2 seeds," in whole
    assert (command.results.parent / "leaderboard.md").read_text() == whole
    status, _, err = command("--baseline", "mixip")
    assert status == 1
    assert "no method 'mixip' to be the baseline (did you mean 'mixup'?)" in err


def test_a_data_set_may_be_left_out_of_means(command, training):
    datasets = content()["datasets"]
    longer = {**datasets["embedded"], "train": {"epochs": 2}}
    more = {**datasets, "longer": {**longer, "in_means": False}}
    more["other"] = {**datasets["embedded"], "synthetic": {"clips_per_class": 22}}
    status, out, err = command(datasets=more, runs=[{"methods": ["ce", "mixup"], "seeds": 1}])
    assert (status, err) == (0, "")
    assert "Means and ranks are over embedded, other" in " ".join(out.split())


def test_nothing_is_started_at_a_limit_of_no_hours(command, training):
    status, out, _ = command("--limit-hours", "0")
    assert status == 0
    assert "0 done, 0 failed, 4 left" in out
    assert "no leaderboard" in out
    assert training.trained == []


def test_a_part_without_the_baseline_ends_well_and_names_are_those_of_the_suite(command, training):
    status, out, err = command("--only", "mixup")
    assert (status, err) == (0, "")
    assert "no leaderboard yet: no results of baseline 'ce'" in out
    status, _, err = command("--report-only")
    assert status == 1
    assert "no results of baseline 'ce'" in err
    methods = content()["methods"]
    renamed = {"plain": methods["ce"], "mixed": methods["mixup"]}
    status, out, err = command(methods=renamed, baseline="plain", runs=[{"seeds": 2}])
    assert (status, err) == (0, "")
    assert len(training.trained) == 4
    board = (command.results.parent / "leaderboard.md").read_text()
    assert "Gain on plain" in board
    assert "| mixed |" in board
    assert "mixup" not in board


def test_failures_are_told_and_make_the_status_1(command, training):
    training.fails = lambda config: config.seed == 1
    status, out, err = command("--datasets", "embedded", "--only", "mixup", "--seeds", "1")
    assert status == 1
    assert "[1/1] mixup-embedded-tcn-s1: failed, RuntimeError: no luck" in out
    assert "0 done, 1 failed, 0 left" in out
    assert "1 of 1 tasks failed" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--jobs", "0"], "jobs is 0, expected 1 or more"),
        (["--only", "mixpu"], "the suite has no method 'mixpu' (did you mean 'mixup'?)"),
        (["--backbones", "stgcn"], "the suite has no backbone 'stgcn'"),
        (["--seeds", "7"], "no task of the suite"),
        (["--dry-rum"], "did you mean 'dry-run'?"),
    ],
)
def test_wrong_words(command, words, message):
    status, _, err = command(*words)
    assert status in (1, 2)
    assert message in err


def test_a_suite_that_is_not_there(capsys):
    assert cli.main(["benchmark", "none.yaml"]) == 1
    assert "none.yaml" in capsys.readouterr().err

"""Two processes that refresh together do the work of one that has the clips of both."""

import subprocess
import sys

import pytest
import sharding_worker
import torch
from sharding_worker import CASES, HELD, clips_of, refresh


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What the two processes found."""
    folder = tmp_path_factory.mktemp("ranks")
    words = [sys.executable, sharding_worker.__file__]
    processes = [subprocess.Popen([*words, str(rank), str(folder)]) for rank in range(2)]
    assert [process.wait(300) for process in processes] == [0, 0]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("case", CASES)
def test_state_is_the_same_in_both(both, case):
    for name, value in both[0][case].items():
        if name != "spent":
            assert torch.equal(value, both[1][case][name]), name


@pytest.mark.parametrize("case", ["some", "deeper", "all"])
def test_table_equals_that_of_one_process_on_the_union(both, case):
    """The budget decides alike, the same coalitions are dealt to the same clips."""
    alone = refresh([clips_of(0), clips_of(1)], *CASES[case])
    for name, value in alone.items():
        if name.startswith("saliency."):
            torch.testing.assert_close(both[0][case][name], value)


@pytest.mark.parametrize("case", CASES)
def test_the_budget_holds_for_all_together(both, case):
    budget, most = CASES[case]
    spent = both[0][case]["spent"] + both[1][case]["spent"]
    assert (spent.cumsum(0) <= budget * torch.arange(1, 4)).all()
    assert (spent > 0).all()
    complete = 31 * HELD.sum(0).clamp(max=most).sum() + 2
    assert (spent <= complete).all()
    if case == "all":
        assert (spent == complete).all()


def test_the_work_is_shared(both):
    spent = [part["few"]["spent"].sum() for part in both]
    assert min(spent) > 0.35 * sum(spent)

"""Training on two processes: what they share, and that they equal one."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import ddp_worker
import pytest
import torch

from shapmix.training.files import write_config

HERE = Path(__file__).parent


def run_two(folder, estimator):
    words = [sys.executable, str(HERE / "ddp_worker.py")]
    processes = [subprocess.Popen([*words, str(rank), str(folder), estimator]) for rank in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def observe_both(mixers, model, batches):
    """The updates of both ranks, applied to both tables in rank order."""
    maps = []

    def keep(update):
        maps.append(update)
        return update[None][:0]

    with patch("shapmix.mixing.distributed.stack_over_ranks", keep):
        for mixer, (x, y) in zip(mixers, batches, strict=True):
            mixer.observe(model, x, y)
    for mixer in mixers:
        for scale, shift in maps:
            mixer.saliency.table.mul_(scale).add_(shift)


def refresh_both(mixers, everything, model):
    """The values of all clips, given to both."""
    everything.refresh(model)
    for mixer in mixers:
        mixer.saliency_budget = 0.0
        mixer.refresh(model)
        mixer.saliency.load_state_dict(everything.saliency.state_dict())


@pytest.mark.parametrize("estimator", ["exact", "sampled"])
def test_saliency_is_the_same_in_both_and_gradients_equal_one_process(tmp_path, estimator):
    """One process plays both halves, with the randomness of the two mixers."""
    first, second = run_two(tmp_path, estimator)
    for name, value in first["mixer"].items():
        assert torch.equal(value, second["mixer"][name]), name
    model = ddp_worker.make_model()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    mixers = [ddp_worker.make_mixer(estimator, rank) for rank in range(2)]
    everything = ddp_worker.make_mixer(estimator, 2)
    gradients = []
    for epoch in range(ddp_worker.EPOCHS):
        for step in range(ddp_worker.STEPS):
            batch = ddp_worker.make_batch(epoch, step)
            batches = ddp_worker.halves(batch)
            optimizer.zero_grad()
            losses = [
                ddp_worker.loss_of(model, mixer, x, y)
                for mixer, (x, y) in zip(mixers, batches, strict=True)
            ]
            (sum(losses) / 2).backward()
            gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
            optimizer.step()
            everything(*batch)
            observe_both(mixers, model, batches)
        if estimator == "exact":
            refresh_both(mixers, everything, model)
        else:
            for mixer in mixers:
                mixer.refresh(model)
    for ours, theirs in zip(gradients, first["gradients"], strict=True):
        torch.testing.assert_close(theirs, ours)
    for name, value in mixers[0].saliency.state_dict().items():
        torch.testing.assert_close(first["mixer"][f"saliency.{name}"], value)
    assert first["mixer"]["epoch"] == ddp_worker.EPOCHS


def cli_environment():
    paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": paths}


def test_the_command_line_trains_on_two_processes(config, tmp_path):
    run = config(devices=2, epochs=2, batch_size=4, model_options={"norm": False})
    write_config(tmp_path / "run.yaml", replace(run, threads=1))
    words = [sys.executable, "-m", "shapmix.commands.cli", "train", "--config"]
    done = subprocess.run(
        [*words, str(tmp_path / "run.yaml")],
        env=cli_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert metrics["last"]["epoch"] == 1

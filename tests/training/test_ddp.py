"""Training on two processes: what they share, and that they equal one."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import ddp_worker
import numpy as np
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


def train_by_command(run, path):
    write_config(path, run)
    words = [sys.executable, "-m", "shapmix.commands.cli", "train", "--config"]
    done = subprocess.run(
        [*words, str(path)],
        env=cli_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def logged(folder, column):
    with (folder / "history.csv").open() as file:
        return [float(row[column]) for row in csv.DictReader(file)]


needs_two_cores = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="trains on two cores")


@needs_two_cores
def test_the_command_line_trains_on_two_processes(config, tmp_path):
    run = config(devices=2, epochs=2, batch_size=4, model_options={"norm": False})
    train_by_command(run, tmp_path / "run.yaml")
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert metrics["last"]["epoch"] == 1


@needs_two_cores
def test_the_loss_that_is_logged_is_that_of_all_processes(config, tmp_path):
    """Without anything random and with hardly any step, the mean over the 26 clips, by one or two.

    Each of two processes has 13 of them, which are not alike.
    """
    still = {"rotation": 0.0, "crop_ratio": [1.0, 1.0]}
    losses = []
    for devices in (1, 2):
        run = config(
            out=tmp_path / str(devices),
            devices=devices,
            epochs=2,
            batch_size=13,
            drop_last=False,
            lr=1e-12,
            mixer="none",
            mixer_options={},
            model_options={"norm": False, "drop": 0.0},
            transform_options=still,
            artefacts=False,
        )
        train_by_command(run, tmp_path / f"{devices}.yaml")
        losses.append(logged(run.folder, "train_loss"))
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


@needs_two_cores
def test_the_epoch_is_chosen_by_the_process_whose_weights_are_kept(config, tmp_path):
    run = config(
        model="tiny:DisagreeingModel",
        devices=2,
        epochs=12,
        batch_size=4,
        mixer="none",
        mixer_options={},
        artefacts=False,
    )
    train_by_command(run, tmp_path / "run.yaml")
    best = json.loads((run.folder / "metrics.json").read_text())["best"]["epoch"]
    assert best == int(np.argmax(logged(run.folder, "val_mean_class"))) > 0

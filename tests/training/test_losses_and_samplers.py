"""Runs with the losses and samplers that Shap-Mix is compared with."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from shapmix.losses import LOSSES, CosineClassifier, InfluenceBalancedLoss
from shapmix.training.build import OptionError, build_model
from shapmix.training.data import ClipData
from shapmix.training.files import load_checkpoint, read_config
from shapmix.training.run import build, train

NEW_LOSSES = sorted(set(LOSSES) - {"balanced-softmax", "ce"})
SAMPLERS = ["class-balanced", "square-root", "repeat-factor"]


class StoppedError(Exception):
    """The process was killed."""


@pytest.mark.parametrize("loss", NEW_LOSSES)
def test_every_loss_trains_on_mixed_clips(config, loss):
    run = config(loss=loss, drop_last=False)  # mixed and guided by Shap-Mix
    metrics = train(run)
    assert metrics["last"]["epoch"] == 2
    rows = (run.folder / "history.csv").read_text().splitlines()[1:]
    assert all(float(row.split(",")[2]) > 0 for row in rows)
    assert replace(read_config(run.folder), out=None) == replace(run, out=None)


@pytest.mark.parametrize("loss", NEW_LOSSES)
def test_every_loss_learns(config, loss):
    changes = {"mixer": "none", "mixer_options": {}, "epochs": 16, "lr": 0.1}
    metrics = train(config(loss=loss, validate_every=16, **changes))
    assert metrics["last"]["test"]["top1"] > 0.7


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_has_the_same_budget(config, tmp_path, sampler):
    steps = {}
    for name in ("instance", sampler):
        run = config(sampler=name, mixer="none", mixer_options={}, out=tmp_path / name, epochs=2)
        assert train(run)["last"]["epoch"] == 1
        steps[name] = load_checkpoint(run.folder / "checkpoints" / "last.ckpt")["global_step"]
    assert steps["instance"] == steps[sampler]
    profile = json.loads((tmp_path / sampler / "data_profile.json").read_text())
    assert profile["clips"]["train"] == [12, 7, 4, 3]


@pytest.mark.parametrize(
    ("changes", "stop"),
    [
        ({"loss": "ldam-drw", "loss_options": {"reweight_from": 0.5}}, 1),
        ({"loss": "ldam-drw", "loss_options": {"reweight_from": 0.5}}, 3),
        ({"loss": "influence-balanced", "loss_options": {"alpha": 1.0}}, 3),
        ({"loss": "focal", "sampler": "class-balanced"}, 2),
        ({"loss": "ce", "sampler": "repeat-factor"}, 2),
    ],
)
def test_a_stopped_run_goes_on_as_if_it_had_not(config, tmp_path, monkeypatch, changes, stop):
    """StoppedError before, at and after the epoch in which the loss changes."""
    whole = config(out=tmp_path / "whole", epochs=4, mixer="stmix", mixer_options={}, **changes)
    train(whole)
    stopped = replace(whole, out=tmp_path / "stopped")
    data = ClipData(stopped)
    loss = type(build(stopped, data).criterion)
    forward, calls = loss.forward, []

    def dying(self, *args, **kwargs):
        calls.append(None)
        if len(calls) > 2 * 3 * stop + 2:  # two terms a step, three steps an epoch
            raise StoppedError
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(loss, "forward", dying)
    with pytest.raises(StoppedError):
        train(stopped)
    monkeypatch.setattr(loss, "forward", forward)
    train(replace(stopped, resume=stopped.out))
    first, second = (
        load_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"]
        for folder in (whole.out, stopped.out)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert (whole.out / "history.csv").read_text() == (stopped.out / "history.csv").read_text()


def test_the_loss_is_told_the_epoch(config, monkeypatch):
    told = []
    monkeypatch.setattr(
        InfluenceBalancedLoss, "set_progress", lambda self, *progress: told.append(progress)
    )
    train(config(loss="influence-balanced", mixer="none", mixer_options={}))
    assert told == [(0, 3), (1, 3), (2, 3)]


def test_margins_are_of_cosines_in_training_and_evaluation(config):
    run = config(loss="ldam-drw", loss_options={"scale": 8}, epochs=1)
    train(run)
    with np.load(run.folder / "scores.npz") as scores:
        assert np.abs(scores["logits_last"]).max() <= 8
    weights = load_file(run.folder / "checkpoints" / "weights_last.safetensors")
    assert "head.bias" not in weights
    data = ClipData(run)
    model = build_model(read_config(run.folder), data.archive, data.num_persons)
    assert isinstance(model.head, CosineClassifier)
    model.load_state_dict(weights)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"loss": "focal", "loss_options": {"gama": 2}}, OptionError, "did you mean 'gamma'"),
        ({"loss": "ce", "loss_options": {"tau": 2}}, OptionError, "its options are none"),
        ({"loss_options": {"tau": "high"}}, ValueError, "tau is 'high'"),
        ({"loss": "ldam-drw", "loss_options": {"scale": "x"}}, ValueError, "scale is 'x'"),
        (
            {"sampler": "repeat-factor", "sampler_options": {"treshold": 0.1}},
            OptionError,
            "sampler repeat-factor has no option 'treshold'.*did you mean 'threshold'",
        ),
        (
            {"sampler": "repeat-factor", "sampler_options": {"threshold": 7}},
            ValueError,
            "threshold is 7",
        ),
        ({"sampler_options": {"threshold": 0.1}}, OptionError, "sampler instance has no option"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(config, changes, error, message):
    run = config(**changes)
    with pytest.raises(error, match=message):
        train(run)
    assert not list(run.folder.rglob("history.csv"))


def test_the_folder_names_the_sampler(config):
    run = replace(config(sampler="square-root"), out=None)
    assert run.folder.name.endswith("-balanced-softmax-square-root-s0")
    assert "instance" not in replace(run, sampler="instance").folder.name

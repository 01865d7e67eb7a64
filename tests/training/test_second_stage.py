"""Second stages of a finished run: against oracles, as run folders, and as a user types them."""

import json
from functools import partial

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from tiny import TinyModel
from torch import nn
from torch.nn import functional as F

from shapmix.commands import cli
from shapmix.commands.second_stage import KINDS as TYPED_KINDS
from shapmix.data.sampling import class_balanced, instance
from shapmix.losses import CrossEntropyLoss
from shapmix.metrics import evaluate
from shapmix.reporting import compare_table, load_run, load_scores
from shapmix.training.build import OptionError
from shapmix.training.config import TrainConfig
from shapmix.training.evaluation import evaluate_run
from shapmix.training.files import RunFolderError
from shapmix.training.finished import FeatureBatches, clip_features, open_run
from shapmix.training.retraining import Schedule, train_classifier
from shapmix.training.run import train
from shapmix.training.second_stage import KINDS, second_stage

MINE = "tiny:TinyModel"
TINY = {"num_frames": 16, "batch_size": 8, "lr": 0.05, "lr_warmup_epochs": 1, "threads": 1}
PLAIN = {"mixer": "none", "loss": "ce", "accelerator": "cpu", "progress": False}


@pytest.fixture(scope="module")
def base(archive_path, split_path, tmp_path_factory):
    """A run trained with cross-entropy."""
    out = tmp_path_factory.mktemp("base") / "ce-s0"
    config = TrainConfig(archive_path, split_path, out, model=MINE, epochs=6, **TINY, **PLAIN)
    train(config)
    return out


@pytest.fixture(scope="module")
def without_validation(archive_path, tmp_path_factory):
    from shapmix.data.archive import Archive
    from shapmix.data.splits import make_split

    out = tmp_path_factory.mktemp("plain")
    make_split(Archive(archive_path), val_fraction=0).save(out / "split.json")
    config = TrainConfig(
        archive_path,
        out / "split.json",
        out / "run",
        model=MINE,
        epochs=1,
        **TINY,
        **PLAIN,
    )
    train(config)
    return out / "run"


def weights(folder):
    return load_file(folder / "checkpoints" / "weights_last.safetensors")


def scores(folder):
    return load_scores(load_run(folder))


class Doubled(TinyModel):
    """Its logits are not the output of its last linear layer."""

    def forward(self, x):
        return super().forward(x) * 2


class NoBias(TinyModel):
    """Its last linear layer has weights only."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.head = nn.Linear(self.head.in_features, self.head.out_features, bias=False)


def test_the_command_knows_every_kind():
    assert tuple(KINDS) == TYPED_KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_makes_a_run_with_the_same_backbone(base, tmp_path, kind):
    metrics = second_stage(base, tmp_path / kind, kind, model=MINE)
    old, new = weights(base), weights(tmp_path / kind)
    assert old.keys() == new.keys()
    for name, value in old.items():
        if not name.startswith("head"):
            assert torch.equal(new[name], value), name
    assert not torch.equal(new["head.bias"], old["head.bias"])
    run = load_run(tmp_path / kind)
    assert run.config["second_stage"] == kind
    assert json.loads((tmp_path / kind / "second_stage.json").read_text())["run"] == str(base)
    assert metrics["last"]["test"] == run.last.test
    assert run.last.epoch == load_run(base).last.epoch
    assert run.best is None
    h, labels = clip_features(first := open_run(base, model=MINE), first.data.test)
    expected = F.linear(h, new["head.weight"], new["head.bias"])
    np.testing.assert_allclose(scores(tmp_path / kind).logits_last, expected, atol=1e-4)
    np.testing.assert_array_equal(scores(tmp_path / kind).labels, labels)


@pytest.mark.parametrize("kind", ["crt", "lws", "maxnorm"])
def test_what_is_learned_follows_from_the_seed(base, tmp_path, kind):
    for name, seed in (("one", 1), ("two", 2)):
        torch.manual_seed(seed)
        second_stage(base, tmp_path / name, kind, {"epochs": 1}, model=MINE)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_crt_by_hand(base, tmp_path):
    """The same steps, written out."""
    epochs, lr, decay = 2, 0.2, 0.01
    options = {"epochs": epochs, "lr": lr, "weight_decay": decay}
    second_stage(base, tmp_path / "crt", "crt", options, model=MINE)
    run = open_run(base, model=MINE)
    rng = torch.Generator().manual_seed(0)
    w = torch.empty(4, 16).uniform_(-0.25, 0.25, generator=rng)
    b = torch.empty(4).uniform_(-0.25, 0.25, generator=rng)
    velocity = [torch.zeros_like(w), torch.zeros_like(b)]
    batches = FeatureBatches(run, partial(class_balanced, run.data.train.labels))
    steps, step = epochs * len(batches), 0
    for epoch in range(epochs):
        for h, y in batches.epoch(epoch):
            error = ((h @ w.T + b).softmax(1) - F.one_hot(y, 4)) / len(y)
            rate = lr * (1 + np.cos(np.pi * step / steps)) / 2
            for i, (value, gradient) in enumerate([(w, error.T @ h), (b, error.sum(0))]):
                velocity[i] = 0.9 * velocity[i] + gradient + decay * value
                value -= rate * velocity[i]
            step += 1
    found = weights(tmp_path / "crt")
    torch.testing.assert_close(found["head.weight"], w, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found["head.bias"], b, atol=1e-5, rtol=1e-4)


def test_batches_are_balanced_and_augmented(base):
    run = open_run(base, model=MINE)
    batches = FeatureBatches(run, partial(class_balanced, run.data.train.labels))
    labels = torch.cat([y for e in range(40) for _, y in batches.epoch(e)])
    shares = torch.bincount(labels) / len(labels)
    assert len(labels) == 40 * len(run.data.train)
    assert (shares - 0.25).abs().max() < 0.05
    plain = FeatureBatches(run, partial(instance, run.data.train.labels))
    first, again, second = (torch.cat([h for h, _ in plain.epoch(e)]) for e in (0, 0, 1))
    assert torch.equal(first, again)
    frozen, _ = clip_features(run, run.data.train)
    for augmented in (first, second):  # as many clips, none as the plain transform makes it
        assert augmented.shape == frozen.shape
        assert torch.cdist(augmented, frozen).min() > 0


class Separable:
    """A frequent and two rare classes around three centres, drawn by a sampler."""

    def __init__(self, draw):
        rng = np.random.default_rng(0)
        self.labels = np.repeat([0, 1, 2], [400, 6, 6])
        self.h = rng.normal(size=(412, 2)) + 2 * np.array([[0, 0], [1, 1], [-1, 1]])[self.labels]
        self.draw = draw

    def __len__(self):
        return 8

    def epoch(self, epoch):
        order = self.draw(self.labels, np.random.default_rng(epoch))[:400]
        for rows in order.reshape(8, 50):
            yield torch.tensor(self.h[rows]).float(), torch.tensor(self.labels[rows])


def test_balanced_batches_help_the_tail():
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], 200)
    h = rng.normal(size=(600, 2)) + 2 * np.array([[0, 0], [1, 1], [-1, 1]])[labels]
    tail = {}
    for draw in (instance, class_balanced):
        layer = nn.Linear(2, 3)
        nn.init.zeros_(layer.weight)
        criterion = CrossEntropyLoss([400, 6, 6])
        train_classifier(
            list(layer.parameters()), layer, criterion, Separable(draw), Schedule(20, 0.2, 5e-4)
        )
        right = layer(torch.tensor(h).float()).argmax(1).numpy() == labels
        tail[draw] = right[labels > 0].mean()
    assert tail[class_balanced] > tail[instance] + 0.2


def test_tau_is_chosen_on_validation_clips_only(base, tmp_path):
    second_stage(base, tmp_path / "tau", "tau-norm", model=MINE)
    found = json.loads((tmp_path / "tau" / "second_stage.json").read_text())["found"]
    run = open_run(base, model=MINE)
    h, labels = clip_features(run, run.data.val)
    w, best = weights(base)["head.weight"], (-1.0, None)
    for i, row in enumerate(found["search"]):
        tau = i / 10
        logits = h @ torch.stack([row / row.norm() ** tau for row in w]).T
        figure = evaluate(logits, labels, run.data.class_counts)["mean_class"]
        assert row == {"tau": tau, "mean_class": pytest.approx(figure)}
        best = max(best, (figure, tau), key=lambda pair: pair[0])
    assert len(found["search"]) == 11
    assert found["tau"] == best[1]
    assert not weights(tmp_path / "tau")["head.bias"].any()


def test_lws_scales_each_class(base, tmp_path):
    second_stage(base, tmp_path / "lws", "lws", {"lr": 0.5}, model=MINE)
    old, new = weights(base), weights(tmp_path / "lws")
    scales = new["head.bias"] / old["head.bias"]
    torch.testing.assert_close(new["head.weight"], scales[:, None] * old["head.weight"])
    assert (scales - 1).abs().min() > 1e-3


def test_maxnorm_keeps_within_its_radius(base, tmp_path):
    options = {"lr": 0.5, "weight_decay": 0.0, "radius": 0.5}
    second_stage(base, tmp_path / "mn", "maxnorm", options, model=MINE)
    norms = weights(base)["head.weight"].norm(dim=1)
    found = json.loads((tmp_path / "mn" / "second_stage.json").read_text())["found"]
    assert found["max_norm"] == pytest.approx(float(norms.min() + norms.max()) / 2)
    after = weights(tmp_path / "mn")["head.weight"].norm(dim=1)
    assert after.max() <= found["max_norm"] * (1 + 1e-5)
    assert after.max() == pytest.approx(found["max_norm"]), "at this rate some class reaches it"


def test_logit_adjustment_reweights_the_posterior(base, tmp_path):
    second_stage(base, tmp_path / "la", "logit-adjustment", {"tau": 0.7}, model=MINE)
    before, counts = scores(base).logits_last, np.array([12, 7, 4, 3])
    posterior = np.exp(before - before.max(1, keepdims=True))
    posterior /= posterior.sum(1, keepdims=True) * (counts / counts.sum()) ** 0.7
    expected = posterior / posterior.sum(1, keepdims=True)
    after = torch.tensor(scores(tmp_path / "la").logits_last).softmax(1)
    np.testing.assert_allclose(after, expected, atol=1e-5)
    second_stage(base, tmp_path / "chosen", "logit-adjustment", {"tau": "validation"}, model=MINE)
    found = json.loads((tmp_path / "chosen" / "second_stage.json").read_text())["found"]
    figures = [row["mean_class"] for row in found["search"]]
    assert len(figures) == 21
    assert found["tau"] == figures.index(max(figures)) / 10


def test_the_run_is_evaluated_and_compared_like_any_other(base, tmp_path):
    out = tmp_path / "crt"
    metrics = second_stage(base, out, "crt", {"epochs": 2}, model=MINE)
    table = compare_table([load_run(base), load_run(out)])
    assert [row[0] for row in table.rows] == ["none + ce", "crt (epochs=2)"]
    assert not table.warnings
    assert evaluate_run(out, model=MINE)["last"] == metrics["last"]


@pytest.mark.parametrize("model", ["stgcn", "tcn", "ctrgcn"])
def test_the_backbones_of_this_package(archive_path, split_path, tmp_path, model):
    options = {"width": 4}
    config = TrainConfig(
        archive_path,
        split_path,
        tmp_path / "run",
        model=model,
        model_options=options,
        epochs=1,
        **TINY,
        **PLAIN,
    )
    train(config)
    second_stage(config.out, tmp_path / "crt", "crt", {"epochs": 1})
    old, new = weights(config.out), weights(tmp_path / "crt")
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed == {"classifier.head.weight", "classifier.head.bias"}


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"loss": "ldam-drw"}, "tau-norm", "made of cosines"),
        ({"model": "test_second_stage:Doubled"}, "crt", "not the output of its last"),
        ({"model": "test_second_stage:NoBias"}, "logit-adjustment", "no bias"),
    ],
)
def test_models_that_cannot_have_a_second_stage(config, tmp_path, changes, kind, message):
    first = config(**(PLAIN | {"mixer_options": {}, "epochs": 1} | changes))
    train(first)
    with pytest.raises(ValueError, match=message):
        second_stage(first.out, tmp_path / "out", kind, model=first.model)
    assert not (tmp_path / "out").exists()


def test_a_model_without_a_bias(config, tmp_path):
    first = config(**PLAIN, mixer_options={}, epochs=1, model="test_second_stage:NoBias")
    train(first)
    for kind in ("tau-norm", "lws", "crt", "maxnorm"):
        second_stage(first.out, tmp_path / kind, kind, model=first.model)
        assert "head.bias" not in weights(tmp_path / kind)


@pytest.mark.parametrize(
    ("kind", "options", "error", "message"),
    [
        ("crtt", {}, OptionError, r"did you mean .crt.\?.*; there are crt, "),
        ("crt", {"epoch": 3}, OptionError, "did you mean 'epochs'"),
        ("crt", {"epochs": 0}, ValueError, "epochs is 0"),
        ("lws", {"lr": -1}, ValueError, "lr is -1"),
        ("maxnorm", {"radius": 2}, ValueError, "radius is 2"),
        ("tau-norm", {"tau": "test"}, ValueError, "tau is 'test'"),
        ("tau-norm", {"tau": -0.1}, ValueError, "tau is -0.1"),
        ("crt", {"lr": 1e30}, ValueError, "try an lr below"),
    ],
)
def test_wrong_options_write_nothing(base, tmp_path, kind, options, error, message):
    with pytest.raises(error, match=message):
        second_stage(base, tmp_path / "out", kind, options, model=MINE)
    assert not (tmp_path / "out").exists()


def test_nothing_is_chosen_without_validation_clips(without_validation, tmp_path):
    with pytest.raises(RunFolderError, match="no validation clips"):
        second_stage(without_validation, tmp_path / "out", "tau-norm", model=MINE)
    assert second_stage(without_validation, tmp_path / "out", "tau-norm", {"tau": 0.5}, model=MINE)


def test_folders_that_are_refused(base, tmp_path):
    with pytest.raises(RunFolderError, match="no run folder"):
        second_stage(tmp_path, tmp_path / "out", "crt", model=MINE)
    with pytest.raises(RunFolderError, match="holds a run already"):
        second_stage(base, base, "tau-norm", model=MINE)
    second_stage(base, tmp_path / "out", "tau-norm", {"tau": 1.0}, model=MINE)
    with pytest.raises(RunFolderError, match="holds a run already"):
        second_stage(base, tmp_path / "out", "tau-norm", {"tau": 0.5}, model=MINE)
    with pytest.raises(RunFolderError, match="second stage already"):
        second_stage(tmp_path / "out", tmp_path / "more", "crt", model=MINE)


def test_as_it_is_typed(base, capsys):
    words = ["second-stage", str(base), "--model", MINE, "--kind"]
    assert cli.main([*words, "tau-norm"]) == 0
    text = capsys.readouterr().out
    assert "best on the validation clips" in text
    assert "Mean class" in text
    made = base.with_name("ce-s0-tau-norm")
    assert f"run: {made}" in text.replace("\n", "")
    assert cli.main([*words, "crt", "--options.epochs", "1", "--options.weight-decay", "0.01"]) == 0
    config = yaml.safe_load((base.with_name("ce-s0-crt") / "config.yaml").read_text())
    assert config["second_stage_options"] == {"epochs": 1, "weight_decay": 0.01}
    assert cli.main(["compare", str(base), str(made), "--format", "csv"]) == 0
    assert "tau-norm" in capsys.readouterr().out
    assert cli.main([*words, "tau-norm"]) == 1
    assert "holds a run already" in capsys.readouterr().err
    assert cli.main([*words, "tau-nrm"]) == 2
    assert cli.main(["evaluate", str(made), "--model", MINE]) == 0

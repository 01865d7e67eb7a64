import json
import math
import os
import pickle
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
import yaml
from filelock import FileLock
from safetensors.torch import load_file

from shapmix.commands.cli import main
from shapmix.data.archive import Archive, ArchiveError, ArchiveWriter
from shapmix.data.splits import make_split
from shapmix.mixing import batch
from shapmix.models import ModelError
from shapmix.settings import SettingError
from shapmix.training.build import MIXERS, OptionError, build_model, build_transform
from shapmix.training.config import MIN_FRAMES, TrainConfig
from shapmix.training.data import ClipData
from shapmix.training.evaluation import evaluate_run, load_weights, score
from shapmix.training.files import RunFolderError, load_checkpoint, read_config
from shapmix.training.finished import open_run
from shapmix.training.machine import commit
from shapmix.training.module import Recognizer, TrainingError
from shapmix.training.run import _claimed, _first_process, build, finish, train

MIXER_OPTIONS = {
    "shapmix": {"warmup_epochs": 1, "saliency_budget": 2.0},
    "stmix": {},
    "mixup": {"alpha": 0.5},
    "cutmix": {},
    "remix": {},
    "cmo": {},
    "none": {},
}


def checkpoint_state(folder):
    return load_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"]


def assert_same_run(a, b):
    """Weights, saliency, logs, scores: bit for bit."""
    first, second = checkpoint_state(a), checkpoint_state(b)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name
    assert (a / "history.csv").read_text() == (b / "history.csv").read_text()
    for file in ("saliency.npz", "scores.npz"):
        with np.load(a / file) as left, np.load(b / file) as right:
            assert left.files == right.files
            for name in left.files:
                assert np.array_equal(left[name], right[name]), name


@pytest.mark.parametrize("mixer", MIXER_OPTIONS)
@pytest.mark.parametrize("loss", ["balanced-softmax", "ce"])
def test_every_method_leaves_a_whole_run_folder(config, mixer, loss):
    run = config(mixer=mixer, loss=loss, mixer_options=MIXER_OPTIONS[mixer])
    metrics = train(run)
    folder = run.folder
    assert json.loads((folder / "metrics.json").read_text()) == json.loads(json.dumps(metrics))
    assert metrics["last"]["epoch"] == 2
    assert metrics["class_counts"] == [12, 7, 4, 3]
    assert 0 <= metrics["best"]["epoch"] <= 2
    assert replace(read_config(folder), out=None) == replace(run, out=None)
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__
    profile = json.loads((folder / "data_profile.json").read_text())
    assert profile["clips"]["train"] == [12, 7, 4, 3]
    rows = (folder / "history.csv").read_text().splitlines()
    assert len(rows) == 4
    with np.load(folder / "scores.npz") as scores:
        assert scores["logits_last"].shape == (32, 4)
        assert scores["names"].shape == (32,)
    assert (folder / "saliency.npz").exists() == (mixer == "shapmix")
    weights = load_file(folder / "checkpoints" / "weights_last.safetensors")
    assert torch.equal(weights["head.weight"], checkpoint_state(folder)["model.head.weight"])
    assert not list(folder.rglob("*.partial"))


@pytest.fixture
def steps_of(config, tmp_path, monkeypatch):
    """Train, and keep what was mixed (x, y) and judged (x, y, target) in each step."""

    def run(name, **changes):
        given, judged = [], []
        mixer = changes["mixer"]
        mix, judge = MIXERS[mixer].forward, Recognizer._loss
        changes |= {"mixer_options": MIXER_OPTIONS[mixer], "out": tmp_path / name}
        changes |= {"epochs": 4, "validate_every": 4, "artefacts": False}
        with monkeypatch.context() as patched:
            patched.setattr(
                MIXERS[mixer],
                "forward",
                lambda self, x, y: (given.append((x, y)), mix(self, x, y))[1],
            )
            patched.setattr(
                Recognizer, "_loss", lambda self, *a: (judged.append(a), judge(self, *a))[1]
            )
            train(config(**changes))
        assert len(given) == len(judged) > 4
        return given, judged

    return run


def test_what_is_mixed_is_a_view_of_its_own(steps_of):
    given, judged = steps_of("own", mixer="stmix", mix_from=0.0)
    _, plain = steps_of("plain", mixer="none")
    (mixed, _), (x, y, _), (x_plain, y_plain, _) = given[0], judged[0], plain[0]
    assert torch.equal(y, y_plain)
    assert torch.equal(x[:8], x_plain[:8])
    assert torch.equal(mixed, x_plain[8:])  # the view that training without a mixer adds
    assert not torch.equal(mixed, x[:8])


def test_what_is_mixed_is_the_clean_half_as_published(steps_of):
    steps = steps_of("same", mixer="stmix", mixed_view="same", mix_from=0.0)
    for (mixed, _), (x, _, _) in zip(*steps, strict=True):
        assert torch.equal(mixed, x[:8])


@pytest.mark.parametrize("view", ["own", "same"])
def test_mixing_begins_later(steps_of, view):
    """Until then it is training on two views, and the mixer sees the second."""
    given, judged = steps_of("run", mixer="shapmix", mix_from=0.5, mixed_view=view)
    _, plain = steps_of("plain", mixer="none")
    half = len(judged) // 2
    for (seen, _), (x, y, target), (x_plain, _, _) in zip(given, judged, plain, strict=True):
        waits = half > 0
        half -= 1
        if waits or view == "own":
            assert torch.equal(x[:8], x_plain[:8])
        else:
            assert torch.equal(x[:8], seen)
        one_hot = torch.nn.functional.one_hot(y, 4).float()
        if waits:
            assert torch.equal(x, x_plain)
            assert torch.equal(seen, x[8:])
            assert torch.equal(target, one_hot)
        else:
            assert not torch.equal(x[8:], seen)
            assert not torch.equal(target, one_hot)


def test_it_learns(config):
    metrics = train(config(epochs=25, mixer="shapmix", validate_every=5))
    assert metrics["best"]["test"]["top1"] > 0.8


def test_same_seed_same_run_and_other_seed_other_run(config, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(config(seed=seed, out=tmp_path / name))
    assert_same_run(tmp_path / "a", tmp_path / "b")
    a, c = checkpoint_state(tmp_path / "a"), checkpoint_state(tmp_path / "c")
    assert not torch.equal(a["model.head.weight"], c["model.head.weight"])


def test_workers_change_nothing(config, tmp_path):
    for workers in (0, 2):
        train(config(workers=workers, out=tmp_path / str(workers)))
    assert_same_run(tmp_path / "0", tmp_path / "2")


def test_a_run_with_workers_goes_on_exactly(config, tmp_path):
    train(config(epochs=3, workers=0, out=tmp_path / "whole"))
    run = config(epochs=3, workers=1, out=tmp_path / "stopped")
    trained_to_the_end = Recognizer.on_train_epoch_start

    def stop_in_the_third(module):
        if module.current_epoch == 2:
            raise KeyboardInterrupt
        trained_to_the_end(module)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recognizer, "on_train_epoch_start", stop_in_the_third)
        with pytest.raises(KeyboardInterrupt):
            train(run)
    train(replace(run, resume=run.folder))
    assert_same_run(tmp_path / "whole", run.folder)


def test_the_commit_is_marked_when_the_package_is_changed_and_not_when_a_result_is(tmp_path):
    package, result = tmp_path / "src" / "package", tmp_path / "results.csv"
    package.mkdir(parents=True)
    for path in (package / "__init__.py", result):
        path.write_text("first")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    assert commit(package) is None
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    clean = commit(package)
    assert len(clean) == 40
    result.write_text("second")
    (package / "new.py").write_text("not tracked")
    assert commit(package) == clean
    (package / "__init__.py").write_text("second")
    assert commit(package) == clean + "+"


def cli(words, **environment):
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "shapmix.commands.cli", *map(str, words)],
        env=os.environ | {"PYTHONPATH": paths} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("preset", "dies_at"), [("default", 2), ("default", 5), ("paper", 7), ("default", 11)]
)
def test_a_killed_run_goes_on_as_if_it_had_never_stopped(config, tmp_path, preset, dies_at):
    """Killed in the middle of each of the four epochs of 3 steps."""
    options = {"preset": preset, "warmup_epochs": 1, "saliency_budget": 0.3}
    whole = config(out=tmp_path / "whole", mixer_options=options, epochs=4)
    train(whole)
    killed = tmp_path / "killed"
    (tmp_path / "killed.yaml").write_text(
        (tmp_path / "whole" / "config.yaml").read_text().replace(str(whole.out), str(killed))
    )
    words = ["train", "--config", tmp_path / "killed.yaml"]
    died = cli(words, TINY_DIES_AT=str(dies_at), TINY_DIED=str(tmp_path / "died"))
    assert died.returncode == 9, died.stderr
    assert (tmp_path / "died").exists()
    assert not (killed / "metrics.json").exists()
    resumed = cli(["train", "--resume", killed])
    assert resumed.returncode == 0, resumed.stderr
    assert_same_run(tmp_path / "whole", killed)


def test_a_run_stopped_after_its_last_epoch_is_only_evaluated(config, tmp_path):
    whole, stopped = config(out=tmp_path / "whole"), config(out=tmp_path / "stopped")
    train(whole)
    train(stopped)
    for file in ("metrics.json", "scores.npz", "checkpoints/weights_last.safetensors"):
        (stopped.folder / file).unlink()
    train(replace(stopped, resume=stopped.folder))
    assert_same_run(whole.folder, stopped.folder)


def test_finish_does_what_is_left(config):
    run = config(epochs=1)
    first = finish(run)
    before = (run.folder / "metrics.json").stat().st_mtime_ns
    assert finish(run) == json.loads(json.dumps(first))
    assert (run.folder / "metrics.json").stat().st_mtime_ns == before
    with pytest.raises(RunFolderError, match="epochs was 1 and is now 2"):
        finish(replace(run, epochs=2))


def test_a_resumed_run_keeps_its_settings(config):
    run = config()
    train(run)
    with pytest.raises(RunFolderError, match=r"lr was 0.05 and is now 0.5.*another --out"):
        train(replace(run, resume=run.folder, lr=0.5))
    # each device has a batch of its own, so that steps and learning rate depend on their number
    with pytest.raises(RunFolderError, match=r"devices was 1 and is now 2.*another --out"):
        train(replace(run, resume=run.folder, devices=2))


def test_two_processes_do_not_train_in_one_folder(config):
    run = config()
    run.folder.mkdir(parents=True)
    with (
        FileLock(run.folder / ".lock"),
        pytest.raises(RunFolderError, match="another process trains"),
    ):
        train(run)
    train(run)


def test_a_run_is_never_overwritten(config):
    run = config(epochs=1)
    train(run)
    before = (run.folder / "metrics.json").read_bytes()
    with pytest.raises(RunFolderError, match="holds a run already"):
        train(run)
    assert (run.folder / "metrics.json").read_bytes() == before


class Hostile:
    def __reduce__(self):
        return os.system, ("touch owned",)


@pytest.mark.parametrize("how", ["pickle", "torch", "garbage", "list"])
def test_hostile_checkpoints_are_refused(config, how, monkeypatch):
    run = config(epochs=1)
    train(run)
    (run.folder / "metrics.json").unlink()
    path = run.folder / "checkpoints" / "last.ckpt"
    monkeypatch.chdir(run.folder)
    if how == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": Hostile()}))
    elif how == "torch":
        torch.save({"state_dict": {}, "evil": Hostile()}, path)
    elif how == "garbage":
        path.write_bytes(b"\x00not a checkpoint")
    else:
        torch.save([1, 2], path)
    with pytest.raises(RunFolderError, match="refused"):
        train(replace(run, resume=run.folder))
    assert not (run.folder / "owned").exists()


@pytest.mark.parametrize("content", [{"state_dict": {}}, {"state_dict": {}, "epoch": 1}])
def test_checkpoints_with_too_little_are_refused(config, content):
    run = config(epochs=2)
    train(run)
    (run.folder / "metrics.json").unlink()
    torch.save(content, run.folder / "checkpoints" / "last.ckpt")
    with pytest.raises(RunFolderError, match="no training checkpoint"):
        train(replace(run, resume=run.folder))


def test_a_run_goes_on_with_its_own_data_only(config, archive_path, tmp_path):
    """Another split under the same name would test on clips that were trained on."""
    split, archive = tmp_path / "split.json", Archive(archive_path)
    make_split(archive, imbalance=4, n_max=12, val_per_class=3).save(split)
    run = config(epochs=1, split=split)
    train(run)
    other = {"train": "subject > 2", "test": "subject <= 2"}
    make_split(archive, imbalance=4, n_max=12, **other).save(split)
    with pytest.raises(RunFolderError, match="changed since the run began"):
        evaluate_run(run.folder, model=run.model)
    (run.folder / "metrics.json").unlink()
    with pytest.raises(RunFolderError, match="changed since the run began"):
        train(replace(run, resume=run.folder))


def test_altered_keypoints_are_not_trained_on(config, archive_path, tmp_path):
    """Neither anew, nor in going on, nor in an evaluation."""
    content = archive_path.read_bytes()
    archive = tmp_path / "own.arrow"
    archive.write_bytes(content)
    run = config(archive=archive, epochs=1, artefacts=False)
    train(run)
    coordinate = Archive(archive_path).keypoints(50)[3, 0, 4, :2].tobytes()
    at = content.index(coordinate)
    archive.write_bytes(content[:at] + b"\0" + content[at + 1 :])
    with pytest.raises(ArchiveError, match=r"own\.arrow: keypoints of record batch 0"):
        evaluate_run(run.folder, model=run.model)
    with pytest.raises(ArchiveError, match="keypoints of record batch 0"):
        open_run(run.folder, model=run.model)
    with pytest.raises(ArchiveError, match="keypoints of record batch 0"):
        train(replace(run, out=tmp_path / "anew"))
    (run.folder / "metrics.json").unlink()
    with pytest.raises(ArchiveError, match="keypoints of record batch 0"):
        train(replace(run, resume=run.folder))
    assert not (tmp_path / "anew").exists()


def test_early_stopping_needs_validation_clips(config, archive_path, tmp_path):
    alone = tmp_path / "alone.json"
    make_split(Archive(archive_path), imbalance=4, n_max=12, val_per_class=0).save(alone)
    run = config(split=alone, early_stop=1)
    with pytest.raises(SettingError, match="early_stop watches validation clips and this split"):
        train(run)
    assert not run.folder.exists()
    train(replace(run, early_stop=None, fast_dev_run=True))


def test_a_batch_larger_than_the_clips_of_one_process_takes_them_all(config):
    data = ClipData(config(batch_size=1000))
    data.trainer = SimpleNamespace(
        global_rank=1, world_size=2, strategy=SimpleNamespace(root_device=torch.device("cpu"))
    )
    batches = [len(batch) for batch in data.train_dataloader()]
    assert batches == [math.ceil(len(data.train) / 2)]


def test_an_early_stopped_run_is_not_trained_further(config):
    run = config(epochs=9, early_stop=1, lr=1e-9)
    metrics = json.loads(json.dumps(train(run)))
    assert metrics["last"]["epoch"] < 8
    (run.folder / "metrics.json").unlink()
    again = train(replace(run, resume=run.folder))
    assert json.loads(json.dumps(again)) == metrics


def test_evaluating_again_gives_the_same_numbers(config):
    run = config(epochs=2)
    metrics = train(run)
    (run.folder / "scores.npz").unlink()
    again = evaluate_run(run.folder, model=run.model)
    assert json.loads(json.dumps(again)) == json.loads(json.dumps(metrics))
    assert (run.folder / "scores.npz").exists()


def test_a_run_is_found_with_its_data_from_any_folder(config, archive_path, tmp_path, monkeypatch):
    """A relative path means what it meant where the run was made."""
    monkeypatch.chdir(archive_path.parent)
    run = config(epochs=1, archive=Path(archive_path.name))
    metrics = train(run)
    monkeypatch.chdir(tmp_path)
    again = evaluate_run(run.folder, model=run.model)
    assert json.loads(json.dumps(again)) == json.loads(json.dumps(metrics))
    settings = ["--config", str(run.folder / "config.yaml"), "--out", "again"]
    assert main(["train", "--resume", str(run.folder)]) == 0
    assert main(["train", *settings, "--fast-dev-run", "true"]) == 0
    (run.folder / "environment.json").unlink()
    assert main(["train", *settings, "--fast-dev-run", "true"]) == 1
    with pytest.raises(ArchiveError, match=archive_path.name):
        evaluate_run(run.folder, model=run.model)


def test_scores_that_changed_are_not_written_over(config):
    """As where a later version computes something else from the same weights."""
    run = config(epochs=1)
    train(run)
    path = run.folder / "scores.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["logits_last"] = arrays["logits_last"][:, ::-1]
    np.savez(path, **arrays)
    before = path.read_bytes()
    with pytest.raises(RunFolderError, match="score its test clips otherwise"):
        evaluate_run(run.folder, model=run.model)
    assert path.read_bytes() == before
    evaluate_run(run.folder, renew=True, model=run.model)
    evaluate_run(run.folder, model=run.model)


def test_selection_uses_validation_and_never_test(config):
    """The selected epoch is the first with the best mean-class accuracy on validation."""
    run = config(epochs=6)
    metrics = train(run)
    lines = [line.split(",") for line in (run.folder / "history.csv").read_text().splitlines()]
    column = lines[0].index("val_mean_class")
    accuracies = [float(line[column]) for line in lines[1:]]
    assert metrics["best"]["epoch"] == int(np.argmax(accuracies))
    stored = metrics["best"]["validation"]["mean_class"]
    assert stored == pytest.approx(max(accuracies), abs=1e-6)
    data = ClipData(run)
    names = [set(part.names) for part in (data.train, data.val, data.test)]
    assert not (names[0] & names[1]) | (names[0] & names[2]) | (names[1] & names[2])


def test_scores_do_not_depend_on_the_batch_size(config):
    run = config(epochs=1)
    train(run)
    data = ClipData(run)
    model = build_model(run, data.archive, data.num_persons)
    model.load_state_dict(load_weights(run.folder, "last"))
    transform = build_transform(run, data.archive)
    one, many = (score(model, transform, data.test, batch_size=n) for n in (1, 32))
    np.testing.assert_allclose(one.logits, many.logits, atol=1e-5)


def test_nan_loss_stops_with_the_likely_causes(config):
    with pytest.raises(TrainingError, match=r"learning rate.*units.*Lower lr"):
        train(config(lr=1e20, epochs=20))


def test_nan_loss_is_told_before_validation_stumbles_over_it(config):
    """On a GPU the loss is looked at now and then only, not in every step."""
    module = build(run := config(), ClipData(run))
    module._last_loss = torch.tensor(torch.nan)
    with pytest.raises(TrainingError, match="Lower lr"):
        module.on_validation_epoch_end()


@pytest.mark.parametrize(
    ("precision", "clip_grad", "fused"),
    [
        ("32", None, True),
        ("32", 1.0, True),
        ("bf16", None, True),
        ("bf16", 1.0, False),
        ("fp16", None, False),
        ("fp16", 1.0, False),
    ],
)
def test_a_fused_optimiser_only_where_lightning_can_clip(config, precision, clip_grad, fused):
    run = config(precision=precision, clip_grad=clip_grad)
    module = build(run, ClipData(run))
    module._trainer = SimpleNamespace(estimated_stepping_batches=9)
    with patch.object(Recognizer, "device", torch.device("cuda")):
        (optimizer,) = (module.configure_optimizers()["optimizer"],)
    assert getattr(optimizer, "_step_supports_amp_scaling", False) == fused


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"])
def test_only_the_first_process_claims_the_folder(config, monkeypatch, name):
    """Lightning's own processes, those of torchrun and those of Slurm."""
    run = config(epochs=1)
    assert _first_process()
    monkeypatch.setenv(name, "1")
    assert not _first_process()
    with FileLock(run.folder / ".lock"), _claimed(run):
        pass
    monkeypatch.setenv(name, "0")
    assert _first_process()


def test_compiled_blocks_do_not_recompute(config):
    options = {"model": "stgcn", "model_options": {"width": 4, "checkpoint": True}}
    with pytest.raises(SettingError, match="compile and the model's option checkpoint"):
        train(config(compile=True, **options))


def test_init_from_renews_the_head_for_other_classes(config, archive_path, tmp_path, capsys):
    """The same number of classes, but others."""
    archive = Archive(archive_path)
    other = tmp_path / "renamed.arrow"
    with ArchiveWriter(other, replace(archive.info, class_names=("a", "b", "c", "d"))) as writer:
        for i in range(len(archive)):
            writer.write(archive.clip(i))
    train(config(out=tmp_path / "source", split=None))
    train(config(out=tmp_path / "tuned", archive=other, split=None, init_from=tmp_path / "source"))
    assert "fresh: head.weight, head.bias" in capsys.readouterr().out


def test_init_from_keeps_the_weights(config, tmp_path, capsys):
    source = config(out=tmp_path / "source")
    train(source)
    tuned = config(out=tmp_path / "tuned", init_from=tmp_path / "source", epochs=1, lr=1e-6)
    train(tuned)
    assert "fresh: nothing" in capsys.readouterr().out
    old, new = (load_weights(tmp_path / name, "last") for name in ("source", "tuned"))
    torch.testing.assert_close(new["body.0.weight"], old["body.0.weight"], atol=1e-3, rtol=0)
    other = config(
        out=tmp_path / "other",
        init_from=tmp_path / "source",
        model_options={"hidden": 8, "norm": False},
    )
    with pytest.raises(RunFolderError, match="holds another model"):
        train(other)
    (tmp_path / "source" / "data_profile.json").write_text('{"layout": {"name": "ntu25"}}')
    with pytest.raises(RunFolderError, match="joints do not correspond"):
        train(replace(tuned, out=tmp_path / "third"))


def test_bf16_early_stop_and_cosine(config):
    metrics = train(config(precision="bf16", epochs=9, early_stop=1, schedule="cosine", lr=1e-9))
    assert metrics["last"]["epoch"] < 8


@pytest.mark.skipif(torch.cuda.is_available(), reason="tests what happens without a GPU")
def test_a_missing_gpu_is_an_error_that_says_so(config):
    with pytest.raises(TrainingError, match="this machine cannot train with accelerator 'gpu'"):
        train(config(accelerator="gpu"))


def test_fast_dev_run_leaves_nothing(config):
    run = config(fast_dev_run=True)
    assert train(run) is None
    assert not run.folder.exists()


def test_says_what_it_will_cost(config, capsys):
    train(config(epochs=1))
    assert "clips/s" in (out := capsys.readouterr().out)
    assert "GB" in out


def test_epochs_that_are_not_given_follow_from_the_data(config):
    """Three steps of 8 clips an epoch are 667 epochs; a whole data set in a step, 2,000."""
    data = ClipData(config(epochs=None))
    assert data.config.num_epochs == 667
    assert data.config.validation_period == 6
    assert ClipData(config(epochs=None, drop_last=False)).config.num_epochs == 500
    assert ClipData(config(epochs=None, batch_size=64)).config.num_epochs == 2000
    assert ClipData(config(epochs=None, devices=3)).config.num_epochs == 2000
    assert config(epochs=None).settled(steps=123).num_epochs == 100
    assert ClipData(config(epochs=7)).config == config(epochs=7)
    assert config(epochs=7).validation_period == 1
    assert config(epochs=7, validate_every=9).validation_period == 7


def test_a_run_without_given_epochs(config, monkeypatch):
    """Its folder says how many they were; it is finished by the same words."""
    monkeypatch.setattr("shapmix.training.config.MIN_EPOCHS", 2)
    monkeypatch.setattr("shapmix.training.config.MIN_STEPS", 8)
    run = config(epochs=None)
    metrics = finish(run)
    assert read_config(run.folder).epochs == 3
    assert len((run.folder / "history.csv").read_text().splitlines()) == 1 + 3
    assert finish(run) == metrics
    with pytest.raises(RunFolderError, match="epochs was 3 and is now 4"):
        finish(config(epochs=4))


def test_going_on_without_saying_the_epochs(config):
    run = config(epochs=2)
    train(run)
    (run.folder / "metrics.json").unlink()
    finish(config(epochs=None))
    assert len((run.folder / "history.csv").read_text().splitlines()) == 1 + 2


def test_a_long_run_leaves_its_state_about_a_hundred_times(config):
    """Of 203 epochs every second and the last; all are in the history."""
    run = config(epochs=203, validate_every=50, artefacts=False)
    train(run)
    assert len((run.folder / "history.csv").read_text().splitlines()) == 1 + 203
    with np.load(run.folder / "saliency.npz") as saliency:
        assert saliency["epochs"].tolist() == [*range(1, 202, 2), 202]
        assert len(saliency["scores"]) == 102
    assert load_checkpoint(run.folder / "checkpoints" / "last.ckpt")["epoch"] == 202


@pytest.mark.parametrize(("mixer", "least"), [("stmix", 5), ("none", 1)])
def test_patience_begins_with_the_mixing(config, mixer, least):
    """Of eight epochs the first four do not mix; a rate of almost nothing never improves."""
    run = config(epochs=8, early_stop=1, lr=1e-12, mixer=mixer, mixer_options={}, mix_from=0.5)
    train(run)
    epochs = len((run.folder / "history.csv").read_text().splitlines()) - 1
    assert least < epochs < least + 3


def test_mixing_begins_in_the_last_epoch_at_latest(config, monkeypatch):
    run = config(epochs=10, mix_from=0.99)
    data = ClipData(run)
    module = build(run, data)
    for epoch, mixes in ((0, False), (8, False), (9, True)):
        monkeypatch.setattr(Recognizer, "current_epoch", epoch)
        assert module.mixes is mixes
    monkeypatch.setattr(Recognizer, "current_epoch", 0)
    assert build(replace(run, fast_dev_run=True), data).mixes
    plain = build(replace(run, mixer="none", mixer_options={}), data)
    assert not plain.mixes
    assert not plain.waits


@pytest.mark.parametrize(
    ("name", "said"),
    [("SharingModel", "clips/s (clean and mixed)"), ("NormedModel", "cost: unknown")],
)
def test_models_that_share_weights_or_cannot_be_copied(config, capsys, name, said):
    run = config(epochs=1, model=f"tiny:{name}", artefacts=False)
    metrics = train(run)
    assert said in capsys.readouterr().out
    again = evaluate_run(run.folder, model=run.model)
    assert again["last"]["test"]["top1"] == metrics["last"]["test"]["top1"]


def test_ctrl_c(archive_path, split_path, tmp_path):
    """Ends with 130 and says how to go on, which then works."""
    out = tmp_path / "my run"
    words = ["--archive", archive_path, "--split", split_path, "--out", out]
    words += ["--model", "tiny:TinyModel", "--num-frames", "16", "--batch-size", "8"]
    words += ["--mixer", "stmix", "--accelerator", "cpu", "--progress", "false"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen(
        [sys.executable, "-m", "shapmix.commands.cli", "train", *map(str, words)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    last = out / "checkpoints" / "last.ckpt"
    while not last.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert f"interrupted: `shapmix train --resume '{out}'` goes on" in errors
    epochs = read_config(out).epochs
    assert epochs == 667
    assert load_checkpoint(last)["epoch"] < epochs - 1


def test_says_where_steps_are_few_for_mixing(config, tmp_path, capsys):
    """Three steps an epoch."""
    train(config(epochs=2, mixer="stmix", mixer_options={}, artefacts=False))
    out = capsys.readouterr().out
    assert "note: 6 steps are few to learn from mixed clips" in out
    assert "leave out --epochs, give at least 334, or" in out
    train(config(epochs=2, mixer="none", mixer_options={}, artefacts=False, out=tmp_path / "o"))
    assert "few" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mixer_options": {"tua": 0.3}}, "did you mean 'tau'"),
        ({"transform_options": {"rotatoin": 0.3}}, "did you mean 'rotation'"),
        ({"mixer": "none", "mixer_options": {"tau": 0.1}}, "its options are none"),
    ],
)
def test_unknown_options_suggest_the_nearest(config, changes, message):
    with pytest.raises(OptionError, match=message):
        train(config(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"milestones": (60,)}, "shares"),
        ({"early_stop": 0}, "1 or"),
        ({"mix_from": 1.0}, "from 0 to below 1"),
        ({"mix_from": -0.1}, "from 0 to below 1"),
        ({"seed": -1}, "seed is -1; expected from 0 to"),
        ({"seed": 2**63}, "expected from 0 to 9223372036854775807"),
        ({"num_frames": 4}, "num_frames is 4; expected from 8 to 100000"),
        ({"num_frames": 10**9}, "from 8 to"),
        ({"momentum": 2.0}, "momentum is 2.0; expected from 0 to below 1"),
        ({"lr": float("nan")}, "lr is nan; expected a finite number"),
        ({"lr": 0}, "lr is 0; expected more than 0"),
        ({"lr": None}, "lr is None; expected a finite number"),
        ({"weight_decay": -1.0}, "0 or more"),
        ({"gamma": 5.0}, "from 0 to 1"),
        ({"batch_size": 2.5}, "a whole number"),
        ({"batch_size": -1}, "1 or more"),
        ({"threads": 10**6}, "from 1 to 1024"),
        ({"mixer": "shapmx"}, "did you mean 'shapmix'"),
        ({"transform_options": None}, "a mapping of names"),
        ({"archive": None}, "a path"),
    ],
)
def test_impossible_settings(config, changes, message):
    with pytest.raises(SettingError, match=message):
        config(**changes)


def test_the_least_frames_are_those_of_mixing():
    assert MIN_FRAMES == batch.MIN_FRAMES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mixer_options": {"tau": "x"}}, "mixer shapmix: tau is 'x'; expected a finite number"),
        ({"transform_options": {"rotation": "x"}}, "transform: rotation is 'x'"),
        ({"transform_options": {"crop_ratio": 0.5}}, "a list of 2 finite numbers"),
        ({"loss_options": {"tau": None}}, "loss balanced-softmax: tau is None"),
        ({"accelerator": "cpu", "devices": 1000}, "devices is 1000; expected from 1 to"),
    ],
)
def test_impossible_options_and_devices_are_refused_before_data_are_read(config, changes, message):
    with pytest.raises(SettingError, match=message):
        train(config(archive=Path("nowhere.arrow"), **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mixer_options": {"tau": -1}}, "mixer shapmix: tau is -1"),
        ({"model": "tcn", "model_options": {"width": "x"}}, "width is 'x'; expected a whole"),
        ({"model": "tcn", "model_options": {"width": 0}}, "model tcn: width is 0"),
        ({"transform_options": {"crop_ratio": [2, 3]}}, "transform: crop_ratio"),
    ],
)
def test_values_out_of_range_are_wrong_settings(config, changes, message):
    with pytest.raises(SettingError, match=message):
        train(config(**changes))


def test_too_little_memory_is_an_error_that_says_what_to_lower(config):
    """A layer of 10^14 numbers, which no machine has room for."""
    with pytest.raises(TrainingError, match=r"memory does not suffice.*lower batch_size \(8\)"):
        train(config(model_options={"hidden": 10**12, "norm": False}))


def test_a_file_is_no_run_folder(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="file is a file; expected the name of a run folder"):
        train(config(out=tmp_path / "file"))
    for run in (tmp_path / "file", tmp_path / "file" / "inside", tmp_path / "nothing"):
        with pytest.raises(RunFolderError, match="a folder that `shapmix train` made"):
            evaluate_run(run)


def test_a_configuration_that_was_cut_is_not_completed(config):
    """By defaults, the run would be another one."""
    run = config(epochs=1, artefacts=False)
    train(run)
    path = run.folder / "config.yaml"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-2]))
    for again in (
        lambda: evaluate_run(run.folder, model=run.model),
        lambda: train(replace(run, resume=run.folder)),
    ):
        with pytest.raises(RunFolderError, match="it lacks progress, artefacts, so it was cut"):
            again()
    path.write_bytes(b"archive: caf\xe9\n")
    with pytest.raises(RunFolderError, match="not a configuration"):
        read_config(run.folder)


def test_scores_that_were_cut_are_no_traceback(config):
    run = config(epochs=1, artefacts=False)
    train(run)
    path = run.folder / "scores.npz"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:-10], b"", b"no scores", whole[100:]):
        path.write_bytes(content)
        with pytest.raises(RunFolderError, match=r"scores.npz is damaged .*--renew"):
            evaluate_run(run.folder, model=run.model)
        assert path.read_bytes() == content
    evaluate_run(run.folder, model=run.model, renew=True)
    evaluate_run(run.folder, model=run.model)


def test_commands_in_messages_can_be_pasted(config, tmp_path):
    run = config(out=tmp_path / "a run's", epochs=1, artefacts=False)
    train(run)
    with pytest.raises(RunFolderError) as caught:
        train(run)
    command = str(caught.value).split("`")[1]
    assert shlex.split(command) == ["shapmix", "train", "--resume", str(run.folder)]


def test_config_file_of_another_version(tmp_path):
    with pytest.raises(RunFolderError, match="no run folder"):
        read_config(tmp_path)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"archive": "x", "unknown": 1}))
    with pytest.raises(RunFolderError, match="not a configuration"):
        read_config(tmp_path)
    assert TrainConfig(Path("x.arrow"), seed=3).folder == Path(
        "runs/x-ctrgcn-shapmix-balanced-softmax-s3"
    )


def test_a_checkpoint_of_an_older_version_is_refused(config):
    """It lacks what the saliency has learnt to keep since."""
    run = config(mixer="shapmix", mixer_options={}, epochs=1)
    train(run)
    path = run.folder / "checkpoints" / "last.ckpt"
    (run.folder / "metrics.json").unlink()
    checkpoint = torch.load(path, weights_only=True)
    for name in ("weight", "effective", "squares"):
        del checkpoint["state_dict"][f"mixer.saliency.{name}"]
    torch.save(checkpoint, path)
    with pytest.raises(RunFolderError, match=r"older version.*another --out"):
        train(replace(run, resume=run.folder))


def test_an_unknown_model_is_found_before_data_are_read(config, tmp_path):
    with pytest.raises(ModelError, match=r"unknown model 'tcm' \(did you mean 'tcn'\?\)"):
        train(config(archive=tmp_path / "nowhere.arrow", model="tcm"))

"""One training run, from a configuration to a run folder."""

import logging
import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from filelock import FileLock, Timeout
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only
from torch import Generator

from shapmix.models.factory import find_model
from shapmix.settings import SettingError
from shapmix.training.build import (
    accepted_options,
    build_loss,
    build_mixer,
    build_model,
    build_transform,
)
from shapmix.training.callbacks import (
    CostEstimate,
    CostLog,
    History,
    LastCheckpoint,
    MixedStopping,
    ProgressBar,
    RefreshMixer,
    SaliencyLog,
    training_cost,
)
from shapmix.training.config import TrainConfig
from shapmix.training.data import ClipData
from shapmix.training.evaluation import evaluate_weights, export_weights, set_precision
from shapmix.training.files import (
    RunFolderError,
    check_same_run,
    load_checkpoint,
    read_config,
    read_json,
    resume_command,
    write_config,
    write_json,
)
from shapmix.training.graphs import compile_blocks
from shapmix.training.machine import check_devices, enough_memory, environment
from shapmix.training.module import Recognizer, TrainingError
from shapmix.training.transfer import init_from

PRECISIONS = {"32": "32-true", "tf32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
LAST = Path("checkpoints") / "last.ckpt"
_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")  # 0 in the first process, if set


def train(config: TrainConfig) -> dict[str, Any] | None:
    """Train, evaluate, and leave everything in the run folder.

    Returns:
        The metrics (`metrics.json`); None in a process that is not the first.

    Raises:
        SettingError: an option is unknown or of another type, this machine has fewer devices, or
            there are no validation clips to stop early by.
        ArchiveError: the keypoints are not as they were written.
        RunFolderError: the folder holds another run, or there is nothing to resume.
        TrainingError: the loss is no longer finite, or the memory does not suffice.
    """
    folder = config.folder
    accepted_options(config)
    find_model(config.model)
    check_devices(config)
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(
            f"{folder} is a file; expected the name of a run folder: another --out"
        )
    if config.resume is not None and config.epochs is None:
        config = replace(config, epochs=read_config(folder).epochs)
    if config.resume is not None and (folder / "metrics.json").exists():
        check_same_run(config, read_config(folder))
        return read_json(folder / "metrics.json")
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    set_precision(config)
    data = ClipData(config)
    if config.early_stop is not None and data.val is None:
        raise SettingError(
            "early_stop watches validation clips and this split has none: leave it out, or make "
            "a split that has some (--val-per-class with a long tail, else --val-fraction)"
        )
    if _first_process() and not config.fast_dev_run:
        data.archive.verify()  # what is trained on altered keypoints looks like any other run
    with _claimed(config), enough_memory(config):
        return _train(data.config, folder, data)


def _train(config: TrainConfig, folder: Path, data: ClipData) -> dict[str, Any] | None:
    checkpoint = _prepare(config, folder)
    module = build(config, data)
    if config.compile:
        if config.model_options.get("checkpoint"):
            raise SettingError(
                "compile and the model's option checkpoint do not go together: leave one out"
            )
        compile_blocks(module.model)
    _describe(folder, data, checkpoint is not None)
    with _quiet():
        try:
            trainer = _trainer(config, data, folder, checkpoint)
        except MisconfigurationException as error:
            raise TrainingError(
                f"this machine cannot train with accelerator {config.accelerator!r}, devices "
                f"{config.devices} and precision {config.precision!r}: {error}"
            ) from error
        start = None if checkpoint is None else folder / LAST
        if checkpoint is not None:
            done = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
            data.first_epoch = int(done)
        if checkpoint is None or not _stopped_early(checkpoint):
            _fit(trainer, module, data, start)
    if config.fast_dev_run or not trainer.is_global_zero:
        return None
    cost = training_cost(load_checkpoint(folder / LAST))
    cost["parameters"] = sum(p.numel() for p in module.model.parameters())
    device = trainer.strategy.root_device
    return evaluate_weights(config, data, folder, export_weights(folder), cost, device)


def _fit(trainer: pl.Trainer, module: Recognizer, data: ClipData, start: Path | None) -> None:
    """Train; after Ctrl-C Lightning would leave the process, and ignore the next one."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=start, weights_only=True)
    except SystemExit:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt(f"`{resume_command(module.config.folder)}` goes on") from None


def finish(config: TrainConfig) -> dict[str, Any] | None:
    """Bring a run to its end: train it, go on with it if it was stopped, or read what it found.

    Raises:
        RunFolderError: the folder holds a run with other settings.
    """
    folder = config.folder
    begun = (folder / LAST).exists() or (folder / "metrics.json").exists()
    return train(replace(config, resume=folder) if begun else config)


def build(config: TrainConfig, data: ClipData) -> Recognizer:
    """The LightningModule of a run; weights follow from the seed."""
    torch.manual_seed(config.seed)
    info = data.archive.info
    transform = build_transform(config, data.archive)
    model = build_model(config, data.archive, data.num_persons)
    if config.init_from is not None:
        print(init_from(config.init_from, model, info.layout, info.class_names))

    mixer = build_mixer(
        config,
        info.layout,
        info.channels,
        data.class_counts,
        lambda: data.mean_clip(transform),
        Generator(),
    )
    criterion = build_loss(config, data.class_counts)
    return Recognizer(config, transform, model, mixer, criterion, data.class_counts)


@contextmanager
def _claimed(config: TrainConfig) -> Iterator[None]:
    """The run folder is this run's alone until it ends; RunFolderError while it is another's."""
    if not _first_process() or config.fast_dev_run:
        yield
        return
    config.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(config.folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise RunFolderError(f"another process trains in {config.folder}; wait for it") from None


def _first_process() -> bool:
    """Whether this process is the one that a person started, or the first of torchrun or Slurm."""
    return all(int(os.environ.get(name, 0)) == 0 for name in _RANKS)


def _prepare(config: TrainConfig, folder: Path) -> dict[str, Any] | None:
    """Make the run folder, or read the checkpoint to go on from."""
    if config.resume is not None:
        check_same_run(config, read_config(folder))
        # Stopped in its first epoch, a run has no checkpoint and starts from the beginning.
        return _checkpoint_of(config, folder) if (folder / LAST).exists() else None
    if _first_process() and not config.fast_dev_run:
        if (folder / LAST).exists() or (folder / "metrics.json").exists():
            raise RunFolderError(
                f"{folder} holds a run already: `{resume_command(folder)}` goes on with it, or "
                "choose another --out"
            )
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        write_config(folder / "config.yaml", replace(config, out=folder))
    return None


def _checkpoint_of(config: TrainConfig, folder: Path) -> dict[str, Any]:
    """The last checkpoint of a run; RunFolderError where an older version began it."""
    checkpoint = load_checkpoint(folder / LAST)
    state = checkpoint["state_dict"]
    table, weight = "mixer.saliency.values", "mixer.saliency.weight"
    if config.mixer == "shapmix" and table in state and weight not in state:
        raise RunFolderError(
            f"{folder} was begun by an older version, whose checkpoints do not say how often each "
            "class was evaluated: train it anew with another --out"
        )
    return checkpoint


@rank_zero_only
def _describe(folder: Path, data: ClipData, resumed: bool) -> None:
    """Write what the run is made of; when it is resumed, add to it what it goes on with."""
    if data.config.fast_dev_run:
        return
    if resumed:
        data.check_unchanged(folder)
        known = read_json(folder / "environment.json")
        known.setdefault("resumed", []).append(environment())
    else:
        write_json(folder / "data_profile.json", data.profile())
        known = environment()
    write_json(folder / "environment.json", known)


def _stopped_early(checkpoint: dict[str, Any]) -> bool:
    """Whether early stopping had ended the run (Lightning would train one epoch more)."""
    return any(
        name.startswith(MixedStopping.__qualname__) and state["wait_count"] >= state["patience"]
        for name, state in checkpoint.get("callbacks", {}).items()
    )


def _trainer(
    config: TrainConfig, data: ClipData, folder: Path, checkpoint: dict[str, Any] | None
) -> pl.Trainer:
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=config.devices,
        strategy="ddp" if config.devices > 1 else "auto",
        precision=PRECISIONS[config.precision],  # type: ignore[arg-type]
        max_epochs=config.num_epochs,
        gradient_clip_val=config.clip_grad,
        check_val_every_n_epoch=config.validation_period,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        callbacks=_callbacks(config, data, folder),
        logger=_logger(folder, checkpoint) if not config.fast_dev_run else False,
        log_every_n_steps=10,
        fast_dev_run=config.fast_dev_run,
        enable_checkpointing=not config.fast_dev_run,
        enable_progress_bar=config.progress,
        enable_model_summary=False,
        default_root_dir=folder,
    )


def _callbacks(config: TrainConfig, data: ClipData, folder: Path) -> list[Callback]:
    callbacks: list[Callback] = [RefreshMixer()]
    if config.progress:
        callbacks.append(ProgressBar(leave=False))
    if config.fast_dev_run:
        return callbacks
    callbacks += [CostEstimate(data), CostLog(), History(folder), SaliencyLog(folder)]
    period = config.validation_period
    # one file each, saved when the epoch is over and the mixer refreshed
    kept: dict[str, Any] = {
        "dirpath": folder / "checkpoints",
        "mode": "max",
        "enable_version_counter": False,
        "save_on_train_epoch_end": True,
    }
    if data.val is not None:
        monitor = "val/mean_class"
        if config.early_stop is not None:
            callbacks.append(MixedStopping(monitor, mode="max", patience=config.early_stop))
        callbacks.append(
            ModelCheckpoint(filename="best", monitor=monitor, every_n_epochs=period, **kept)
        )
    # The last comes last, so that it holds the state of all others.
    return [*callbacks, LastCheckpoint(filename="last", **kept)]


def _logger(folder: Path, checkpoint: dict[str, Any] | None) -> TensorBoardLogger:
    """TensorBoard; what a killed run wrote after its checkpoint is purged."""
    purge = None if checkpoint is None else int(checkpoint["global_step"])
    return TensorBoardLogger(folder, name="", version="tensorboard", purge_step=purge)


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advice that does not apply here is left out; its errors are not."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in (
            ".*does not have many workers.*",
            ".*is smaller than the logging interval.*",
            ".*Checkpoint directory .* exists and is not empty.*",
            ".*GPU available but not used.*",
            ".*isinstance.treespec, LeafSpec.*",
            ".*overridden `transfer_batch_to_device`.*",
            ".*recommended to use `self.log.*sync_dist=True`.*",  # the first process tells all
            ".*Total length of `list` across ranks is zero.*",  # no validation part; that is meant
        ):
            warnings.filterwarnings("ignore", message)
        try:
            yield
        finally:
            logger.setLevel(level)

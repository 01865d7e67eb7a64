"""Models in training, and what each of them makes of every clip and coalition of parts.

`saliency_quality.py` replays estimators on these tables: with the value of every clip and coalition
at hand a replay costs nothing, so it can be repeated until nothing is left to chance.
"""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
import yaml
from torch import Tensor

from shapmix.data.loader import ClipDataset
from shapmix.mixing.coalitions import (
    all_coalitions,
    joint_masks,
    list_coalitions,
    part_masks,
)
from shapmix.mixing.functional import mean_clip, presence
from shapmix.mixing.values import class_values, evaluation
from shapmix.training.config import TrainConfig
from shapmix.training.data import ClipData
from shapmix.training.files import write_npz
from shapmix.training.run import build


class Source(NamedTuple):
    """A data set and how a model is trained on it.

    Attributes:
        format: of its files. splitting: options of `shapmix split`.
        epochs: of training. every: epochs between two snapshots of the weights.
        snapshot_clips: clips of a class that are evaluated under each snapshot.
        batch_size: of training.
    """

    format: str
    splitting: str
    epochs: int
    every: int
    snapshot_clips: int
    batch_size: int


SETS = {
    "nw_ucla": Source(
        "nw-ucla", "--imbalance 10 --n-max 100 --drop-copies train", 10, 1, 12, batch_size=32
    ),
    "utd_mhad": Source("utd-mhad", "--imbalance 15", 30, 6, 0, batch_size=16),
    "msr_action3d": Source("msr-action3d", "--imbalance 10", 30, 6, 12, batch_size=16),
}
CLIPS = 24  # most clips of a class under the trained model


@dataclass(frozen=True)
class Tables:
    """Values of every clip and coalition under the models of one training run.

    Attributes:
        class_counts: `(K,)` training clips. coalitions: `(Q, P)`, those that mix.
        joints: `(Q,)` joints of each.
        labels: `(n,)` classes of clips that trained nothing, in random order; with their
            `values (n, 2^P)` under the trained model, bit-mask order.
        train_labels, train_values: the same of training clips.
        history: `(E, n', 2^P)` values of the first clips of each class under the E snapshots, the
            trained model last, and `history_labels (n',)`; None where snapshots are not looked at.
    """

    class_counts: np.ndarray
    coalitions: np.ndarray
    joints: np.ndarray
    labels: np.ndarray
    values: np.ndarray
    train_labels: np.ndarray
    train_values: np.ndarray
    history_labels: np.ndarray | None = None
    history: np.ndarray | None = None


class Snapshots(pl.Callback):
    """Keeps the weights after every few epochs."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.states: list[dict[str, Tensor]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the weights."""
        if (trainer.current_epoch + 1) % self.every == 0:
            state = pl_module.model.state_dict()
            self.states.append({name: value.clone() for name, value in state.items()})


def make_tables(name: str, data: Path, out: Path) -> Tables:
    """Import, split, train and evaluate one data set; what is there already is used."""
    source = SETS[name]
    archive, split = out / f"{name}.arrow", out / f"{name}.json"
    if not archive.exists():
        words = ["shapmix", "import", source.format, data / f"{name}.zip", archive]
        subprocess.run(words, check=True)  # noqa: S603
    if not split.exists():
        words = ["shapmix", "split", archive, *source.splitting.split(), "--out", split]
        subprocess.run(words, check=True)  # noqa: S603
    given = yaml.safe_load(Path(f"configs/{name}_lt.yaml").read_text())
    given |= {"archive": archive, "split": split, "mixer": "stmix", "mixer_options": {}}
    given |= {"epochs": source.epochs, "batch_size": source.batch_size, "lr_warmup_epochs": 2}
    given["milestones"] = tuple(given["milestones"])
    config = TrainConfig(**given)
    clips = ClipData(config)
    torch.set_num_threads(1)
    evaluator = Evaluator(config, clips, train(config, clips, source.every))
    arrays = stored(out / f"{name}-final.npz", evaluator.final)
    if source.snapshot_clips:
        tables = [
            stored(
                out / f"{name}-snapshot{i}.npz",
                partial(evaluator.snapshot, i, source.snapshot_clips),
            )
            for i in range(len(evaluator.snapshots))
        ]
        arrays["history"] = np.stack([table["values"] for table in tables])
        arrays["history_labels"] = tables[0]["labels"]
    return Tables(**arrays)


def stored(path: Path, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of a file, which is made first if it is missing."""
    if not path.exists():
        write_npz(path, make())
    with np.load(path) as arrays:
        return dict(arrays)


def train(config: TrainConfig, clips: ClipData, every: int) -> list[dict[str, Tensor]]:
    """Weights of the model after every few epochs; kept beside the archive once they are there."""
    path = config.archive.with_suffix(".pt")
    if not path.exists():
        snapshots = Snapshots(every)
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=config.epochs,
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[snapshots],
        )
        trainer.fit(build(config, clips), datamodule=clips)
        torch.save(snapshots.states, path.with_suffix(".partial"))
        path.with_suffix(".partial").rename(path)
    states: list[dict[str, Tensor]] = torch.load(path, weights_only=True)
    return states


class Evaluator:
    """Evaluates all coalitions of clips under the models of one run."""

    def __init__(
        self, config: TrainConfig, clips: ClipData, snapshots: list[dict[str, Tensor]]
    ) -> None:
        module = build(config, clips)
        self.clips, self.snapshots = clips, snapshots
        self.model, self.transform = module.model, module.transform
        batches = clips.plain_loader(clips.train)
        self.background = mean_clip(self.transform(batch) for batch in batches)
        rng, labels = np.random.default_rng(0), clips.archive.labels
        unseen = [clips.test.indices] + ([clips.val.indices] if clips.val else [])
        self.pool = at_most(CLIPS, rng.permutation(np.concatenate(unseen)), labels)
        self.seen = at_most(CLIPS, rng.permutation(clips.train.indices), labels)

    def final(self) -> dict[str, np.ndarray]:
        """Values under the trained model."""
        layout, labels = self.clips.archive.info.layout, self.clips.archive.labels
        mixing = list_coalitions(layout.num_parts)
        return {
            "class_counts": self.clips.class_counts,
            "coalitions": mixing.numpy(),
            "joints": joint_masks(mixing, part_masks(layout)).sum(1).numpy(),
            "labels": labels[self.pool],
            "values": self.values(self.snapshots[-1], self.pool),
            "train_labels": labels[self.seen],
            "train_values": self.values(self.snapshots[-1], self.seen),
        }

    def snapshot(self, index: int, clips: int) -> dict[str, np.ndarray]:
        """Values of fewer clips of each class under a snapshot."""
        labels = self.clips.archive.labels
        few = at_most(clips, self.pool, labels)
        return {"labels": labels[few], "values": self.values(self.snapshots[index], few)}

    def values(self, state: dict[str, Tensor], chosen: np.ndarray) -> np.ndarray:
        """`(n, 2^P)` values of clips, given by their indices."""
        self.model.load_state_dict(state)
        layout = self.clips.archive.info.layout
        joints = joint_masks(all_coalitions(layout.num_parts), part_masks(layout))
        dataset = ClipDataset(self.clips.archive, chosen, num_persons=self.clips.num_persons)
        found = []
        with evaluation(self.model) as run:
            for batch in self.clips.plain_loader(dataset):
                x = self.transform(batch)
                given = (x, batch.labels, joints, self.background, presence(x))
                found.append(class_values(run, *given, batch_size=32))  # fastest on a CPU
        return torch.cat(found).numpy()


def at_most(number: int, clips: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The first `number` of each class, in their order."""
    rank = np.zeros(len(clips), int)
    for k in np.unique(labels[clips]):
        own = labels[clips] == k
        rank[own] = np.arange(own.sum())
    return clips[rank < number]

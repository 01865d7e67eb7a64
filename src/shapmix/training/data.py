"""An archive and a split as Lightning wants them."""

import hashlib
import json
import math
from pathlib import Path
from typing import cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from shapmix.counts import check_counts
from shapmix.data.archive import Archive
from shapmix.data.loader import ClipDataset, Sample, create_loader
from shapmix.data.longtail import class_counts
from shapmix.data.sampling import EpochSampler
from shapmix.data.splits import Split, make_split
from shapmix.data.transforms import Transform
from shapmix.mixing import mean_clip
from shapmix.training.build import build_sampler
from shapmix.training.config import TrainConfig
from shapmix.training.files import RunFolderError, read_json


class ClipData(pl.LightningDataModule):
    """Training, validation and test clips of one archive.

    Attributes:
        archive: the data set. split: which clips are for what.
        train, val, test: `ClipDataset`s; `val` is None when no clip is left for it.
        class_counts: `(K,)` training clips of each class.
        draw: the training clips of an epoch, by the sampler of the run.
        config: that of the run, with the epochs that these data ask for where it did not say.
        first_epoch: where training begins; not 0 in a run that goes on.

    Raises:
        ArchiveError, SplitError: a file is not what it must be, or the two do not belong together.
        OptionError: the sampler has no such option.
        ValueError: a class has no training clip, or an option an impossible value.
    """

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.first_epoch = 0
        self.archive = Archive(config.archive)
        self.split = read_split(self.archive, config.split)
        persons = int(self.archive.num_persons.max())
        self.num_persons = persons if config.num_persons is None else config.num_persons
        self.train = self._select(self.split.train)
        self.val = self._select(self.split.val) if self.split.val else None
        self.test = self._select(self.split.test)
        classes = self.archive.info.class_names
        self.class_counts = check_counts(class_counts(self.train.labels, len(classes)))
        self.draw = build_sampler(config, self.train.labels)
        self.config = config
        self.config = config.settled(max(len(self.train_dataloader()) // config.devices, 1))

    def _select(self, names: tuple[str, ...]) -> ClipDataset:
        return ClipDataset(self.archive, names, num_persons=self.num_persons)

    def train_dataloader(self) -> DataLoader[Sample]:
        """Drawn by the sampler from (seed, epoch), an equal share for every process."""
        trainer = self.trainer
        world_size = trainer.world_size if trainer else 1
        loader = create_loader(
            self.train,
            min(self.config.batch_size, math.ceil(len(self.train) / world_size)),
            shuffle=True,
            draw=self.draw,
            drop_last=self.config.drop_last,
            seed=self.config.seed,
            rank=trainer.global_rank if trainer else 0,
            world_size=world_size,
            workers=self.config.workers,
            pin_memory=trainer is not None and trainer.strategy.root_device.type == "cuda",
        )
        # Workers that stay draw the first order before Lightning tells the sampler its epoch.
        cast(EpochSampler, loader.sampler).set_epoch(self.first_epoch)
        return loader

    def val_dataloader(self) -> list[DataLoader[Sample]]:
        """All validation clips in every process, so that all decide alike; none when empty."""
        return [self.plain_loader(self.val)] if self.val is not None else []

    def plain_loader(self, dataset: ClipDataset) -> DataLoader[Sample]:
        """Every clip once, in order."""
        return create_loader(dataset, self.config.batch_size)

    def mean_clip(self, transform: Transform, device: torch.device | str = "cpu") -> Tensor:
        """The background: the mean training clip `(C, T, V, M)`, in the model's input space.

        Args:
            transform: of the run, on `device`.
        """
        return mean_clip(transform(batch.to(device)) for batch in self.plain_loader(self.train))

    def profile(self) -> dict[str, object]:
        """What the run was trained on, for its folder."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        labels = {name: part.labels for name, part in parts.items() if part is not None}
        classes = self.archive.info.class_names
        return {
            "archive": self.archive.path.name,
            "source": self.archive.info.source,
            "layout": self.archive.info.layout.to_dict(),
            "units": self.archive.info.units,
            "class_names": list(classes),
            "split": self.split.recipe,
            "names": {
                part: hashlib.sha256("\n".join(names).encode()).hexdigest()
                for part, names in self.split.parts.items()
            },
            "clips": {
                name: np.bincount(values, minlength=len(classes)).tolist()
                for name, values in labels.items()
            },
        }

    def check_unchanged(self, folder: Path) -> None:
        """Refuse to go on with a run whose archive or split is not what it began with.

        Raises:
            RunFolderError: naming what differs.
        """
        stored, now = (
            read_json(folder / "data_profile.json"),
            json.loads(json.dumps(self.profile())),
        )
        differ = [key for key in now if stored.get(key) != now[key]]
        if differ:
            raise RunFolderError(
                f"the data of {folder} changed since the run began ({', '.join(differ)}): put the "
                f"old {self.config.archive} and {self.config.split} back, or start a new run"
            )


def read_split(archive: Archive, path: Path | None) -> Split:
    """The split of a file, checked against the archive; the archive's own protocol without one."""
    if path is None:
        return make_split(archive)
    return Split.load(path, archive)

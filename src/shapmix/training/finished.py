"""A finished run, opened again: its data, its transform and its model with the last weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor, nn

from shapmix.data.loader import ClipDataset, create_loader
from shapmix.data.sampling import Draw, EpochSampler
from shapmix.data.transforms import Transform
from shapmix.losses import classifier_input
from shapmix.training.build import build_model, build_transform
from shapmix.training.config import TrainConfig
from shapmix.training.data import ClipData
from shapmix.training.evaluation import load_weights
from shapmix.training.files import RunFolderError, read_json, read_trusted_config


@dataclass(frozen=True)
class FinishedRun:
    """What a run folder and its data say, ready to be worked with.

    Attributes:
        folder: the run folder. config: its configuration. data: what it was trained on.
        transform: on `device`. model: there too, with the weights of the last epoch, in evaluation
            mode and without gradients.
    """

    folder: Path
    config: TrainConfig
    data: ClipData
    transform: Transform
    model: nn.Module
    device: torch.device | str


def open_run(
    folder: Path, device: torch.device | str = "cpu", *, model: str | None = None
) -> FinishedRun:
    """Open a finished run; no code that its files name is ever run.

    Args:
        folder: of the run.
        device: where transform and model go.
        model: only for a network that is not one of shapmix's: its import path, as the run names
            it, by which you say that you trust this code; several with commas between them.

    Raises:
        RunFolderError: the folder is not a finished run, its data changed, or its network is
            foreign code that was not given.
        ArchiveError: the keypoints are not as they were written.
    """
    config = read_trusted_config(folder, model)
    read_json(folder / "metrics.json")
    data = ClipData(config)
    data.check_unchanged(folder)
    data.archive.verify()
    network = build_model(config, data.archive, data.num_persons)
    network.load_state_dict(load_weights(folder, "last"))
    network.eval().requires_grad_(False)
    transform = build_transform(config, data.archive)
    return FinishedRun(folder, config, data, transform.to(device), network.to(device), device)


def validation_part(run: FinishedRun) -> ClipDataset:
    """The validation clips of a run.

    Raises:
        RunFolderError: it has none.
    """
    if run.data.val is None:
        raise RunFolderError(
            f"{run.folder} has no validation clips, and nothing is ever chosen on test clips: give "
            "a fixed value, or train on a split that has some"
        )
    return run.data.val


def features(run: FinishedRun, x: Tensor) -> Tensor:
    """What goes into the last linear layer, for input `(N, C, T, V, M)`: `(N, L)`."""
    with torch.no_grad(), classifier_input(run.model, len(run.data.class_counts)) as seen:
        run.model(x)
    return seen[-1]


def clip_features(run: FinishedRun, dataset: ClipDataset) -> tuple[Tensor, Tensor]:
    """Features `(n, L)` and labels `(n,)` of clips in their order, by the deterministic transform.

    Both are on the device of the run.
    """
    found, labels = [], []
    for loaded in create_loader(dataset, run.config.batch_size):
        batch = loaded.to(run.device)
        found.append(features(run, run.transform(batch)))
        labels.append(batch.labels)
    return torch.cat(found), torch.cat(labels)


class FeatureBatches:
    """The training clips of an epoch as batches of features, augmented anew each time.

    All randomness of an epoch follows from (seed of the run, epoch).

    Args:
        run: whose clips, transform and backbone.
        draw: the clips of an epoch.
    """

    def __init__(self, run: FinishedRun, draw: Draw) -> None:
        self.run = run
        size = min(run.config.batch_size, len(run.data.train))
        seed = run.config.seed
        self.loader = create_loader(run.data.train, size, shuffle=True, draw=draw, seed=seed)

    def __len__(self) -> int:
        return len(self.loader)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Features `(N, L)` and labels `(N,)`, batch by batch."""
        assert isinstance(self.loader.sampler, EpochSampler)
        self.loader.sampler.set_epoch(epoch)
        entropy = np.random.SeedSequence((self.run.config.seed, epoch))
        generator = Generator().manual_seed(int(entropy.generate_state(1)[0]))
        for loaded in self.loader:
            batch = loaded.to(self.run.device)
            yield features(self.run, self.run.transform(batch, generator)), batch.labels

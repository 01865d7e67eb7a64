"""From an archive to ragged batches: no padding in time, no randomness but the order of clips.

Augmentation is drawn later, for a whole batch on its device (`transforms.py`), so the number of
loader workers changes neither the batches nor the augmentations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from shapmix.data.sampling import Draw, EpochSampler

if TYPE_CHECKING:  # reading archives needs pyarrow, a batch does not
    from shapmix.data.archive import Archive
    from shapmix.data.clip import Keypoints


@dataclass(frozen=True)
class RaggedBatch:
    """Clips of different lengths, one after the other along the frames axis.

    Attributes:
        frames: `(sum of T_i, M, V, C)` float32; an absent body is zero throughout.
        lengths: `(N,)` int64, frames of each clip.
        labels: `(N,)` int64.
        indices: `(N,)` int64, which clips these are: their indices in the archive.
    """

    frames: Tensor
    lengths: Tensor
    labels: Tensor
    indices: Tensor

    def __len__(self) -> int:
        return len(self.lengths)

    def to(self, device: torch.device | str) -> RaggedBatch:
        """The batch on another device; only to a CUDA device without waiting for the copy."""
        ahead = torch.device(device).type == "cuda"
        return RaggedBatch(*(t.to(device, non_blocking=ahead) for t in self._tensors()))

    def pin_memory(self) -> RaggedBatch:
        """The batch in page-locked memory (called by the `DataLoader`)."""
        return RaggedBatch(*(t.pin_memory() for t in self._tensors()))

    def _tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.frames, self.lengths, self.labels, self.indices


@dataclass(frozen=True)
class Sample:
    """One clip: `keypoints (T, M, V, C)` float32 (a view), label, index in the archive."""

    keypoints: Keypoints
    label: int
    index: int


class ClipDataset(Dataset[Sample]):
    """Some clips of an archive, in a given order.

    Args:
        archive: where the clips are.
        names: names of the clips, or their indices; all clips when not given.
        num_persons: M of the batches: bodies after the first M are left out, missing ones are
            filled in as zeros. The largest number in the archive when not given, so that every
            selection from one archive has the same M.

    Raises:
        ValueError: `num_persons` is less than 1.
        IndexError: an index is outside the archive (an unknown name raises the archive's error).
    """

    def __init__(
        self,
        archive: Archive,
        names: Sequence[str] | Sequence[int] | np.ndarray | None = None,
        *,
        num_persons: int | None = None,
    ) -> None:
        self.archive = archive
        self.indices = _resolve(archive, names)
        self.num_persons = int(archive.num_persons.max()) if num_persons is None else num_persons
        if self.num_persons < 1:
            raise ValueError(f"num_persons is {self.num_persons}: give 1 or more")

    @property
    def labels(self) -> np.ndarray:
        """Class index of each clip of the selection: `(N,)` int64."""
        labels: np.ndarray = self.archive.labels[self.indices]
        return labels

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each clip of the selection."""
        return tuple(self.archive.names[i] for i in self.indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, item: int) -> Sample:
        index = int(self.indices[item])
        return Sample(self.archive.keypoints(index), int(self.archive.labels[index]), index)

    def collate(self, samples: Sequence[Sample]) -> RaggedBatch:
        """Copy the clips into one batch with this data set's number of persons."""
        return collate(samples, self.num_persons, self.archive)


def _resolve(
    archive: Archive, names: Sequence[str] | Sequence[int] | np.ndarray | None
) -> np.ndarray:
    """Archive indices `(N,)` int64 of clips given by name or by index."""
    if names is None:
        return np.arange(len(archive))
    chosen = [archive.index(n) if isinstance(n, str) else int(n) for n in names]
    indices = np.asarray(chosen, dtype=np.int64)
    outside = indices[(indices < 0) | (indices >= len(archive))]
    if len(outside):
        raise IndexError(f"no clip {outside[0]} in an archive of {len(archive)} clips")
    return indices


def collate(
    samples: Sequence[Sample], num_persons: int, archive: Archive | None = None
) -> RaggedBatch:
    """Concatenate clips along time; only the persons axis is padded with zeros (or cut).

    Given their archive, the clips are read from it, and their views of its file are not looked at:
    so an epoch does not make the whole mapped file resident.
    """
    lengths = [len(s.keypoints) for s in samples]
    joints, channels = samples[0].keypoints.shape[2:]
    frames = np.empty((sum(lengths), num_persons, joints, channels), dtype=np.float32)
    stop = 0
    for sample, length in zip(samples, lengths, strict=True):
        start, stop = stop, stop + length
        keypoints, place = sample.keypoints, frames[start:stop]
        if archive is not None and keypoints.shape == place.shape:
            archive.read(sample.index, place)
            continue
        if archive is not None:
            keypoints = archive.read(sample.index)
        place[:, : keypoints.shape[1]] = keypoints[:, :num_persons]
        place[:, keypoints.shape[1] :] = 0
    return RaggedBatch(
        frames=torch.from_numpy(frames),
        lengths=torch.tensor(lengths),
        labels=torch.tensor([s.label for s in samples]),
        indices=torch.tensor([s.index for s in samples]),
    )


def create_loader(
    dataset: ClipDataset,
    batch_size: int,
    *,
    shuffle: bool = False,
    draw: Draw | None = None,
    drop_last: bool = False,
    seed: int = 0,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
    pin_memory: bool = False,
) -> DataLoader[Sample]:
    """A `DataLoader` that yields a `RaggedBatch`; call `loader.sampler.set_epoch(e)` every epoch.

    Args:
        dataset: the clips.
        batch_size: N of this process's batches.
        shuffle: a new order every epoch (training).
        draw: which clips an epoch has, instead of each once; see `sampling.py`.
        drop_last: leave out a last batch of fewer than N clips.
        seed: of the order.
        rank: this process among `world_size`.
        world_size: processes that share an epoch.
        workers: loader processes; 0 loads in this process. They never change what is loaded.
        pin_memory: page-locked batches, for copies to a GPU.

    Raises:
        ValueError: the data set is empty, or `drop_last` would leave no batch at all.
    """
    sampler = EpochSampler(
        len(dataset), shuffle=shuffle, draw=draw, seed=seed, rank=rank, world_size=world_size
    )
    if drop_last and len(sampler) < batch_size:
        raise ValueError(
            f"{len(sampler)} clips fill no batch of {batch_size}: "
            "choose a smaller batch_size, or drop_last=False"
        )
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        drop_last=drop_last,
        collate_fn=dataset.collate,
        num_workers=workers,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        generator=torch.Generator().manual_seed(seed),  # else the global one would be drawn from
    )

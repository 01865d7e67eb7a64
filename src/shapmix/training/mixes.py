"""Mixes worth showing: made by a run's own mixer, with what it learnt, of its training clips."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from shapmix.data.loader import ClipDataset
from shapmix.data.transforms import Transform
from shapmix.mixing import NoMix
from shapmix.mixing.batch import MixedBatch
from shapmix.mixing.cmo import CMO
from shapmix.training.build import build_mixer, build_transform
from shapmix.training.config import TrainConfig
from shapmix.training.data import ClipData
from shapmix.training.examples import NOWHERE, Scene, Shown, centred, find_origin

MIXES = 12
DRAWS = 32  # until something is pasted: a mixer may mix otherwise, or draw an empty box


def mix_scenes(config: TrainConfig, data: ClipData, state: dict[str, Tensor]) -> list[Scene]:
    """Scenes of mixes, each of another pair of classes, the rarest classes first.

    Clips are as the model sees them, by the transform without augmentation and before the stream
    is taken: all are of joints.

    Args:
        config: of the run.
        data: of the run.
        state: of its mixer, from the checkpoint.

    Returns:
        up to `MIXES` scenes; none of a run that mixes nothing.
    """
    info = data.archive.info
    generator = Generator().manual_seed(config.seed)
    mixer = build_mixer(
        config,
        info.layout,
        info.channels,
        data.class_counts,
        lambda: state["background"],
        generator,
    )
    if isinstance(mixer, NoMix):
        return []
    mixer.load_state_dict(state)
    transform = build_transform(replace(config, stream="joint"), data.archive)
    rng = np.random.default_rng(config.seed)
    return [
        mix_scene(mixer, transform, data.train, clips)
        for clips in chosen_pairs(data.train.labels, data.class_counts, rng)
    ]


def chosen_pairs(
    labels: NDArray[np.int64], class_counts: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[tuple[int, int]]:
    """Training clips to mix, as positions (receiver, partner): one of each rare class.

    The other clip of a pair is drawn from the clips of the other classes, as training meets them;
    the rare one is in turn partner and receiver. No two pairs are of the same classes.

    Args:
        labels: `(n,)` of the training clips. class_counts: `(K,)` of them.
        rng: source of randomness.
    """
    met: set[frozenset[int]] = set()
    for turn, rare in enumerate(np.argsort(class_counts, kind="stable")[:MIXES].tolist()):
        taken = [k for pair in met if rare in pair for k in pair] + [rare]
        others = np.flatnonzero(~np.isin(labels, taken))
        if not len(others):
            continue
        clip, other = int(rng.choice(np.flatnonzero(labels == rare))), int(rng.choice(others))
        met.add(frozenset((rare, int(labels[other]))))
        yield (other, clip) if turn % 2 == 0 else (clip, other)


def mix_scene(
    mixer: nn.Module,
    transform: Transform,
    dataset: ClipDataset,
    clips: tuple[int, int],
) -> Scene:
    """Receiver, partner and mixed clip of one pair of clips."""
    batch = dataset.collate([dataset[i] for i in clips])
    x, y = transform(batch), batch.labels
    for _ in range(DRAWS):
        mixed = mix_pair(mixer, x, y)
        if (paste := mixed.paste) is not None and paste.joints[0].any() and paste.length[0] > 0:
            break
    names = [dataset.archive.names[i] for i in batch.indices.tolist()]
    D, center = transform.num_coordinates, transform.layout.center

    def display(clip: Tensor, like: Tensor) -> NDArray[np.float32]:
        keypoints, origin = (c.permute(1, 3, 2, 0).numpy() for c in (clip, like))
        return centred(keypoints, D, find_origin(origin, D, center))

    window = source = NOWHERE
    pasted: list[bool] = [False] * transform.layout.num_joints
    if paste is not None:
        window = int(paste.start[0]), int(paste.length[0])
        source = int(paste.source_start[0]), int(paste.source_length[0])
        pasted = paste.joints[0].tolist()
    target = {k: float(w) for k, w in enumerate(mixed.target[0]) if w > 0}
    own, other = y.tolist()
    return [
        Shown("mix", "receiver", names[0], own, display(x[0], x[0]), {own: 1.0}, window=window),
        Shown("mix", "partner", names[1], other, display(x[1], x[1]), {other: 1.0}, window=source),
        Shown(
            "mix",
            "mixed",
            " + ".join(names),
            -1,
            display(mixed.x[0], x[0]),
            target,
            window=window,
            pasted=pasted,
            lam=float(mixed.lam[0]),
        ),
    ]


def mix_pair(mixer: nn.Module, x: Tensor, y: Tensor) -> MixedBatch:
    """A batch whose first clip is mixed with the second.

    In a batch of two every mixer of pairs has no other choice; `CMO`, which draws from a memory, is
    given one that holds the second clip alone.
    """
    with torch.no_grad():
        if isinstance(mixer, CMO):
            mixer.memory.seen.zero_()
            mixer.memory.add(x[1:], y[1:])
            x, y = x[:1], y[:1]
        found: MixedBatch = mixer(x, y)
    return found

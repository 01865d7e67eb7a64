"""Clips a second on one core: ragged batches transformed at once, and clip after clip.

    OMP_NUM_THREADS=1 python benchmarks/loading.py [--clips N] [--pairs N] [--json FILE]

Both make the same training input (N, 3, 64, 25, 2) from the same NTU-like clips: a random temporal
crop, resized to 64 frames, turned by random angles. Ours reads the archive from disk, and moves
each clip to its origin as well. The other does, in our own words, what the feeder of CTR-GCN and of
the code bases that grew from it does (Chen et al., ICCV 2021), step for step: all clips in memory,
padded to (N, 300, 150) and seen as a transposed view (N, 3, 300, 25, 2); for each clip a copy, its
valid frames counted by sums over the padded clip, a crop, a bilinear resize of the clip as an image
of 150 rows, one rotation matrix for every frame, and the copies in between; then the default
collate. Nothing was added to slow it down. Without randomness the two must agree. They run in turn;
the table has medians, the ratio is the median of the pairs'. Time is the processor's, so that other
programs on the machine count less.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from shapmix.data.archive import Archive, ArchiveInfo, ArchiveWriter, Clip
from shapmix.data.loader import ClipDataset, create_loader
from shapmix.data.transforms import DEFAULT_ROTATION, Transform
from shapmix.layouts import get_layout

LENGTHS, PAIRS = (40, 150), 26 / 120  # frames; share of clips with two persons
PADDED, FRAMES, BATCH = 300, 64, 64


def write_archive(path: Path, clips: int) -> Archive:
    """Random clips of realistic sizes."""
    rng = np.random.default_rng(0)
    with ArchiveWriter(path, ArchiveInfo(get_layout("ntu25"), ("a", "b"))) as writer:
        for i in range(clips):
            shape = (int(rng.integers(*LENGTHS)), 1 + int(rng.random() < PAIRS), 25, 3)
            keypoints = rng.normal(size=shape).astype(np.float32)
            writer.write(Clip(f"clip{i}", i % 2, keypoints))
    return Archive(path)


class PaddedClips(Dataset):
    """The usual feeder: all clips in memory, padded; crop, resize and rotation clip by clip."""

    def __init__(self, archive: Archive, crop_ratio: tuple[float, float], rotation: float) -> None:
        stored = np.zeros((len(archive), PADDED, 2, 25, 3), dtype=np.float32)
        for i in range(len(archive)):
            clip = archive.keypoints(i)
            stored[i, : len(clip), : clip.shape[1]] = clip
        self.data = stored.transpose(0, 4, 1, 3, 2)  # (N, C, T, V, M), a view
        self.labels = archive.labels.tolist()
        self.crop_ratio, self.rotation = crop_ratio, rotation
        self.random = np.random.RandomState(0)
        self.angles = torch.Generator().manual_seed(0)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int, int]:
        data = np.array(self.data[i])
        length = int(np.sum(data.sum(0).sum(-1).sum(-1) != 0))
        clip = torch.from_numpy(self._crop_resize(data, length))
        return (self._rotate(clip) if self.rotation else clip), self.labels[i], i

    def _crop_resize(self, data: np.ndarray, length: int) -> np.ndarray:
        low, high = self.crop_ratio
        ratio = self.random.rand(1)[0] * (high - low) + low
        kept = min(max(int(np.floor(length * ratio)), FRAMES), length)
        start = self.random.randint(0, length - kept + 1)
        crop = torch.tensor(data[:, start : start + kept], dtype=torch.float)
        rows = crop.permute(0, 2, 3, 1).contiguous().view(1, 1, 3 * 25 * 2, kept)
        size = (3 * 25 * 2, FRAMES)
        rows = F.interpolate(rows, size=size, mode="bilinear", align_corners=False)
        return rows.view(3, 25, 2, FRAMES).permute(0, 3, 1, 2).contiguous().numpy()

    def _rotate(self, clip: torch.Tensor) -> torch.Tensor:
        """The same three angles for every frame, but a matrix for each."""
        frames = clip.permute(1, 0, 2, 3).contiguous().view(FRAMES, 3, 25 * 2)
        angles = torch.zeros(3).uniform_(-self.rotation, self.rotation, generator=self.angles)
        turned = torch.matmul(frame_rotations(angles.repeat(FRAMES, 1)), frames)
        return turned.view(FRAMES, 3, 25, 2).permute(1, 0, 2, 3).contiguous()


def frame_rotations(angles: torch.Tensor) -> torch.Tensor:
    """Rotations `Rz Ry Rx`, one a frame: `(T, 3)` to `(T, 3, 3)`."""
    one, zero = torch.ones(len(angles)), torch.zeros(len(angles))
    (cx, cy, cz), (sx, sy, sz) = angles.cos().unbind(1), angles.sin().unbind(1)

    def stacked(*rows: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return torch.stack([torch.stack(row, -1) for row in rows], 1)

    x = stacked((one, zero, zero), (zero, cx, -sx), (zero, sx, cx))
    y = stacked((cy, zero, sy), (zero, one, zero), (-sy, zero, cy))
    z = stacked((cz, -sz, zero), (sz, cz, zero), (zero, zero, one))
    return z.matmul(y).matmul(x)


def check_agreement(archive: Archive) -> None:
    """Without randomness both give the same input."""
    usual = PaddedClips(archive, (1.0, 1.0), 0.0)
    transform = Transform("ntu25", crop_ratio=(1.0, 1.0), rotation=0.0, center="none")
    batch = next(iter(create_loader(ClipDataset(archive), BATCH)))
    expected = torch.stack([usual[i][0] for i in batch.indices.tolist()])
    torch.testing.assert_close(transform(batch, torch.Generator()), expected)


def seconds(epoch: Callable[[], None]) -> float:
    """Processor time of one pass."""
    begin = time.process_time()
    epoch()
    return time.process_time() - begin


def measure(archive: Archive, pairs: int) -> dict[str, float]:
    """Print the table; clips a second of both and their ratio."""
    usual = DataLoader(PaddedClips(archive, (0.5, 1.0), DEFAULT_ROTATION), BATCH, shuffle=True)
    loader = create_loader(ClipDataset(archive), BATCH, shuffle=True)
    transform, source = Transform("ntu25", num_frames=FRAMES), torch.Generator().manual_seed(0)

    def ours() -> None:
        for batch in loader:
            transform(batch, source)

    def clip_by_clip() -> None:
        for _ in usual:
            pass

    times = [(seconds(ours), seconds(clip_by_clip)) for _ in range(pairs + 1)][1:]  # one to warm up
    fast, slow = (len(archive) / median(column) for column in zip(*times, strict=True))
    ratio = median(b / a for a, b in times)
    print("| pipeline | clips/s on one core |\n|---|---|")
    print(f"| clip by clip, padded | {slow:.0f} |\n| ragged batches | {fast:.0f} |")
    print(f"\nratio {ratio:.2f} (median of {pairs} pairs)")
    return {"clip_by_clip": slow, "ragged_batches": fast, "ratio": ratio, "clips": len(archive)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=int, default=4096, help="in the data set")
    parser.add_argument("--pairs", type=int, default=7, help="times each pipeline is run")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        archive = write_archive(Path(folder) / "clips.arrow", args.clips)
        check_agreement(archive)
        result = measure(archive, args.pairs)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

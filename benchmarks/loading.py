"""Clips a second on one core: ragged batches transformed at once, and clip after clip.

    python benchmarks/loading.py [--quick] [--json FILE]

Both make the same training input (N, 3, 64, 25, 2) from the same NTU-like clips: a random temporal
crop, resized to 64 frames, turned by random angles. Ours reads the archive from disk, and moves
each clip to its origin as well. The other does, in our own words, what the feeder of CTR-GCN and of
the code bases that grew from it does (Chen et al., ICCV 2021), step for step: all clips in memory,
padded to (N, 300, 150) and seen as a transposed view (N, 3, 300, 25, 2); for each clip a copy, its
valid frames counted by sums over the padded clip, a crop, a bilinear resize of the clip as an image
of 150 rows, one rotation matrix for every frame, and the copies in between; then the default
collate. Nothing was added to slow it down. Without randomness the two must agree. They run in turn.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from harness import Report, figure, in_turn, run, speedup
from ntu_like import write_archive
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from shapmix.data.archive import Archive
from shapmix.data.loader import ClipDataset, create_loader
from shapmix.data.transforms import DEFAULT_ROTATION, Transform

PADDED, FRAMES, BATCH = 300, 64, 64


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
    batch = next(iter(create_loader(ClipDataset(archive, num_persons=2), BATCH)))
    expected = torch.stack([usual[i][0] for i in batch.indices.tolist()])
    torch.testing.assert_close(transform(batch, torch.Generator()), expected)


def measure(quick: bool) -> Report:
    """Clips a second of both on one core, and their ratio."""
    clips, pairs = (64, 1) if quick else (4096, 7)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        archive = write_archive(Path(folder) / "clips.arrow", [0] * clips, 1)
        check_agreement(archive)
        usual = DataLoader(PaddedClips(archive, (0.5, 1.0), DEFAULT_ROTATION), BATCH, shuffle=True)
        loader = create_loader(ClipDataset(archive), BATCH, shuffle=True)
        transform, source = Transform("ntu25", num_frames=FRAMES), torch.Generator().manual_seed(0)

        def ours() -> None:
            for batch in loader:
                transform(batch, source)

        def clip_by_clip() -> None:
            for _ in usual:
                pass

        taken = in_turn({"ours": ours, "usual": clip_by_clip}, pairs)
    torch.set_num_threads(threads)
    rates = {name: [clips / seconds for seconds in taken[name]] for name in taken}
    figures = [
        figure("clip by clip, padded", rates["usual"], "clips/s", higher_is_better=True),
        figure("ragged batches from the archive", rates["ours"], "clips/s", higher_is_better=True),
        speedup("ragged batches", taken["usual"], taken["ours"]),
    ]
    return Report({"clips": clips, "pairs": pairs, "threads": 1}, figures)


if __name__ == "__main__":
    run("loading", measure, __doc__)

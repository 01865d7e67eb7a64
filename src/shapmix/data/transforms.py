"""From ragged clips to the model's input: batched tensor transforms on the batch's device.

Coordinates are `(N, D, T, V, M)` with D = 3 (x, y, z) or 2 (x, y). Beside them travels the mask
`valid (N, 1, T, V, M)`: a joint is valid in a frame iff its body is present there (any coordinate
of the body is non-zero) and, in archives with a confidence channel, its score is above zero. What
is not valid is exactly zero in the input and in the result. Nothing here loops over clips.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from shapmix.data.loader import RaggedBatch
from shapmix.data.resample import (
    central_crop,
    random_crop,
    resize_positions,
    sample_frames,
    segment_positions,
    uniform,
)
from shapmix.layouts import Layout, get_layout

Channels = Literal["xyz", "xy", "xyc"]
Stream = Literal["joint", "bone", "joint_motion", "bone_motion"]
Sampling = Literal["crop", "segments"]
Center = Literal["none", "first_frame", "every_frame"]
Normalize = Literal["none", "box"]

DEFAULT_ROTATION = 0.3  # rad, for 3D


def reference_point(x: Tensor, valid: Tensor, joint: int, *, every_frame: bool = False) -> Tensor:
    """Where a clip's origin goes: the centre joint of person 0 in the first frame that has it.

    Args:
        x: coordinates `(N, D, T, V, M)`.
        valid: `(N, 1, T, V, M)`.
        joint: the layout's centre joint.
        every_frame: each frame's own centre instead; frames without one use the first.

    Returns:
        `(N, D, 1, 1, 1)`, or `(N, D, T, 1, 1)` for every frame; zero for a clip in which person 0
        never has the joint.
    """
    here = valid[:, :, :, joint, 0]
    track = x[:, :, :, joint, 0]
    first = here.int().argmax(2, keepdim=True)
    point = track.gather(2, first.expand(-1, x.shape[1], -1))
    if every_frame:
        point = torch.where(here, track, point)
    return point[..., None, None]


def rotation_matrices(angles: Tensor) -> Tensor:
    """Rotations by angles in rad.

    Args:
        angles: `(N, 3)` about x, y, z, applied in this order: `R = Rz Ry Rx`; or `(N, 1)` in the
            plane.

    Returns:
        `(N, 3, 3)` or `(N, 2, 2)`, for column vectors.
    """
    size = 2 if angles.shape[1] == 1 else 3
    planes = [(0, 1)] if size == 2 else [(1, 2), (2, 0), (0, 1)]  # turned from the first axis on
    rotation = torch.eye(size, device=angles.device).expand(len(angles), size, size)
    for angle, (i, j) in zip(angles.unbind(1), planes, strict=True):
        turn = torch.eye(size, device=angles.device).repeat(len(angles), 1, 1)
        turn[:, i, i] = turn[:, j, j] = angle.cos()
        turn[:, j, i] = angle.sin()
        turn[:, i, j] = -angle.sin()
        rotation = turn @ rotation
    return rotation


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Turn each clip about the origin: `x (N, D, T, V, M)`, `rotation (N, D, D)`."""
    return rotation.matmul(x.flatten(2)).view_as(x)


def mirror(x: Tensor, permutation: Tensor) -> Tensor:
    """Swap left and right: joints change places (`permutation (V,)`) and channel 0 its sign."""
    flipped = x.index_select(3, permutation)
    flipped[:, 0].neg_()
    return flipped


def normalize_box(x: Tensor, valid: Tensor) -> Tensor:
    """Map each clip's bounding box into [-1, 1], keeping its aspect.

    The box of all valid joints of all frames and persons gets its midpoint at the origin and its
    longest side the length 2 (a clip that is a single point is only moved).
    """
    low = x.where(valid, torch.inf).amin((2, 3, 4), keepdim=True)
    high = x.where(valid, -torch.inf).amax((2, 3, 4), keepdim=True)
    half = ((high - low) / 2).amax(1, keepdim=True)
    moved = (x - (high + low) / 2) / half.where(half > 0, 1.0)
    return moved.where(valid, 0.0)


def bone(x: Tensor, parents: Tensor) -> Tensor:
    """Each joint minus its parent, `parents (V,)`; zero at the root, its own parent."""
    return x - x.index_select(3, parents)


def motion(x: Tensor) -> Tensor:
    """`x[t + 1] - x[t]`; zero in the last frame."""
    return F.pad(x.diff(dim=2), (0, 0, 0, 0, 0, 1))


def next_frame(x: Tensor) -> Tensor:
    """`x[t + 1]`; the last frame is repeated."""
    return torch.cat([x[:, :, 1:], x[:, :, -1:]], 2)


@dataclass(frozen=True)
class Draws:
    """The random parameters of one batch; `None` means "not applied".

    Attributes:
        positions: `(N, T)` float32, frames that are read.
        rotation: `(N, D, D)`, one rotation a clip.
        scale: `(N,)`, one factor a clip.
        mirrored: `(N,)` bool, clips whose left and right are swapped.
    """

    positions: Tensor
    rotation: Tensor | None = None
    scale: Tensor | None = None
    mirrored: Tensor | None = None


class Transform(nn.Module):
    """From a ragged batch to the model's input, augmented iff a generator is given.

    Frames are cropped and resized (or drawn from segments) to T. The clip is mirrored, turned and
    scaled about its reference point (`reference_point`), which becomes the origin unless
    `center="none"`. Then the stream is taken: a bone or a motion is zero where one of its two ends
    is not valid. The score of an 'xyc' archive is no coordinate: it changes places in a mirrored
    clip, a bone's is the smaller of its two joints', a motion's is that of frame t. An absent body
    stays zero throughout. The defaults are the paper's for NTU; for its Kinetics take
    `channels="xyc", num_frames=100, sampling="segments", center="none"`.

    Args:
        layout: name, YAML file or object.
        channels: of the archive: "xyz", "xy", or "xyc" with confidence.
        num_frames: T.
        stream: what the model sees: "joint", "bone", "joint_motion" or "bone_motion".
        sampling: "crop", a temporal crop resized to T frames; or "segments", one frame of each of T
            uniform segments.
        crop_ratio: lowest and highest share of a training crop (never fewer than T frames of a clip
            that has them).
        test_ratio: share of the central crop without augmentation.
        center: what becomes the origin: person 0's centre joint in the "first_frame", in
            "every_frame", or "none" (the archive's own origin stays).
        normalize: "box" maps the clip's bounding box into [-1, 1], its midpoint to the origin.
        rotation: largest angle in rad about x, y and z (in the plane for 2D), uniform on both
            sides; 0.3 for 3D and 0 for 2D when not given.
        scale_range: lowest and highest factor of a random scale.
        mirror: probability of swapping left and right.

    Raises:
        ValueError: an option is not one of those named here, or out of range.
        LayoutError: the layout is unknown or invalid.
    """

    parents: Tensor
    permutation: Tensor

    def __init__(
        self,
        layout: str | Path | Layout,
        *,
        channels: Channels = "xyz",
        num_frames: int = 64,
        stream: Stream = "joint",
        sampling: Sampling = "crop",
        crop_ratio: tuple[float, float] = (0.5, 1.0),
        test_ratio: float = 0.95,
        center: Center = "first_frame",
        normalize: Normalize = "none",
        rotation: float | None = None,
        scale_range: tuple[float, float] = (1.0, 1.0),
        mirror: float = 0.0,
    ) -> None:
        super().__init__()
        self.layout = get_layout(layout)
        self.channels, self.num_frames, self.stream = channels, num_frames, stream
        self.sampling, self.crop_ratio, self.test_ratio = sampling, crop_ratio, test_ratio
        self.center, self.normalize = center, normalize
        self.num_coordinates = 3 if channels == "xyz" else 2
        default = DEFAULT_ROTATION if channels == "xyz" else 0.0
        self.rotation = default if rotation is None else rotation
        self.scale_range, self.mirror = scale_range, mirror
        self._validate()
        permutation = torch.arange(self.layout.num_joints)
        for left, right in self.layout.mirror:
            permutation[left], permutation[right] = right, left
        self.register_buffer("permutation", permutation, persistent=False)
        self.register_buffer("parents", torch.tensor(self.layout.parents), persistent=False)

    def _validate(self) -> None:
        choices = {
            "channels": Channels,
            "stream": Stream,
            "sampling": Sampling,
            "center": Center,
            "normalize": Normalize,
        }
        for option, kind in choices.items():
            if (found := getattr(self, option)) not in get_args(kind):
                raise ValueError(f"{option} is {found!r}: choose from {', '.join(get_args(kind))}")
        if self.num_frames < 1:
            raise ValueError(f"num_frames is {self.num_frames}: give 1 or more")
        if not 0 < self.crop_ratio[0] <= self.crop_ratio[1] <= 1 or not 0 < self.test_ratio <= 1:
            raise ValueError(
                f"crop_ratio is {self.crop_ratio} and test_ratio {self.test_ratio}: "
                "shares of a clip lie in (0, 1], the lowest first"
            )
        if not 0 < self.scale_range[0] <= self.scale_range[1]:
            raise ValueError(f"scale_range is {self.scale_range}: give 0 < lowest <= highest")
        if self.rotation < 0 or not 0 <= self.mirror <= 1:
            raise ValueError(
                f"rotation is {self.rotation} and mirror {self.mirror}: "
                "give an angle of 0 or more, and a probability"
            )
        if self.mirror > 0 and not self.layout.mirror:
            raise ValueError(
                f"layout {self.layout.name!r} has no mirror pairs: add them, or set mirror=0"
            )

    def extra_repr(self) -> str:
        return f"{self.layout.name}, {self.channels}, T={self.num_frames}, {self.stream}"

    def draw(self, lengths: Tensor, generator: Generator | None = None) -> Draws:
        """Draw a batch's parameters; the test transform's without a generator.

        Args:
            lengths: `(N,)` int64, frames of each clip.
            generator: source of randomness, on any device.
        """
        T, N, device = self.num_frames, len(lengths), lengths.device
        if self.sampling == "segments":
            positions = segment_positions(lengths, T, generator)
        elif generator is None:
            positions = resize_positions(*central_crop(lengths, self.test_ratio), T)
        else:
            positions = resize_positions(*random_crop(lengths, T, self.crop_ratio, generator), T)
        if generator is None:
            return Draws(positions)
        rotation = scale = mirrored = None
        if self.rotation > 0:
            axes = 3 if self.num_coordinates == 3 else 1
            angles = self.rotation * (2 * uniform((N, axes), generator, device) - 1)
            rotation = rotation_matrices(angles)
        low, high = self.scale_range
        if (low, high) != (1.0, 1.0):
            scale = low + (high - low) * uniform((N,), generator, device)
        if self.mirror > 0:
            mirrored = uniform((N,), generator, device) < self.mirror
        return Draws(positions, rotation, scale, mirrored)

    def apply_draws(self, batch: RaggedBatch, draws: Draws) -> Tensor:
        """The transform with given parameters: `(N, C, T, V, M)` float32."""
        D = self.num_coordinates
        clips, valid = sample_frames(batch.frames, batch.lengths, draws.positions, D)
        x, score = clips[:, :D], clips[:, D:]
        every_frame = self.center == "every_frame"
        origin = reference_point(x, valid, self.layout.center, every_frame=every_frame)
        x = x - origin
        if draws.mirrored is not None:
            swap = draws.mirrored[:, None, None, None, None]
            x = torch.where(swap, mirror(x, self.permutation), x)
            score = torch.where(swap, score.index_select(3, self.permutation), score)
            valid = torch.where(swap, valid.index_select(3, self.permutation), valid)
        if draws.rotation is not None:
            x = rotate(x, draws.rotation)
        if self.normalize == "box":
            x = normalize_box(x, valid)
        if draws.scale is not None:
            x = x * draws.scale[:, None, None, None, None]
        if self.center == "none" and self.normalize == "none":
            x = x + origin
        return self._take_stream(x, score, valid)

    def _take_stream(self, x: Tensor, score: Tensor, valid: Tensor) -> Tensor:
        """Bones and motions of the placed joints, with the score behind: `(N, C, T, V, M)`."""
        if self.stream in ("bone", "bone_motion"):
            x = bone(x, self.parents)
            score = score.minimum(score.index_select(3, self.parents))
            valid = valid & valid.index_select(3, self.parents)
        if self.stream in ("joint_motion", "bone_motion"):
            x = motion(x)
            valid = valid & next_frame(valid)
        return torch.cat([x.where(valid, 0.0), score], 1)

    def forward(self, batch: RaggedBatch, generator: Generator | None = None) -> Tensor:
        """The model's input `(N, C, T, V, M)` float32, augmented iff a generator is given.

        Raises:
            ValueError: the batch has other joints or channels than this transform.
        """
        expected = (self.layout.num_joints, len(self.channels))
        if (found := tuple(batch.frames.shape[2:])) != expected:
            raise ValueError(
                f"frames have (joints, channels) = {found}, but layout {self.layout.name!r} with "
                f"channels {self.channels!r} needs {expected}: choose the archive's own"
            )
        return self.apply_draws(batch, self.draw(batch.lengths, generator))

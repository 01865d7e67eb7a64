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

from shapmix.data.geometry import (
    alignment,
    axis_joints,
    bone,
    first_pose,
    first_pose_of_clip,
    first_pose_of_padded,
    interleave,
    mirror,
    motion,
    next_frame,
    normalize_box,
    own_centers,
    rotate,
    rotation_matrices,
)
from shapmix.data.loader import RaggedBatch
from shapmix.data.resample import (
    central_crop,
    random_crop,
    resize_positions,
    sample_frames,
    sample_padded,
    segment_positions,
    uniform,
)
from shapmix.layouts import Layout, get_layout
from shapmix.suggest import did_you_mean

Channels = Literal["xyz", "xy", "xyc"]
Stream = Literal["joint", "bone", "joint_motion", "bone_motion"]
Sampling = Literal["crop", "segments"]
Center = Literal["none", "first_frame", "every_frame"]
FirstFrameOf = Literal["crop", "clip"]
Align = Literal["none", "first_frame"]
Normalize = Literal["none", "box"]

DEFAULT_ROTATION = 0.3  # rad, for 3D


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

    Frames are cropped and resized (or drawn from segments) to T. The clip is aligned, mirrored,
    turned and scaled about its reference point, which becomes the origin unless `center="none"`.
    Then the stream is taken: a bone or a motion is zero where one of its two ends is not valid.
    The score of an 'xyc' archive is no coordinate: it changes places in a mirrored clip, a bone's
    is the smaller of its two joints', a motion's is that of frame t. An absent body stays zero
    throughout. The defaults are the paper's for NTU but for `center_joint` and `first_frame_of`
    (see configs/ntu); for its Kinetics take `channels="xyc", num_frames=100, sampling="segments",
    center="none"`.

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
        center: what becomes the origin: person 0's centre joint in the "first_frame" that has it,
            in "every_frame", or "none" (the archive's own origin stays).
        center_joint: name of that joint; the layout's centre when not given.
        first_frame_of: where the first frame is looked for: in what was read, the "crop"; or in
            the whole "clip", so that all crops of a clip have one origin and one alignment.
        align: "first_frame" turns the whole clip so that person 0's shoulders, left to right, lie
            along x in the first frame, and its spine along +z up to the tilt that the shoulders
            ask for, none where the two are perpendicular (`geometry.alignment`); 3D only.
        normalize: "box" maps the clip's bounding box into [-1, 1], its midpoint to the origin.
        offset: added to the coordinates of clips that keep their own origin; -0.5 makes it the
            middle of the picture where coordinates are shares of it (Kinetics-Skeleton).
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
        center_joint: str | None = None,
        first_frame_of: FirstFrameOf = "crop",
        align: Align = "none",
        normalize: Normalize = "none",
        offset: float = 0.0,
        rotation: float | None = None,
        scale_range: tuple[float, float] = (1.0, 1.0),
        mirror: float = 0.0,
    ) -> None:
        super().__init__()
        self.layout = get_layout(layout)
        self.channels, self.num_frames, self.stream = channels, num_frames, stream
        self.sampling, self.crop_ratio, self.test_ratio = sampling, crop_ratio, test_ratio
        self.center, self.first_frame_of = center, first_frame_of
        self.align, self.normalize, self.offset = align, normalize, offset
        self.num_coordinates = 3 if channels == "xyz" else 2
        default = DEFAULT_ROTATION if channels == "xyz" else 0.0
        self.rotation = default if rotation is None else rotation
        self.scale_range, self.mirror = scale_range, mirror
        self._validate()
        self.center_joint = self._find_center(center_joint)
        self.axis_joints = None if align == "none" else axis_joints(self.layout)
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
            "first_frame_of": FirstFrameOf,
            "align": Align,
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
        if self.offset != 0 and (self.center, self.normalize) != ("none", "none"):
            raise ValueError(
                f"offset is {self.offset}, but center is {self.center!r} and normalize "
                f"{self.normalize!r}: set both to none, or offset to 0"
            )
        if self.align != "none" and self.num_coordinates != 3:
            raise ValueError(
                f"align is {self.align!r}, but channels are {self.channels!r}: only 3D clips can "
                "be aligned, set align=none"
            )
        if self.mirror > 0 and not self.layout.mirror:
            raise ValueError(
                f"layout {self.layout.name!r} has no mirror pairs: add them, or set mirror=0"
            )

    def _find_center(self, name: str | None) -> int:
        if name is None:
            return self.layout.center
        if name not in self.layout.joints:
            hint = did_you_mean(name, self.layout.joints)
            raise ValueError(f"layout {self.layout.name!r} has no joint {name!r}{hint}")
        return self.layout.joints.index(name)

    def extra_repr(self) -> str:
        return f"{self.layout.name}, {self.channels}, T={self.num_frames}, {self.stream}"

    def draw(self, lengths: Tensor, generator: Generator | None = None) -> Draws:
        """Draw a batch's parameters; the test transform's without a generator.

        Args:
            lengths: `(N,)` int64, frames of each clip.
            generator: source of randomness, on any device.
        """
        T, N, device = self.num_frames, lengths.shape[0], lengths.device
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
        """The transform with given parameters: `(N, C, T, V, M)` float32.

        Every step leaves what is not valid at zero.
        """
        D = self.num_coordinates
        clips, valid = sample_frames(batch.frames, batch.lengths, draws.positions, D)
        pose = self._reference_pose(batch, clips[:, :D], valid)
        return self._place(clips, valid, pose, draws)

    def apply_padded(self, keypoints: Tensor, lengths: Tensor) -> Tensor:
        """The deterministic transform of padded clips, by operations that can be exported.

        Args:
            keypoints: `(N, L, M, V, C)` float32; what lies beyond a clip's length is ignored.
            lengths: `(N,)` int64, frames of each clip, 1 to L.

        Returns:
            `(N, C, T, V, M)` float32, what `forward` makes of the same clips.
        """
        D, draws = self.num_coordinates, self.draw(lengths)
        clips, valid = sample_padded(keypoints, lengths, draws.positions, D)
        if self.first_frame_of == "crop":
            pose = first_pose(clips[:, :D], valid, self.center_joint)
        else:
            pose = first_pose_of_padded(keypoints, lengths, self.center_joint, D)
        return self._place(clips, valid, pose, draws)

    def _place(self, clips: Tensor, valid: Tensor, pose: Tensor, draws: Draws) -> Tensor:
        """Clips that were read `(N, C, T, V, M)`, about their reference pose `(N, D, V)`."""
        D = self.num_coordinates
        x, score = clips[:, :D], clips[:, D:]
        origin = pose[:, :, self.center_joint, None, None, None]
        if self.center == "every_frame":
            origin = own_centers(x, valid, self.center_joint, origin)
        there = valid if score.shape[1] else valid[:, :, :, :1]  # of a body, all joints or none
        x, valid = interleave(x - origin * there), valid.contiguous()  # in memory, persons last
        if self.axis_joints is not None:
            x = rotate(x, alignment(pose, self.axis_joints))
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
            x = (x + origin + self.offset).where(valid, 0.0)
        return self._take_stream(x, score, valid)

    def _reference_pose(self, batch: RaggedBatch, x: Tensor, valid: Tensor) -> Tensor:
        """Person 0 in the first frame of the crop or of the clip: `(N, D, V)`."""
        if self.first_frame_of == "crop":
            return first_pose(x, valid, self.center_joint)
        D = self.num_coordinates
        return first_pose_of_clip(batch.frames, batch.lengths, self.center_joint, D)

    def _take_stream(self, x: Tensor, score: Tensor, valid: Tensor) -> Tensor:
        """Bones and motions of the placed joints, with the score behind: `(N, C, T, V, M)`."""
        if self.stream in ("bone", "bone_motion"):
            valid = valid & valid.index_select(3, self.parents)
            x = bone(x, self.parents).where(valid, 0.0)
            score = score.minimum(score.index_select(3, self.parents))
        if self.stream in ("joint_motion", "bone_motion"):
            x = motion(x).where(valid & next_frame(valid), 0.0)
        return torch.cat([x, score], 1) if score.shape[1] else x

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

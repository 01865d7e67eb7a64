"""A small recogniser that looks at one arm and one leg, and a clip for it."""

import numpy as np
import torch
from torch import nn

from shapmix.data.transforms import Transform
from shapmix.inference.description import RecognizerInfo
from shapmix.inference.recognizer import ActionRecognizer
from shapmix.layouts import get_layout
from shapmix.serving.limits import Limits

LAYOUT = get_layout("kinect20")
CLASSES = ("still", "wave", "kick")
ARM, LEG = "right_arm", "left_leg"


class PartModel(nn.Module):
    """ "wave" is as likely as the right arm is high, "kick" as the left leg is."""

    def forward(self, x):
        height = x[:, 1].mean(1).amax(-1)  # (N, V)
        arm, leg = (height[:, list(LAYOUT.parts[part])].mean(1) for part in (ARM, LEG))
        return torch.stack([torch.zeros_like(arm), 4 * arm, 4 * leg - 1], 1)


def make_recognizer(model=None, **options):
    info = {"units": "m", "channels": "xyz", "stream": "joint", "num_frames": 16}
    background = torch.zeros(3, 16, LAYOUT.num_joints, 2)
    transform = Transform(LAYOUT, num_frames=16, center="none")
    return ActionRecognizer(
        model or PartModel(),
        transform,
        LAYOUT,
        CLASSES,
        num_persons=2,
        info=RecognizerInfo(**info, background=background, licence="cc-by-4.0", **options),
    )


def waving(frames=12, persons=1):
    """`(T, M, V, C)` a body with a raised right arm."""
    keypoints = np.full((frames, persons, LAYOUT.num_joints, 3), 0.1, dtype=np.float32)
    keypoints[:, :, list(LAYOUT.parts[ARM]), 1] = 1.0
    return keypoints


LIMITS = Limits(body_bytes=200_000, clips=3, frames=60, persons=3, seconds=20, waiting=1)


def refused(answer, status, *words):
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert isinstance(detail, str)
    for word in words:
        assert word in detail
    return detail

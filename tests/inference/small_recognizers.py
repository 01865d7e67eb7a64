"""Small recognisers and random clips, in every shape that there is."""

import numpy as np
import torch

from shapmix.data.loader import Sample, collate
from shapmix.data.transforms import Transform
from shapmix.inference.recognizer import ActionRecognizer, RecognizerInfo
from shapmix.layouts import get_layout
from shapmix.models import create_model

CLASSES = ("wave", "kick", "sit down", "stand up", "throw")


def random_clips(number, layout, channels="xyz", *, persons=2, longest=40, seed=0):
    """Clips of 1 to `longest` frames and 1 to `persons` persons, who come and go."""
    rng = np.random.default_rng(seed)
    clips = []
    for _ in range(number):
        frames, here = int(rng.integers(1, longest + 1)), int(rng.integers(1, persons + 1))
        shape = (frames, here, get_layout(layout).num_joints, len(channels))
        clip = rng.normal(size=shape).cumsum(0) * 0.1 + rng.normal(size=shape[1:])
        clip[rng.random(shape[:2]) < 0.1] = 0
        if channels == "xyc":
            clip[..., 2] = rng.uniform(-0.2, 1, shape[:3]).clip(0)
        clips.append(clip.astype(np.float32))
    return clips


def small_recognizer(
    model="tcn",
    *,
    layout="ntu25",
    channels="xyz",
    stream="joint",
    persons=2,
    num_frames=16,
    seed=0,
    temperature=1.3,
    class_names=CLASSES,
    model_options=(),
    info=(),
    shallow=False,
    **transform_options,
):
    """A recogniser whose random network tells clips apart, but not too surely.

    A shallow graph network has three blocks of ten: the first one, and those with a stride.
    """
    layout = get_layout(layout)
    transform = Transform(
        layout, channels=channels, stream=stream, num_frames=num_frames, **transform_options
    )
    options = {"width": 8, **dict(model_options)}
    facts = {"model": model, "model_options": options, "temperature": temperature}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = create_model(
            model,
            layout,
            len(class_names),
            num_persons=persons,
            in_channels=len(channels),
            **options,
        )
        if shallow and model != "tcn":
            blocks = network.classifier.blocks
            network.classifier.blocks = torch.nn.Sequential(*(blocks[i] for i in (0, 4, 7)))
        seen = random_clips(40, layout, channels, persons=persons, seed=100 + seed)
        x = transform(collate([Sample(clip, 0, i) for i, clip in enumerate(seen)], persons))
        with torch.no_grad():
            network.train()
            for _ in range(20):  # the running statistics of batch norms
                logits = network(x)
            network.eval()
            logits = network(x)
            head = [m for m in network.modules() if isinstance(m, torch.nn.Linear)][-1]
            head.weight /= logits.std(0).mean()
            head.bias -= network(x).mean(0)
    return ActionRecognizer(
        network,
        transform,
        layout,
        class_names,
        num_persons=persons,
        info=RecognizerInfo(
            "m", channels, stream, num_frames, **({"background": x.mean(0)} | facts | dict(info))
        ),
    )

"""From a configuration and data to the parts of a run: transform, model, mixer, loss, sampler."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from torch import Generator, Tensor, nn

from shapmix.counts import ClassCounts
from shapmix.data.archive import Archive
from shapmix.data.sampling import SAMPLERS, Draw, Indices
from shapmix.data.transforms import Transform
from shapmix.layouts import Layout
from shapmix.losses import LOSSES, LDAMLoss, with_cosine_classifier
from shapmix.losses.expectation import check_option
from shapmix.losses.ldam import SCALE
from shapmix.mixing import Mixup, NoMix, ShapMix, STMix
from shapmix.mixing.cmo import CMO
from shapmix.mixing.cutmix import JointCutMix
from shapmix.mixing.remix import Remix
from shapmix.models import create_model
from shapmix.suggest import did_you_mean
from shapmix.training.config import Options, TrainConfig

MIXERS: dict[str, type[nn.Module]] = {
    "shapmix": ShapMix,
    "stmix": STMix,
    "mixup": Mixup,
    "cutmix": JointCutMix,
    "remix": Remix,
    "cmo": CMO,
    "none": NoMix,
}

# What `build_mixer` gives itself; the rest of a mixer's arguments are options of the user.
_GIVEN = ("self", "layout", "class_counts", "background", "confidence_channel", "dims", "generator")


class OptionError(ValueError):
    """An option is unknown or has an impossible value."""


def build_transform(config: TrainConfig, archive: Archive) -> Transform:
    """The input transform of a run."""
    given: dict[str, Any] = {"channels": archive.info.channels, "num_frames": config.num_frames}
    given["stream"] = config.stream
    accepted = check_options(Transform, config.transform_options, "transform", ("layout", *given))
    return Transform(archive.info.layout, **given, **accepted)


def build_model(config: TrainConfig, archive: Archive, num_persons: int) -> nn.Module:
    """The backbone of a run: `(N, C, T, V, M)` to logits `(N, K)`.

    With the margins of LDAM its last layer is a `CosineClassifier`, for which they are meant.
    """
    options: dict[str, Any] = config.model_options
    num_classes = len(archive.info.class_names)
    model = create_model(
        config.model,
        archive.info.layout,
        num_classes,
        num_persons=num_persons,
        in_channels=len(archive.info.channels),
        **options,
    )
    if LOSSES[config.loss] is not LDAMLoss:
        return model
    scale: Any = config.loss_options.get("scale", SCALE)
    return with_cosine_classifier(model, num_classes, check_option("scale", scale, 1))


def build_loss(config: TrainConfig, class_counts: ClassCounts) -> nn.Module:
    """The loss of a run, for hard and soft targets."""
    kind = LOSSES[config.loss]
    options = check_options(kind, config.loss_options, f"loss {config.loss}", ("class_counts",))
    return kind(class_counts, **options)


def build_sampler(config: TrainConfig, labels: Indices) -> Draw:
    """What draws the training clips of an epoch, given the `(n,)` labels of all.

    Raises:
        OptionError: an option is unknown.
        ValueError: an option has an impossible value.
    """
    kind = SAMPLERS[config.sampler]
    options = check_options(
        kind, config.sampler_options, f"sampler {config.sampler}", ("labels", "rng")
    )
    draw = partial(kind, labels, **options)
    draw(np.random.default_rng(0))  # an impossible value is found now, not in the first epoch
    return draw


def build_mixer(
    config: TrainConfig,
    layout: Layout,
    channels: str,
    class_counts: ClassCounts,
    background: Callable[[], Tensor],
    generator: Generator,
) -> nn.Module:
    """The mixer of a run.

    Args:
        config: names the mixer and its options.
        layout: skeleton of the clips.
        channels: of the clips; a `"c"` among them is a confidence.
        class_counts: `(K,)` training clips of each class.
        background: makes the mean clip `(C, T, V, M)`; called only by mixers that need it.
        generator: source of randomness of the mixing.
    """
    kind = MIXERS[config.mixer]
    options = check_options(kind, config.mixer_options, f"mixer {config.mixer}", _GIVEN)
    wanted = inspect.signature(kind).parameters
    confidence = channels.index("c") if "c" in channels else None
    given: dict[str, Any] = {"confidence_channel": confidence, "generator": generator}
    if "background" in wanted:
        given["background"] = background()
    given = {name: value for name, value in given.items() if name in wanted}
    return kind(layout, class_counts, **given, **options)


def check_options(
    kind: Callable[..., Any], options: Options, what: str, given: tuple[str, ...]
) -> dict[str, Any]:
    """Options that `kind` accepts; lists become tuples.

    Raises:
        OptionError: an option is unknown; the nearest known one is suggested.
    """
    known = [name for name in inspect.signature(kind).parameters if name not in given]
    for name in options:
        if name not in known:
            raise OptionError(
                f"{what} has no option {name!r}{did_you_mean(name, known)}; its options are "
                f"{', '.join(known) if known else 'none'}"
            )
    return {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}

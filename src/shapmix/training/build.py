"""From a configuration and data to the parts of a run: transform, model, mixer, loss."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Generator, Tensor, nn

from shapmix.counts import ClassCounts
from shapmix.data.archive import Archive
from shapmix.data.transforms import Transform
from shapmix.layouts import Layout
from shapmix.losses import LOSSES
from shapmix.mixing import Mixup, NoMix, ShapMix, STMix
from shapmix.models import create_model
from shapmix.suggest import did_you_mean
from shapmix.training.config import Options, TrainConfig

MIXERS: dict[str, type[nn.Module]] = {
    "shapmix": ShapMix,
    "stmix": STMix,
    "mixup": Mixup,
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
    """The backbone of a run: `(N, C, T, V, M)` to logits `(N, K)`."""
    options: dict[str, Any] = config.model_options
    return create_model(
        config.model,
        archive.info.layout,
        len(archive.info.class_names),
        num_persons=num_persons,
        in_channels=len(archive.info.channels),
        **options,
    )


def build_loss(config: TrainConfig, class_counts: ClassCounts) -> nn.Module:
    """The loss of a run, for hard and soft targets."""
    return LOSSES[config.loss](class_counts)


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

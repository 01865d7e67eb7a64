"""From a configuration and data to the parts of a run: transform, model, mixer, loss, sampler."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, get_type_hints

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
from shapmix.settings import SettingError, as_typed
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


class OptionError(SettingError):
    """An option is unknown or has an impossible value."""


def build_transform(config: TrainConfig, archive: Archive) -> Transform:
    """The input transform of a run."""
    given: dict[str, Any] = {"channels": archive.info.channels, "num_frames": config.num_frames}
    given["stream"] = config.stream
    options = accepted_options(config)["transform"]
    with _refusing("transform"):
        return Transform(archive.info.layout, **given, **options)


def build_model(config: TrainConfig, archive: Archive, num_persons: int) -> nn.Module:
    """The backbone of a run: `(N, C, T, V, M)` to logits `(N, K)`.

    With the margins of LDAM its last layer is a `CosineClassifier`, for which they are meant.
    """
    options: dict[str, Any] = config.model_options
    num_classes = len(archive.info.class_names)
    with _refusing(f"model {config.model}"):
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
    with _refusing(f"loss {config.loss}"):
        return with_cosine_classifier(model, num_classes, check_option("scale", scale, 1))


def build_loss(config: TrainConfig, class_counts: ClassCounts) -> nn.Module:
    """The loss of a run, for hard and soft targets."""
    options = accepted_options(config)["loss"]
    with _refusing(f"loss {config.loss}"):
        return LOSSES[config.loss](class_counts, **options)


def build_sampler(config: TrainConfig, labels: Indices) -> Draw:
    """What draws the training clips of an epoch, given the `(n,)` labels of all.

    Raises:
        OptionError: an option is unknown, or has an impossible value.
    """
    draw = partial(SAMPLERS[config.sampler], labels, **accepted_options(config)["sampler"])
    with _refusing(f"sampler {config.sampler}"):  # now, not in the first epoch
        draw(np.random.default_rng(0))
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
    options = accepted_options(config)["mixer"]
    wanted = inspect.signature(kind).parameters
    confidence = channels.index("c") if "c" in channels else None
    given: dict[str, Any] = {"confidence_channel": confidence, "generator": generator}
    if "background" in wanted:
        given["background"] = background()
    given = {name: value for name, value in given.items() if name in wanted}
    with _refusing(f"mixer {config.mixer}"):
        return kind(layout, class_counts, **given, **options)


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """OptionError in place of the ValueError of something that does not take its options."""
    try:
        yield
    except SettingError:
        raise
    except ValueError as error:
        raise OptionError(f"{what}: {error}") from error


def accepted_options(config: TrainConfig) -> dict[str, dict[str, Any]]:
    """The options of mixer, loss, sampler and transform, as `check_options` accepts them.

    Raises:
        OptionError: one of them has no such option, or the option another type.
    """
    transform = ("layout", "channels", "num_frames", "stream")  # given by others than the options
    wanted: dict[str, tuple[Callable[..., Any], Options, tuple[str, ...]]] = {
        f"mixer {config.mixer}": (MIXERS[config.mixer], config.mixer_options, _GIVEN),
        f"loss {config.loss}": (LOSSES[config.loss], config.loss_options, ("class_counts",)),
        f"sampler {config.sampler}": (
            SAMPLERS[config.sampler],
            config.sampler_options,
            ("labels", "rng"),
        ),
        "transform": (Transform, config.transform_options, transform),
    }
    return {
        what.split()[0]: check_options(kind, options, what, given)
        for what, (kind, options, given) in wanted.items()
    }


def check_options(
    kind: Callable[..., Any], options: Mapping[str, Any], what: str, given: tuple[str, ...]
) -> dict[str, Any]:
    """Options that `kind` accepts, as its type hints want them.

    Raises:
        OptionError: an option is unknown or of another type; the nearest known one is suggested.
    """
    known = [name for name in inspect.signature(kind).parameters if name not in given]
    for name in options:
        if name not in known:
            raise OptionError(
                f"{what} has no option {name!r}{did_you_mean(name, known)}; its options are "
                f"{', '.join(known) if known else 'none'}"
            )
    hints = get_type_hints(kind.__init__ if inspect.isclass(kind) else kind)
    try:
        return {k: as_typed(k, v, hints.get(k, Any)) for k, v in options.items()}
    except SettingError as error:
        raise OptionError(f"{what}: {error}") from None

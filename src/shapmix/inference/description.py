"""What a recogniser is, as plain values: written to JSON, and read from JSON without trust."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from shapmix.data.transforms import Transform
from shapmix.inference.pretrained import PretrainedError, is_number, take
from shapmix.layouts import Layout, LayoutError
from shapmix.losses import with_cosine_classifier
from shapmix.models import MODELS, create_model
from shapmix.models.factory import is_trusted

KIND = "shapmix recognizer"
# No skeleton, class list or crowd is near these; a hostile file could ask for more memory than
# there is before any tensor is looked at.
MOST = {"joints": 1024, "classes": 100_000, "persons": 64, "frames": 100_000}


@dataclass(frozen=True)
class RecognizerInfo:
    """What a model was trained on and how good it is.

    Attributes:
        units: of the coordinates, such as "m". channels: "xyz", "xy" or "xyc".
        stream, num_frames: what the model sees.
        temperature: the logits are divided by it, so that probabilities are calibrated.
        background: `(C, T, V, M)` mean clip, stands in for absent parts in explanations.
        metrics: what `shapmix.metrics.evaluate` found, as {"test": ..., "validation": ...}.
        licence: of the weights, such as "cc-by-4.0"; empty where nobody said.
        model: name or import path for `create_model`; empty for one that only its owner can make.
        model_options: what `create_model` takes besides.
        cosine_scale: of the cosine classifier that a model trained with LDAM ends in.
        class_counts: `(K,)` training clips of each class; empty where unknown.
        source: the data set and where it comes from.
    """

    units: str
    channels: str
    stream: str
    num_frames: int
    temperature: float = 1.0
    background: Tensor | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    model: str = ""
    model_options: Mapping[str, Any] = field(default_factory=dict)
    cosine_scale: float | None = None
    class_counts: tuple[int, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class Description:
    """A recogniser without its weights."""

    transform: Transform
    layout: Layout
    class_names: tuple[str, ...]
    num_persons: int
    info: RecognizerInfo


def to_config(described: Description) -> dict[str, Any]:
    """The JSON form, without the background, which is a tensor."""
    info, transform = described.info, described.transform
    if type(transform) is not Transform:
        raise PretrainedError(
            f"the transform is a {type(transform).__name__}; only a shapmix Transform can be saved"
        )
    return {
        "kind": KIND,
        "layout": described.layout.to_dict(),
        "class_names": list(described.class_names),
        "class_counts": list(info.class_counts),
        "num_persons": described.num_persons,
        "units": info.units,
        "transform": transform_options(transform),
        "model": info.model,
        "model_options": model_options(info),
        "cosine_scale": info.cosine_scale,
        "temperature": info.temperature,
        "metrics": dict(info.metrics),
        "licence": info.licence,
        "source": info.source,
    }


def transform_options(transform: Transform) -> dict[str, Any]:
    """The arguments, but for the layout, that make this transform again."""
    names = [name for name in inspect.signature(Transform).parameters if name != "layout"]
    options = {name: getattr(transform, name) for name in names}
    options["center_joint"] = transform.layout.joints[transform.center_joint]
    return {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}


def model_options(info: RecognizerInfo) -> dict[str, Any]:
    """The options of the network, of shapmix's own with the defaults of this version beside them.

    So a later version with other defaults makes the same network.
    """
    if info.model not in MODELS:
        return dict(info.model_options)
    made = ("layout", "num_classes", "num_persons", "in_channels")
    known = inspect.signature(MODELS[info.model]).parameters.values()
    return {p.name: p.default for p in known if p.name not in made} | dict(info.model_options)


def from_config(config: Mapping[str, Any]) -> Description:
    """The inverse of `to_config`.

    Raises:
        PretrainedError: naming the entry that is missing or impossible.
    """
    if config.get("kind") != KIND:
        raise PretrainedError(
            f"the files are of a {str(config.get('kind'))[:60]!r}; expected a {KIND!r} (ensembles "
            "are loaded by Ensemble.from_pretrained)"
        )
    layout = _layout(take(config, "layout", dict))
    class_names = tuple(take(config, "class_names", list))
    _at_most("classes", len(class_names))
    if not all(isinstance(name, str) for name in class_names):
        raise PretrainedError("class_names has an entry that is no text")
    counts = take(config, "class_counts", list)
    if not all(type(count) is int and 0 <= count < 2**53 for count in counts):
        raise PretrainedError("class_counts has an entry that is no number of clips")
    num_persons = take(config, "num_persons", int)
    _at_most("persons", num_persons)
    transform = _transform(layout, take(config, "transform", dict))
    scale = None if config.get("cosine_scale") is None else take(config, "cosine_scale", float)
    info = RecognizerInfo(
        units=take(config, "units", str),
        channels=transform.channels,
        stream=transform.stream,
        num_frames=transform.num_frames,
        temperature=take(config, "temperature", float),
        metrics=take(config, "metrics", dict),
        licence=take(config, "licence", str),
        model=take(config, "model", str),
        model_options=take(config, "model_options", dict),
        cosine_scale=scale,
        class_counts=tuple(counts),
        source=take(config, "source", str),
    )
    return Description(transform, layout, class_names, num_persons, info)


def _at_most(what: str, found: int) -> None:
    if found > MOST[what]:
        raise PretrainedError(f"there are {found} {what}; expected at most {MOST[what]}")


def _layout(plain: Mapping[str, Any]) -> Layout:
    _at_most("joints", len(take(plain, "joints", list, "the layout")))
    try:
        return Layout.from_dict(plain)
    except LayoutError as error:
        raise PretrainedError(f"the layout is invalid: {error}") from error


def _transform(layout: Layout, options: Mapping[str, Any]) -> Transform:
    _at_most("frames", take(options, "num_frames", int, "transform"))
    usual = transform_options(Transform(layout))
    for name, value in options.items():
        if name not in usual or not _alike(value, usual[name]):
            raise PretrainedError(
                f"transform has {name[:60]} = {str(value)[:60]!r}; expected options like "
                f"{name[:60]} = {usual.get(name)!r}, of {', '.join(usual)}"
            )
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    try:
        return Transform(layout, **given)
    except ValueError as error:
        raise PretrainedError(f"the transform cannot be made: {error}") from error


def _alike(value: object, usual: object) -> bool:
    """Whether a value of JSON is of the kind of a usual one; numbers at most a million."""
    if isinstance(usual, list):
        return (
            isinstance(value, list) and len(value) == len(usual) and all(map(_alike, value, usual))
        )
    return is_number(value) if isinstance(usual, float) else type(value) is type(usual)


def build_model(described: Description, given: nn.Module | str | None) -> nn.Module:
    """The network of a description, with random weights.

    One of shapmix's own is made on torch's meta device: it takes no memory, whatever the options
    ask for, until its weights have been found to fit.

    Args:
        described: the recogniser.
        given: the user's own network, or the import paths that the user trusts.

    Raises:
        PretrainedError: the network is foreign code and was not given, or cannot be made.
    """
    info = described.info
    if isinstance(given, nn.Module):
        return given
    if not info.model:
        raise PretrainedError("the files do not say how to make the network: pass model=...")
    if info.model not in MODELS and not is_trusted(info.model, given):
        raise PretrainedError(
            f"the network is not one of {', '.join(MODELS)} but {info.model[:200]!r}, the code of "
            "somebody else. Loading never runs code that a file names: if you trust it, pass "
            f"model={info.model[:200]!r}, or an nn.Module made by you (on the command line, "
            f"--model {info.model[:200]!r})"
        )
    if info.model in MODELS:
        with torch.device("meta"), _Uninitialized():
            return _create(described)
    with torch.random.fork_rng(devices=[]):
        return _create(described)


class _Uninitialized(TorchFunctionMode):
    """Draws no normal numbers: on the meta device that loads torch's compiler, for seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (nn.init.normal_, Tensor.normal_):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _create(described: Description) -> nn.Module:
    info, classes = described.info, len(described.class_names)
    try:
        model = create_model(
            info.model,
            described.layout,
            classes,
            num_persons=described.num_persons,
            in_channels=len(info.channels),
            **info.model_options,
        )
        if info.cosine_scale is None:
            return model
        return with_cosine_classifier(model, classes, info.cosine_scale)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PretrainedError(f"the network {info.model!r} cannot be made: {error}") from error


def materialize(described: Description, model: nn.Module) -> nn.Module:
    """The network off the meta device; only call it once its weights are known to fit."""
    if not any(value.is_meta for value in model.state_dict().values()):
        return model
    with torch.random.fork_rng(devices=[]):
        return _create(described)


def check_described(described: Description, tensors: Mapping[str, Tensor]) -> None:
    """Refuse to save weights that the description would not fit when it is loaded again.

    Raises:
        PretrainedError: `info.model` and its options make another network.
    """
    if described.info.model not in MODELS:  # its owner gives the network when it is loaded
        return
    made = build_model(described, None).state_dict()
    if {f"model.{k}": v.shape for k, v in made.items()} != {k: v.shape for k, v in tensors.items()}:
        raise PretrainedError(
            f"the network is not what info.model {described.info.model!r} with "
            f"{dict(described.info.model_options)} makes: correct info, or leave its model empty"
        )


def check_temperature(temperature: float) -> None:
    """Refuse a temperature that is none."""
    if not 1e-3 <= temperature <= 1e3:  # so that logits stay finite
        raise ValueError(f"temperature is {temperature}; expected 0.001 to 1000")


def check_names(names: Sequence[str]) -> None:
    """Refuse class names that are not unique."""
    if not names or len(set(names)) != len(names):
        raise ValueError("class_names are empty or not unique: give each class its own name")

"""Models by name, or a user's own by import path."""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any, get_type_hints

from torch import nn

from shapmix.layouts import Layout, get_layout
from shapmix.models.ctrgcn import CTRGCN
from shapmix.models.stgcn import STGCN
from shapmix.models.tcn import TCN
from shapmix.settings import SettingError, as_typed
from shapmix.suggest import did_you_mean

MODELS: dict[str, type[nn.Module]] = {"ctrgcn": CTRGCN, "stgcn": STGCN, "tcn": TCN}


class ModelError(SettingError):
    """A model cannot be found or made; the message says what to change."""


def create_model(
    name: str,
    layout: str | Path | Layout,
    num_classes: int,
    *,
    num_persons: int = 1,
    in_channels: int = 3,
    width: int | None = None,
    **options: Any,
) -> nn.Module:
    """Make a network from clips (N, C, T, V, M) to logits (N, K).

    Args:
        name: a key of `MODELS`, or the import path ``"package.module:Class"`` of an own
            ``nn.Module`` (or of a function that returns one), which is called with ``layout=``
            (a `Layout`), ``num_classes=``, ``num_persons=``, ``in_channels=`` and the options.
        layout: name, file or object of the skeleton, V joints.
        num_classes: K.
        num_persons: M.
        in_channels: C.
        width: channels of the first blocks; None for the model's own default.
        **options: what else the model takes, for example ``dropout``.

    Raises:
        ModelError: for an unknown name or option (with the nearest known one), an option of another
            type, an import path that leads nowhere, or something that is no ``nn.Module``.
        LayoutError: for an unknown or invalid layout.
        ValueError: from the model, for a value that it cannot work with.
    """
    make = find_model(name)
    chosen = {**({} if width is None else {"width": width}), **options}
    arguments = {
        "layout": get_layout(layout),
        "num_classes": num_classes,
        "num_persons": num_persons,
        "in_channels": in_channels,
        **chosen,
    }
    _check_arguments(name, make, arguments)
    arguments |= _typed(name, make, chosen)
    model = make(**arguments)
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"model {name!r} returned {type(model).__name__}; expected a torch.nn.Module"
        )
    return model


def find_model(name: str) -> Callable[..., object]:
    """What makes the model of this name or import path.

    Raises:
        ModelError: there is none; the nearest known name is suggested.
    """
    return _import(name) if ":" in name else _named(name)


def is_trusted(path: str, given: str | None) -> bool:
    """Whether code that a file names may run: only what the user names again.

    Args:
        path: the import path in the file.
        given: import paths that the user trusts, with commas between them.
    """
    return given is not None and path in given.split(",")


def _named(name: str) -> Callable[..., object]:
    if name not in MODELS:
        plain = name.lower().replace("-", "").replace("_", "")
        raise ModelError(
            f"unknown model {name!r}{did_you_mean(plain, MODELS)}; expected one of "
            f"{', '.join(MODELS)}, or the import path of your own, 'package.module:Class'"
        )
    return MODELS[name]


def _import(path: str) -> Callable[..., object]:
    """The class or function that ``package.module:Class`` names."""
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise ModelError(f"model {path!r} is incomplete; expected 'package.module:Class'")
    try:
        module = import_module(module_name)
    except Exception as error:  # whatever a user's module raises while it is imported
        raise ModelError(
            f"model {path!r}: importing {module_name!r} failed with {type(error).__name__}: "
            f"{error}; is it installed, or its folder on PYTHONPATH?"
        ) from error
    try:
        target = attrgetter(attribute)(module)
    except AttributeError:
        hint = did_you_mean(attribute, vars(module))
        raise ModelError(f"model {path!r}: {module_name} has no {attribute!r}{hint}") from None
    if not callable(target):
        raise ModelError(
            f"model {path!r} is {type(target).__name__}; expected an nn.Module class, "
            "or a function that returns an nn.Module"
        )
    make: Callable[..., object] = target
    return make


def _check_arguments(
    name: str, make: Callable[..., object], arguments: Mapping[str, object]
) -> None:
    """Refuse a call that does not fit the model's signature, before it is made."""
    try:
        signature = inspect.signature(make)
    except ValueError:  # a callable without a signature: its own error must do
        return
    try:
        signature.bind(**arguments)
    except TypeError as error:
        unknown = [key for key in arguments if key not in signature.parameters]
        hint = did_you_mean(unknown[0], signature.parameters) if unknown else ""
        raise ModelError(
            f"model {name!r} {error}{hint}; it takes {', '.join(signature.parameters)}, "
            f"and would be called with {', '.join(arguments)}"
        ) from None


def _typed(name: str, make: Callable[..., object], options: Mapping[str, object]) -> dict[str, Any]:
    """Options that were given, as the hints of the model want them, where it has any.

    A default may be what its hint does not say: `drop: float = None`.
    """
    try:
        hints = get_type_hints(make.__init__ if inspect.isclass(make) else make)
        parameters = inspect.signature(make).parameters
    except Exception:  # a user's hints may name what is not there
        return dict(options)
    defaults = {key: parameter.default for key, parameter in parameters.items()}
    try:
        return {
            key: value
            if value is None and defaults.get(key, value) is None
            else as_typed(key, value, hints.get(key, Any))
            for key, value in options.items()
        }
    except SettingError as error:
        raise ModelError(f"model {name!r}: {error}") from None

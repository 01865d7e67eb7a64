"""Settings in a YAML file, looked at before the parser of the command line takes them."""

from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

from shapmix.settings import SettingError
from shapmix.suggest import did_you_mean
from shapmix.training.config import TrainConfig


class SettingsFile(ActionConfigFile):
    """The action of `--config`: a file whose keys are fields of `TrainConfig`."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: Any = None) -> None:
        """Check the keys; values are checked like those of flags."""
        path = Path(values)
        if path.is_file() or path.is_dir() or not path.exists():  # a pipe can be read only once
            check_keys(path, ["config", *(field.name for field in fields(TrainConfig))])
        super().__call__(parser, cfg, values, option_string)  # type: ignore[no-untyped-call]


def check_keys(path: Path, known: Collection[str]) -> None:
    """Make sure that a file is YAML and maps known names to values.

    Raises:
        SettingError: it cannot be read, is empty or something else than that, or has an unknown
            key; the nearest known one is suggested.
    """
    settings = "expected settings of `shapmix train`, a line each, such as `epochs: 30`"
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise SettingError(f"{path} {what}; expected a YAML file with settings")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise SettingError(
            f"{path} is not in UTF-8 (byte {error.object[error.start]:#x} at {error.start}): save "
            "it in that encoding"
        ) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise SettingError(f"{path} is no YAML: {error}") from None
    if content is None:
        raise SettingError(f"{path} is empty; {settings}")
    if not isinstance(content, dict):
        raise SettingError(f"{path} holds a {type(content).__name__}; {settings}")
    for key, value in content.items():
        if key not in known:
            raise SettingError(f"{path} has an unknown setting {key!r}{_hint(key, value, known)}")


def _hint(key: object, value: object, known: Collection[str]) -> str:
    """What is likely meant by an unknown key."""
    if isinstance(value, dict) and any(name in known for name in value):
        inside = ", ".join(str(name) for name in value)
        return f": write what is in it ({inside}) at the top level, beside the other settings"
    return did_you_mean(str(key).replace("-", "_"), known)

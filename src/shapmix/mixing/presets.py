"""The choices of Shap-Mix: ours and the published ones."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from shapmix.mixing.options import LabelWeight

Estimator = Literal["exact", "sampled"]


@dataclass(frozen=True)
class Preset:
    """Choices that `ShapMix(preset=...)` makes where the caller makes none."""

    estimator: Estimator
    tau: float
    momentum: float
    mixup_prob: float
    presence: bool
    mixup_confidence: bool
    label_weight: LabelWeight


PRESETS = {
    "default": Preset(
        estimator="exact",
        tau=0.2,
        momentum=0.3,
        mixup_prob=0.25,
        presence=True,
        mixup_confidence=False,
        label_weight="saliency",
    ),
    "paper": Preset(
        estimator="sampled",
        tau=0.2,
        momentum=0.9,
        mixup_prob=0.25,
        presence=False,
        mixup_confidence=True,
        label_weight="area",
    ),
}


def resolve(preset: str, given: Mapping[str, object]) -> Preset:
    """A preset with single choices overridden, those that are not None, checked.

    Raises:
        ValueError: an unknown preset or an impossible choice.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset {preset!r} is not known; expected one of {', '.join(PRESETS)}")
    given = {name: value for name, value in given.items() if value is not None}
    choice = replace(PRESETS[preset], **given)  # type: ignore[arg-type]
    if choice.estimator == "sampled" and "label_weight" not in given:
        choice = replace(choice, label_weight="area")  # it knows no saliency of single parts
    if choice.estimator not in ("exact", "sampled"):
        raise ValueError(f'estimator is {choice.estimator!r}; expected "exact" or "sampled"')
    if not choice.tau > 0 or not 0 <= choice.momentum < 1:
        raise ValueError(
            f"tau is {choice.tau} and momentum {choice.momentum}; expected tau > 0 and momentum in "
            "[0, 1)"
        )
    if choice.estimator == "sampled" and choice.label_weight != "area":
        raise ValueError(
            f'label_weight is "{choice.label_weight}" and estimator "sampled": saliency of '
            'single parts is known to estimator="exact" only, set one of the two'
        )
    return choice

"""Mixing beyond the paper: options that are off by default, each on its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Partners = Literal["shift", "rarer"]
Guidance = Literal["saliency", "uniform", "shuffled", "other-class", "anti"]
LabelWeight = Literal["area", "saliency", "other-class"]


@dataclass(frozen=True)
class PasteOptions:
    """How clips are paired and pasted, with or without guidance.

    Attributes:
        per_clip: draw the windows (and the unguided coalition) for each clip, not once a batch.
        partners: `"shift"`, one cyclic shift a batch, as published; `"rarer"`, each receiver draws
            its partner from the other clips of the batch with weight `1 / n_class`.
        move_bodies: let a body that only the partner has appear in the window, whole.

    Raises:
        ValueError: an option has an unknown value.
    """

    per_clip: bool = False
    partners: Partners = "shift"
    move_bodies: bool = False

    def __post_init__(self) -> None:
        _check_choice("partners", self.partners, get_args(Partners))
        _check_flags(self, ("per_clip", "move_bodies"))


@dataclass(frozen=True)
class GuideOptions:
    """What guides the choice of parts, and what the mix is called.

    Attributes:
        guidance: where the scores come from (see `guidance.redirect`).
        guidance_seed: seed of the fixed permutations of `"shuffled"` and `"other-class"`, of
            guidance and of labels.
        tail_aware: let the rarer class decide. Without, whatever the counts, S is drawn from the
            partner's class and pasted.
        label_weight: `"saliency"` weighs guided labels by the share of saliency that is pasted
            (see `label_weight.salient_share`); `"area"` by the share of joints, as published;
            `"other-class"`, for experiments, by the saliency of another class.

    Raises:
        ValueError: an option has an unknown value.
    """

    guidance: Guidance = "saliency"
    guidance_seed: int = 0
    tail_aware: bool = True
    label_weight: LabelWeight = "area"

    def __post_init__(self) -> None:
        _check_choice("guidance", self.guidance, get_args(Guidance))
        _check_choice("label_weight", self.label_weight, get_args(LabelWeight))
        _check_flags(self, ("tail_aware",))


def whole_sizes(sizes: Sequence[float] | None) -> tuple[int, ...] | None:
    """Sizes of coalitions as integers; a configuration file gives them as 2.0 and 3.0.

    Raises:
        ValueError: something else than whole numbers.
    """
    if sizes is None:
        return None
    if not isinstance(sizes, Sequence) or not all(size == int(size) for size in sizes):
        raise ValueError(f"coalition_sizes is {sizes!r}; expected whole numbers, such as [2, 3]")
    return tuple(int(size) for size in sizes)


def _check_choice(name: str, found: object, known: tuple[str, ...]) -> None:
    if found not in known:
        raise ValueError(f"{name} is {found!r}; expected one of {', '.join(known)}")


def _check_flags(options: object, names: tuple[str, ...]) -> None:
    for name in names:
        if not isinstance(found := getattr(options, name), bool):
            raise ValueError(f"{name} is {found!r}; expected true or false")

"""Mixing beyond the paper: options that are off by default, each on its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Partners = Literal["shift", "permutation", "rarer"]
Guidance = Literal["saliency", "uniform", "shuffled", "other-class", "anti"]
ClassTau = Literal["same", "scaled"]
LabelWeight = Literal["area", "saliency", "other-class"]


@dataclass(frozen=True)
class PasteOptions:
    """How clips are paired and pasted, with or without guidance.

    Attributes:
        per_clip: draw the windows (and the unguided coalition) for each clip, not once a batch.
        partners: `"shift"`, one cyclic shift a batch, as published; `"permutation"`, one random
            cycle through the batch; `"rarer"`, each receiver draws its partner from the other
            clips of the batch with weight `1 / n_class`.
        attach: hang pasted joints on the receiver's body (see `attaching.attach`). For the joint
            stream only: bones and motions hang on nothing.
        keep_lengths: give pasted bones the receiver's lengths; only with `attach`, for 3D.
        carry: let the receiver's joints follow a pasted joint that they hang on; only with
            `attach`.
        blend: frames of cross-fading inside each end of the window (see `blending.fade`).
        move_bodies: let a body that only the partner has appear in the window, whole.

    Raises:
        ValueError: an option is unknown, out of range or without what it needs.
    """

    per_clip: bool = False
    partners: Partners = "shift"
    attach: bool = False
    keep_lengths: bool = False
    carry: bool = False
    blend: int = 0
    move_bodies: bool = False

    def __post_init__(self) -> None:
        _check_choice("partners", self.partners, get_args(Partners))
        _check_flags(self, ("per_clip", "attach", "keep_lengths", "carry", "move_bodies"))
        if (self.keep_lengths or self.carry) and not self.attach:
            raise ValueError(
                f"keep_lengths is {self.keep_lengths} and carry {self.carry} while attach is "
                "False: both say how joints are attached, set attach=True"
            )
        if not isinstance(self.blend, int) or isinstance(self.blend, bool) or self.blend < 0:
            raise ValueError(f"blend is {self.blend!r}; expected a number of frames, 0 or more")


@dataclass(frozen=True)
class GuideOptions:
    """What guides the choice of parts, and what the mix is called.

    Attributes:
        guidance: where the scores come from (see `guidance.redirect`).
        guidance_seed: seed of the fixed permutations of `"shuffled"` and `"other-class"`, of
            guidance and of labels.
        tail_aware: let the rarer class decide. Without, whatever the counts, S is drawn from the
            partner's class and pasted.
        tau_end: temperature that is reached at epoch `tau_epochs`, geometrically from `tau` at the
            end of the warm-up (see `guidance.temperature`).
        tau_epochs: epoch at which `tau_end` is reached; from then on it stays.
        class_tau: `"scaled"` divides the scores of each class by their own spread (see
            `guidance.scale_by_class`).
        label_weight: `"saliency"` weighs guided labels by the share of saliency that is pasted
            (see `label_weight.salient_share`); `"area"` by the share of joints, as published;
            `"other-class"`, for experiments, by the saliency of another class.

    Raises:
        ValueError: an option is unknown, out of range or without what it needs.
    """

    guidance: Guidance = "saliency"
    guidance_seed: int = 0
    tail_aware: bool = True
    tau_end: float | None = None
    tau_epochs: int | None = None
    class_tau: ClassTau = "same"
    label_weight: LabelWeight = "area"

    def __post_init__(self) -> None:
        _check_choice("guidance", self.guidance, get_args(Guidance))
        _check_choice("class_tau", self.class_tau, get_args(ClassTau))
        _check_choice("label_weight", self.label_weight, get_args(LabelWeight))
        _check_flags(self, ("tail_aware",))
        if (self.tau_end is None) != (self.tau_epochs is None):
            raise ValueError(
                f"tau_end is {self.tau_end} and tau_epochs {self.tau_epochs}: give both or neither"
            )
        if self.tau_end is not None and not self.tau_end > 0:
            raise ValueError(f"tau_end is {self.tau_end}; expected more than 0")

    def check_with(self, *, estimator: str, warmup_epochs: int) -> None:
        """Check against other choices.

        Raises:
            ValueError: labels by saliency without values of single parts, or a schedule that ends
                within the warm-up.
        """
        if self.label_weight != "area" and estimator != "exact":
            raise ValueError(
                f'label_weight is "{self.label_weight}" and estimator {estimator!r}: saliency of '
                'single parts is known to estimator="exact" only, set one of the two'
            )
        if self.tau_epochs is not None and self.tau_epochs <= warmup_epochs:
            raise ValueError(
                f"tau_epochs is {self.tau_epochs} and warmup_epochs {warmup_epochs}: the "
                "temperature changes after the warm-up, give a later epoch"
            )


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

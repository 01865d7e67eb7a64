"""Several recognisers of the same classes that predict as one: streams, models or seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
from torch import nn

from shapmix.inference.description import RecognizerInfo, check_temperature
from shapmix.inference.hub import locate, push
from shapmix.inference.keypoints import as_clips
from shapmix.inference.model_card import model_card
from shapmix.inference.pretrained import (
    PretrainedError,
    check_folder,
    is_number,
    read_config,
    take,
    write_files,
)
from shapmix.inference.recognizer import (
    ActionRecognizer,
    Array,
    Prediction,
    ranked,
    softmax,
)
from shapmix.layouts import Layout
from shapmix.metrics.fusion import Fused, fuse

KIND = "shapmix ensemble"
MOST_MEMBERS = 64


class Ensemble(nn.Module):
    """The weighted mean of the scores of several recognisers, as `shapmix ensemble` fuses them.

    Args:
        members: two or more, of the same classes, layout, channels and units; streams, frames and
            networks may differ. Ensembles may be members.
        weights: one for each member, only their proportions matter; equal when not given.
        scores: what is averaged, "logits" or "probabilities"; see `shapmix.metrics.fusion.fuse`.
        temperature: the fused logits are divided by it.
        metrics: what is known of the ensemble, as in `RecognizerInfo`.

    Raises:
        ValueError: fewer than two members, members of different kinds, or impossible weights.
    """

    def __init__(
        self,
        members: Sequence["ActionRecognizer | Ensemble"],
        weights: Sequence[float] | None = None,
        *,
        scores: Fused = "logits",
        temperature: float = 1.0,
        metrics: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        given = [1.0] * len(members) if weights is None else list(weights)
        _validate(members, given, scores, temperature)
        self.members = nn.ModuleList(members)
        self.weights = tuple(float(weight) / sum(given) for weight in given)
        self.scores, self.temperature = scores, temperature
        self.metrics = dict(metrics or {})

    @property
    def parts(self) -> "list[ActionRecognizer | Ensemble]":
        """The members."""
        return list(self.members)  # type: ignore[arg-type]

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names in label order."""
        return self.parts[0].class_names

    @property
    def layout(self) -> Layout:
        """The skeleton."""
        return self.parts[0].layout

    @property
    def num_persons(self) -> int:
        """The largest number of persons that a member looks at."""
        return max(part.num_persons for part in self.parts)

    @property
    def info(self) -> RecognizerInfo:
        """What the members share; streams, frames and networks are the first member's."""
        first = self.parts[0].info
        return replace(first, temperature=self.temperature, metrics=self.metrics, background=None)

    def logits(self, clips: Sequence[Any], *, batch_size: int = 64) -> Array:
        """The fused scores of raw clips, before the temperature: `(n, K)`.

        Args:
            clips, batch_size: as of `ActionRecognizer.logits`.

        Raises:
            ValueError: as of `ActionRecognizer.logits`.
        """
        found = [part.logits(clips, batch_size=batch_size) for part in self.parts]
        return fuse(found, self.weights, self.scores).astype(np.float32)

    def probabilities(self, clips: Sequence[Any], *, batch_size: int = 64) -> Array:
        """Calibrated probabilities of raw clips: `(n, K)`; see `logits`."""
        return softmax(self.logits(clips, batch_size=batch_size) / self.temperature)

    def predict(self, clips: Any, top: int = 5) -> list[list[Prediction]]:
        """The likeliest actions of one clip or of several; see `ActionRecognizer.predict`."""
        return ranked(self.probabilities(as_clips(clips)), self.class_names, top)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `config.json` and a model card, and each member into a folder of its own.

        Raises:
            PretrainedError: as of `ActionRecognizer.save_pretrained`.
        """
        check_folder(folder)
        for i, part in enumerate(self.parts):
            part.save_pretrained(Path(folder) / _member(i))
        config = {
            "kind": KIND,
            "weights": list(self.weights),
            "scores": self.scores,
            "temperature": self.temperature,
            "metrics": self.metrics,
        }
        members = "; ".join(f"{p.info.model or 'own'} on {p.info.stream}" for p in self.parts)
        card = model_card(
            self.layout,
            self.class_names,
            self.info,
            loader="Ensemble",
            network=f"An ensemble of {len(self.parts)} networks ({members}).",
            models=[part.info.model for part in self.parts],
        )
        write_files(folder, config, {}, card)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        model: str | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
    ) -> Self:
        """Load a saved ensemble; arguments and errors are those of `ActionRecognizer`'s."""
        folder = locate(name, revision=revision, token=token)
        config = read_config(folder)
        if config.get("kind") != KIND:
            raise PretrainedError(
                f"{folder} holds a {str(config.get('kind'))[:60]!r}, no ensemble: load it by "
                "ActionRecognizer.from_pretrained"
            )
        weights, scores = take(config, "weights", list), take(config, "scores", str)
        if not 2 <= len(weights) <= MOST_MEMBERS or not all(map(is_number, weights)):
            raise PretrainedError(f"{folder}: weights must be 2 to {MOST_MEMBERS} numbers")
        members = [load_saved(folder / _member(i), model=model) for i in range(len(weights))]
        temperature, metrics = take(config, "temperature", float), take(config, "metrics", dict)
        try:
            return cls(
                members,
                weights,
                scores=scores,  # type: ignore[arg-type]  # checked there
                temperature=temperature,
                metrics=metrics,
            )
        except ValueError as error:
            raise PretrainedError(f"{folder}: {error}") from error

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        message: str = "A shapmix ensemble of action recognisers",
    ) -> str:
        """Save into a repository of the hub; see `ActionRecognizer.push_to_hub`."""
        return push(self.save_pretrained, repo_id, private=private, token=token, message=message)


def load_saved(
    name: str | Path,
    *,
    model: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
) -> ActionRecognizer | Ensemble:
    """Load a saved recogniser or ensemble, whichever it is.

    Args:
        name, model, revision, token: as of `ActionRecognizer.from_pretrained`.

    Raises:
        PretrainedError: as of `ActionRecognizer.from_pretrained`.
    """
    folder = locate(name, revision=revision, token=token)
    kind = Ensemble if read_config(folder).get("kind") == KIND else ActionRecognizer
    return kind.from_pretrained(folder, model=model)


def _member(number: int) -> str:
    """Name of the folder of a member."""
    return f"member-{number}"


def _validate(
    members: Sequence[ActionRecognizer | Ensemble],
    weights: Sequence[float],
    scores: str,
    temperature: float,
) -> None:
    if len(members) < 2 or len(members) != len(weights):
        raise ValueError(
            f"there are {len(members)} members and {len(weights)} weights; expected two or more "
            "members, and a weight for each"
        )
    total = sum(weights)
    if not all(weight >= 0 for weight in weights) or not 0 < total < float("inf"):
        raise ValueError(f"weights are {weights}; expected none negative and not all zero")
    if scores not in get_args(Fused):
        raise ValueError(f"scores are {scores!r}; expected one of {', '.join(get_args(Fused))}")
    check_temperature(temperature)
    first, *others = members
    for other in others:
        for name, (ours, theirs) in {
            "classes": (first.class_names, other.class_names),
            "layout": (first.layout, other.layout),
            "channels": (first.info.channels, other.info.channels),
            "units": (first.info.units, other.info.units),
        }.items():
            if ours != theirs:
                raise ValueError(f"members differ in {name}: fuse models of the same data set")

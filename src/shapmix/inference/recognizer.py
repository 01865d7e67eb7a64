"""A trained model with all that it takes to use it: from raw keypoints to named actions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shapmix.data.loader import RaggedBatch
from shapmix.data.transforms import Transform
from shapmix.inference.description import (
    Description,
    RecognizerInfo,
    build_model,
    check_described,
    check_names,
    check_temperature,
    from_config,
    materialize,
    to_config,
)
from shapmix.inference.explain import Explanation, Parts, explain
from shapmix.inference.hub import locate, push
from shapmix.inference.keypoints import as_clips, check_clip, ragged
from shapmix.inference.model_card import model_card
from shapmix.inference.pretrained import PretrainedError, read_config, read_tensors, write_files
from shapmix.layouts import Layout
from shapmix.mixing.values import evaluation
from shapmix.suggest import did_you_mean, position

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Prediction:
    """One action that a clip may show.

    Attributes:
        label: name of the class. probability: calibrated, 0 to 1. index: of the class.
    """

    label: str
    probability: float
    index: int


class ActionRecognizer(nn.Module):
    """From raw keypoints to calibrated probabilities of named actions.

    Args:
        model: from `(N, C, T, V, M)` to logits `(N, K)`.
        transform: from raw clips to the model's input.
        layout: the skeleton, V joints.
        class_names: K names in label order.
        num_persons: M; further persons of a clip are left out, missing ones are zeros.
        info: the rest.

    Raises:
        ValueError: the parts do not belong together.
    """

    background: Tensor | None

    def __init__(
        self,
        model: nn.Module,
        transform: Transform,
        layout: Layout,
        class_names: Sequence[str],
        *,
        num_persons: int,
        info: RecognizerInfo,
    ) -> None:
        super().__init__()
        self.model, self.transform, self.layout = model, transform, layout
        self.class_names, self.num_persons, self.info = tuple(class_names), num_persons, info
        self._validate()
        self.register_buffer("background", info.background)
        self.eval()

    def _validate(self) -> None:
        if self.transform.layout != self.layout:
            raise ValueError(
                f"the transform is for layout {self.transform.layout.name!r}, but layout is "
                f"{self.layout.name!r}: give the same to both"
            )
        for name in ("channels", "stream", "num_frames"):
            ours, theirs = getattr(self.info, name), getattr(self.transform, name)
            if ours != theirs:
                raise ValueError(f"info has {name} {ours!r}, but the transform {theirs!r}")
        check_names(self.class_names)
        check_temperature(self.info.temperature)
        if len(self.info.class_counts) not in (0, len(self.class_names)):
            raise ValueError(
                f"info has {len(self.info.class_counts)} class_counts for "
                f"{len(self.class_names)} classes"
            )
        if self.num_persons < 1:
            raise ValueError(f"num_persons is {self.num_persons}; expected at least 1")
        expected = (len(self.info.channels), self.info.num_frames, *self.body_shape)
        found = self.info.background
        if found is not None and tuple(found.shape) != expected:
            raise ValueError(f"background has shape {tuple(found.shape)}; expected {expected}")

    @property
    def body_shape(self) -> tuple[int, int]:
        """(V, M)."""
        return self.layout.num_joints, self.num_persons

    @property
    def device(self) -> torch.device:
        """Where the model and its input are."""
        return self.transform.parents.device

    def forward(self, x: Tensor) -> Tensor:
        """Calibrated logits `(N, K)` of the model's input `(N, C, T, V, M)`."""
        logits: Tensor = self.model(x) / self.info.temperature
        return logits

    def logits(self, clips: Sequence[Any], *, batch_size: int = 64) -> Array:
        """The model's output for raw clips, before the temperature: `(n, K)`.

        Args:
            clips: n arrays `(T, M, V, C)` or `(T, V, C)` of any lengths and numbers of persons.
            batch_size: clips in a forward pass.

        Raises:
            ValueError: a clip has another shape, no frame, or values that are not finite.
        """
        found = [np.empty((0, len(self.class_names)), dtype=np.float32)]
        with evaluation(self.model) as run:
            for batch in self._batches(clips, batch_size):
                found.append(run(self.transform(batch)).float().cpu().numpy())
        return np.concatenate(found)

    def probabilities(self, clips: Sequence[Any], *, batch_size: int = 64) -> Array:
        """Calibrated probabilities of raw clips: `(n, K)`; see `logits`."""
        return softmax(self.logits(clips, batch_size=batch_size) / self.info.temperature)

    def predict(self, clips: Any, top: int = 5) -> list[list[Prediction]]:
        """The likeliest actions of one clip or of several, the likeliest first.

        Args:
            clips: one array `(T, M, V, C)` or `(T, V, C)`, or a sequence of such.
            top: how many actions a clip.

        Raises:
            ValueError: as `logits`.
        """
        return ranked(self.probabilities(as_clips(clips)), self.class_names, top)

    def explain(
        self, clip: Any, label: int | str | None = None, parts: Parts | None = None
    ) -> Explanation:
        """What each part of the body does for or against the classes in one clip.

        Args:
            clip: `(T, M, V, C)` or `(T, V, C)`.
            label: explain only this class, by index or name; all classes when not given.
            parts: another partition of the joints than the layout's parts.

        Raises:
            ValueError: an unknown class, a bad clip, or a recogniser without a background.
        """
        if self.background is None:
            raise ValueError("this recogniser has no background clip: give info one to explain")
        (batch,) = self._batches([clip], 1)
        with torch.no_grad():
            x = self.transform(batch)[0]
        found = explain(self, x, self.layout, self.background, parts=parts)
        if label is None:
            return found
        row = class_index(label, self.class_names)
        values, labels = found.clip_values[row, None], found.labels[row, None]
        return Explanation(self.layout, found.part_names, values, labels, found.num_classes)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `model.safetensors`, `config.json` and a model card, `README.md`, into a folder.

        They hold everything that a prediction from raw keypoints needs.

        Raises:
            PretrainedError: the transform is not shapmix's own, or `info.model` and its options
                do not describe this network.
        """
        described = self._description()
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        check_described(described, tensors)
        if self.background is not None:
            tensors["background"] = self.background
        kind = self.info.model or "user's own"
        network = (
            f"A network of the kind {kind}; its input is the {self.info.stream} stream of "
            f"{self.num_persons} person(s) in {self.info.num_frames} frames."
        )
        models = [self.info.model]
        card = model_card(self.layout, self.class_names, self.info, network=network, models=models)
        write_files(folder, to_config(described), tensors, card)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        model: nn.Module | str | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
    ) -> Self:
        """Load a saved recogniser; no code that its files name is ever run.

        Args:
            name: a folder that `save_pretrained` made, or owner/name on the Hugging Face hub.
            model: only for a network that is not one of shapmix's: an `nn.Module` (which is given
                the weights), or its import path, by which you say that you trust this code.
            revision: branch, tag or commit on the hub. token: for a private repository.

        Raises:
            PretrainedError: the files are missing, damaged, or of foreign code that was not given.
        """
        folder = locate(name, revision=revision, token=token)
        described = from_config(read_config(folder))
        network = build_model(described, model)
        expected = {f"model.{name}": value for name, value in network.state_dict().items()}
        info, (V, M) = described.info, (described.layout.num_joints, described.num_persons)
        shape = (len(info.channels), info.num_frames, V, M)
        tensors = read_tensors(folder, expected | {"background": torch.empty(shape, device="meta")})
        info = replace(info, background=tensors.pop("background", None))
        network = materialize(described, network)
        network.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items()})
        try:
            return cls(
                network,
                described.transform,
                described.layout,
                described.class_names,
                num_persons=M,
                info=info,
            )
        except ValueError as error:
            raise PretrainedError(f"{folder}: {error}") from error

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        message: str = "A shapmix action recogniser",
    ) -> str:
        """Save into a repository of the Hugging Face hub, made if there is none.

        Args:
            repo_id: owner/name. private: of a new repository. token: else that of `hf auth login`.
            message: of the commit.

        Returns:
            The address of the commit.
        """
        return push(self.save_pretrained, repo_id, private=private, token=token, message=message)

    def _description(self) -> Description:
        parts = self.transform, self.layout, self.class_names, self.num_persons, self.info
        return Description(*parts)

    def _batches(self, clips: Sequence[Any], batch_size: int) -> Iterator[RaggedBatch]:
        checked = [
            check_clip(clip, i, self.layout, self.info.channels) for i, clip in enumerate(clips)
        ]
        for start in range(0, len(checked), batch_size):
            chunk = checked[start : start + batch_size]
            yield ragged(chunk, self.num_persons).to(self.device)


def ranked(probabilities: Array, class_names: Sequence[str], top: int) -> list[list[Prediction]]:
    """The `top` likeliest classes of each row `(n, K)`, ties to the lower index."""
    if top < 1:
        raise ValueError(f"top is {top}; expected 1 or more")
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return [
        [Prediction(class_names[k], float(row[k]), int(k)) for k in best]
        for row, best in zip(probabilities, order, strict=True)
    ]


def class_index(label: int | str, class_names: Sequence[str]) -> int:
    """The index of a class given by index or name.

    Raises:
        ValueError: there is no such class.
    """
    if isinstance(label, str):
        found = position(label, class_names)
        if found is None:
            raise ValueError(f"there is no class {label!r}{did_you_mean(label, class_names)}")
        return found
    if not 0 <= label < len(class_names):
        raise ValueError(f"there is no class {label}; expected 0 to {len(class_names) - 1}")
    return label


def softmax(logits: NDArray[Any]) -> Array:
    """Of each row: `(n, K)` float32."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    shares: Array = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares

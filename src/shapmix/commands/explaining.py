"""What `shapmix explain` explains: clips of a run or of a source, and their values."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from shapmix.data.clip import Keypoints
    from shapmix.data.sources import Recordings
    from shapmix.inference.explain import Explanation
    from shapmix.inference.recognizer import ActionRecognizer

BATCH = 32  # clips that are transformed at once
MOST_NAMED = 5  # labels in a note


class Example(NamedTuple):
    """A clip to explain: `keypoints (T, M, V, C)`, and its true class where it is known."""

    name: str
    keypoints: Keypoints
    label: int | None
    fps: float | None


class Wanted(NamedTuple):
    """Which clips: one by its name, those of a class, or without either those of all classes.

    At most so many of a class.
    """

    clip: str | None
    label: int | None
    most: int


def open_explainable(run: str, device: str, given: str | None = None) -> ActionRecognizer:
    """The model of a run folder or of a saved folder.

    Args:
        run, device: as of `open_recognizer`. given: its `model`.

    Raises:
        ValueError: it is an ensemble, or has no background clip.
    """
    from shapmix.commands.opening import open_recognizer
    from shapmix.inference.recognizer import ActionRecognizer

    model = open_recognizer(run, device=device, model=given)
    if not isinstance(model, ActionRecognizer):
        raise ValueError(f"{run} is an ensemble: explain the runs that it is made of, one by one")
    if model.background is None:
        raise ValueError(f"{run} was saved without a background clip, which explanations need")
    return model


def examples_of_run(folder: Path, wanted: Wanted) -> list[Example]:
    """Clips of the data of a finished run: any one by its name, or test clips of classes.

    Raises:
        RunFolderError: the folder is not a finished run.
        ArchiveError: there is no such clip; the nearest name is suggested.
    """
    from shapmix.training.data import ClipData
    from shapmix.training.files import RunFolderError, read_config

    if not (folder / "metrics.json").exists():
        raise RunFolderError(
            f"{folder} is no finished run, so it has no clips: give some, --source"
        )
    data = ClipData(read_config(folder))
    archive, test = data.archive, data.test
    if wanted.clip is not None:
        chosen = [archive.index(wanted.clip)]
    else:
        labels = range(archive.info.num_classes) if wanted.label is None else [wanted.label]
        chosen = [
            i for label in labels for i in _spread(test.indices[test.labels == label], wanted.most)
        ]
    clips = map(archive.clip, chosen)
    return [Example(clip.name, clip.keypoints, clip.label, clip.fps) for clip in clips]


def _spread(indices: np.ndarray, most: int) -> list[int]:
    """At most so many of the indices, evenly spread over them."""
    if len(indices) <= most:
        chosen: list[int] = indices.tolist()
        return chosen
    return [int(indices[len(indices) * i // most]) for i in range(most)]


def examples_of_source(source: Path, model: ActionRecognizer, wanted: Wanted) -> list[Example]:
    """Clips of an archive or of anything that an importer reads, made to fit the model.

    Of several clips, labels that are no classes of the model are noted on the standard error.

    Raises:
        SourceError, MismatchError: the source cannot be read, has no such clip (the nearest name is
            suggested), or is of another skeleton.
    """
    from shapmix.data.adapting import find_adaptation, matching_classes

    left = dict.fromkeys([None, *range(len(model.class_names))], wanted.most)
    examples, seen, strange = [], 0, set()
    with _opened(source, model) as opened:
        recordings = opened if wanted.clip is None else opened.only(wanted.clip)
        info = model.info
        adapt = find_adaptation(recordings.info, model.layout, info.channels, info.units)
        matches = matching_classes(recordings.info.class_names, model.class_names)
        for name, keypoints, fps, class_name in recordings:
            label = None if class_name is None else matches.get(class_name)
            seen += 1
            if class_name is not None and label is None:
                strange.add(class_name)
            if wanted.label in (None, label) and left[label] > 0:
                left[label] -= 1
                examples.append(Example(name, adapt(keypoints), label, fps))
    if strange and wanted.clip is None and seen > 1:  # a lone file lies in any folder
        _note_strange(strange)
    return examples


def _note_strange(labels: Collection[str]) -> None:
    """Say which labels of a source are no classes of the model."""
    listed = ", ".join(map(repr, sorted(labels)[:MOST_NAMED]))
    listed += f" and {len(labels) - MOST_NAMED} more" if len(labels) > MOST_NAMED else ""
    print(
        f"note: clips with labels that are none of the model's classes are left out: {listed}",
        file=sys.stderr,
    )


@contextmanager
def _opened(source: Path, model: ActionRecognizer) -> Iterator[Recordings]:
    from shapmix.data.sources import find_formats, is_archive, read_archive, read_source

    if is_archive(source):
        yield read_archive(source)
        return
    name = next(iter(find_formats(source)))
    expected = {"channels": model.info.channels, "units": model.info.units}
    with read_source(source, name, None, model.layout, **expected) as recordings:
        yield recordings


def explain_examples(
    model: ActionRecognizer, examples: Sequence[Example], labels: Sequence[int]
) -> Explanation:
    """The values of every coalition for clips, each for its class, with a progress bar."""
    from rich.console import Console
    from rich.progress import Progress

    from shapmix.inference.explain import explain_classes

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("explaining clips", total=len(examples))

        def batches() -> Iterator[tuple[Tensor, Tensor]]:
            import torch

            for first in range(0, len(examples), BATCH):
                some = slice(first, first + BATCH)
                yield (
                    model_input(model, examples[some]),
                    torch.tensor(labels[some]).to(model.device),
                )
                progress.update(task, completed=min(first + BATCH, len(examples)))

        assert model.background is not None
        return explain_classes(
            model, batches(), model.layout, model.background, len(model.class_names)
        )


def model_input(model: ActionRecognizer, examples: Sequence[Example]) -> Tensor:
    """`(N, C, T, V, M)` as the model sees the clips."""
    from shapmix.inference.keypoints import ragged

    batch = ragged([example.keypoints for example in examples], model.num_persons)
    x: Tensor = model.transform(batch.to(model.device))
    return x

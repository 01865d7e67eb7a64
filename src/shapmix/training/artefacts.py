"""What reports show beside figures: examples, what carries each class, the health of the data.

It is written last, from files that are there already, so that nothing of a run depends on it.
"""

import shlex
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shapmix.data.class_checks import check_class_names, check_classes, check_parts
from shapmix.data.duplicates import check_names, check_persons
from shapmix.data.findings import Case, Finding, Plan
from shapmix.data.health import check_plan, examine
from shapmix.data.loader import ClipDataset, create_loader
from shapmix.data.motion_checks import check_lengths
from shapmix.data.split_file import indices_of
from shapmix.data.survey import Survey
from shapmix.data.transforms import Transform
from shapmix.inference.explain import explain_classes
from shapmix.mixing.coalitions import all_coalitions
from shapmix.training.config import TrainConfig
from shapmix.training.data import ClipData
from shapmix.training.examples import clip_scenes, turned, usual_up, write_examples
from shapmix.training.files import load_checkpoint, read_json, read_npz, write_json, write_npz
from shapmix.training.mixes import mix_scenes

CLIPS_PER_CLASS = 4  # that are explained
SHARE = 0.1  # of the clips that training passes through the network: the most masked ones
EXAMINED = 10_000  # clips of an archive: in larger ones no keypoints are checked
NAMED = 6  # clips in the text of a finding

# Checks that read no keypoints.
TABLE_CHECKS = (
    check_classes,
    check_class_names,
    check_parts,
    check_names,
    check_persons,
    check_lengths,
    check_plan,
)


def write_artefacts(
    config: TrainConfig,
    data: ClipData,
    folder: Path,
    model: nn.Module,
    transform: Transform,
    device: torch.device | str = "cpu",
) -> None:
    """Write `examples.arrow`, `explanation.npz` and the findings in `data_profile.json`.

    What cannot be written is left out with a warning: it never costs a run.

    Args:
        config, data: of the run.
        folder: the run folder, with `scores.npz` and, for mixes, `checkpoints/last.ckpt`.
        model: with the weights of the last epoch. transform: of the run.
        device: where the model runs.
    """

    def examples() -> None:
        write_run_examples(config, data, folder)

    def explanation() -> None:
        arrays = explain_training_clips(config, data, model, transform, device)
        write_npz(folder / "explanation.npz", arrays)

    def findings() -> None:
        profile = read_json(folder / "data_profile.json")
        write_json(folder / "data_profile.json", profile | {"findings": data_findings(data)})

    for write in (examples, explanation, findings):
        try:
            write()
        except Exception as error:
            warnings.warn(
                f"the {write.__name__} that reports show of {folder} could not be written "
                f"({type(error).__name__}: {error}); the rest of the run is there, and "
                f"`{shlex.join(['shapmix', 'evaluate', str(folder)])}` tries again",
                stacklevel=2,
            )


def write_run_examples(config: TrainConfig, data: ClipData, folder: Path) -> None:
    """Write `examples.arrow` of a run, from its scores and, for mixes, its last checkpoint."""
    info = data.archive.info
    D = len(info.channels.removesuffix("c"))
    scores = read_npz(folder / "scores.npz", "`shapmix evaluate` with --renew makes it anew")
    names, logits = scores["names"].tolist(), scores["logits_last"]
    scenes = clip_scenes(data.archive, names, logits, data.class_counts)
    up = usual_up(scenes, info.layout, D)
    checkpoint = folder / "checkpoints" / "last.ckpt"
    if checkpoint.exists():  # a second stage has none, and mixes nothing
        prefix = "mixer."
        state = load_checkpoint(checkpoint)["state_dict"]
        mixer = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        mixes = mix_scenes(config, data, mixer)
        if config.transform_options.get("align", "none") != "none":
            mixes = turned(mixes, "z", up)
        scenes += mixes
    write_examples(folder / "examples.arrow", scenes, info, up)


def clips_to_explain(config: TrainConfig, num_clips: int, num_classes: int, num_parts: int) -> int:
    """How many clips of each class can be explained: 1 to 4.

    Every clip costs 2^P masked ones; together they are at most a tenth of the `2 * num_clips` clips
    of all epochs (which cost three times as much, being trained on), unless one clip of each class
    is more than that.
    """
    most = SHARE * 2 * config.num_epochs * num_clips
    return max(1, min(CLIPS_PER_CLASS, int(most / (num_classes * 2**num_parts))))


def explain_training_clips(
    config: TrainConfig,
    data: ClipData,
    model: nn.Module,
    transform: Transform,
    device: torch.device | str = "cpu",
) -> dict[str, NDArray[Any]]:
    """The arrays of `explanation.npz`: Shapley values of all coalitions of parts.

    They are of a few training clips of each class, drawn by the seed of the run (see
    `clips_to_explain`); never of test clips, so that nobody chooses parts, mixers or models by
    looking at the test set.
    """
    layout, K = data.archive.info.layout, len(data.class_counts)
    number = clips_to_explain(config, len(data.train), K, layout.num_parts)
    rng = np.random.default_rng(config.seed)
    shuffled = rng.permutation(len(data.train))
    chosen = [i for k in range(K) for i in shuffled[data.train.labels[shuffled] == k][:number]]
    dataset = ClipDataset(data.archive, data.train.indices[chosen], num_persons=data.num_persons)
    model, transform = model.to(device), transform.to(device)
    batches = (batch.to(device) for batch in create_loader(dataset, config.batch_size))
    found = explain_classes(
        model,
        ((transform(batch), batch.labels) for batch in batches),
        layout=layout,
        background=data.mean_clip(transform, device),
        num_classes=K,
    )
    coalitions = all_coalitions(layout.num_parts)[1:]
    values, errors = found.shapley_values(coalitions)
    tensors = {
        "clips": found.clips.long(),
        "parts": found.parts(),
        "part_errors": found.part_errors(),
        "coalitions": coalitions,
        "coalition_values": values,
        "coalition_errors": errors,
        "interactions": found.interactions(),
        "interaction_errors": found.interaction_errors(),
    }
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    return {"part_names": np.array(found.part_names), **arrays}


def data_findings(data: ClipData) -> list[dict[str, str]]:
    """What `shapmix info` finds suspicious, as `{"kind", "title", "text"}`, errors first.

    Archives of more than 10,000 clips are not read for it: only what their tables tell is checked
    (classes, names, persons, lengths, the plan), and a note says so.
    """
    config, archive, split = data.config, data.archive, data.split
    plan = Plan(config.num_frames, config.num_persons, config.batch_size, config.drop_last)
    if len(archive) <= EXAMINED:
        _, found = examine(archive, split, plan=plan)
        return [_told(finding) for finding in found]
    parts = {part: indices_of(archive, n, f"the {part} part") for part, n in split.parts.items()}
    unread = cast(Survey, None)  # no table check looks at it
    case = Case(archive, unread, parts, dict(split.recipe), plan)
    found = [finding for check in TABLE_CHECKS for finding in check(case)]
    found.append(
        Finding(
            "note",
            f"the keypoints of these {len(archive)} clips were not looked at",
            "reading so many takes long",
            "`shapmix info` on the archive and the split looks at each of them",
        )
    )
    order = {"error": 0, "warning": 1, "note": 2}
    return [_told(finding) for finding in sorted(found, key=lambda f: order[f.severity])]


def _told(finding: Finding) -> dict[str, str]:
    sentences = [finding.why, finding.remedy]
    if finding.clips:
        sentences.append(f"clips: {finding.first_clips(NAMED)}")
    text = " ".join(f"{s[:1].upper()}{s[1:].rstrip('.')}." for s in sentences)
    return {"kind": finding.severity, "title": finding.title, "text": text}

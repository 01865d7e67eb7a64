"""Fuse the scores of several runs: streams, models or seeds, tested on the same clips.

The weighted mean of their scores is one more result, in a folder that `shapmix compare` takes like
a run. Weights are fixed beforehand, or fitted on validation clips by --fit; never on test clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from shapmix.commands.opening import add_device_argument, add_model_argument, check_device

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from shapmix.metrics.fusion import Fused
    from shapmix.reporting import Run

    Floats = NDArray[np.float64]

HELP = "fuse the scores of several runs"


def add_arguments(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Arguments of the command."""
    parser.add_argument("runs", type=Path, nargs="+", help="finished runs, two or more")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument(
        "--weights",
        nargs="+",
        default=["equal"],
        help="equal, or a number for each run, such as 0.6 0.6 0.4 0.4",
    )
    parser.add_argument(
        "--fit",
        action="store_true",
        help="the weights with the highest mean-class likelihood on the validation clips",
    )
    parser.add_argument(
        "--scores",
        choices=["logits", "probabilities"],
        default="logits",
        help="what is averaged: the output of the last layer, or its softmax",
    )
    add_device_argument(parser, "; for --fit")
    add_model_argument(parser)


def run(args: Namespace) -> None:
    """Write the ensemble, print its weights and a table of the runs and their fusion."""
    from rich.console import Console

    from shapmix.reporting import compare_table, load_run

    if args.fit and args.weights != ["equal"]:
        raise ValueError("--fit finds the weights: leave --weights out")
    check_device(args.device)
    weights = None if args.fit else _numbers(args.weights, len(args.runs))
    given = {"device": args.device, "model": args.model}
    found = ensemble(args.runs, args.out, weights, args.scores, **given)
    for folder, weight in zip(args.runs, found, strict=True):
        print(f"{weight:.3f}  {folder}")
    Console().print(compare_table([load_run(folder) for folder in (*args.runs, args.out)]))
    print(f"ensemble: {args.out}")


def ensemble(
    folders: Sequence[Path],
    out: Path,
    weights: Sequence[float] | None,
    scores: Fused = "logits",
    *,
    device: str = "cpu",
    model: str | None = None,
) -> list[float]:
    """Fuse finished runs into the folder `out`, in the form of a run folder without weights.

    Its `config.yaml` has the settings of the runs, joined by " + " where they differ, and
    `ensemble`, how they were fused; `ensemble.json` has the runs and the weights.

    Args:
        folders: of two or more finished runs; the last epochs are fused.
        out: the folder to write.
        weights: one for each run, only their proportions matter; None fits them on the
            validation clips.
        scores: what is averaged, see `shapmix.metrics.fusion.fuse`.
        device: of the models, when weights are fitted.
        model: then, as of `open_run`.

    Returns:
        The weights, with sum 1.

    Raises:
        RunError, RunFolderError: not two finished runs of the same clips, no validation clips to
            fit on, or `out` is taken.
        ValueError: impossible weights.
    """
    import numpy as np

    from shapmix.metrics import evaluate
    from shapmix.metrics.fusion import fuse
    from shapmix.reporting import RunError
    from shapmix.training.files import write_json, write_npz

    if taken := _run_files(out):
        raise RunError(f"{out} holds a run already ({', '.join(taken)}): choose another --out")
    runs, logits, tested = _read(folders)
    fitted, validation = _fit(folders, scores, device, model) if weights is None else (None, None)
    given = np.array(fitted if weights is None else weights, dtype=np.float64)
    fused = fuse(logits, given.tolist(), scores)
    shares: list[float] = (given / given.sum()).tolist()
    metrics = {
        "format": 1,
        "class_names": list(runs[0].class_names),
        "class_counts": list(runs[0].class_counts),
        "last": {
            "epoch": max(run.last.epoch for run in runs),
            "test": evaluate(fused, tested["labels"], runs[0].class_counts),
            "validation": validation,
        },
        "best": None,
        "cost": _cost(runs),
    }
    out.mkdir(parents=True, exist_ok=True)
    fixed = [round(share, 6) for share in shares]
    how = {"scores": scores, "weights": fixed if fitted is None else "fitted"}
    _describe(out, runs, how, shares)
    write_npz(out / "scores.npz", tested | {"logits_last": fused.astype(np.float32)})
    write_json(out / "metrics.json", metrics)
    return shares


def _run_files(folder: Path) -> list[str]:
    """What shows that a folder holds a run or an ensemble, or the beginning of a run."""
    begun = () if (folder / "ensemble.json").exists() else ("config.yaml", "checkpoints")
    return [name for name in ("metrics.json", *begun) if (folder / name).exists()]


def _read(
    folders: Sequence[Path],
) -> tuple[list[Run], list[NDArray[Any]], dict[str, NDArray[Any]]]:
    """The runs, their test logits in one order, and what `scores.npz` says besides.

    Raises:
        RunError: fewer than two runs, or different clips; naming what differs.
    """
    import numpy as np

    from shapmix.reporting import RunError, load_run, load_scores
    from shapmix.training.files import read_json

    if len(folders) < 2:
        raise RunError(f"{len(folders)} run to fuse; expected at least two")
    runs = [load_run(folder) for folder in folders]
    logits, sides = [], []
    for run in runs:
        tested = load_scores(run)
        order = np.argsort(tested.names)
        profile = read_json(run.path / "data_profile.json")
        logits.append(tested.logits_last[order])
        sides.append(
            {
                "classes": run.class_names,
                "training clips per class": run.class_counts,
                "training clips": profile["names"].get("train"),
                "test clips": tested.names[order].tolist(),
                "labels of the test clips": tested.labels[order].tolist(),
            }
        )
    for run, side in zip(runs, sides, strict=True):
        differ = [key for key, value in side.items() if value != sides[0][key]]
        if differ:
            raise RunError(
                f"{run.path} and {runs[0].path} differ in {', '.join(differ)}: fuse runs of the "
                "same split"
            )
    names, labels = sides[0]["test clips"], sides[0]["labels of the test clips"]
    found = {"names": np.array(names), "labels": np.array(labels)}
    return runs, logits, found | {"class_counts": np.array(runs[0].class_counts)}


def _fit(
    folders: Sequence[Path], scores: Fused, device: str, model: str | None
) -> tuple[Floats, dict[str, Any]]:
    """Weights fitted on the validation clips, and the evaluation of the fusion on these."""
    from shapmix.metrics import evaluate
    from shapmix.metrics.fusion import fit_weights, fuse
    from shapmix.training.evaluation import score
    from shapmix.training.files import RunFolderError
    from shapmix.training.finished import open_run, validation_part

    logits, clips = [], []
    for folder in folders:
        run = open_run(folder, device, model=model)
        part = validation_part(run)
        size = run.config.batch_size
        found = score(run.model, run.transform, part, batch_size=size, device=device)
        logits.append(found.logits)
        clips.append(part.names)
        if clips[-1] != clips[0]:
            raise RunFolderError(
                f"{folder} and {folders[0]} have different validation clips: fit on runs of the "
                "same split, or give --weights"
            )
    weights = fit_weights(logits, found.labels, scores)
    fused = fuse(logits, weights.tolist(), scores)
    return weights, evaluate(fused, found.labels, run.data.class_counts)


def _cost(runs: Sequence[Run]) -> dict[str, float]:
    """Of all runs, one after the other."""
    return {
        "train_seconds": sum(run.cost["train_seconds"] for run in runs),
        "clips_per_second": 1 / sum(1 / run.cost["clips_per_second"] for run in runs),
        "parameters": sum(run.cost["parameters"] for run in runs),
    }


def _describe(out: Path, runs: Sequence[Run], how: dict[str, Any], weights: list[float]) -> None:
    """Write what the ensemble is made of."""
    import yaml

    from shapmix.training.files import read_json, write_bytes, write_json
    from shapmix.training.machine import environment

    config: dict[str, Any] = {}
    for key in dict.fromkeys(key for run in runs for key in run.config):
        values = [run.config.get(key) for run in runs]
        same = all(value == values[0] for value in values)
        config[key] = values[0] if same else " + ".join(map(_text, values))
    config |= {"out": str(out), "ensemble": how}
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    write_bytes(out / "config.yaml", text.encode())
    members = [
        {"run": str(run.path), "weight": weight} for run, weight in zip(runs, weights, strict=True)
    ]
    write_json(out / "ensemble.json", {**how, "runs": members})
    write_json(out / "environment.json", environment())
    profile = read_json(runs[0].path / "data_profile.json")
    write_json(out / "data_profile.json", profile)


def _text(value: Any) -> str:
    return "none" if value is None or value == {} else str(value)


def _numbers(words: Sequence[str], runs: int) -> list[float]:
    """Weights as they were typed.

    Raises:
        ValueError: neither equal nor numbers.
    """
    if list(words) == ["equal"]:
        return [1 / runs] * runs
    try:
        return [float(word) for word in words]
    except ValueError:
        raise ValueError(
            f"weights are {' '.join(words)}; expected equal, or a number for each run"
        ) from None

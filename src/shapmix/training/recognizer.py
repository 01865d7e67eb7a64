"""From finished runs to recognisers that are calibrated on the runs' validation clips."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shapmix.inference.description import RecognizerInfo
from shapmix.inference.ensemble import Ensemble
from shapmix.inference.recognizer import ActionRecognizer
from shapmix.losses import LOSSES, LDAMLoss
from shapmix.losses.ldam import SCALE
from shapmix.metrics.calibration import fit_temperature, negative_log_likelihood
from shapmix.training.config import TrainConfig
from shapmix.training.data import ClipData
from shapmix.training.evaluation import load_weights, score
from shapmix.training.files import RunFolderError, find_data, read_config, read_json
from shapmix.training.finished import open_run

Which = Literal["last", "best"]
Found = dict[str, Any]
Floats = NDArray[np.float32]
Labels = NDArray[np.int64]
Members = list[tuple[Path, float]]
ENSEMBLE = "ensemble.json"  # what `shapmix ensemble` writes beside the metrics


def open_trained(
    folder: str | Path,
    which: Which = "last",
    *,
    licence: str = "",
    device: str = "cpu",
    background: bool = True,
    model: str | None = None,
) -> ActionRecognizer | Ensemble:
    """The recogniser of a finished run or of an ensemble of runs, whichever it is.

    Arguments and errors are those of `recognizer_of_run` and `ensemble_of_run`.
    """
    made = ensemble_of_run if (Path(folder) / ENSEMBLE).exists() else recognizer_of_run
    return made(folder, which, licence=licence, device=device, background=background, model=model)


def recognizer_of_run(
    folder: str | Path,
    which: Which = "last",
    *,
    licence: str = "",
    device: str = "cpu",
    background: bool = True,
    model: str | None = None,
) -> ActionRecognizer:
    """The recogniser of a finished run, ready to predict, save and export.

    Its temperature is fitted on the validation clips; without any it is 1, and `info.metrics` has
    no "calibration". The background of its explanations is the mean of the training clips.

    Args:
        folder: of the run.
        which: weights of the last epoch, or of the best on validation clips.
        licence: of the weights, such as "cc-by-4.0", for the model card.
        device: of the model.
        background: whether to compute it, which reads all training clips; predictions do not
            need it.
        model: as of `open_run`.

    Raises:
        RunFolderError: the folder is not a finished run, its data changed, its network is foreign
            code that was not given, or it has no such weights.
    """
    run = open_run(Path(folder), device, model=model)
    metrics = read_json(run.folder / "metrics.json")
    if metrics.get(which) is None:
        raise RunFolderError(f"{run.folder} has no {which!r} weights: choose 'last'")
    run.model.load_state_dict(load_weights(run.folder, which))
    temperature, calibration = 1.0, Found()
    if run.data.val is not None:
        found = score(run.model, run.transform, run.data.val, device=run.device)
        temperature, calibration = _calibrate(found.logits, found.labels)
    archive = run.data.archive.info
    info = RecognizerInfo(
        units=archive.units,
        channels=archive.channels,
        stream=run.config.stream,
        num_frames=run.config.num_frames,
        temperature=temperature,
        background=run.data.mean_clip(run.transform, run.device) if background else None,
        metrics=_summary(metrics[which]) | calibration,
        licence=licence,
        model=run.config.model,
        model_options=run.config.model_options,
        cosine_scale=_cosine_scale(run.config),
        class_counts=tuple(run.data.class_counts.tolist()),
        source=archive.source,
    )
    return ActionRecognizer(
        run.model,
        run.transform,
        archive.layout,
        archive.class_names,
        num_persons=run.data.num_persons,
        info=info,
    )


def ensemble_of_run(
    folder: str | Path,
    which: Which = "last",
    *,
    licence: str = "",
    device: str = "cpu",
    background: bool = True,
    model: str | None = None,
) -> Ensemble:
    """The recognisers of the runs that `shapmix ensemble` fused, predicting as one.

    Its temperature is fitted on the validation clips of the runs; without any it is 1.

    Args:
        folder: of the ensemble.
        which, licence, device, background, model: as of `recognizer_of_run`.

    Raises:
        RunFolderError: the folder is no ensemble, or one of its runs is not as it was.
        ValueError: the runs do not belong together.
    """
    folder = Path(folder)
    runs, scores = _read_members(folder)
    parts = [
        open_trained(
            path, which, licence=licence, device=device, background=background, model=model
        )
        for path, _ in runs
    ]
    weights = [weight for _, weight in runs]
    fused = Ensemble(parts, weights, scores=scores)
    fused.metrics = _summary(read_json(folder / "metrics.json")["last"])
    clips = ClipData(read_config(_first_run(folder))).val
    if clips is not None:
        keypoints = [clips.archive.keypoints(int(i)) for i in clips.indices]
        fused.temperature, found = _calibrate(fused.logits(keypoints), clips.labels)
        fused.metrics |= found
    return fused


def _read_members(folder: Path, above: tuple[Path, ...] = ()) -> tuple[Members, Any]:
    """The runs of an ensemble with their weights, and what of their scores is averaged."""
    file = folder / ENSEMBLE
    made = read_json(file)
    try:
        runs = [(find_data(Path(run["run"]), folder), float(run["weight"])) for run in made["runs"]]
        scores = made["scores"]
    except (KeyError, TypeError, ValueError) as error:
        raise RunFolderError(f"{file} is damaged: {error!r}") from error
    if not runs:
        raise RunFolderError(f"{file} is damaged: it names no runs")
    inside = (*above, folder.resolve())
    for path, _ in runs:
        if path.resolve() in inside:
            raise RunFolderError(f"{file} names {path}, which it is part of: fuse the runs anew")
        if (path / ENSEMBLE).exists():
            _read_members(path, inside)
    return runs, scores


def _first_run(folder: Path) -> Path:
    """The first run of an ensemble; all have the same training clips, so none saw its others."""
    while (folder / ENSEMBLE).exists():
        folder = _read_members(folder)[0][0][0]
    return folder


def _calibrate(logits: Floats, labels: Labels) -> tuple[float, Found]:
    """The temperature, and what it does to the likelihood of the validation clips."""
    temperature = fit_temperature(logits, labels)
    before, after = (negative_log_likelihood(logits, labels, t) for t in (1.0, temperature))
    found = {"clips": len(labels), "nll_before": before, "nll_after": after}
    return temperature, {"calibration": found}


def _summary(found: Found) -> Found:
    """The evaluation without its confusion matrices, which grow with the square of the classes."""
    parts = {part: found[part] for part in ("test", "validation") if found.get(part)}
    return {
        part: {key: value for key, value in figures.items() if key != "confusion"}
        for part, figures in parts.items()
    }


def _cosine_scale(config: TrainConfig) -> float | None:
    """The scale of the cosine classifier that goes with the margins of LDAM."""
    if LOSSES[config.loss] is not LDAMLoss:
        return None
    scale: Any = config.loss_options.get("scale", SCALE)
    return float(scale)

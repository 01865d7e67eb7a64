"""The second stage of two-stage methods: a finished run gets a new classifier.

The backbone stays as it is, bit for bit. Every kind ends in other weights and biases of the same
last linear layer, so the result is a run like any other.
"""

import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional as F

from shapmix.data.loader import create_loader
from shapmix.losses.expectation import check_option
from shapmix.losses.rebalancing import linear_classifier, log_prior, tau_normalize
from shapmix.metrics import evaluate
from shapmix.suggest import did_you_mean
from shapmix.training.build import OptionError, check_options
from shapmix.training.config import Options
from shapmix.training.evaluation import evaluate_weights, save_weights
from shapmix.training.files import (
    RunFolderError,
    config_dict,
    read_json,
    write_bytes,
    write_json,
)
from shapmix.training.finished import (
    FinishedRun,
    clip_features,
    features,
    open_run,
    validation_part,
)
from shapmix.training.machine import environment
from shapmix.training.retraining import crt, lws, maxnorm

CHOOSE = "validation"  # the value of tau that has it chosen on the validation clips
Found = dict[str, Any]


def tau_norm(run: FinishedRun, layer: nn.Linear, *, tau: float | str = CHOOSE) -> Found:
    """Weights `w_k / ||w_k||^tau`, no bias.

    Source: Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR
    2020. As in the authors' program, the bias is left out: it is set to zero.

    Args:
        run: the first stage. layer: its last layer, changed in place.
        tau: "validation" takes the one of 0, 0.1, ... 1 with the highest mean-class accuracy on
            the validation clips, the smallest among equals.

    Returns:
        `{"tau": tau}`, and when it was chosen `"search"`, a list of `{"tau", "mean_class"}`.

    Raises:
        ValueError: tau is neither a number of at least 0 nor "validation".
        RunFolderError: it is to be chosen, and there are no validation clips.
    """
    weight = layer.weight.detach().clone()

    def logits(h: Tensor, tau: float) -> Tensor:
        return F.linear(h, tau_normalize(weight, tau))

    found = _choose(run, tau, [i / 10 for i in range(11)], logits)
    with torch.no_grad():
        layer.weight.copy_(tau_normalize(weight, found["tau"]))
        if layer.bias is not None:
            layer.bias.zero_()
    return found


def logit_adjustment(run: FinishedRun, layer: nn.Linear, *, tau: float | str = 1.0) -> Found:
    """Logits minus `tau log pi_k`, pi being the shares of the training clips.

    Source: Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021.

    Args:
        run: the first stage. layer: its last layer, changed in place.
        tau: "validation" chooses as for `tau_norm`, from 0, 0.1, ... 2.

    Returns:
        As `tau_norm`.

    Raises:
        OptionError: the layer has no bias that could take this up.
        ValueError, RunFolderError: as for `tau_norm`.
    """
    if layer.bias is None:
        raise OptionError(
            "the last linear layer has no bias to take the adjustment up: end the model with "
            "nn.Linear(..., bias=True)"
        )
    prior = log_prior(run.data.class_counts).to(layer.weight)

    def logits(h: Tensor, tau: float) -> Tensor:
        scores: Tensor = layer(h)
        return scores - tau * prior

    found = _choose(run, tau, [i / 10 for i in range(21)], logits)
    with torch.no_grad():
        layer.bias.sub_(found["tau"] * prior)
    return found


KINDS: dict[str, Callable[..., Found | None]] = {
    "crt": crt,
    "lws": lws,
    "maxnorm": maxnorm,
    "tau-norm": tau_norm,
    "logit-adjustment": logit_adjustment,
}


_GIVEN = ("run", "layer")  # arguments of a kind that are no options


def second_stage(
    run: Path,
    out: Path | None,
    kind: str,
    options: Options | None = None,
    *,
    device: torch.device | str = "cpu",
    model: str | None = None,
) -> dict[str, Any]:
    """Give a finished run a new classifier; the result is a run folder of its own.

    It starts from the weights of the last epoch. The new `config.yaml` is that of the run, with
    `second_stage` (the kind) and `second_stage_options` (as given); `second_stage.json` says which
    run it was made of and what was found.

    Args:
        run: the folder of a finished run.
        out: the new run folder; `<run>-<kind>` when not given.
        kind: a key of `KINDS`.
        options: of the kind, keyword arguments of its function.
        device: where the features are computed.
        model: as of `open_run`.

    Returns:
        The metrics (`metrics.json`) of the new run.

    Raises:
        RunFolderError: no finished run, one that has a second stage already, changed data,
            foreign code that was not given, no validation clips for a choice, or `out` holds a run.
        OptionError: an unknown kind or option.
        ValueError: an impossible value, or a model that does not end in one linear layer.
        TrainingError: the loss is no longer finite.
    """
    accepted = check_stage(kind, options or {})
    folder = second_stage_folder(run, out, kind)
    first = open_run(run, device, model=model)
    layer = _linear_layer(first)
    begun = time.perf_counter()
    found = KINDS[kind](first, layer, **accepted) or {}
    seconds = time.perf_counter() - begun
    old = read_json(run / "metrics.json")
    cost = old["cost"] | {"train_seconds": old["cost"]["train_seconds"] + seconds}
    epoch = int(old["last"]["epoch"])
    made = {"run": str(run), "kind": kind, "options": _resolved(kind, accepted), "found": found}
    _describe(folder, first, made, options or {})
    save_weights(folder, "last", epoch, first.model.state_dict())
    return evaluate_weights(first.config, first.data, folder, {"last": epoch}, cost, device)


def second_stage_folder(run: Path, out: Path | None, kind: str) -> Path:
    """Where the second stage of a run goes: `<run>-<kind>` beside it when `out` is not given.

    Raises:
        RunFolderError: the run has a second stage already, or the folder holds a run.
    """
    folder = run.resolve().with_name(f"{run.resolve().name}-{kind}") if out is None else out
    if (run / "second_stage.json").exists():
        first = read_json(run / "second_stage.json").get("run")
        raise RunFolderError(f"{run} is a second stage already: start from its first, {first}")
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(
            f"{folder} is a file; expected the name of a new folder: another --out"
        )
    if (folder / "metrics.json").exists() or folder.resolve() == run.resolve():
        raise RunFolderError(f"{folder} holds a run already: choose another --out")
    return folder


def _describe(folder: Path, first: FinishedRun, made: Found, given: Options) -> None:
    """Write what the new run is made of."""
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    config = config_dict(replace(first.config, out=folder, resume=None))
    config |= {"second_stage": made["kind"], "second_stage_options": given}
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    write_bytes(folder / "config.yaml", text.encode())
    write_json(folder / "environment.json", environment())
    write_json(folder / "data_profile.json", first.data.profile())
    write_json(folder / "second_stage.json", made)


def _choose(
    run: FinishedRun,
    tau: float | str,
    candidates: Sequence[float],
    logits: Callable[[Tensor, float], Tensor],
) -> Found:
    """The given tau, or the best of the candidates on the validation clips."""
    if tau != CHOOSE:
        if isinstance(tau, str):
            raise ValueError(f"tau is {tau!r}; expected a number, or {CHOOSE!r} to choose it")
        return {"tau": check_option("tau", tau, 0)}
    h, labels = clip_features(run, validation_part(run))
    counts = run.data.class_counts
    search = [
        {"tau": t, "mean_class": evaluate(logits(h, t), labels, counts, resamples=0)["mean_class"]}
        for t in candidates
    ]
    best = max(search, key=lambda row: row["mean_class"])  # the first among equals
    return {"tau": best["tau"], "search": search}


def _linear_layer(run: FinishedRun) -> nn.Linear:
    """The layer whose output are the logits.

    Raises:
        ValueError: the model does something else with it.
    """
    layer = linear_classifier(run.model, len(run.data.class_counts))
    batch = next(iter(create_loader(run.data.train, run.config.batch_size))).to(run.device)
    x = run.transform(batch)
    logits, h = run.model(x), features(run, x)
    if h.ndim != 2 or not torch.allclose(layer(h), logits, rtol=1e-4, atol=1e-5):
        raise ValueError(
            f"the logits of {type(run.model).__name__} are not the output of its last nn.Linear: a "
            "second stage works on models that end with one linear layer"
        )
    return layer


def check_stage(kind: str, options: Options) -> dict[str, Any]:
    """The options of a kind of second stage; OptionError if there is no such kind or option."""
    if kind not in KINDS:
        hint = did_you_mean(str(kind), KINDS)
        raise OptionError(f"no second stage {kind!r}{hint}; there are {', '.join(KINDS)}")
    return check_options(KINDS[kind], options, f"second stage {kind}", _GIVEN)


def _resolved(kind: str, accepted: dict[str, Any]) -> dict[str, Any]:
    """The options of a kind with their defaults."""
    parameters = inspect.signature(KINDS[kind]).parameters
    defaults = {k: p.default for k, p in parameters.items() if k not in _GIVEN}
    return defaults | accepted

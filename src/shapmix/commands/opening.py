"""Models as commands name them: a finished run, an ensemble of runs, or a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

    from shapmix.inference.ensemble import Ensemble
    from shapmix.inference.recognizer import ActionRecognizer
    from shapmix.training.recognizer import Which


def add_model_argument(parser: ArgumentParser) -> None:
    """The option by which a user trusts the code that a model names."""
    parser.add_argument(
        "--model",
        type=str | None,
        metavar="package.module:Class",
        help="if the network is not one of shapmix's: its import path once more, since code that a "
        "file names is not run; several of an ensemble with commas between them",
    )


def add_device_argument(parser: ArgumentParser, more: str = "") -> None:
    """The option that says where models compute; its value is for `check_device`."""
    parser.add_argument("--device", default="cpu", help=f"cpu, cuda, cuda:N or mps{more}")


def check_device(name: str) -> None:
    """Make sure that models can compute there.

    Raises:
        ValueError: torch has no such device here.
    """
    import torch

    gpus = [f"cuda:{n}" for n in range(torch.cuda.device_count())]
    here = ["cpu", *(["cuda", *gpus] if gpus else ())]
    if torch.backends.mps.is_available():
        here.append("mps")
    if name not in here:
        raise ValueError(
            f"--device is {name!r}; expected cpu, cuda, cuda:N or mps, of which torch finds here: "
            f"{', '.join(here)}"
        )


def open_recognizer(
    folder: str | Path,
    which: Which = "last",
    *,
    licence: str = "",
    device: str = "cpu",
    background: bool = True,
    model: str | None = None,
) -> ActionRecognizer | Ensemble:
    """The recogniser of a finished run, of an ensemble of runs, or of a saved folder.

    Only for runs is the training code imported, which takes seconds.

    Args:
        folder: made by `shapmix train`, `shapmix ensemble`, or `save_pretrained`; or owner/name of
            the Hugging Face hub.
        which, licence, device, background: as of `recognizer_of_run`; a saved folder has its own
            weights, licence and background.
        model: only for a network that is not one of shapmix's: its import path, by which the user
            trusts this code; several with commas between them.

    Raises:
        RunFolderError, PretrainedError: it is none of these, damaged, or of foreign code that was
            not given.
        ValueError: a saved folder, and other weights or another licence than its own; or no such
            device here.
    """
    from shapmix.inference.pretrained import CONFIG

    check_device(device)
    if Path(folder).is_dir() and not (Path(folder) / CONFIG).exists():
        from shapmix.training.recognizer import open_trained

        return open_trained(
            folder, which, licence=licence, device=device, background=background, model=model
        )
    if which != "last" or licence:
        raise ValueError(f"{folder} is a saved model: it has its own weights and licence")
    from shapmix.inference.ensemble import load_saved

    return load_saved(folder, model=model).to(device)

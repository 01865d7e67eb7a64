"""Models as commands name them: a finished run, an ensemble of runs, or a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shapmix.inference.ensemble import Ensemble
    from shapmix.inference.recognizer import ActionRecognizer
    from shapmix.training.recognizer import Which


def open_recognizer(
    folder: str | Path,
    which: Which = "last",
    *,
    licence: str = "",
    device: str = "cpu",
    background: bool = True,
) -> ActionRecognizer | Ensemble:
    """The recogniser of a finished run, of an ensemble of runs, or of a saved folder.

    Only for runs is the training code imported, which takes seconds.

    Args:
        folder: made by `shapmix train`, `shapmix ensemble`, or `save_pretrained`; or owner/name of
            the Hugging Face hub.
        which, licence, device, background: as of `recognizer_of_run`; a saved folder has its own
            weights, licence and background.

    Raises:
        RunFolderError, PretrainedError: it is none of these, or damaged.
        ValueError: a saved folder, and other weights or another licence than its own.
    """
    from shapmix.inference.pretrained import CONFIG

    if Path(folder).is_dir() and not (Path(folder) / CONFIG).exists():
        from shapmix.training.recognizer import open_trained

        return open_trained(folder, which, licence=licence, device=device, background=background)
    if which != "last" or licence:
        raise ValueError(f"{folder} is a saved model: it has its own weights and licence")
    from shapmix.inference.ensemble import load_saved

    return load_saved(folder).to(device)

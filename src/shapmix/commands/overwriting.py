"""What no command may write over, whatever name it is given."""

from pathlib import Path

_OF_A_RUN = (
    "config.yaml",
    "data_profile.json",
    "environment.json",
    "explanation.npz",
    "history.csv",
    "metrics.json",
    "saliency.npz",
    "scores.npz",
)


def check_not_lost(path: Path, *read: Path | str) -> None:
    """ValueError when a file to write would take the place of one that is needed.

    That is an archive, whose clips would be lost; a file that the command reads; or a file that
    training left in a run folder.

    Args:
        path: to be written. read: what the command reads.
    """
    from shapmix.data.sources import is_archive

    if is_archive(path):
        raise ValueError(
            f"{path} is an archive, and would be overwritten: give another name for what is written"
        )
    if not path.is_file():
        return
    if any(Path(other).exists() and path.samefile(other) for other in read):
        raise ValueError(
            f"{path} is what this command reads, and would be overwritten: give another name for "
            "what is written"
        )
    if path.name in _OF_A_RUN and (path.parent / "config.yaml").is_file():
        raise ValueError(
            f"{path} is a file of the run in {path.parent}, and would be overwritten: give another "
            "name for what is written"
        )

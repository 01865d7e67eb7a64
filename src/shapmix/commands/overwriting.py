"""What no command may write over, whatever name it is given."""

from pathlib import Path


def check_not_archive(path: Path) -> None:
    """ValueError when the file to write is an archive, whose clips would be lost."""
    from shapmix.data.sources import is_archive

    if is_archive(path):
        raise ValueError(
            f"{path} is an archive, and would be overwritten: give another name for what is written"
        )

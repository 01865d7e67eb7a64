"""Show what an archive holds: classes and counts, lengths, persons, columns, protocols."""

from collections.abc import Sequence

from jsonargparse import ArgumentParser, Namespace

HELP = "show what an archive holds"


def add_arguments(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Arguments of the command."""
    parser.add_argument("archive", help="an .arrow file made by `shapmix import`")


def run(args: Namespace) -> None:
    """Print the facts of the archive and a table of its classes."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from shapmix.data.archive import Archive
    from shapmix.data.longtail import class_counts, imbalance_factor

    archive = Archive(args.archive)
    archive.verify()
    info, frames, persons = archive.info, archive.num_frames, archive.num_persons
    counts = class_counts(archive.labels, len(info.class_names))
    console = Console()
    facts = {
        "source": f"{info.source}, version {info.version}" if info.version else info.source,
        "clips": f"{len(archive)} of {len(info.class_names)} classes, "
        f"imbalance {imbalance_factor(counts):.3g}",
        "skeleton": f"{info.layout.name}: {info.layout.num_joints} joints, "
        f"{info.layout.num_parts} parts; {info.channels} in {info.units}",
        "frames": f"{frames.min()} to {frames.max()}, median {np.median(frames):.0f}",
        "persons": ", ".join(f"{n}: {c} clips" for n, c in zip(*_tally(persons), strict=True)),
        "columns": ", ".join(
            f"{name} ({len(set(values.tolist()))} values)"
            for name, values in archive.metadata.items()
        ),
        "protocols": "; ".join(
            f"{name}: train {train}, test {test}" for name, (train, test) in info.splits.items()
        ),
    }
    for name, fact in facts.items():
        console.print(f"[bold]{name:>10}[/]  {fact or 'none'}", highlight=False)
    table = Table("label", "class", "clips", "median frames")
    for k, name in enumerate(info.class_names):
        mine = frames[archive.labels == k]
        median = f"{np.median(mine):.0f}" if len(mine) else "n/a"
        table.add_row(str(k), name, str(counts[k]), median)
    console.print(table)


def _tally(values: object) -> tuple[list[int], list[int]]:
    import numpy as np

    found, number = np.unique(np.asarray(values), return_counts=True)
    return found.tolist(), number.tolist()

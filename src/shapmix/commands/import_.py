"""Read a data set from its own files into one archive."""

from jsonargparse import ArgumentParser, Namespace

from shapmix.data.importers import IMPORTERS

SYNTHETIC = "synthetic"
HELP = "read a data set into an archive"


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "format",
        choices=[*IMPORTERS, SYNTHETIC],
        help="format of the source; synthetic is embedded",
    )
    parser.add_argument(
        "source",
        help="the file or folder that you have; a zip stays as it is. For synthetic, the number of "
        "clips of each class, such as 80",
    )
    parser.add_argument("out", help="the archive to write, such as data/nw_ucla.arrow")
    parser.add_argument(
        "--strict", action="store_true", help="stop at the first damaged clip instead of skipping"
    )


def run(args: Namespace) -> None:
    """Import with a progress bar, then print what was read, skipped and repaired."""
    if args.format == SYNTHETIC:
        from shapmix.data.synthetic import write_synthetic

        if not args.source.isdecimal():
            raise ValueError(
                f"SOURCE is {args.source!r}; for synthetic give the clips of each class, such as 80"
            )
        write_synthetic(args.out, clips_per_class=int(args.source))
        print(f"archive: {args.out}\nnext: shapmix info {args.out}")
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from shapmix.data.importers import run_import
    from shapmix.data.importers.base import ImportReport

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("importing", total=None)

        def show(report: ImportReport) -> None:
            done = report.read + report.num_skipped
            progress.update(task, completed=done, total=report.total)

        report = run_import(
            args.format, args.source, args.out, strict=args.strict, on_progress=show
        )
    print(report)
    print(f"archive: {args.out}\nnext: shapmix info {args.out}")

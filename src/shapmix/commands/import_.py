"""Read a data set from its own files into one archive.

    shapmix import FORMAT SOURCE OUT.arrow [options of the format]
    shapmix import auto SOURCE OUT.arrow        recognise the format and say why
    shapmix import FORMAT --help                what a format expects, and its options

A zip stays as it is. Damaged clips are skipped and counted (--strict stops instead). An import that
was stopped goes on where it was when the same command is given again.
"""

import json
import os
import shlex
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from shapmix.data.importers import IMPORTERS, load_importer, recognise, run_import, switches

if TYPE_CHECKING:
    from rich.progress import Progress

    from shapmix.data.importers.base import ImportReport

SYNTHETIC = "synthetic"
HELP = "read a data set into an archive"
FLAGS = ("--strict",)  # options without a value


def add_arguments(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Arguments of the command; of the format that `words` name, its options too."""
    chosen = next((word for word in words[1:] if word in IMPORTERS), None)
    listed = "\n".join(f"  {name:15} {form.summary}" for name, form in IMPORTERS.items())
    if chosen is None:
        parser.description = f"{__doc__}\nformats:\n{listed}\n  {SYNTHETIC:15} the embedded actions"
    else:
        module = load_importer(chosen)
        parser.description = module.__doc__
        parser.add_class_arguments(module.Options)
    parser.add_argument(
        "format", choices=[*IMPORTERS, SYNTHETIC], metavar="FORMAT", help="format of the source"
    )
    parser.add_argument(
        "source", help="the file or folder that you have; for synthetic the clips of each class"
    )
    parser.add_argument("out", help="the archive to write, such as data/mine.arrow")
    parser.add_argument(
        "--classes",
        type=str | None,
        help="keep only these and number the labels 0..K-1 anew: present for the classes that have "
        "a clip; or names, labels from 0 and ranges of them, such as drop,40-48; or a .txt, .json "
        "or .csv file of names",
    )
    parser.add_argument(
        "--strict", action="store_true", help="stop at the first damaged clip instead of skipping"
    )
    parser.add_argument(
        "--workers", type=int | None, help="processes that read; one for each core by default"
    )
    parser.add_argument(
        "--report",
        type=Path | None,
        help="also write the names of all skipped and repaired clips, as JSON",
    )


def prepare(words: list[str]) -> list[str]:
    """`auto` becomes the format that the source has."""
    at = words.index("auto") if "auto" in words else len(words)
    if at == len(words) or any(word in IMPORTERS for word in words[:at]):
        return words
    without = words[:at] + words[at + 1 :]
    if {"--help", "-h"} & set(words):
        return without
    source = next(positionals(words[at + 1 :], FLAGS), None)
    if source is None:
        return without
    if not Path(source).exists():
        raise ValueError(f"no file or folder {source}")
    found = recognise(source)
    if not found:
        raise ValueError(
            f"the format of {source} was not recognised; name one of those that "
            "`shapmix import --help` lists"
        )
    name, reason = next(iter(found.items()))
    print(f"format: {name}, because it has {reason}")
    for other, why in list(found.items())[1:]:
        print(f"  (not {other}, although it has {why})")
    return [*words[:at], name, *words[at + 1 :]]


def positionals(words: Sequence[str], flags: Collection[str]) -> Iterator[str]:
    """The words that are neither options nor their values, before the format is known; all those
    after `--`.

    Args:
        flags: options that have no value. Those of the formats that are true or false may have one.
    """
    option = ""  # whose value may be next
    rest = iter(words)
    for word in rest:
        if word == "--":
            yield from rest
        elif word.startswith("--"):
            option = "" if "=" in word or word in flags else word
        elif option and (word.lower() in ("true", "false") or option[2:] not in switches()):
            option = ""
        else:
            option = ""
            yield word


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(args: Namespace) -> None:
    """Import with a progress bar, then print what was read, skipped and repaired."""
    if args.format == SYNTHETIC:
        from shapmix.data.importers.engine import check_out
        from shapmix.data.synthetic import write_synthetic

        if args.classes is not None:
            raise ValueError(
                f"--classes does not go with {SYNTHETIC}, all of whose classes have clips"
            )
        if not args.source.isdecimal():
            raise ValueError(
                f"SOURCE is {args.source!r}; for synthetic give the clips of each class, such as 80"
            )
        check_out(Path(args.out))
        write_synthetic(args.out, clips_per_class=int(args.source))
        _print_next(args.out)
        return
    from shapmix.commands.overwriting import REPORT, check_replaceable
    from shapmix.writing import atomic_file

    if args.report is not None:
        check_replaceable(args.report, REPORT)
    with _told_when_stopped(Path(args.out)), _progress() as progress:
        task = progress.add_task("importing", total=None, clips="", rate="")

        def show(report: "ImportReport") -> None:
            done = report.bytes if report.total_bytes else report.units
            total = report.total_bytes or report.total_units
            elapsed = progress.tasks[0].elapsed or 1e-9
            share = 1 - report.resumed / max(report.units, 1)  # of what is done, done now
            clips, size = report.read * share, report.bytes * share / 1e6
            rate = f"{clips / elapsed:.0f} clips/s, {size / elapsed:.1f} MB/s"
            progress.update(
                task, completed=done, total=total, clips=f"{report.read} clips", rate=rate
            )

        report = run_import(
            args.format,
            args.source,
            args.out,
            _options(args),
            classes=args.classes,
            strict=args.strict,
            workers=_cores() if args.workers is None else args.workers,
            on_progress=show,
        )
    if args.report is not None:
        check_replaceable(args.report, REPORT)  # it may be the archive that was just written
        with atomic_file(args.report) as file:
            file.write(json.dumps(report.to_dict(), indent=1).encode())
    if report.resumed:
        print(f"went on with an import that was stopped: {report.resumed} units were done")
    print(report)
    _print_next(args.out)


@contextmanager
def _told_when_stopped(out: Path) -> Iterator[None]:
    """Say after Ctrl-C that nothing is lost, if that is so."""
    from shapmix.data.importers.engine import parts_folder

    try:
        yield
    except KeyboardInterrupt:
        if not any(parts_folder(out).glob("[0-9]*.json")):
            raise
        raise KeyboardInterrupt(
            f"the same command goes on with what was read, kept in {parts_folder(out)}"
        ) from None


def _print_next(out: str) -> None:
    print(f"archive: {out}\nnext: {shlex.join(['shapmix', 'info', out])}")


def _options(args: Namespace) -> Any:
    options = load_importer(args.format).Options
    return options(**{field.name: args[field.name] for field in fields(options)})


def _progress() -> "Progress":
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), TaskProgressColumn())
    return Progress(  # nothing where the output is no terminal
        *columns,
        "{task.fields[clips]}",
        "{task.fields[rate]}",
        TimeRemainingColumn(),
        transient=True,
        disable=not sys.stdout.isatty(),
    )

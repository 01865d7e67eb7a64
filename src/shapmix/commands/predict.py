"""Recognise the actions in a source: clips, long recordings, or frames as they come.

    shapmix predict RUN SOURCE                    a table of the likeliest actions of each clip
    shapmix predict RUN SOURCE --out clips.csv    the same as .csv, .json or .jsonl
    shapmix predict RUN SOURCE --stream           what happens when in long recordings
    camera | shapmix predict RUN -                a line of JSON each time the window moves on

RUN is a run folder, an ensemble's, what `save_pretrained` or `shapmix export` saved, or owner/name
of the Hugging Face hub.

SOURCE is an archive, whatever `shapmix import` reads, or one file of it (a single .npy, .bvh,
.skeleton, ...). The format is recognised or named by --format, which also brings the format's own
options: shapmix predict --format arrays --help. Labels are not needed; those that are the model's
classes tell the accuracy. Joints are put into the model's order by name.

With SOURCE -, a line of the standard input is a frame: a JSON list of persons, joints and channels,
of the joints of one person, or of all their numbers in a row; [] where nobody is seen.

Probabilities are calibrated where the run had validation clips. Below --min-confidence there is no
answer: a clip is marked as abstained, and a stretch of a recording is in no segment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from shapmix.commands.import_ import positionals
from shapmix.commands.opening import add_device_argument, add_model_argument
from shapmix.commands.prediction_rows import PIPE, check_out, is_piped
from shapmix.commands.showing import printable
from shapmix.data.importers import IMPORTERS, load_importer

if TYPE_CHECKING:
    from shapmix.data.sources import Recordings
    from shapmix.inference.ensemble import Ensemble
    from shapmix.inference.recognizer import ActionRecognizer
    from shapmix.inference.windows import Sliding

    Model = ActionRecognizer | Ensemble

HELP = "recognise the actions in files, recordings or a stream of frames"
SWITCHES = ("--stream", "--json", "--help")
OF_STREAM = ("window", "hop", "smoothing", "smoother", "margin", "min_frames", "timeline")
OF_FILES = ("format", "split", "clip", "timeline")  # not of frames from the standard input


def add_arguments(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Arguments of the command; of the format that `words` name, its options too."""
    chosen = _format(words) if words[:1] == ["predict"] else None
    known: set[str] = set()
    if chosen in IMPORTERS:
        options = load_importer(chosen).Options
        parser.add_class_arguments(options)
        known = {field.name for field in fields(options)}
    parser.add_argument("run", help="a run folder, a saved model, or an ensemble")
    parser.add_argument("source", help="an archive, a file, a folder, or - for frames as they come")
    parser.add_argument(
        "--format",
        choices=list(IMPORTERS),
        metavar="FORMAT",
        help=f"of the source, recognised when not given: {', '.join(IMPORTERS)}",
    )
    parser.add_argument(
        "--split", type=Path | None, help="of an archive: only a part of this split"
    )
    parser.add_argument(
        "--part", choices=["train", "val", "test"], default="test", help="the part of the split"
    )
    parser.add_argument("--clip", type=str | None, help="only the clip of this name")
    parser.add_argument("--top", type=int, default=5, help="how many actions of each clip")
    parser.add_argument(
        "--min_confidence", type=float, default=0.0, help="abstain below this probability"
    )
    parser.add_argument(
        "--out", type=str | None, help="a .csv, .json or .jsonl file; - for the standard output"
    )
    parser.add_argument("--json", action="store_true", help="JSON lines on the standard output")
    if "fps" not in known:
        parser.add_argument(
            "--fps", type=float | None, help="frames a second, where the source does not say"
        )
    parser.add_argument("--batch_size", type=int, default=64, help="clips in a forward pass")
    add_device_argument(parser)
    add_model_argument(parser)
    _add_stream_arguments(parser)


def _add_stream_arguments(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("long recordings")
    group.add_argument("--stream", action="store_true", help="segments of long recordings")
    group.add_argument(
        "--window", type=int | None, help="frames judged at once; as many as the model sees"
    )
    group.add_argument(
        "--hop", type=int | None, help="frames from window to window; a quarter of the window"
    )
    group.add_argument(
        "--smoothing", type=int | None, help="windows that are averaged, an odd number; 3"
    )
    group.add_argument(
        "--smoother", choices=["mean", "median"], default=None, help="how they are averaged; mean"
    )
    group.add_argument(
        "--margin",
        type=float | None,
        help="how much more probable another action must be to take over; 0.1",
    )
    group.add_argument(
        "--min_frames", type=int | None, help="least frames of a segment; half a window"
    )
    group.add_argument(
        "--timeline", type=Path | None, help="also draw one recording: a .png, .svg or .pdf file"
    )


def _format(words: Sequence[str]) -> str | None:
    """The format that is named on a command line."""
    words = _options(words)
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word == "--format" or word.startswith("--format="):
            return word.partition("=")[2] or after
    return None


def _options(words: Sequence[str]) -> Sequence[str]:
    """The words before `--`, after which there are no options."""
    return words[: words.index("--")] if "--" in words else words


def prepare(words: list[str]) -> list[str]:
    """Name the format that the source has, so that the options of the format are known."""
    if _format(words) is not None or {"--help", "-h"} & set(_options(words)):
        return words
    named = list(positionals(words, SWITCHES))
    if len(named) < 2:
        return words
    source = Path(named[1])
    from shapmix.data.sources import find_formats, is_archive

    if named[1] == PIPE or is_archive(source):
        return words
    found = find_formats(source)
    name, reason = next(iter(found.items()))
    print(f"format: {name}, because it has {printable(reason)}", file=sys.stderr)
    at = len(_options(words))
    return [*words[:at], f"--format={name}", *words[at:]]


def run(args: Namespace) -> None:
    """Predict, and say what became of the clips; end quietly when nobody reads the answers."""
    try:
        _run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(args: Namespace) -> None:
    from shapmix.commands.opening import open_recognizer
    from shapmix.commands.recognising import judge_lines, predict_clips, segment_recordings

    args.stream = args.stream or args.timeline is not None
    _check(args)
    model = open_recognizer(args.run, device=args.device, background=False, model=args.model)
    sliding = _sliding(args, model.info.num_frames)
    if args.source == PIPE:
        judge_lines(model, sys.stdin.buffer, sys.stdout, sliding, top=args.top, fps=args.fps)
        return
    out = sys.stderr if is_piped(args.out, args.json) else sys.stdout
    say = partial(print, file=out)
    with _recordings(args, model) as recordings:
        if args.stream:
            segment_recordings(model, recordings, sliding, args, say)
        else:
            predict_clips(model, recordings, args, say)
    for path in (args.out, args.timeline):
        if path not in (None, PIPE):
            say(f"written: {path}")


def _check(args: Namespace) -> None:
    """ValueError for options that do not go together or are out of range."""
    from shapmix.commands.overwriting import PICTURE, PREDICTIONS, check_replaceable

    check_out(args.out)
    if args.out not in (None, PIPE):
        check_replaceable(Path(args.out), PREDICTIONS)
    if args.timeline is not None:
        from shapmix.reporting.timeline import check_path

        check_path(args.timeline)
        check_replaceable(args.timeline, PICTURE)
    if args.source == PIPE:
        given = [name for name in OF_FILES if args[name] is not None]
        if given or args.out not in (None, PIPE):
            raise ValueError(
                f"--{given[0] if given else 'out'} does not go with frames from the standard "
                "input; the answers go to the standard output: > FILE keeps them"
            )
    elif not args.stream and (given := [name for name in OF_STREAM if args[name] is not None]):
        raise ValueError(f"--{given[0].replace('_', '-')} is for long recordings: add --stream")
    if args.top < 1 or args.batch_size < 1:
        raise ValueError(
            f"--top is {args.top} and --batch-size {args.batch_size}: expected 1 or more"
        )
    if not 0 <= args.min_confidence <= 1:
        raise ValueError(f"--min-confidence is {args.min_confidence}: expected 0 to 1")
    if args.fps is not None and not 0 < args.fps < float("inf"):
        raise ValueError(f"--fps is {args.fps}: expected a positive number")


def _sliding(args: Namespace, num_frames: int) -> Sliding:
    """How recordings are gone through; with windows as long as what the model sees by default."""
    from shapmix.inference.windows import Sliding

    given = {
        field.name: args[field.name] for field in fields(Sliding) if args[field.name] is not None
    }
    return Sliding(**{"window": num_frames, **given})


@contextmanager
def _recordings(args: Namespace, model: Model) -> Iterator[Recordings]:
    """The clips of the source."""
    from shapmix.data.sources import BARE, find_formats, is_archive, read_archive, read_source

    source = Path(args.source)
    if args.format is None and is_archive(source):
        yield read_archive(source, args.split, args.part, args.clip)
        return
    if args.split is not None:
        raise ValueError(f"--split is for archives, but {source} is none")
    name = args.format or next(iter(find_formats(source)))
    options = load_importer(name).Options
    given = options(**{field.name: args[field.name] for field in fields(options)})
    expected = {"channels": model.info.channels, "units": model.info.units}
    with read_source(source, name, given, model.layout, **expected) as recordings:
        if name in BARE:
            info = recordings.info
            print(
                f"note: taken as {info.channels} in {info.units} of the joints of "
                f"{info.layout.name} in their order; shapmix predict --format {name} --help says "
                "how to change it",
                file=sys.stderr,
            )
        yield recordings if args.clip is None else recordings.only(args.clip)

"""What `shapmix predict` does with clips, with long recordings, and with frames as they come."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, TextIO

from jsonargparse import Namespace

from shapmix.commands.prediction_rows import Row, rows_to

if TYPE_CHECKING:
    from shapmix.data.adapting import Adaptation
    from shapmix.data.importers.base import ImportReport
    from shapmix.data.sources import Recording, Recordings
    from shapmix.inference.ensemble import Ensemble
    from shapmix.inference.live import Judgement
    from shapmix.inference.recognizer import ActionRecognizer, Prediction
    from shapmix.inference.windows import Floats, Segment, Sliding, Timeline

    Model = ActionRecognizer | Ensemble

SEGMENT = ("clip", "start_frame", "end_frame", "start_s", "end_s", "label", "probability")
DIGITS = 6  # of probabilities and seconds
MAX_LINE = 2**20  # bytes of a frame
STRANGE = "note: no accuracy, labels such as {!r} are none of the model's classes"

Say = Callable[[str], None]


@dataclass
class Tally:
    """How many answers are right, of the clips whose class is known."""

    known: int = 0
    answered: int = 0
    right: int = 0
    right_answers: int = 0
    strange: list[str] = field(default_factory=list)  # labels that are no classes of the model

    def add(self, truth: str, label: str, abstained: bool) -> None:
        """Note the answer to one clip."""
        is_right = truth == label
        self.known += 1
        self.right += is_right
        self.answered += not abstained
        self.right_answers += is_right and not abstained

    def sentence(self) -> str:
        """The accuracy in words, or why there is none; empty for clips without labels."""
        if not self.known:  # one strange label is just the folder that a lone file lies in
            return STRANGE.format(self.strange[0]) if len(self.strange) > 1 else ""
        text = f"accuracy: {self.right} of {self.known} clips, {self.right / self.known:.1%}"
        if self.answered == self.known:
            return text
        abstained = self.known - self.answered
        share = f", {self.right_answers / self.answered:.1%}" if self.answered else ""
        return (
            f"{text}; {abstained} abstained, of the others {self.right_answers} of "
            f"{self.answered}{share}"
        )


def predict_clips(model: Model, recordings: Recordings, args: Namespace, say: Say) -> None:
    """Write the likeliest actions of each clip; say the accuracy where the classes are known."""
    from shapmix.data.adapting import matching_classes
    from shapmix.inference.recognizer import ranked

    adapt = _adaptation(model, recordings, say)
    matches = matching_classes(recordings.info.class_names, model.class_names)
    top = min(args.top, len(model.class_names))
    columns = ["clip"] + [
        f"{what}_{i + 1}" for i in range(top) for what in ("label", "probability")
    ]
    columns += ["abstained"] + (["truth"] if matches else [])
    tally, crowded = Tally(), 0
    with rows_to(args.out, args.json, columns) as write, _progress(recordings.report) as step:
        for batch in _chunks(recordings, args.batch_size):
            clips = [adapt(recording.keypoints) for recording in batch]
            crowded += sum(clip.shape[1] > model.num_persons for clip in clips)
            probabilities = model.probabilities(clips, batch_size=args.batch_size)
            answers = ranked(probabilities, model.class_names, top)
            for recording, best in zip(batch, answers, strict=True):
                known = matches.get(recording.label or "")
                truth = None if known is None else model.class_names[known]
                abstained = best[0].probability < args.min_confidence
                write(_clip_row(recording.name, best, abstained, bool(matches), truth))
                if truth is not None:
                    tally.add(truth, best[0].label, abstained)
                elif recording.label is not None:
                    tally.strange.append(recording.label)
            step()
        _check_read(recordings.report)
    _say_report(recordings.report, say)
    _say_crowded(crowded, model, say)
    if sentence := tally.sentence():
        say(sentence)


def _clip_row(
    name: str, best: Sequence[Prediction], abstained: bool, has_truth: bool, truth: str | None
) -> Row:
    columns = {"clip": name, "abstained": abstained}
    for i, (label, probability) in enumerate(_labelled(best)):
        columns |= {f"label_{i + 1}": label, f"probability_{i + 1}": probability}
    predictions = [{"label": label, "probability": p} for label, p in _labelled(best)]
    content = {"clip": name, "predictions": predictions, "abstained": abstained}
    first, *others = best
    cells = {
        "clip": name,
        "label": "(abstained)" if abstained else first.label,
        "probability": f"{first.probability:.2f}",
        "or": ", ".join(f"{p.label} {p.probability:.2f}" for p in (best if abstained else others)),
    }
    if has_truth:
        columns["truth"] = content["truth"] = truth
        cells["truth"] = truth or ""
    return Row(columns, content, cells)


def _labelled(best: Sequence[Prediction]) -> list[tuple[str, float]]:
    """Labels and probabilities as they are written."""
    return [(each.label, round(each.probability, DIGITS)) for each in best]


def segment_recordings(
    model: Model, recordings: Recordings, sliding: Sliding, args: Namespace, say: Say
) -> None:
    """Write the segments of each recording; draw the timeline if there is to be one."""
    from shapmix.inference.windows import recognise_recording

    adapt = _adaptation(model, recordings, say)
    drawn: tuple[str, Timeline] | None = None
    num_recordings = num_segments = crowded = 0
    with rows_to(args.out, args.json, SEGMENT) as write, _progress(recordings.report) as step:
        for recording in recordings:
            if drawn is not None and args.timeline is not None:
                raise ValueError(
                    f"--timeline draws one recording, but the source has {drawn[0]!r}, "
                    f"{recording.name!r} and perhaps more: choose one by --clip"
                )
            timeline = recognise_recording(
                model,
                adapt(recording.keypoints),
                **asdict(sliding),
                fps=recording.fps or args.fps,
                batch_size=args.batch_size,
                on_progress=step,
            )
            drawn = (recording.name, timeline)
            for segment in timeline.segments:
                write(_segment_row(recording.name, segment, timeline))
            num_recordings += 1
            crowded += recording.keypoints.shape[1] > model.num_persons
            num_segments += len(timeline.segments)
        _check_read(recordings.report)
        if args.timeline is not None and drawn is not None:
            _draw(*drawn, args)
    _say_report(recordings.report, say)
    _say_crowded(crowded, model, say)
    if any("left out" in what for what in recordings.report.repaired):
        say("note: frames are counted without those that were left out")
    say(f"segments: {num_segments}, recordings: {num_recordings}")


def _segment_row(name: str, segment: Segment, timeline: Timeline) -> Row:
    start, end, k, probability = segment
    label = timeline.class_names[k]
    fps = timeline.fps
    seconds = [None if fps is None else round(frame / fps, DIGITS) for frame in (start, end)]
    values = (name, start, end, *seconds, label, round(probability, DIGITS))
    row = dict(zip(SEGMENT, values, strict=True))
    cells = {"clip": name, "frames": f"{start} to {end}"}
    if fps is not None:
        cells["seconds"] = f"{start / fps:.2f} to {end / fps:.2f}"
    return Row(row, row, cells | {"label": label, "probability": f"{probability:.2f}"})


def _draw(name: str, timeline: Timeline, args: Namespace) -> None:
    from shapmix.reporting.timeline import save_timeline, timeline_figure

    figure = timeline_figure(
        timeline.probabilities,
        timeline.borders,
        [segment[:3] for segment in timeline.segments],
        timeline.class_names,
        fps=timeline.fps,
        title=name,
    )
    save_timeline(figure, args.timeline)


def judge_lines(
    model: Model, lines: BinaryIO, out: TextIO, sliding: Sliding, *, top: int, fps: float | None
) -> None:
    """Write a line of JSON each time that the window has moved on.

    Raises:
        ValueError: a line is no frame (its number is said), or there is no frame at all.
    """
    from shapmix.inference.live import recognise_stream

    frames = _frames(lines, len(model.layout.joints), len(model.info.channels))
    for judgement in recognise_stream(model, frames, sliding):
        content = _judgement(judgement, model.class_names, top, fps)
        print(json.dumps(content, ensure_ascii=False), file=out, flush=True)


def _frames(lines: BinaryIO, num_joints: int, num_channels: int) -> Iterator[Floats]:
    from shapmix.inference.live import parse_frame

    number = frames = 0
    while line := lines.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise ValueError(f"line {number} has more than {MAX_LINE} bytes; a line is one frame")
        if not line.strip():
            continue
        try:
            frame = parse_frame(line, num_joints, num_channels)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
        frames += 1
        yield frame
    if not frames:
        raise ValueError(
            "the standard input ended before its first frame: send a line of JSON for each frame"
        )


def _judgement(
    judgement: Judgement, class_names: Sequence[str], top: int, fps: float | None
) -> dict[str, object]:
    from shapmix.inference.recognizer import ranked
    from shapmix.inference.windows import NO_LABEL

    start, end, k, p = judgement
    best = ranked(p[None], class_names, top)[0]
    abstained = k == NO_LABEL
    return {
        "start_frame": start,
        "end_frame": end,
        "end_s": None if fps is None else round(end / fps, DIGITS),
        "label": None if abstained else class_names[k],
        "probability": None if abstained else round(float(p[k]), DIGITS),
        "abstained": abstained,
        "predictions": [{"label": label, "probability": p} for label, p in _labelled(best)],
    }


def _adaptation(model: Model, recordings: Recordings, say: Say) -> Adaptation:
    """What makes clips of the source those of the model; says what is changed."""
    from shapmix.data.adapting import find_adaptation

    info = model.info
    adapt = find_adaptation(recordings.info, model.layout, info.channels, info.units)
    for note in adapt.notes:
        say(f"note: {note}")
    return adapt


def _chunks(recordings: Iterable[Recording], size: int) -> Iterator[list[Recording]]:
    rest = iter(recordings)
    while chunk := list(islice(rest, size)):
        yield chunk


def _check_read(report: ImportReport) -> None:
    """ValueError when the source had no sound clip."""
    if not report.read:
        raise ValueError(f"no clip could be read:\n{report}")


def _say_report(report: ImportReport, say: Say) -> None:
    """What was skipped and what was mended."""
    for line in str(report).splitlines()[1:]:
        say(line)


def _say_crowded(clips: int, model: Model, say: Say) -> None:
    """In how many clips there are persons whom the model does not look at."""
    if clips:
        say(
            f"note: clips with more persons than the model looks at: {clips}; only the first "
            f"{model.num_persons} of each counted"
        )


@contextmanager
def _progress(report: ImportReport) -> Iterator[Callable[..., None]]:
    """A progress bar over the units of a source; its function is called now and then.

    In a recording, with the windows done and their number.
    """
    from rich.console import Console
    from rich.progress import Progress

    hidden = not sys.stderr.isatty()
    with Progress(console=Console(stderr=True), transient=True, disable=hidden) as bar:
        task = bar.add_task("recognising", total=report.total_units)
        yield lambda done=0, of=1: bar.update(task, completed=report.units + done / of)

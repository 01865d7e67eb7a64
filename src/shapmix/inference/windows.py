"""Long recordings: a sliding window, smoothing over time, and segments of one action each.

A recogniser judges windows of a recording. Each window speaks for the frames that are nearest to
its middle; its probabilities are smoothed with those of its neighbours, and a label is kept until
another one is clearly more probable (hysteresis). Stretches shorter than a least duration go to a
neighbour. What stays are segments; frames in no segment are those where no class was probable
enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, get_args

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]
Smoother = Literal["mean", "median"]

NO_LABEL = -1


class Recognizer(Protocol):
    """What judges clips: an `ActionRecognizer`, an `Ensemble`, or anything of this form."""

    @property
    def class_names(self) -> Sequence[str]:
        """K names."""
        ...

    def probabilities(self, clips: Sequence[Floats], *, batch_size: int = 64) -> Floats:
        """`(n, K)` of n clips `(T, M, V, C)`."""
        ...


@dataclass(frozen=True)
class Sliding:
    """How a recording is gone through, and how judgements become labels.

    Attributes:
        window: frames that are judged at once.
        hop: frames from one window to the next; a quarter of the window when not given.
        smoothing: windows that are averaged, an odd number; 1 averages nothing.
        smoother: their mean or their median, class by class.
        min_confidence: probability that a class needs to begin; where none has it, there is no
            label.
        margin: hysteresis. A label stays until its probability falls by more than this below
            `min_confidence`, or below that of another class.
        min_frames: least duration of a label; half a window when not given.

    Raises:
        ValueError: a value out of its range.
    """

    window: int
    hop: int | None = None
    smoothing: int = 3
    smoother: Smoother = "mean"
    min_confidence: float = 0.0
    margin: float = 0.1
    min_frames: int | None = None

    def __post_init__(self) -> None:
        if self.window < 1 or (self.hop is not None and self.hop < 1):
            raise ValueError(
                f"window is {self.window} and hop {self.hop}: expected 1 frame or more"
            )
        if self.smoothing < 1 or self.smoothing % 2 == 0:
            raise ValueError(f"smoothing is {self.smoothing}: expected an odd number of windows")
        if self.smoother not in get_args(Smoother):
            raise ValueError(f"smoother is {self.smoother!r}: choose mean or median")
        if not 0 <= self.min_confidence <= 1 or not 0 <= self.margin <= 1:
            raise ValueError(
                f"min_confidence is {self.min_confidence} and margin {self.margin}: expected "
                "probabilities from 0 to 1"
            )
        if self.min_frames is not None and self.min_frames < 0:
            raise ValueError(f"min_frames is {self.min_frames}: expected 0 or more")

    @property
    def step(self) -> int:
        """Frames from one window to the next."""
        return max(self.window // 4, 1) if self.hop is None else self.hop

    @property
    def shortest(self) -> int:
        """Least frames of a label."""
        return self.window // 2 if self.min_frames is None else self.min_frames


class Segment(NamedTuple):
    """A stretch of a recording with one label.

    Attributes:
        start_frame, end_frame: from the first frame to the one after the last.
        label: class index.
        probability: mean smoothed probability of this class over its frames.
    """

    start_frame: int
    end_frame: int
    label: int
    probability: float


@dataclass(frozen=True, eq=False)
class Timeline:
    """What was recognised in a recording.

    Attributes:
        num_frames: of the recording.
        fps: frames a second, None where unknown.
        class_names: K names.
        starts: `(n,)`, first frames of the windows.
        borders: `(n + 1,)`; window i speaks for the frames from `borders[i]` to `borders[i + 1]`.
        probabilities: `(n, K)`, smoothed; rows sum to 1.
        segments: in the order of time.
    """

    num_frames: int
    fps: float | None
    class_names: tuple[str, ...]
    starts: Indices
    borders: Indices
    probabilities: Floats
    segments: tuple[Segment, ...]


def recognise_recording(
    recognizer: Recognizer,
    keypoints: Floats,
    window: int,
    hop: int | None = None,
    *,
    smoothing: int = 3,
    smoother: Smoother = "mean",
    min_confidence: float = 0.0,
    margin: float = 0.1,
    min_frames: int | None = None,
    fps: float | None = None,
    batch_size: int = 64,
    on_progress: Callable[[int, int], None] | None = None,
) -> Timeline:
    """Which actions a recording `(T, M, V, C)` or `(T, V, C)` shows, and when.

    Args:
        recognizer: an `ActionRecognizer`, an `Ensemble`, or what has their `probabilities`.
        window, hop, smoothing, smoother, min_confidence, margin, min_frames: see `Sliding`.
        fps: frames a second, kept in the result.
        batch_size: windows that are judged at once.
        on_progress: called with the windows done and their number.

    Raises:
        ValueError: a recording without frames or of another form, or an option out of its range.
    """
    sliding = Sliding(window, hop, smoothing, smoother, min_confidence, margin, min_frames)
    if keypoints.ndim not in (3, 4) or 0 in keypoints.shape:
        raise ValueError(
            f"the recording has shape {keypoints.shape}, expected (frames, persons, joints, "
            "channels) or (frames, joints, channels), none of them 0"
        )
    T = len(keypoints)
    starts = window_starts(T, window, sliding.step)
    judged = []
    for first in range(0, len(starts), batch_size):
        clips = [keypoints[s : s + window] for s in starts[first : first + batch_size]]
        judged.append(judge(recognizer, clips, batch_size))
        if on_progress is not None:
            on_progress(first + len(clips), len(starts))
    probabilities = smooth(np.concatenate(judged), smoothing, smoother)
    borders = window_borders(starts, min(window, T), T)
    segments = find_segments(probabilities, borders, sliding)
    names = tuple(recognizer.class_names)
    return Timeline(T, fps, names, starts, borders, probabilities, segments)


def window_starts(num_frames: int, window: int, hop: int) -> Indices:
    """First frames of the windows: every `hop` frames, and one that ends with the recording.

    A recording that is shorter than the window has one, of its own length.
    """
    last = max(num_frames - window, 0)
    starts = list(range(0, last + 1, hop))
    return np.array(starts if starts[-1] == last else [*starts, last], dtype=np.int64)


def window_borders(starts: Indices, length: int, num_frames: int) -> Indices:
    """`(n + 1,)` frames between which each window is the one with the nearest middle."""
    middles = (starts[:-1] + starts[1:] + length + 1) // 2
    return np.concatenate([[0], middles, [num_frames]]).astype(np.int64)


def judge(recognizer: Recognizer, clips: Sequence[Floats], batch_size: int = 64) -> Floats:
    """Probabilities `(n, K)` of windows; all classes alike where nobody is to be seen."""
    seen = [i for i, clip in enumerate(clips) if clip.any()]
    K = len(recognizer.class_names)
    probabilities = np.full((len(clips), K), 1 / K)
    if seen:
        probabilities[seen] = recognizer.probabilities(
            [clips[i] for i in seen], batch_size=batch_size
        )
    return probabilities


def average(rows: Floats, smoother: Smoother = "mean") -> Floats:
    """One row `(K,)` of probabilities from several `(m, K)`.

    Medians of the classes are scaled to the sum 1. Where all are 0, it is the mean.
    """
    mean: Floats = rows.mean(0)
    if smoother == "mean":
        return mean
    median: Floats = np.median(rows, axis=0)
    total = median.sum()
    return median / total if total > 0 else mean


def smooth(probabilities: Floats, length: int, smoother: Smoother = "mean") -> Floats:
    """Average each row of `(n, K)` with `length // 2` neighbours on both sides, as far as there."""
    half, n = length // 2, len(probabilities)
    rows = [average(probabilities[max(i - half, 0) : i + half + 1], smoother) for i in range(n)]
    return np.stack(rows)


def next_label(current: int, p: Floats, min_confidence: float, margin: float) -> int:
    """The label of a window with probabilities `(K,)` after one with the label `current`."""
    best = int(p.argmax())
    least = max(min_confidence, p[best]) - margin
    if current != NO_LABEL and p[current] >= least:
        return current
    return best if p[best] >= min_confidence else NO_LABEL


class Run(NamedTuple):
    """Consecutive windows with one label, from `first` to the one before `end`."""

    first: int
    end: int
    label: int


def find_segments(probabilities: Floats, borders: Indices, sliding: Sliding) -> tuple[Segment, ...]:
    """Segments from smoothed probabilities `(n, K)` and borders `(n + 1,)` of n windows."""
    runs: list[Run] = []
    label = NO_LABEL
    for i, p in enumerate(probabilities):
        label = next_label(label, p, sliding.min_confidence, sliding.margin)
        runs.append(Run(i, i + 1, label))
    runs = absorb_short(joined(runs), probabilities, borders, sliding)
    segments = []
    for first, end, label in runs:
        if label != NO_LABEL:
            frames = np.diff(borders[first : end + 1])
            mean = float(np.average(probabilities[first:end, label], weights=frames))
            segments.append(Segment(int(borders[first]), int(borders[end]), label, mean))
    return tuple(segments)


def joined(runs: Sequence[Run]) -> list[Run]:
    """Neighbouring runs of one label as one run."""
    result: list[Run] = []
    for run in runs:
        if result and result[-1].label == run.label:
            run = Run(result.pop().first, run.end, run.label)
        result.append(run)
    return result


def absorb_short(
    runs: Sequence[Run], probabilities: Floats, borders: Indices, sliding: Sliding
) -> list[Run]:
    """Give runs shorter than the least duration to a neighbour, the shortest first.

    It is the neighbour whose class is more probable there on average; having no label counts as the
    probability below which a label ends. A single run stays, however short.
    """
    runs = list(runs)
    least = sliding.min_confidence - sliding.margin

    def frames(run: Run) -> int:
        return int(borders[run.end] - borders[run.first])

    while len(runs) > 1:
        at = min(range(len(runs)), key=lambda i: frames(runs[i]))
        short = runs[at]
        if frames(short) >= sliding.shortest:
            break
        mean = probabilities[short.first : short.end].mean(0)
        around = [runs[i].label for i in (at - 1, at + 1) if 0 <= i < len(runs)]
        label = max(around, key=lambda k: least if k == NO_LABEL else mean[k])
        runs[at] = short._replace(label=label)
        runs = joined(runs)
    return runs

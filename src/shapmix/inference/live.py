"""Recognition while frames come in, one after the other, as from a camera."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from shapmix.inference.windows import (
    NO_LABEL,
    Floats,
    Recognizer,
    Sliding,
    average,
    judge,
    next_label,
)

MAX_PERSONS = 64


class Judgement(NamedTuple):
    """What the last frames show.

    Attributes:
        start_frame, end_frame: of the window, from its first frame to the one after its last.
        label: class index after smoothing and hysteresis, `NO_LABEL` where none is probable enough.
        probabilities: `(K,)`, smoothed; their sum is 1.
    """

    start_frame: int
    end_frame: int
    label: int
    probabilities: Floats


class LiveRecognition:
    """Judges the last `window` frames every `hop` frames.

    The windows are those of `recognise_recording`. Smoothing is over the last judgements, since the
    next ones are not known yet, so that labels come up to `smoothing // 2` hops later; there is no
    least duration.

    Args:
        recognizer: an `ActionRecognizer`, an `Ensemble`, or what has their `probabilities`.
        sliding: window, hop, smoothing and hysteresis.
    """

    def __init__(self, recognizer: Recognizer, sliding: Sliding) -> None:
        self.recognizer, self.sliding = recognizer, sliding
        self.num_frames = 0
        self._frames: deque[Floats] = deque(maxlen=sliding.window)
        self._recent: deque[Floats] = deque(maxlen=sliding.smoothing)
        self._label = NO_LABEL
        self._judged_up_to = 0

    def push(self, frame: Floats) -> Judgement | None:
        """Take in a frame `(M, V, C)`; a judgement when one is due."""
        self._frames.append(frame)
        self.num_frames += 1
        beyond = self.num_frames - self.sliding.window
        return self._judge() if beyond >= 0 and beyond % self.sliding.step == 0 else None

    def finish(self) -> Judgement | None:
        """The judgement of the last window, when frames came in since the last one."""
        return self._judge() if self.num_frames > self._judged_up_to else None

    def _judge(self) -> Judgement:
        clip = stacked(self._frames)
        self._recent.append(judge(self.recognizer, [clip])[0])
        p = average(np.stack(self._recent), self.sliding.smoother)
        least, margin = self.sliding.min_confidence, self.sliding.margin
        self._label = next_label(self._label, p, least, margin)
        self._judged_up_to = self.num_frames
        return Judgement(self.num_frames - len(clip), self.num_frames, self._label, p)


def stacked(frames: Iterable[Floats]) -> Floats:
    """A clip `(T, M, V, C)` of frames of any numbers of persons; who is absent is zero."""
    frames = list(frames)
    most = max(len(frame) for frame in frames)
    clip = np.zeros((len(frames), most, *frames[0].shape[1:]), np.float32)
    for row, frame in zip(clip, frames, strict=True):
        row[: len(frame)] = frame
    return clip


def recognise_stream(
    recognizer: Recognizer, frames: Iterable[Floats], sliding: Sliding
) -> Iterator[Judgement]:
    """Judgements of frames `(M, V, C)` as they come in; see `LiveRecognition`."""
    live = LiveRecognition(recognizer, sliding)
    for frame in frames:
        judgement = live.push(frame)
        if judgement is not None:
            yield judgement
    last = live.finish()
    if last is not None:
        yield last


def parse_frame(text: str | bytes, num_joints: int, num_channels: int) -> Floats:
    """A frame `(M, V, C)` from JSON: persons, joints, channels; one person's joints; or flat.

    A frame without a body is [] or null, and becomes one person of zeros.

    Raises:
        ValueError: it is no JSON, of another form, or has values that are no finite numbers.
    """
    V, C = num_joints, num_channels
    expected = f"a list of numbers ({V} joints x {C}), flat or nested, of one person or several"
    try:
        content: Any = json.loads(text)
        values = np.array([] if content is None else content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no such frame: {error}; expected {expected}") from error
    if values.size == 0:
        return np.zeros((1, V, C), np.float32)
    shaped = values.ndim == 1 or values.shape[-2:] == (V, C)
    if values.dtype.kind not in "if" or values.ndim > 3 or not shaped or values.size % (V * C):
        raise ValueError(
            f"the frame is {values.dtype} of shape {values.shape}; expected {expected}"
        )
    with np.errstate(over="ignore"):
        frame: Floats = values.reshape(-1, V, C).astype(np.float32)
    if len(frame) > MAX_PERSONS or not np.isfinite(frame).all():
        raise ValueError(
            f"the frame has {len(frame)} persons, or values that are not finite; expected at most "
            f"{MAX_PERSONS} persons, and 0 for joints that are missing"
        )
    return frame

"""Frames one after the other: the windows of a whole recording, and frames as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapmix.inference.live import LiveRecognition, parse_frame, recognise_stream, stacked
from shapmix.inference.windows import NO_LABEL, Sliding, average, next_label, window_starts

frames = st.integers(1, 40)


class Remembering:
    """Says that a clip is of the class of its first frame, surely, and keeps what it saw."""

    class_names = ("a", "b", "c")

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def probabilities(self, clips: Sequence[Any], *, batch_size: int = 64) -> np.ndarray:
        self.seen += [clip.copy() for clip in clips]
        return np.eye(3)[[int(clip[0, 0, 0, 0]) % 3 for clip in clips]] * 0.7 + 0.1


@given(num_frames=frames, window=frames, hop=frames, smoothing=st.sampled_from([1, 3, 5]))
def test_the_windows_are_those_of_the_whole_recording(num_frames, window, hop, smoothing):
    sliding = Sliding(window, hop, smoothing, margin=0.2, min_confidence=0.5)
    recording = np.arange(1.0, num_frames * 6 + 1).reshape(num_frames, 1, 2, 3)
    recognizer = Remembering()
    found = list(recognise_stream(recognizer, iter(recording), sliding))
    starts = window_starts(num_frames, window, hop)
    assert [judgement.start_frame for judgement in found] == starts.tolist()
    label, rows = NO_LABEL, []
    for start, clip, judgement in zip(starts, recognizer.seen, found, strict=True):
        np.testing.assert_array_equal(clip, recording[start : start + window])
        assert judgement.end_frame == start + len(clip)
        rows.append(Remembering().probabilities([clip])[0])
        p = average(np.stack(rows[-smoothing:]))
        np.testing.assert_allclose(judgement.probabilities, p)
        label = next_label(label, p, 0.5, 0.2)
        assert judgement.label == label


def test_a_judgement_comes_with_the_frame_that_completes_it():
    live = LiveRecognition(Remembering(), Sliding(4, 3))
    due = [live.push(np.ones((1, 2, 3))) is not None for _ in range(11)]
    assert due == [False] * 3 + [True] + [False, False, True] * 2 + [False]
    last = live.finish()
    assert last is not None
    assert (last.start_frame, last.end_frame) == (7, 11)
    assert live.finish() is None


def test_nobody_and_nothing():
    assert list(recognise_stream(Remembering(), [], Sliding(4))) == []
    (only,) = recognise_stream(Remembering(), [np.zeros((1, 2, 3))] * 4, Sliding(4))
    np.testing.assert_allclose(only.probabilities, 1 / 3)


def test_persons_come_and_go():
    one, two = np.full((1, 2, 3), 1.0), np.full((2, 2, 3), 2.0)
    clip = stacked([one, two, one])
    assert clip.shape == (3, 2, 2, 3)
    np.testing.assert_array_equal(clip[:, 0, 0, 0], [1, 2, 1])
    np.testing.assert_array_equal(clip[:, 1, 0, 0], [0, 2, 0])


@given(persons=st.integers(1, 3), seed=st.integers(0, 1000))
def test_frames_in_every_form(persons, seed):
    frame = np.random.default_rng(seed).normal(size=(persons, 4, 3)).astype(np.float32)
    forms = [frame.tolist(), frame.ravel().tolist()]
    if persons == 1:
        forms.append(frame[0].tolist())
    for form in forms:
        np.testing.assert_array_equal(parse_frame(json.dumps(form), 4, 3), frame)


@pytest.mark.parametrize("text", ["[]", "null", " [[]] ", b"[]"])
def test_a_frame_without_a_body(text):
    frame = parse_frame(text, 4, 3)
    assert frame.shape == (1, 4, 3)
    assert not frame.any()


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2, 3]",
        "[[1, 2], [3]]",
        '{"keypoints": []}',
        '"abc"',
        "12",
        "true",
        "[true, false]",
        "nonsense",
        "[" * 5000,
        "[[[[" + "]]]]" + "]",
        json.dumps([[0.0] * 12] * 2),
        json.dumps(np.zeros((1, 3, 4)).tolist()),
        json.dumps([["a"] * 3] * 4),
        b"\xff\xfe",
    ],
)
def test_what_is_no_frame(text):
    with pytest.raises(ValueError, match="expected a list of numbers"):
        parse_frame(text, 4, 3)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e39", "1e400"])
def test_numbers_that_are_not_finite(value):
    with pytest.raises(ValueError, match="not finite"):
        parse_frame(f"[{', '.join([value] * 12)}]", 4, 3)


def test_a_crowd_is_refused():
    with pytest.raises(ValueError, match="65 persons"):
        parse_frame(json.dumps(np.ones((65, 4, 3)).tolist()), 4, 3)

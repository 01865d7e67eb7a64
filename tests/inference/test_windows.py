"""Sliding windows, smoothing and segments, against slow oracles and known boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapmix.inference.windows import (
    NO_LABEL,
    Sliding,
    average,
    find_segments,
    recognise_recording,
    smooth,
    window_borders,
    window_starts,
)

frames = st.integers(1, 60)
seeds = st.integers(0, 2**32 - 1)


class Exact:
    """Knows what a frame shows: the class is written in every coordinate, from 1."""

    def __init__(self, num_classes: int) -> None:
        self.class_names = tuple(f"class {k}" for k in range(num_classes))

    def probabilities(self, clips: Sequence[Any], *, batch_size: int = 64) -> np.ndarray:
        """The share of its frames that a clip spends on each class."""
        K = len(self.class_names)
        rows = [np.bincount(clip[:, 0, 0, 0].astype(int) - 1, minlength=K) for clip in clips]
        return np.stack([row / row.sum() for row in rows])


def glued(pieces: Sequence[tuple[int, int]]) -> np.ndarray:
    """A recording (T, 1, 2, 3) of (class, frames)."""
    values = np.concatenate([np.full(length, k + 1.0) for k, length in pieces])
    return np.broadcast_to(values[:, None, None, None], (len(values), 1, 2, 3)).astype(np.float32)


@given(num_frames=frames, window=frames, hop=frames)
def test_windows_cover_the_recording(num_frames, window, hop):
    starts = window_starts(num_frames, window, hop).tolist()
    length = min(window, num_frames)
    assert starts[0] == 0
    assert starts[-1] + length == num_frames
    steps = np.diff(starts).tolist()
    assert all(step == hop for step in steps[:-1])
    assert all(0 < step <= hop for step in steps)


@given(num_frames=frames, window=frames, hop=frames)
def test_every_frame_belongs_to_the_window_with_the_nearest_middle(num_frames, window, hop):
    starts = window_starts(num_frames, window, hop)
    length = min(window, num_frames)
    borders = window_borders(starts, length, num_frames)
    assert (np.diff(borders) > 0).all()
    owner = np.repeat(np.arange(len(starts)), np.diff(borders))
    assert len(owner) == num_frames
    for frame, i in enumerate(owner):
        distances = [abs(2 * frame + 1 - (2 * start + length)) for start in starts.tolist()]
        assert distances[i] == min(distances)


def random_rows(seed: int, n: int, K: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(K, 0.5), n)


@given(seed=seeds, n=st.integers(1, 12), K=st.integers(1, 5), half=st.integers(0, 4))
def test_smoothing_is_the_mean_or_median_of_neighbours(seed, n, K, half):
    rows = random_rows(seed, n, K)
    mean, median = (smooth(rows, 2 * half + 1, kind) for kind in ("mean", "median"))
    for i in range(n):
        near = [rows[j] for j in range(n) if abs(i - j) <= half]
        for k in range(K):
            assert mean[i, k] == pytest.approx(sum(row[k] for row in near) / len(near))
        middles = [sorted(row[k] for row in near) for k in range(K)]
        middles = [(m[(len(m) - 1) // 2] + m[len(m) // 2]) / 2 for m in middles]
        expected = np.array(middles) / sum(middles) if sum(middles) else mean[i]
        np.testing.assert_allclose(median[i], expected, atol=1e-12)
    for found in (mean, median):
        np.testing.assert_allclose(found.sum(1), 1)


def test_a_median_without_a_majority_is_the_mean():
    np.testing.assert_allclose(average(np.eye(3), "median"), np.full(3, 1 / 3))
    np.testing.assert_allclose(average(np.eye(3)[[0, 1, 1]], "median"), [0, 1, 0])


def slow_labels(rows: np.ndarray, sliding: Sliding) -> list[int]:
    """Hysteresis as it is described."""
    labels: list[int] = []
    for row in rows.tolist():
        best = row.index(max(row))
        before = labels[-1] if labels else NO_LABEL
        fell = before == NO_LABEL or sliding.min_confidence - row[before] > sliding.margin
        beaten = before == NO_LABEL or row[best] - row[before] > sliding.margin
        if not fell and not beaten:
            labels.append(before)
        else:
            labels.append(best if row[best] >= sliding.min_confidence else NO_LABEL)
    return labels


def slow_absorption(
    labels: list[int], rows: np.ndarray, lengths: Sequence[int], sliding: Sliding
) -> list[int]:
    """Runs that are too short go to a neighbour, the shortest and earliest first; one by one."""
    while True:
        runs = [[i for i, _ in group] for _, group in groupby(enumerate(labels), lambda x: x[1])]
        sizes = [sum(lengths[i] for i in run) for run in runs]
        if len(runs) == 1 or min(sizes) >= sliding.shortest:
            return labels
        run = runs[sizes.index(min(sizes))]
        best, best_score = None, -np.inf
        for neighbour in (run[0] - 1, run[-1] + 1):
            if 0 <= neighbour < len(labels):
                k = labels[neighbour]
                score = np.mean([rows[i, k] for i in run])
                if k == NO_LABEL:
                    score = sliding.min_confidence - sliding.margin
                if score > best_score:
                    best, best_score = k, score
        labels = [best if i in run else label for i, label in enumerate(labels)]


slidings = st.builds(
    Sliding,
    window=st.integers(1, 12),
    hop=st.integers(1, 5),
    min_confidence=st.sampled_from([0.0, 0.4, 0.6, 0.9]),
    margin=st.sampled_from([0.0, 0.1, 0.3]),
    min_frames=st.one_of(st.none(), st.integers(0, 12)),
)


@given(seed=seeds, num_frames=frames, K=st.integers(1, 4), sliding=slidings)
def test_segments_against_the_oracle(seed, num_frames, K, sliding):
    starts = window_starts(num_frames, sliding.window, sliding.step)
    borders = window_borders(starts, min(sliding.window, num_frames), num_frames)
    rows = random_rows(seed, len(starts), K)
    lengths = np.diff(borders).tolist()
    labels = slow_absorption(slow_labels(rows, sliding), rows, lengths, sliding)
    by_frame = np.repeat(labels, lengths)
    segments = find_segments(rows, borders, sliding)

    found = np.full(num_frames, NO_LABEL)
    for start, end, k, probability in segments:
        assert 0 <= start < end <= num_frames
        assert (found[start:end] == NO_LABEL).all(), "segments do not overlap"
        found[start:end] = k
        of_frames = np.repeat(rows[:, k], lengths)[start:end]
        assert probability == pytest.approx(of_frames.mean())
    np.testing.assert_array_equal(found, by_frame)
    assert list(segments) == sorted(segments)
    for before, after in pairwise(segments):
        assert before.end_frame < after.start_frame or before.label != after.label
    if len(set(labels)) > 1:
        assert all(end - start >= sliding.shortest for start, end, *_ in segments)


@given(
    pieces=st.lists(st.tuples(st.integers(0, 3), st.integers(30, 80)), min_size=1, max_size=5),
    hop=st.integers(1, 8),
)
def test_segments_of_a_glued_recording_are_where_it_was_glued(pieces, hop):
    pieces = [next(group) for _, group in groupby(pieces, key=lambda piece: piece[0])]
    recording = glued(pieces)
    timeline = recognise_recording(Exact(4), recording, 16, hop, margin=0.0, fps=25.0)
    assert [segment.label for segment in timeline.segments] == [k for k, _ in pieces]
    ends = np.cumsum([length for _, length in pieces]).tolist()
    for segment, end in zip(timeline.segments, ends, strict=True):
        assert abs(segment.end_frame - end) <= 2 * hop
    assert timeline.segments[0].start_frame == 0
    assert timeline.segments[-1].end_frame == timeline.num_frames == len(recording)
    assert timeline.fps == 25.0
    np.testing.assert_allclose(timeline.probabilities.sum(1), 1)


def test_a_short_action_is_absorbed_unless_it_may_be_short():
    recording = glued([(0, 60), (1, 6), (0, 60)])
    assert len(recognise_recording(Exact(2), recording, 8, 1).segments) == 3
    kept = recognise_recording(Exact(2), recording, 8, 1, min_frames=12).segments
    assert [(s.start_frame, s.end_frame, s.label) for s in kept] == [(0, 126, 0)]


def test_where_no_class_is_probable_there_is_no_segment():
    """Two classes take turns from frame to frame in the middle."""
    turns = [(k % 2, 1) for k in range(40)]
    recording = glued([(0, 40), *turns, (1, 40)])
    segments = recognise_recording(
        Exact(2), recording, 10, 1, min_confidence=0.8, margin=0.1
    ).segments
    assert [s.label for s in segments] == [0, 1]
    assert 40 <= segments[0].end_frame <= 46
    assert 76 <= segments[1].start_frame <= 84


def test_a_short_recording_and_one_of_nobody():
    short = recognise_recording(Exact(3), glued([(2, 5)]), 64)
    assert short.segments == ((0, 5, 2, 1.0),)
    nobody = recognise_recording(
        Exact(3), np.zeros((30, 1, 2, 3), np.float32), 10, min_confidence=0.5
    )
    assert nobody.segments == ()
    np.testing.assert_allclose(nobody.probabilities, 1 / 3)


def test_progress_and_persons_left_out():
    seen: list[tuple[int, int]] = []
    timeline = recognise_recording(
        Exact(2), glued([(1, 40)]), 4, 2, batch_size=7, on_progress=lambda *done: seen.append(done)
    )
    assert seen == [(7, 19), (14, 19), (19, 19)]
    assert timeline.starts.tolist() == list(range(0, 37, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "window is 0"),
        ({"window": 8, "hop": 0}, "hop 0"),
        ({"window": 8, "smoothing": 4}, "smoothing is 4: expected an odd number"),
        ({"window": 8, "smoother": "max"}, "choose mean or median"),
        ({"window": 8, "margin": -0.1}, "margin -0.1"),
        ({"window": 8, "min_confidence": 2}, "min_confidence is 2"),
        ({"window": 8, "min_frames": -1}, "min_frames is -1"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        recognise_recording(Exact(2), glued([(0, 9)]), **options)


@pytest.mark.parametrize("shape", [(0, 1, 2, 3), (4, 0, 2, 3), (4, 6)])
def test_impossible_recordings(shape):
    with pytest.raises(ValueError, match="the recording has shape"):
        recognise_recording(Exact(2), np.zeros(shape), 4)

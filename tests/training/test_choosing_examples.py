"""Which sequences of a run are shown, and how they are laid for display: against oracles."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shapmix.data.archive import Archive
from shapmix.training.examples import (
    MOST_BYTES,
    Shown,
    centred,
    choose_clips,
    find_origin,
    shown_classes,
    shown_frames,
    shown_window,
    turned,
    write_examples,
)
from shapmix.training.mixes import chosen_pairs


def choice_by_hand(logits, labels, class_counts, most_pairs, most_classes):
    """One clip after the other."""
    exact = logits.astype(np.float64)
    said = [max(range(len(row)), key=lambda k: row[k]) for row in exact]
    sure = [1 / sum(np.exp(row - row[k])) for row, k in zip(exact, said, strict=True)]

    def surest(true, predicted):
        clips = [i for i in range(len(said)) if (labels[i], said[i]) == (true, predicted)]
        return max(clips, key=lambda i: sure[i], default=None)

    wrong = Counter((labels[i], said[i]) for i in range(len(said)) if labels[i] != said[i])
    of_class = Counter(labels)
    order = sorted(wrong, key=lambda p: (-wrong[p], -wrong[p] / of_class[p[0]], p))
    found = []
    for true, predicted in order[:most_pairs]:
        pair = [surest(true, predicted), surest(predicted, predicted)]
        found.append([i for i in pair if i is not None])
    known = [k for k in range(logits.shape[1]) if surest(k, k) is not None]
    known.sort(key=lambda k: -class_counts[k])
    assert len(known) <= most_classes
    return found + [[surest(k, k)] for k in known]


@given(st.integers(2, 7), st.integers(1, 80), st.integers(0, 10**6))
def test_clips_are_chosen_as_by_hand(K, n, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, K, n)
    logits = rng.normal(size=(n, K)).astype(np.float32)
    counts = rng.permutation(K) + 1
    expected = choice_by_hand(logits, labels.tolist(), counts, 24, 60)
    assert choose_clips(logits, labels, counts) == expected


def test_of_clips_that_are_equally_sure_the_first_is_shown():
    logits = np.array([[0, 9], [0, 9], [9, 0], [9, 0]], dtype=np.float32)
    assert choose_clips(logits, np.array([0, 0, 0, 0]), np.array([3, 3])) == [[0], [2]]


def test_shown_classes_lie_along_the_whole_tail():
    counts = np.arange(200, 0, -1)
    shown = shown_classes(range(200), counts)
    assert (len(shown), shown[0], shown[-1]) == (60, 0, 199)
    assert set(np.diff(shown)) == {3, 4}
    assert shown_classes([5, 3, 9], counts) == [3, 5, 9]


@given(st.lists(st.integers(1, 9), min_size=2, max_size=20), st.integers(0, 99))
def test_pairs_to_mix(counts, seed):
    """A clip of each of the twelve rarest classes, with one of another class; no pair twice."""
    labels = np.repeat(np.arange(len(counts)), counts)
    pairs = list(chosen_pairs(labels, np.array(counts), np.random.default_rng(seed)))
    classes = [(labels[receiver], labels[partner]) for receiver, partner in pairs]
    assert len({frozenset(pair) for pair in classes}) == len(classes)
    assert all(a != b for a, b in classes)
    rarest = sorted(range(len(counts)), key=lambda k: counts[k])[:12]
    assert set(rarest) <= {k for pair in classes for k in pair}
    assert (len(counts) + 1) // 2 <= len(pairs) <= 12 or len(pairs) == 12
    assert classes[0][1] == rarest[0]
    assert len(pairs) < 2 or rarest[1] in classes[1]


@given(st.integers(1, 300), st.integers(0, 299), st.integers(0, 299), st.integers(8, 48))
def test_windows_follow_the_frames_that_are_shown(T, start, length, most):
    start = min(start, T - 1)
    length = min(length, T - start)
    frames = shown_frames(T, most)
    assert len(frames) == min(T, most)
    assert (frames[0], frames[-1]) == (0, T - 1 if len(frames) > 1 else 0)
    first, number = shown_window((start, length), frames)
    if length == 0:
        assert (first, number) == (-1, -1)
        return
    inside = [i for i, frame in enumerate(frames) if start <= frame < start + length]
    if inside:
        assert list(range(first, first + number)) == inside
    assert 0 <= first < first + number <= len(frames)


coordinates = arrays(np.float32, (5, 2, 3, 2), elements=st.sampled_from([0.0, 1.0, 2.5]))


@given(coordinates, arrays(np.float32, (5, 2, 3, 1), elements=st.sampled_from([0.0, 0.5])))
@pytest.mark.parametrize("scored", [False, True])
def test_centring_by_hand(scored, x, score):
    keypoints = np.concatenate([x, score], -1) if scored else x
    origin = None
    for m in range(2):
        for t in range(5):
            seen = x[t, m].any() and (not scored or score[t, m, 1, 0] > 0)
            if seen and origin is None:
                origin = x[t, m, 1]
    found = find_origin(keypoints, 2, 1)
    assert found.tolist() == ([0, 0] if origin is None else origin.tolist())
    out = centred(keypoints, 2, found)
    for t, m, v in np.ndindex(5, 2, 3):
        there = x[t, m].any() and (not scored or score[t, m, v, 0] > 0)
        assert out[t, m, v, :2].tolist() == ((x[t, m, v] - found).tolist() if there else [0, 0])
    if scored:
        assert np.array_equal(out[..., 2:], score)


@pytest.mark.parametrize(("up", "axis", "sign"), [("y", 1, 1), ("-y", 1, -1), ("z", 2, 1)])
@pytest.mark.parametrize(("wanted", "to", "way"), [("y", 1, 1), ("-y", 1, -1), ("z", 2, 1)])
def test_turning_takes_up_to_up_and_is_a_rotation(up, axis, sign, wanted, to, way):
    basis = np.eye(3, dtype=np.float32).reshape(1, 1, 3, 3)
    [[shown]] = turned([[Shown("mix", "", "a", 0, basis, {0: 1.0})]], up, wanted)
    assert np.linalg.det(shown.keypoints[0, 0]) == pytest.approx(1)
    assert (sign * shown.keypoints[0, 0, axis]).tolist() == (way * np.eye(3)[to]).tolist()


def test_much_is_cut_to_size(archive_path, tmp_path):
    """Hundreds of long clips of many people, some of them with impossible coordinates."""
    info = Archive(archive_path).info
    rng = np.random.default_rng(0)
    clips = []
    for group in range(144):
        keypoints = rng.normal(size=(100, 6, 20, 3)).astype(np.float32)
        keypoints[0, 0, 0] = [np.nan, np.inf, 1e9]
        clips.append([Shown("clip", "", f"clip{group}", 0, keypoints, {0: 1.0}, 0)])
    path = tmp_path / "examples.arrow"
    write_examples(path, clips, info, "y")
    assert path.stat().st_size < MOST_BYTES + 100_000

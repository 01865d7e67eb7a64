"""Which of the bodies that a pose estimator found are the persons of a clip, and in which order.

A clip's bodies are N rows of arrays: keypoints (N, V, C), the number of the frame of each, how sure
each is (N,), and perhaps a track, the same for one person in all frames.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shapmix.data.clip import Keypoints
from shapmix.data.importers.base import SourceError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_PERSONS = 10  # that can be kept
MOST_BODIES = 20  # of a frame that are followed, the surest
PATIENCE = 30  # frames after which a body that is not seen is given up
BLOCK = 4096  # bodies


def check_max_persons(max_persons: int) -> None:
    """SourceError for an option that asks for no person or too many."""
    if not 1 <= max_persons <= MOST_PERSONS:
        raise SourceError(f"max_persons is {max_persons}, expected 1 to {MOST_PERSONS}")


def mean_scores(keypoints: Keypoints) -> Floats:
    """(N,) mean score of the joints of (N, V, 3) x, y, score."""
    scores = keypoints[..., 2].astype(np.float64)
    sure: Floats = np.where(np.isfinite(scores), scores, 0.0).mean(1)
    return sure


def best_of_each_frame(
    keypoints: Keypoints, frames: Sequence[int], sure: Floats, max_persons: int
) -> Keypoints:
    """(T, M, V, C): in each frame that has a body the surest ones, the surest first, untracked."""
    frame = _frame_index(frames)
    order = np.lexsort((-sure, frame))  # stable: equals stay in their order
    frame = frame[order]
    rank = np.arange(len(order)) - np.searchsorted(frame, frame)
    kept = rank < max_persons
    return _placed(keypoints[order[kept]], frame[kept], rank[kept])


def persons_of_clip(
    keypoints: Keypoints,
    frames: Sequence[int],
    sure: Floats,
    max_persons: int,
    *,
    tracks: Sequence[object] | None = None,
    places: Keypoints | None = None,
) -> Keypoints:
    """(T, M, V, C): in each frame that has a body those of the persons, each in one column.

    Tracks are believed when every body has one and no frame has one twice; otherwise bodies are
    followed by where they are (`followed`). Tracks are then dealt to the M columns, the one with
    the highest sum of `sure` first: each goes to the first column that is free in all its frames,
    so that a person whose track was lost and found again stays in one column as a rule, and is left
    out when there is none.

    Args:
        tracks: of the N bodies; None for a body without one.
        places: (N, V, 2 or more) coordinates by which bodies are followed; `keypoints` by default.
    """
    frame = _frame_index(frames)
    track = _believed(frame, tracks)
    if track is None:
        track = followed(keypoints if places is None else places, frame, sure)
    total = np.bincount(track[track >= 0], sure[track >= 0])
    columns = np.full(len(frame), -1)
    taken = np.zeros((max_persons, frame.max(initial=-1) + 1), dtype=bool)
    rows = _rows_of_tracks(track)
    for number in sorted(rows, key=lambda number: (-total[number], number)):
        mine = rows[number]
        free = ~taken[:, frame[mine]].any(1)
        if free.any():
            columns[mine] = free.argmax()
            taken[free.argmax(), frame[mine]] = True
    kept = columns >= 0
    return _placed(keypoints[kept], frame[kept], columns[kept])


def followed(places: Keypoints, frame: Ints, sure: Floats) -> Ints:
    """(N,) tracks of bodies by where they are, greedily; -1 for those beyond MOST_BODIES a frame.

    In each frame, of all pairs of a body and a track the nearest is joined first, and so on. The
    distance is that of the centres (means of the joints that are there); it may not exceed the
    larger extent of the two bodies. A body without a partner begins a track; a track that had no
    body for PATIENCE frames ends.
    """
    centres, extents = _whereabouts(places)
    tracks = np.full(len(frame), -1)
    last: dict[int, int] = {}  # track -> its last body
    begun = 0
    for bodies in _of_each_frame(frame, sure):
        now = frame[bodies[0]]
        last = {track: body for track, body in last.items() if now - frame[body] <= PATIENCE}
        known, known_at = list(last), np.array(list(last.values()), dtype=np.int64)
        away = np.linalg.norm(centres[bodies][:, None] - centres[known_at], axis=-1)
        reach = np.maximum(extents[bodies][:, None], extents[known_at])
        away[~(away <= reach)] = np.inf
        nearest = np.argsort(away, axis=None, kind="stable")
        for pair in nearest[: np.isfinite(away).sum()]:
            body, track = bodies[pair // len(known)], known[pair % len(known)]
            if tracks[body] < 0 and frame[last[track]] < now:
                tracks[body], last[track] = track, body
        for body in bodies[tracks[bodies] < 0]:
            tracks[body], last[begun] = begun, body
            begun += 1
    return tracks


def _frame_index(frames: Sequence[int]) -> Ints:
    """(N,) position of each body's frame among the frames that have a body, by their numbers."""
    position = {number: t for t, number in enumerate(sorted(set(frames)))}
    return np.array([position[number] for number in frames], dtype=np.int64)


def _believed(frame: Ints, tracks: Sequence[object] | None) -> Ints | None:
    """Tracks as numbers from 0; None when a body has none, or a frame has one twice."""
    if tracks is None or any(track is None for track in tracks):
        return None
    numbers = {track: number for number, track in enumerate(dict.fromkeys(tracks))}
    track = np.array([numbers[track] for track in tracks], dtype=np.int64)
    unique = np.unique(np.stack([frame, track]), axis=1)
    return track if unique.shape[1] == len(frame) else None


def _rows_of_tracks(track: Ints) -> dict[int, Ints]:
    rows = defaultdict(list)
    for row, number in enumerate(track.tolist()):
        if number >= 0:
            rows[number].append(row)
    return {number: np.array(its) for number, its in rows.items()}


def _of_each_frame(frame: Ints, sure: Floats) -> list[Ints]:
    """Rows of the surest bodies of each frame, the surest first."""
    order = np.lexsort((-sure, frame))
    starts = np.flatnonzero(np.diff(frame[order], prepend=-1))
    return [bodies[:MOST_BODIES] for bodies in np.split(order, starts[1:])] if len(order) else []


def _whereabouts(places: Keypoints) -> tuple[Floats, Floats]:
    """(N, 2) centres and (N,) extents of bodies, of the joints that are neither zero nor NaN."""
    centres, extents = np.empty((len(places), 2)), np.empty(len(places))
    for first in range(0, len(places), BLOCK):  # of which there are float64 copies at once
        block = slice(first, first + BLOCK)
        centres[block], extents[block] = _whereabouts_of_few(places[block])
    return centres, extents


def _whereabouts_of_few(places: Keypoints) -> tuple[Floats, Floats]:
    xy = places[..., :2].astype(np.float64)
    there = (np.isfinite(xy) & (np.abs(xy) < 1e12)).all(-1) & (xy != 0).any(-1)
    number = np.maximum(there.sum(1), 1)[:, None]
    centres: Floats = np.where(there[..., None], xy, 0.0).sum(1) / number
    spread = np.where(there[..., None], xy - centres[:, None], 0.0)
    extents: Floats = (spread.max(1) - spread.min(1)).max(1)
    return centres, extents


def _placed(keypoints: Keypoints, frame: Ints, column: Ints) -> Keypoints:
    """(T, M, V, C) with bodies at their frames and columns, zero elsewhere."""
    shape = (frame.max(initial=-1) + 1, column.max(initial=0) + 1)
    out = np.zeros((*shape, *keypoints.shape[1:]), dtype=np.float32)
    out[frame, column] = keypoints
    return out

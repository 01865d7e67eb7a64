"""What is mended at import: joints without a place, frames without a body."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shapmix.data.importers.repair import (
    drop_empty,
    fill_missing,
    hide_unscored,
    present_bodies,
)

NAN = np.nan


def clip(*tracks: list[float]) -> np.ndarray:
    """`(T, 1, V, 1)` from one track a joint."""
    return np.array(tracks, np.float32).T[:, None, :, None]


def test_a_joint_moves_evenly_between_its_known_places():
    filled, number = fill_missing(clip([NAN, 2, NAN, NAN, 5, NAN], [1, 1, 1, 1, 1, 1]))
    assert filled[:, 0, 0, 0].tolist() == [2, 2, 3, 4, 5, 5]
    assert number == 4


def test_a_joint_that_is_never_seen_goes_to_the_middle_of_the_body():
    filled, number = fill_missing(clip([NAN, NAN], [1, 2], [3, 8]))
    assert filled[:, 0, 0, 0].tolist() == [2, 5]
    assert number == 2


def test_a_body_without_any_value_is_absent():
    keypoints = clip([1, NAN, 3], [1, NAN, 3])
    filled, number = fill_missing(keypoints)
    assert filled[:, 0, 0, 0].tolist() == [1, 0, 3]
    assert number == 0
    assert present_bodies(filled).ravel().tolist() == [True, False, True]


@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.integers(1, 2), st.integers(1, 4), st.just(3)),
        elements=st.one_of(st.just(np.nan), st.floats(-4, 4, width=32)),
    )
)
def test_filling_leaves_no_nan_and_changes_nothing_else(keypoints):
    before = keypoints.copy()
    filled, _ = fill_missing(keypoints)
    np.testing.assert_array_equal(keypoints, before)
    assert np.isfinite(filled).all()
    whole = ~np.isnan(keypoints).any(3)
    np.testing.assert_array_equal(filled[whole], keypoints[whole])
    low, high = np.nanmin(keypoints, initial=0), np.nanmax(keypoints, initial=0)
    assert ((filled >= low - 1e-6) & (filled <= high + 1e-6)).all()


def test_frames_and_persons_that_are_not_there_are_left_out():
    keypoints = np.zeros((4, 3, 2, 2), np.float32)
    keypoints[1, 0, 0, 0] = keypoints[3, 2, 1, 1] = 1
    rest, dropped = drop_empty(keypoints)
    np.testing.assert_array_equal(rest, keypoints[[1, 3]][:, [0, 2]])
    assert dropped == 2
    assert drop_empty(np.zeros((4, 3, 2, 2), np.float32))[0].shape == (0, 0, 2, 2)
    whole = np.ones((2, 1, 2, 2), np.float32)
    assert drop_empty(whole)[0] is whole


@pytest.mark.parametrize("score", [0, -1, NAN])
def test_joints_without_a_score_are_hidden(score):
    keypoints = np.ones((1, 1, 2, 3), np.float32)
    keypoints[0, 0, 1, 2] = score
    assert hide_unscored(keypoints).tolist() == [[[[1, 1, 1], [0, 0, 0]]]]
    keypoints[0, 0, 0, 0] = NAN
    assert hide_unscored(keypoints).tolist() == [[[[0, 0, 0], [0, 0, 0]]]]

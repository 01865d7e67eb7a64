"""Which bodies become persons: recordings with known answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapmix.data.clip import ClipError
from shapmix.data.importers import ntu_bodies
from shapmix.data.importers.ntu_bodies import Selection, select_persons
from shapmix.data.importers.ntu_parser import Recording

CTRGCN = Selection(
    "ctrgcn",
    short_body=11,
    wide_frame=0.8,
    wide_share=0.69754,
    motion_low=None,
    motion_high=None,
    max_persons=2,
)
PYSKL = replace(CTRGCN, bodies="pyskl")
ALL = replace(CTRGCN, bodies="all")

Array = npt.NDArray[Any]
Body = tuple[str, list[int], Array]


def body(seed: int, frames: Iterable[int], motion: float, width: float = 0.5) -> Body:
    """Id, frames and joints of a body `width` wide and 1 high, whose place in depth varies with
    standard deviation `motion` or so."""
    frames = list(frames)
    rng = np.random.default_rng(seed)
    joints = np.empty((len(frames), 25, 3), np.float32)
    joints[..., 0] = np.linspace(1, 1 + width, 25)
    joints[..., 1] = np.linspace(0.5, 1.5, 25)
    joints[..., 2] = 3 + motion * rng.normal(size=(len(frames), 25))
    return str(seed), frames, joints


def motion(body: Body) -> float:
    """Sum of the variances of x, y and z over joints and frames."""
    return sum(float(body[2][..., axis].astype(float).var()) for axis in range(3))


def recording(*bodies: Body, num_frames: int = 40) -> Recording:
    """The bodies of each frame in the order given, as a file has them."""
    seen = sorted(
        (
            (frame, n, i)
            for n, (_, frames, _) in enumerate(bodies)
            for i, frame in enumerate(frames)
        ),
        key=lambda entry: entry[:2],
    )
    return Recording(
        num_frames,
        np.array([frame for frame, _, _ in seen], np.int64),
        [bodies[n][0].encode() for _, n, _ in seen],
        np.array([bodies[n][2][i] for _, n, i in seen], np.float32).reshape(-1, 25, 3),
    )


def expect(keypoints: Array, *persons: list[Body], frames: Iterable[int]) -> None:
    """Persons made of bodies, in these frames of the recording, zero elsewhere."""
    times = list(frames)
    expected = np.zeros((len(times), len(persons), 25, 3), np.float32)
    for m, bodies in enumerate(persons):
        for _, when, joints in bodies:
            for frame, values in zip(when, joints, strict=True):
                expected[times.index(frame), m] = values
    np.testing.assert_array_equal(keypoints, expected)


def test_one_body_is_the_person_whatever_its_form() -> None:
    odd = body(1, [3, 4, 9], 0.1, width=5)
    for how in (CTRGCN, PYSKL, ALL):
        keypoints, notes = select_persons("x", recording(odd), how)
        expect(keypoints, [odd], frames=[3, 4, 9])
        assert notes == []


def test_order_is_by_motion() -> None:
    still, lively = body(1, range(40), 0.1), body(2, range(40), 0.2)
    for how in (CTRGCN, PYSKL):
        keypoints, notes = select_persons("x", recording(still, lively), how)
        expect(keypoints, [lively], [still], frames=range(40))
        assert notes == []
    keypoints, _ = select_persons("x", recording(still, lively), ALL)
    expect(keypoints, [still], [lively], frames=range(40))


def test_motion_is_of_the_frames_that_are_not_too_wide() -> None:
    a, b = body(1, range(40), 0.2), body(2, range(40), 0.3)
    wide = np.arange(40) % 2 == 0  # half of b's frames: it stays, but its motion counts less
    a[2][..., 2] += np.where(np.arange(40) < 20, 0, 1)[:, None]
    b[2][wide, :, 0] *= 3
    b[2][wide, :, 2] += 10
    keypoints, _ = select_persons("x", recording(b, a), CTRGCN)
    expect(keypoints, [a], [b], frames=range(40))


def test_who_vanishes_and_comes_back_stays_in_those_frames() -> None:
    there = body(1, range(40), 0.3)
    back = body(2, [*range(5), *range(20, 40)], 0.1)
    keypoints, _ = select_persons("x", recording(there, back), CTRGCN)
    expect(keypoints, [there], [back], frames=range(40))
    assert not keypoints[5:20, 1].any()


def test_ids_that_share_no_frame_are_one_person() -> None:
    first, second = body(1, range(20), 0.1), body(2, range(20, 40), 0.3)
    other = body(3, range(40), 0.2)
    for how in (CTRGCN, PYSKL):
        keypoints, notes = select_persons("x", recording(first, other, second), how)
        expect(keypoints, [second, first], [other], frames=range(40))
        assert notes == []


def test_pyskl_joins_what_lies_apart_from_first_to_last_frame() -> None:
    lively = body(1, [*range(15), *range(25, 40)], 0.4)  # its gap is not free
    within, over = body(2, range(15, 27), 0.3), body(3, range(20, 40), 0.2)
    before = body(4, range(2, 14), 0.1)
    bodies = recording(lively, within, over, before)
    keypoints, notes = select_persons("x", bodies, PYSKL)
    expect(keypoints, [lively], [within, before], frames=range(40))
    assert notes == [ntu_bodies.FURTHER]
    both = recording(lively, body(2, range(15, 25), 0.3))  # the gap, and no more
    keypoints, _ = select_persons("x", both, replace(CTRGCN, short_body=0))
    assert keypoints.shape[1] == 1
    keypoints, _ = select_persons("x", both, replace(PYSKL, short_body=0))
    assert keypoints.shape[1] == 2


def test_a_pyskl_person_lasts_from_first_to_last_body() -> None:
    last, first = body(1, range(28, 40), 0.4), body(2, range(12), 0.3)
    between = body(3, range(14, 26), 0.2)
    keypoints, _ = select_persons("x", recording(last, first, between), PYSKL)
    expect(keypoints, [last, first], [between], frames=[*range(12), *range(14, 26), *range(28, 40)])
    keypoints, _ = select_persons("x", recording(last, first, between), CTRGCN)
    assert keypoints.shape[1] == 1


def test_pyskl_begins_with_somebody_who_is_there() -> None:
    late, early = body(1, range(9, 33), 0.4), body(2, range(3, 33), 0.1)
    keypoints, _ = select_persons("x", recording(late, early), PYSKL)
    expect(keypoints, [early], [late], frames=range(3, 33))
    keypoints, _ = select_persons("x", recording(late, early), CTRGCN)
    expect(keypoints, [late], [early], frames=range(3, 33))
    third = body(3, range(5, 40), 0.2)
    three = replace(PYSKL, max_persons=3)
    keypoints, _ = select_persons("x", recording(late, early, third), three)
    expect(keypoints, [early], [third], [late], frames=range(3, 40))


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(1, 20), st.integers(0, 20)),
        min_size=2,
        max_size=6,
    )
)
@settings(max_examples=60)
def test_pyskl_joins_as_described(spans: list[tuple[int, int, int]]) -> None:
    """The description, step by step."""
    bodies = [
        body(n, [*range(start, start + length), start + length + gap], motion=0.1)
        for n, (start, length, gap) in enumerate(spans)
    ]
    persons: list[list[Body]] = [[], []]
    for one in sorted(bodies, key=motion, reverse=True):
        for person in persons:
            whole = [frame for _, frames, _ in person for frame in frames]
            if not whole or max(one[1]) < min(whole) or min(one[1]) > max(whole):
                person.append(one)
                break
    persons = [person for person in persons if person]
    times = sorted({frame for person in persons for _, frames, _ in person for frame in frames})
    if not any(times[0] in frames for _, frames, _ in persons[0]):
        persons.reverse()
    how = replace(PYSKL, short_body=0)
    keypoints, _ = select_persons("x", recording(*bodies, num_frames=80), how)
    expect(keypoints, *persons, frames=times)


def test_bodies_that_move_too_little_or_too_much_go_but_for_the_first() -> None:
    bodies = [body(n, range(40), size) for n, size in enumerate((2.0, 1.6, 0.5, 0.01))]
    low, high = motion(bodies[2]) - 0.01, motion(bodies[1]) - 0.01
    four = replace(CTRGCN, max_persons=4)
    for how, kept in (
        (four, [0, 1, 2, 3]),
        (replace(four, motion_low=low), [0, 1, 2]),
        (replace(four, motion_high=high), [0, 2, 3]),
        (replace(four, motion_low=low, motion_high=high), [0, 2]),
    ):
        keypoints, notes = select_persons("x", recording(*bodies), how)
        expect(keypoints, *([bodies[n]] for n in kept), frames=range(40))
        assert notes == ([] if len(kept) == 4 else [ntu_bodies.MOTION])


def test_bodies_seen_briefly_go_unless_all_are() -> None:
    lasting, ghost, twelve = (
        body(1, range(40), 0.1),
        body(2, range(11), 0.9),
        body(3, range(12), 0.5),
    )
    keypoints, notes = select_persons("x", recording(lasting, ghost, twelve), CTRGCN)
    expect(keypoints, [twelve], [lasting], frames=range(40))
    assert notes == [ntu_bodies.SHORT]
    short = body(4, range(11), 0.1)
    keypoints, notes = select_persons("x", recording(short, ghost), CTRGCN)
    expect(keypoints, [ghost], [short], frames=range(11))
    assert notes == []


def test_wide_bodies_go_but_never_the_last_one() -> None:
    upright, chair = body(1, range(40), 0.1, width=0.8), body(2, range(40), 0.9, width=0.81)
    keypoints, notes = select_persons("x", recording(chair, upright), CTRGCN)
    expect(keypoints, [upright], frames=range(40))
    assert notes == [ntu_bodies.WIDE]
    table = body(3, range(30), 0.1, width=2)
    keypoints, notes = select_persons("x", recording(chair, table), CTRGCN)
    expect(keypoints, [table], frames=range(30))
    assert notes == [ntu_bodies.ALL_WIDE]


def test_a_third_person_is_left_out() -> None:
    bodies = [body(n, range(40), 0.1 * n) for n in (1, 2, 3)]
    keypoints, notes = select_persons("x", recording(*bodies), CTRGCN)
    expect(keypoints, [bodies[2]], [bodies[1]], frames=range(40))
    assert notes == [ntu_bodies.FURTHER]
    keypoints, notes = select_persons("x", recording(*bodies), replace(CTRGCN, max_persons=3))
    assert keypoints.shape[1] == 3
    assert notes == []


def test_frames_of_nobody_and_of_removed_bodies_are_left_out() -> None:
    late, ghost = body(1, range(10, 30), 0.1), body(2, range(5), 0.2)
    keypoints, _ = select_persons("x", recording(late, ghost), CTRGCN)
    expect(keypoints, [late], frames=range(10, 30))


def test_a_body_listed_twice_in_a_frame_counts_once() -> None:
    once = body(1, range(40), 0.1)
    again = (once[0], [7], once[2][:1] + 1)
    for others in ((), (body(2, range(40), 0.05),)):
        keypoints, notes = select_persons("x", recording(once, again, *others), CTRGCN)
        expect(keypoints, [once], *([other] for other in others), frames=range(40))
        assert notes == [ntu_bodies.REPEATED]


def test_joints_without_a_value_are_filled_in() -> None:
    bodies = body(1, range(40), 0.1), body(2, range(40), 0.2)
    for _, _, joints in bodies:
        joints[4:6, 3] = np.nan
    keypoints, notes = select_persons("x", recording(*bodies), CTRGCN)
    assert np.isfinite(keypoints).all()
    np.testing.assert_allclose(keypoints[4, 1, 3], (2 * bodies[0][2][3] + bodies[0][2][6])[3] / 3)
    assert notes == [ntu_bodies.FILLED]


def test_what_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClipError, match="40 frames without any body"):
        select_persons("x", recording(), CTRGCN)
    endless = body(1, range(40), np.inf)
    with pytest.raises(ClipError, match="infinite"):
        select_persons("x", recording(endless), CTRGCN)
    monkeypatch.setattr(ntu_bodies, "MOST_BYTES", 100_000)
    crowd = recording(*(body(n, range(40), 0.1) for n in range(9)))
    with pytest.raises(ClipError, match="9 bodies in 40 frames"):
        select_persons("x", crowd, ALL)
    assert select_persons("x", crowd, CTRGCN)[0].shape == (40, 2, 25, 3)

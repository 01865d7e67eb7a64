import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import kept_area

from shapmix.layouts import CATALOG, get_layout
from shapmix.mixing.cutmix import Box, JointCutMix, body_walk, draw_box, paste_box
from shapmix.mixing.functional import presence

COUNTS = [500, 120, 60, 17, 9, 6]


def paste_box_slowly(x, other, box, bodies):
    """Cell by cell."""
    out = x.clone()
    clips, _, _, joints, persons = x.shape
    for i in range(clips):
        for t in range(box.start, box.start + box.length):
            for v in range(joints):
                for m in range(persons):
                    if box.joints[v] and bodies[i, m]:
                        out[i, :, t, v, m] = other[i, :, t, v, m]
    return out


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_the_walk_visits_every_joint_once_and_limbs_in_one_go(name):
    """A subtree is one run of the walk, and each joint comes after its parent."""
    layout = get_layout(name)
    walk = body_walk(layout).tolist()
    assert sorted(walk) == list(range(layout.num_joints))
    place = {joint: i for i, joint in enumerate(walk)}
    assert all(place[child] > place[parent] for child, parent in layout.bones)
    for root in range(layout.num_joints):
        below = {root}
        for joint in walk[place[root] + 1 :]:
            if layout.parents[joint] in below:
                below.add(joint)
        run = sorted(place[joint] for joint in below)
        assert run == list(range(run[0], run[0] + len(run)))


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**16),
    clips=st.integers(1, 4),
    frames=st.integers(8, 15),
    persons=st.integers(1, 3),
    heed=st.booleans(),
)
def test_box_against_loops_and_lam_against_the_kept_area(seed, clips, frames, persons, heed):
    generator = torch.Generator().manual_seed(seed)
    x, other = torch.rand(2, clips, 2, frames, 20, persons, generator=generator) + 1
    absent = torch.rand(2, clips, 1, 1, 1, persons, generator=generator) < 0.3
    x, other = -x.masked_fill(absent[0], 0), other.masked_fill(absent[1], 0)
    box = draw_box(generator, frames, body_walk(get_layout("kinect20")), 1.0)
    here = presence(x) if heed else torch.ones(clips, persons, dtype=torch.bool)
    bodies = here & presence(other) if heed else here
    before = x.clone()
    mixed, lam, params = paste_box(x, other, box, presence=heed)
    assert torch.equal(mixed, paste_box_slowly(x, other, box, bodies))
    assert torch.equal(x, before), "the input was changed"
    cells = torch.zeros(frames, 20, dtype=torch.bool)
    cells[box.start : box.start + box.length] = box.joints
    taken = cells[..., None] & bodies[:, None, None]
    untouched = ~taken[:, None].expand_as(x)
    assert torch.equal(mixed[untouched], x[untouched])
    torch.testing.assert_close(lam, kept_area(x, taken, here))
    assert torch.equal(params.joints, box.joints.expand(clips, -1))
    assert params.start.tolist() == params.source_start.tolist() == [box.start] * clips
    assert params.length.tolist() == params.source_length.tolist() == [box.length] * clips


def test_boxes_have_the_areas_of_a_simulation(generator):
    """Mean and spread of the share, against boxes drawn with numpy on a fine grid."""
    import numpy as np

    rng = np.random.default_rng(0)
    side = np.sqrt(1 - rng.beta(1, 1, 20000))[:, None]
    centre = rng.random((20000, 2))
    low, high = np.clip(centre - side / 2, 0, 1), np.clip(centre + side / 2, 0, 1)
    expected = (high - low).prod(1)
    walk = torch.arange(100)
    boxes = [draw_box(generator, 100, walk, 1.0) for _ in range(4000)]
    area = np.array([box.length / 100 * float(box.joints.float().mean()) for box in boxes])
    assert area.mean() == pytest.approx(expected.mean(), abs=0.015)
    assert area.std() == pytest.approx(expected.std(), abs=0.015)
    assert {box.start for box in boxes} >= set(range(60)), "boxes lie everywhere"


def test_a_box_is_one_run_of_the_walk(generator):
    walk = body_walk(get_layout("ntu25"))
    for _ in range(200):
        inside = draw_box(generator, 16, walk, 0.3).joints[walk].int()
        assert (inside.diff(prepend=torch.zeros(1)).clamp(min=0)).sum() <= 1


def test_targets_pairs_and_untouched_joints(batch, generator):
    x, y = batch
    mixer = JointCutMix("ntu25", COUNTS, generator=generator)
    before = x.clone()
    for _ in range(20):
        mixed = mixer(x, y)
        assert torch.equal(x, before)
        other = x[mixed.partner]
        assert ((mixed.x == x) | (mixed.x == other)).all()
        assert torch.equal(presence(mixed.x), presence(x)), "a body appeared or vanished"
        expected = torch.zeros(12, 6)
        for i in range(12):
            expected[i, y[i]] += mixed.lam[i]
            expected[i, y[mixed.partner[i]]] += 1 - mixed.lam[i]
        torch.testing.assert_close(mixed.target, expected)
        torch.testing.assert_close(mixed.target.sum(1), torch.ones(12))


def test_empty_and_full_boxes(batch):
    x, y = batch
    mixer = JointCutMix("ntu25", COUNTS, presence=False)
    nothing = mixer.mix(x, y, 3, Box(4, 0, torch.ones(25, dtype=torch.bool)))
    assert torch.equal(nothing.x, x)
    assert torch.equal(nothing.lam, torch.ones(12))
    everything = mixer.mix(x, y, 3, Box(0, 16, torch.ones(25, dtype=torch.bool)))
    assert torch.equal(everything.x, x.roll(-3, 0))
    torch.testing.assert_close(everything.lam, torch.zeros(12))


@pytest.mark.parametrize("alpha", [0.0, -1.0])
def test_impossible_alpha(alpha):
    with pytest.raises(ValueError, match="expected a positive number"):
        JointCutMix("ntu25", COUNTS, alpha=alpha)

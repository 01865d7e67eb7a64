"""Pasted joints on the receiver's body, seams that fade, bodies that move, and how it is measured.

Every function is held against the same thing done joint by joint.
"""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shapmix.layouts import get_layout
from shapmix.mixing import STMix, functional
from shapmix.mixing.attaching import attach, carried, there, tree_of
from shapmix.mixing.blending import cross_fade, fade
from shapmix.mixing.functional import Paste, presence
from shapmix.mixing.laying import lay
from shapmix.mixing.options import PasteOptions
from shapmix.mixing.plausibility import bone_length_change, seam_jump

KINECT, COCO = get_layout("kinect20"), get_layout("coco17")


def random_clips(layout, seed, clips=3, frames=8, persons=2, confidence=False):
    """Clips with absent bodies, frames and, with a confidence in channel 2, absent joints."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(clips, 3, frames, layout.num_joints, persons, generator=generator)
    x[0, ..., -1] = 0
    x[1, :, frames // 2 :, :, 0] = 0
    if confidence:
        missing = torch.rand(clips, 1, frames, layout.num_joints, persons, generator=generator)
        x[:, 2].abs_()
        x.masked_fill_(missing < 0.2, 0)
    joints = torch.rand(clips, layout.num_joints, generator=generator) < 0.5
    return x, joints


def attach_slowly(x, donor, joints, layout, keep_lengths, carry, confidence):
    """Clip by clip, frame by frame, each joint by way of its parents."""
    out = x.clone()
    channels = [c for c in range(x.shape[1]) if c != confidence]

    def is_there(pose, joint):
        sure = confidence is None or pose[confidence, joint] > 0
        return bool(sure) and bool((pose[channels] != 0).any())

    def place(joint, own, given, pasted):
        """Where the joint is, whether it is there, and whether it or one it hangs on is pasted."""
        parent = layout.parents[joint]
        here, hers = own[channels, joint], given[channels, joint]
        own_there, given_there = is_there(own, joint), is_there(given, joint)
        if joint == layout.center:
            stays = not pasted[joint] or (own_there and given_there)
            return (
                here if stays else hers,
                given_there if pasted[joint] else own_there,
                pasted[joint],
            )
        at, parent_there, moved = place(parent, own, given, pasted)
        own_bone_there = own_there and is_there(own, parent)
        own_bone = here - own[channels, parent]
        if pasted[joint]:
            bone = hers - given[channels, parent]
            if keep_lengths and own_bone_there:
                bone = bone * (own_bone.norm() / bone.norm()) if bone.norm() > 0 else own_bone
            hangs = given_there and is_there(given, parent) and parent_there
            return (at + bone if hangs else hers), given_there, True
        follows = carry and moved and own_bone_there and parent_there
        return (at + own_bone if follows else here), own_there, moved

    for n in range(len(x)):
        for t in range(x.shape[2]):
            for m in range(x.shape[4]):
                own, given = x[n, :, t, :, m], donor[n, :, t, :, m]
                for joint in range(layout.num_joints):
                    place_of = place(joint, own, given, joints[n].tolist())[0]
                    out[n, channels, t, joint, m] = place_of
                    if confidence is not None and joints[n, joint]:
                        out[n, confidence, t, joint, m] = given[confidence, joint]
    return out


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    confidence=st.booleans(),
    keep_lengths=st.booleans(),
    carry=st.booleans(),
)
def test_attach_against_each_joint(seed, confidence, keep_lengths, carry):
    layout = COCO if confidence else KINECT
    x, joints = random_clips(layout, seed, frames=4, confidence=confidence)
    donor, _ = random_clips(layout, seed + 1, frames=4, confidence=confidence)
    donor = donor.roll(1, 0)
    donor[:, :2, :, 3] = donor[:, :2, :, layout.parents[3]]  # a bone of length 0 (in 2D)
    channel = 2 if confidence else None
    tree = tree_of(layout)
    before = x.clone(), donor.clone()
    ours = attach(
        x,
        donor,
        joints,
        tree,
        keep_lengths=keep_lengths,
        carry=carry,
        confidence_channel=channel,
    )
    assert torch.equal(x, before[0])
    assert torch.equal(donor, before[1])
    slow = attach_slowly(x, donor, joints, layout, keep_lengths, carry, channel)
    torch.testing.assert_close(ours, slow, atol=1e-4, rtol=1e-4)


def bones(clips, layout):
    child, parent = torch.tensor(layout.bones).T
    return clips[:, :, :, child] - clips[:, :, :, parent], child, parent


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), keep_lengths=st.booleans(), carry=st.booleans())
def test_bodies_hang_together(seed, keep_lengths, carry):
    """Bodies without gaps: bone vectors are the partner's or the receiver's, and so are lengths."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4, 3, 8, 20, 2, generator=generator)
    donor = torch.randn(4, 3, 8, 20, 2, generator=generator)
    joints = torch.rand(4, 20, generator=generator) < 0.5
    mixed = attach(x, donor, joints, tree_of(KINECT), keep_lengths=keep_lengths, carry=carry)
    kept = ~joints[:, None, None, :, None].expand_as(x)
    if not carry:
        assert torch.equal(mixed[kept], x[kept]), "a joint that is not pasted was touched"
    root = KINECT.center
    assert torch.equal(mixed[:, :, :, root], x[:, :, :, root])
    found, child, _ = bones(mixed, KINECT)
    own, given_bones = bones(x, KINECT)[0], bones(donor, KINECT)[0]
    pasted = joints[:, child][:, None, None, :, None]
    length, own_length = found.norm(dim=1), own.norm(dim=1)
    if keep_lengths:
        of_pasted = joints[:, child][:, None, :, None].expand_as(length)
        close = {"atol": 1e-5, "rtol": 1e-5}
        torch.testing.assert_close(length[of_pasted], own_length[of_pasted], **close)
        cosine = torch.nn.functional.cosine_similarity(found, given_bones, dim=1)[of_pasted]
        torch.testing.assert_close(cosine, torch.ones_like(cosine), atol=1e-3, rtol=0)
    else:
        where = pasted.expand_as(found)
        torch.testing.assert_close(found[where], given_bones[where], atol=1e-5, rtol=1e-4)
    if carry:
        where = ~pasted.expand_as(found)
        torch.testing.assert_close(found[where], own[where], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["ntu25", "kinect20", "coco17", "sbu15"])
def test_tree_and_what_is_carried(name):
    layout = get_layout(name)
    tree = tree_of(layout)
    levels = ((tree.root,), *tree.levels)
    assert sorted(joint for level in levels for joint in level) == list(range(layout.num_joints))
    for above, level in pairwise(levels):
        assert all(layout.parents[joint] in above for joint in level)
    joints = torch.rand(6, layout.num_joints, generator=torch.Generator().manual_seed(0)) < 0.2
    found = carried(joints, tree)
    for n in range(6):
        for joint in range(layout.num_joints):
            chain = [joint]
            while chain[-1] != layout.center:
                chain.append(layout.parents[chain[-1]])
            expected = not joints[n, joint] and any(joints[n, j] for j in chain)
            assert bool(found[n, joint]) == expected


def test_what_is_there():
    x = torch.ones(1, 3, 8, 17, 2)
    x[..., 1] = 0
    x[0, :, 5] = 0
    x[0, :, 2, 4] = 0
    body = there(x)
    assert body[0, 0, 2, 4, 0], "a joint at the origin of a body that is there"
    assert not body[0, 0, 5].any()
    assert not body[..., 1].any()
    assert there(x, 2)[0, 0, 2].sum() == 16
    assert there(x, 2).sum() == 7 * 17 - 1


def random_pastes(seed, frames, clips=4, joints=20):
    generator = torch.Generator().manual_seed(seed)
    low = torch.randint(1, frames + 1, (2, clips), generator=generator)
    length, source_length = low.min(0).values, low.max(0).values
    start = (torch.rand(clips, generator=generator) * (frames - length + 1)).long()
    source = (torch.rand(clips, generator=generator) * (frames - source_length + 1)).long()
    mask = torch.rand(clips, joints, generator=generator) < 0.5
    return Paste(start, length, source, source_length, mask)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**16), frames=st.integers(8, 20), blend=st.integers(0, 9))
def test_fade_against_each_frame(seed, frames, blend):
    params = random_pastes(seed, frames)
    found = fade(params, frames, blend)
    for n in range(4):
        start, end = int(params.start[n]), int(params.start[n] + params.length[n])
        for t in range(frames):
            weight = 0.0
            if start <= t < end:
                weight = 1.0 if start == 0 else min((t - start + 1) / (blend + 1), 1.0)
                weight = weight if end == frames else min((end - t) / (blend + 1), weight)
            assert float(found[n, t]) == pytest.approx(weight, abs=1e-6)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**16), blend=st.integers(0, 5), confidence=st.booleans())
def test_cross_fade_against_each_joint(seed, blend, confidence):
    layout = COCO if confidence else KINECT
    x, _ = random_clips(layout, seed, confidence=confidence)
    donor = random_clips(layout, seed + 1, confidence=confidence)[0].roll(1, 0)
    channel = 2 if confidence else None
    weight = fade(random_pastes(seed, 8, clips=3), 8, blend)
    both = there(x, channel) & there(donor, channel)
    found = cross_fade(x, donor, weight, both, channel)
    w = weight[:, None, :, None, None].expand_as(x)
    larger = torch.where(w >= 0.5, donor, x)
    averaged = both.expand_as(x).clone()
    if confidence:
        averaged[:, 2] = False
    torch.testing.assert_close(found[averaged], ((1 - w) * x + w * donor)[averaged])
    assert torch.equal(found[~averaged], larger[~averaged])
    assert torch.equal(found[w == 1], donor[w == 1])


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    attach=st.booleans(),
    carry=st.booleans(),
    blend=st.sampled_from([0, 3]),
    move_bodies=st.booleans(),
)
def test_what_lies_outside_is_untouched(seed, attach, carry, blend, move_bodies):
    x, _ = random_clips(KINECT, seed, clips=4, frames=12)
    params, partner = random_pastes(seed, 12), torch.tensor([1, 2, 3, 0])
    here = presence(x)
    options = PasteOptions(
        attach=attach, carry=attach and carry, blend=blend, move_bodies=move_bodies
    )
    tree = tree_of(KINECT)
    mixed = lay(x, partner, params, here, options, tree=tree)
    window = functional.paste_window(params, 12)[:, None, :, None, None]
    joints = params.joints | (carried(params.joints, tree) if options.carry else False)
    new = (here[partner] & ~here)[:, None, None, None, :]
    both = (here & here[partner])[:, None, None, None, :]
    inside = window & ((joints[:, None, None, :, None] & both) | (new if move_bodies else False))
    outside = ~inside.expand_as(x)
    assert torch.equal(mixed[outside], x[outside])
    if move_bodies:
        donor = functional.donor_frames(x, partner, params)
        taken = (window & new).expand_as(x) & (fade(params, 12, blend) == 1)[
            :, None, :, None, None
        ].expand_as(x)
        assert torch.equal(mixed[taken], donor[taken])
    if options == PasteOptions():
        assert torch.equal(mixed, functional.paste(x, partner, params, here & here[partner]))
        every = lay(x, partner, params, None, options)
        assert torch.equal(every, functional.paste(x, partner, params))


def area_slowly(mixer, x, mixed):
    """The partner's joint-frames, faded ones by their weight, over all of the bodies in the mix."""
    here, paste = presence(x), mixed.paste
    lam = []
    weights = fade(paste, x.shape[2], mixer.options.blend)
    for i, j in enumerate(mixed.partner.tolist()):
        own = given = 0.0
        for m in range(x.shape[4]):
            for t in range(x.shape[2]):
                for v in range(x.shape[3]):
                    w = float(weights[i, t])
                    if here[i, m]:
                        theirs = w if here[j, m] and paste.joints[i, v] else 0.0
                        own, given = own + 1 - theirs, given + theirs
                    elif here[j, m] and mixer.options.move_bodies:
                        given += w
        lam.append(own / (own + given) if own + given else 1.0)
    return torch.tensor(lam)


@pytest.mark.parametrize("blend", [0, 3])
@pytest.mark.parametrize("move_bodies", [False, True])
def test_lam_is_the_retained_area(blend, move_bodies):
    x, _ = random_clips(KINECT, 0, clips=5, frames=16, persons=2)
    x[2] = 0  # a clip without any body
    y = torch.arange(5) % 3
    mixer = STMix(
        KINECT,
        [9, 5, 2],
        mixup_prob=0,
        per_clip=True,
        blend=blend,
        move_bodies=move_bodies,
        generator=torch.Generator().manual_seed(1),
    )
    for _ in range(3):
        mixed = mixer(x, y)
        torch.testing.assert_close(mixed.lam, area_slowly(mixer, x, mixed), atol=1e-5, rtol=0)
        torch.testing.assert_close(mixed.target.sum(1), torch.ones(5))
        assert move_bodies or torch.equal(presence(mixed.x), presence(x))


def test_attaching_leaves_the_label_and_the_draws(batch):
    x, y = batch
    mixes = []
    for options in ({}, {"attach": True}, {"attach": True, "keep_lengths": True, "carry": True}):
        generator = torch.Generator().manual_seed(0)
        mixer = STMix("ntu25", [9] * 6, mixup_prob=0, generator=generator, **options)
        mixes.append(mixer(x, y))
    for mixed in mixes[1:]:
        assert torch.equal(mixed.target, mixes[0].target)
        assert torch.equal(mixed.paste.joints, mixes[0].paste.joints)
        assert not torch.equal(mixed.x, mixes[0].x)
        assert torch.isfinite(mixed.x).all()


def test_measures_on_known_bodies():
    """Bodies at constant speed; the partner is twice as large and 5 away along x."""
    tree = tree_of(KINECT)
    pose = torch.randn(3, 20, generator=torch.Generator().manual_seed(0))
    speed = torch.arange(12.0).view(12, 1) * 0.1
    own = pose[:, None] + speed
    other = 2 * pose[:, None] + speed
    other[0] += 5
    x = torch.stack([own, other])[..., None]
    joints = torch.ones(2, 20, dtype=torch.bool)
    ones = torch.ones(2, dtype=torch.int64)
    params = Paste(4 * ones, 4 * ones, 4 * ones, 4 * ones, joints)
    partner = torch.tensor([1, 0])
    mixed = functional.paste(x, partner, params)
    assert bone_length_change(x, mixed, params, tree) == pytest.approx(math.log(2), abs=1e-5)
    step = torch.linalg.vector_norm(mixed[0, :, 4] - mixed[0, :, 3], dim=0).squeeze(1)
    back = torch.linalg.vector_norm(mixed[0, :, 8] - mixed[0, :, 7], dim=0).squeeze(1)
    step_of_other = torch.linalg.vector_norm(mixed[1, :, 4] - mixed[1, :, 3], dim=0).squeeze(1)
    back_of_other = torch.linalg.vector_norm(mixed[1, :, 8] - mixed[1, :, 7], dim=0).squeeze(1)
    expected = torch.cat([step, step_of_other, back, back_of_other]).median() / (0.1 * 3**0.5)
    assert seam_jump(x, mixed, params) == pytest.approx(float(expected), rel=1e-4)
    unmoved = x + 0.0
    unmoved[:, :, 5] += 1e-7  # changed, but nowhere that shows
    assert seam_jump(x, unmoved, params, reach=2) == pytest.approx(1, abs=1e-4)
    assert bone_length_change(x, unmoved, params, tree) == pytest.approx(0, abs=1e-5)
    carried_over = attach(x, x[partner], joints, tree, keep_lengths=True)
    assert bone_length_change(x, carried_over, params, tree) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep_lengths": True}, "set attach=True"),
        ({"carry": True}, "set attach=True"),
        ({"attach": 1}, "attach is 1; expected true or false"),
        ({"blend": -1}, "blend is -1"),
        ({"blend": 1.5}, "blend is 1.5"),
        ({"partners": "friends"}, "shift, permutation, rarer"),
        ({"move_bodies": True, "presence": False}, "move_bodies without presence"),
        ({"coalition_sizes": (2.5,)}, "whole numbers"),
        ({"coalition_sizes": 2}, "whole numbers"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        STMix("ntu25", [5, 3], **options)


def test_attaching_needs_the_skeleton(batch):
    x, _ = batch
    params = random_pastes(0, 16, clips=12, joints=25)
    with pytest.raises(ValueError, match=r"tree_of\(layout\)"):
        lay(x, torch.arange(12).roll(1), params, None, PasteOptions(attach=True))

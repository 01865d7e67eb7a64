"""What is pasted and what it counts, with and without bodies that only the partner has."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shapmix.layouts import get_layout
from shapmix.mixing import STMix
from shapmix.mixing.bodies import paste_with_newcomers
from shapmix.mixing.functional import Paste, presence

KINECT = get_layout("kinect20")


def random_clips(seed, clips, frames, persons=2):
    """Clips with an absent body and with a body that is absent in half of the frames."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(clips, 3, frames, 20, persons, generator=generator)
    x[0, ..., -1] = 0
    x[1, :, frames // 2 :, :, 0] = 0
    return x


def random_pastes(seed, frames, clips=4, joints=20):
    generator = torch.Generator().manual_seed(seed)
    low = torch.randint(1, frames + 1, (2, clips), generator=generator)
    length, source_length = low.min(0).values, low.max(0).values
    start = (torch.rand(clips, generator=generator) * (frames - length + 1)).long()
    source = (torch.rand(clips, generator=generator) * (frames - source_length + 1)).long()
    mask = torch.rand(clips, joints, generator=generator) < 0.5
    return Paste(start, length, source, source_length, mask)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**16))
def test_newcomers_against_each_frame(seed):
    x = random_clips(seed, clips=4, frames=12)
    x[2, ..., 0] = 0
    params, partner = random_pastes(seed, 12), torch.tensor([1, 2, 3, 0])
    here = presence(x)
    mixed = paste_with_newcomers(x, partner, params, here)
    expected = x.clone()
    for i, j in enumerate(partner.tolist()):
        length, source_length = int(params.length[i]), int(params.source_length[i])
        for k in range(length):
            frame = int(params.start[i]) + k
            source = int(params.source_start[i]) + k * source_length // length
            for m in range(2):
                pasted = params.joints[i] if here[i, m] else torch.ones(20, dtype=torch.bool)
                if here[j, m]:
                    expected[i, :, frame, pasted, m] = x[j, :, source, pasted, m]
    assert torch.equal(mixed, expected)


def area_slowly(mixer, x, mixed):
    """The receiver's joint-frames over those of all of the bodies in the mix."""
    here, paste = presence(x), mixed.paste
    lam = []
    for i, j in enumerate(mixed.partner.tolist()):
        own = given = 0.0
        start, end = int(paste.start[i]), int(paste.start[i] + paste.length[i])
        for m in range(x.shape[4]):
            for t in range(x.shape[2]):
                for v in range(x.shape[3]):
                    inside = start <= t < end
                    if here[i, m]:
                        theirs = inside and bool(here[j, m] and paste.joints[i, v])
                        own, given = own + 1 - theirs, given + theirs
                    elif here[j, m] and mixer.options.move_bodies:
                        given += inside
        lam.append(own / (own + given) if own + given else 1.0)
    return torch.tensor(lam)


@pytest.mark.parametrize("move_bodies", [False, True])
def test_lam_is_the_retained_area(move_bodies):
    x = random_clips(0, clips=5, frames=16)
    x[2] = 0  # a clip without any body
    y = torch.arange(5) % 3
    mixer = STMix(
        KINECT,
        [9, 5, 2],
        mixup_prob=0,
        per_clip=True,
        move_bodies=move_bodies,
        generator=torch.Generator().manual_seed(1),
    )
    for _ in range(3):
        mixed = mixer(x, y)
        torch.testing.assert_close(mixed.lam, area_slowly(mixer, x, mixed), atol=1e-5, rtol=0)
        torch.testing.assert_close(mixed.target.sum(1), torch.ones(5))
        assert torch.equal(presence(mixed.x), presence(x)) != move_bodies


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"move_bodies": 1}, "move_bodies is 1; expected true or false"),
        ({"partners": "friends"}, "shift, rarer"),
        ({"move_bodies": True, "presence": False}, "move_bodies without presence"),
        ({"coalition_sizes": (2.5,)}, "whole numbers"),
        ({"coalition_sizes": 2}, "whole numbers"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        STMix("ntu25", [5, 3], **options)

"""Names, classes and protocols of NTU RGB+D 60 and 120, shared by all their importers.

A sample is called `SsssCcccPpppRrrrAaaa`: setup, camera, performer, replication and action, each
counted from 1. Sources: Shahroudy et al., CVPR 2016 (60 classes); Liu et al., TPAMI 2019 (120); the
lists published with the data set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Literal

SETUPS_60 = 17  # NTU RGB+D 60 has setups 1 to 17, NTU RGB+D 120 all 32
FPS = 30.0

# Metadata columns of a clip.
COLUMNS: Mapping[str, type[int]] = MappingProxyType(
    {"setup": int, "camera": int, "performer": int, "replication": int, "action": int}
)

_PERFORMERS_60 = (1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38)
_PERFORMERS_120 = (
    *_PERFORMERS_60,
    *(45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86),
    *(89, 91, 92, 93, 94, 95, 97, 98, 100, 103),
)


@dataclass(frozen=True)
class NtuName:
    """What the name of a sample says; all numbers count from 1."""

    setup: int
    camera: int
    performer: int
    replication: int
    action: int


def parse_name(name: str) -> NtuName | None:
    """The parts of a name such as S001C002P003R002A013; None when it is not of this form."""
    match = re.fullmatch(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})", name, re.ASCII)
    return NtuName(*map(int, match.groups())) if match else None


def protocols(num_classes: Literal[60, 120]) -> dict[str, tuple[str, str]]:
    """The official protocols: name -> (training, test) expressions over `COLUMNS`.

    Args:
        num_classes: 60 has cross-subject and cross-view, 120 cross-subject and cross-setup.
    """
    performers = _PERFORMERS_60 if num_classes == 60 else _PERFORMERS_120
    xsub = f"performer in {performers}", f"performer not in {performers}"
    if num_classes == 60:
        return {"xsub": xsub, "xview": ("camera in (2, 3)", "camera == 1")}
    return {"xsub": xsub, "xset": ("setup % 2 == 0", "setup % 2 == 1")}


@cache
def missing_samples() -> frozenset[str]:
    """Names of the 535 samples whose skeletons are missing or incomplete, as the data set's authors
    list them; the 302 of NTU RGB+D 60 are those of setups 1 to 17."""
    return frozenset((files(__package__) / "ntu_missing.txt").read_text("ascii").split())


# Class names in the order of the actions A001 to A120.
CLASS_NAMES: tuple[str, ...] = tuple(
    """
drink water
eat meal/snack
brushing teeth
brushing hair
drop
pickup
throw
sitting down
standing up (from sitting position)
clapping
reading
writing
tear up paper
wear jacket
take off jacket
wear a shoe
take off a shoe
wear on glasses
take off glasses
put on a hat/cap
take off a hat/cap
cheer up
hand waving
kicking something
reach into pocket
hopping (one foot jumping)
jump up
make a phone call/answer phone
playing with phone/tablet
typing on a keyboard
pointing to something with finger
taking a selfie
check time (from watch)
rub two hands together
nod head/bow
shake head
wipe face
salute
put the palms together
cross hands in front (say stop)
sneeze/cough
staggering
falling
touch head (headache)
touch chest (stomachache/heart pain)
touch back (backache)
touch neck (neckache)
nausea or vomiting condition
use a fan (with hand or paper)/feeling warm
punching/slapping other person
kicking other person
pushing other person
pat on back of other person
point finger at the other person
hugging other person
giving something to other person
touch other person's pocket
handshaking
walking towards each other
walking apart from each other
put on headphone
take off headphone
shoot at the basket
bounce ball
tennis bat swing
juggling table tennis balls
hush (quiet)
flick hair
thumb up
thumb down
make ok sign
make victory sign
staple book
counting money
cutting nails
cutting paper
snapping fingers
open bottle
sniff (smell)
squat down
toss a coin
fold paper
ball up paper
play magic cube
apply cream on face
apply cream on hand back
put on bag
take off bag
put something into a bag
take something out of a bag
open a box
move heavy objects
shake fist
throw up cap/hat
hands up (both hands)
cross arms
arm circles
arm swings
running on the spot
butt kicks (kick backward)
cross toe touch
side kick
yawn
stretch oneself
blow nose
hit other person with something
wield knife towards other person
knock over other person (hit with body)
grab other person's stuff
shoot at other person with a gun
step on foot
high-five
cheers and drink
carry something with other person
take a photo of other person
follow other person
whisper in other person's ear
exchange things with other person
support somebody with hand
finger-guessing game
""".strip().splitlines()
)

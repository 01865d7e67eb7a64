"""Bodies that only the partner has: they may appear in the window, whole."""

from torch import Tensor


def newcomers(here: Tensor, partner: Tensor) -> Tensor:
    """Person slots that the partner fills and the receiver does not: `(N, M)` bool.

    Args:
        here: `(N, M)` bool, which bodies are there. partner: `(N,)` int64.
    """
    return here[partner] & ~here


def share_with_newcomers(frames: Tensor, joints: Tensor, here: Tensor, partner: Tensor) -> Tensor:
    """The partner's share of the area of all bodies in the mix: `(N,)`.

    With R bodies of the receiver, B of them shared and D newcomers, a window of the share f of the
    frames and parts of the share s of the joints, the mix has `R + f D` bodies' worth of
    joint-frames, of which `f (s B + D)` are the partner's.

    Args:
        frames: `(N,)`, f. joints: `(N,)`, s. here: `(N, M)` bool. partner: `(N,)` int64.
    """
    own, both = here.sum(1), (here & here[partner]).sum(1)
    new = newcomers(here, partner).sum(1)
    given = frames * (joints * both + new)
    area = own + frames * new
    return given / area.masked_fill(area == 0, 1.0)

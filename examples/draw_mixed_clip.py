"""Draw two synthetic clips and what mixing makes of them, as in the README.

python examples/draw_mixed_clip.py docs/images/mixed_clip.png
"""

import sys

import torch

from shapmix.data.synthetic import CLASS_NAMES, LAYOUT, generate_clips
from shapmix.mixing.coalitions import part_masks, parts_to_row
from shapmix.mixing.draws import Window
from shapmix.mixing.stmix import Draws, apply_draws
from shapmix.reporting import mixed_clips_figure

RECEIVER, PARTNER = "march", "hands up"
FRAMES = 64
WINDOW = Window(start=16, length=36, source_start=8, source_length=48)
ARMS = [LAYOUT.part_names.index(name) for name in ("right_arm", "left_arm")]


def load(action: str) -> torch.Tensor:
    """A clip of one person seen from the front: (C, T, V, M)."""
    for clip in generate_clips(40):
        seen_from_the_front = clip.metadata["view"] == 2 and clip.keypoints.shape[1] == 1
        if CLASS_NAMES[clip.label] == action and seen_from_the_front:
            x = torch.from_numpy(clip.keypoints)
            x = x - x[:1, :1, LAYOUT.center, None]
            frames = torch.linspace(0, len(x) - 1, FRAMES).long()
            return x[frames].permute(3, 0, 2, 1)
    raise SystemExit(f"no clip of {action!r}")


def main() -> None:
    x = torch.stack([load(RECEIVER), load(PARTNER)])
    y = torch.tensor([CLASS_NAMES.index(RECEIVER), CLASS_NAMES.index(PARTNER)])
    pasted = parts_to_row(ARMS, LAYOUT.num_parts).expand(2, -1)
    draws = Draws(shift=1, window=WINDOW, pasted=pasted)
    parts = part_masks(LAYOUT)
    mixed = apply_draws(x, y, draws, parts=parts, num_classes=len(CLASS_NAMES))
    figure = mixed_clips_figure(
        *(clip[..., 0] for clip in (x[0], x[1], mixed.x[0])),
        mixed.paste.joints[0],
        (WINDOW.start, WINDOW.length),
        LAYOUT,
        source_window=(WINDOW.source_start, WINDOW.source_length),
        labels=(RECEIVER, PARTNER),
        lam=float(mixed.lam[0]),
    )
    figure.savefig(sys.argv[1])


if __name__ == "__main__":
    main()

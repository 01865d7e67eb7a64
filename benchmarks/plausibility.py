"""How plausible mixes are: bone lengths and seams, pasted as published and with the options.

    python benchmarks/plausibility.py DATA.arrow [DATA.arrow ...]

Up to 512 clips of each archive, drawn with a fixed seed, are placed in space as for a test and
resampled to 64 frames (joint stream); random pairs of them are mixed, every method with the same
pairs, windows and parts. The table has, inside the windows, the mean |log| of each bone's length
over the receiver's own; and the largest step of a joint within 5 frames of a seam over what is
usual within as many frames of the receivers, as medians.
"""

import sys

import torch
from torch import Tensor

from shapmix.data.archive import Archive
from shapmix.data.loader import ClipDataset
from shapmix.data.transforms import Transform
from shapmix.mixing import STMix
from shapmix.mixing.plausibility import bone_length_change, seam_jump

CLIPS, FRAMES, BLEND = 512, 64, 4
METHODS = {
    "as published": {},
    "blend": {"blend": BLEND},
    "attach": {"attach": True},
    "attach, keep_lengths": {"attach": True, "keep_lengths": True},
    "attach, keep_lengths, carry": {"attach": True, "keep_lengths": True, "carry": True},
    "attach, keep_lengths, carry, blend": {
        "attach": True,
        "keep_lengths": True,
        "carry": True,
        "blend": BLEND,
    },
}


def load(archive: Archive) -> Tensor:
    """Clips in random order: (N, C, T, V, M)."""
    order = torch.randperm(len(archive), generator=torch.Generator().manual_seed(0))
    clips = ClipDataset(archive, order[:CLIPS].tolist())
    transform = Transform(archive.info.layout, channels=archive.info.channels, num_frames=FRAMES)
    return transform(clips.collate([clips[i] for i in range(len(clips))]))


def main() -> None:
    print("| data | mix | bone lengths | seams |\n|---|---|---:|---:|")
    for path in sys.argv[1:]:
        archive = Archive(path)
        x, channels = load(archive), archive.info.channels
        confidence = channels.index("c") if "c" in channels else None
        for name, options in METHODS.items():
            mixer = STMix(
                archive.info.layout,
                [1, 1],
                mixup_prob=0,
                per_clip=True,
                confidence_channel=confidence,
                generator=torch.Generator().manual_seed(0),
                **options,
            )
            mixed = mixer(x, torch.zeros(len(x), dtype=torch.int64))
            bones = bone_length_change(x, mixed.x, mixed.paste, mixer.tree, confidence)
            jump = seam_jump(x, mixed.x, mixed.paste, BLEND + 1, confidence)
            print(f"| {archive.path.stem} | {name} | {bones:.3f} | {jump:.2f} |")


if __name__ == "__main__":
    main()

"""The plug-in: mixers for any training loop and any backbone. Needs torch and numpy only."""

from shapmix.mixing.baselines import Mixup, NoMix
from shapmix.mixing.batch import MixedBatch, Mixer
from shapmix.mixing.functional import mean_clip
from shapmix.mixing.shapmix import ShapMix
from shapmix.mixing.stmix import STMix

__all__ = ["MixedBatch", "Mixer", "Mixup", "NoMix", "STMix", "ShapMix", "mean_clip"]

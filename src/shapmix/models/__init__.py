"""Backbones: (N, C, T, V, M) clips to (N, K) logits."""

from shapmix.models.ctrgcn import CTRGCN
from shapmix.models.factory import MODELS, ModelError, create_model
from shapmix.models.stgcn import STGCN
from shapmix.models.tcn import TCN

__all__ = ["CTRGCN", "MODELS", "STGCN", "TCN", "ModelError", "create_model"]

"""Backbones: (N, C, T, V, M) clips to (N, K) logits."""

from shapmix.models.ctrgcn import CTRGCN
from shapmix.models.factory import MODELS, ModelError, create_model
from shapmix.models.stgcn import STGCN

__all__ = ["CTRGCN", "MODELS", "STGCN", "ModelError", "create_model"]

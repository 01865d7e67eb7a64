"""Shap-Mix: Shapley-value-guided mixing for long-tailed skeleton-based action recognition."""

__version__ = "0.1.0"

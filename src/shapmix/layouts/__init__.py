"""Layouts: the geometry of skeletons, as data. Needs numpy only."""

from shapmix.layouts.catalog import CATALOG, get_layout
from shapmix.layouts.graph import hop_distance, partitioned_adjacency
from shapmix.layouts.layout import Layout, LayoutError

__all__ = [
    "CATALOG",
    "Layout",
    "LayoutError",
    "get_layout",
    "hop_distance",
    "partitioned_adjacency",
]

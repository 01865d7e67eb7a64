"""Reports: tables and pictures, made of run folders only."""

from shapmix.reporting.compare import compare_table, difference_table
from shapmix.reporting.files import RunError
from shapmix.reporting.grid import Table
from shapmix.reporting.pictures import mixed_clips_figure, saliency_figure
from shapmix.reporting.runs import Run, load_run, load_saliency, load_scores
from shapmix.reporting.tables import class_table, run_table

__all__ = [
    "Run",
    "RunError",
    "Table",
    "class_table",
    "compare_table",
    "difference_table",
    "load_run",
    "load_saliency",
    "load_scores",
    "mixed_clips_figure",
    "run_table",
    "saliency_figure",
]

"""Figures of finished runs for print: the pictures of the report as PDF, PNG or SVG."""

from shapmix.reporting.figures.writing import FIGURES, Written, write_figures

__all__ = ["FIGURES", "Written", "write_figures"]

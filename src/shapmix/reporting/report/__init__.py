"""The report: one HTML page on finished runs, made of what they left in their folders."""

from shapmix.reporting.report.page import write_report
from shapmix.reporting.report.section import Section

__all__ = ["Section", "write_report"]

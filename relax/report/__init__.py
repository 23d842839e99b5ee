"""Reports: findings, figures, tables and a gallery of explanations in one HTML file that needs no network."""

from relax.report.collection import Collection, Column, Plane
from relax.report.content import Chart, Exhibit, Grid, Neighbour, Report, Section, Strip, Thumbnail
from relax.report.evaluation import evaluation_report
from relax.report.page import write_report
from relax.report.pair import pair_report
from relax.report.plain import plain_report
from relax.report.stack import stack_report

__all__ = [
    "Chart",
    "Collection",
    "Column",
    "Exhibit",
    "Grid",
    "Neighbour",
    "Plane",
    "Report",
    "Section",
    "Strip",
    "Thumbnail",
    "evaluation_report",
    "pair_report",
    "plain_report",
    "stack_report",
    "write_report",
]

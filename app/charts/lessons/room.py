"""The layout of the lessons' small charts: little room, so the legend lies in the margin."""

from __future__ import annotations

from typing import Any

from app.charts.style import Part, layout

MARGIN = {"l": 48, "r": 12, "t": 28, "b": 40}


def small_layout(x_title: str, y_title: str, **extra: Any) -> Part:
    """`style.layout` of a chart of about 200 pixels' height, whose legend pushes nothing down."""
    legend = {"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top"}
    return layout(x_title, y_title, **{"margin": MARGIN, "legend": legend, **extra})

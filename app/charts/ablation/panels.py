"""Small charts of groups of runs side by side, on axes that zoom together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import plotly.graph_objects as go

from app.charts.style import Part, layout

MOST_COLUMNS = 5
# As shares of the whole drawing's width and height: between columns, and between rows, where the
# titles are.
COLUMN_GAP = 0.035
ROW_GAP = 0.13


@dataclass(frozen=True)
class Group:
    """Runs that are drawn as one: the seeds of one setting.

    Attributes:
        name: text of a figure (HTML).
        lower, upper: the margin in force.
        run_ids: the runs.
    """

    name: str
    lower: float
    upper: float
    run_ids: tuple[str, ...]


class Panel(NamedTuple):
    """One small chart: names of its axes, and their places as shares of the whole."""

    x: str
    y: str
    x_domain: tuple[float, float]
    y_domain: tuple[float, float]
    is_left: bool
    is_lowest: bool

    @property
    def axes(self) -> Part:
        """What makes a trace one of this panel's."""
        return {"xaxis": self.x, "yaxis": self.y}


def panel_shape(count: int) -> tuple[int, int]:
    """Rows and columns of `count` panels, at least 1: near a square, three in one row."""
    columns = count if count <= 3 else min(math.ceil(math.sqrt(count)), MOST_COLUMNS)
    return math.ceil(count / columns), columns


def place_panels(count: int) -> list[Panel]:
    """`count` panels from left to right and from top to bottom."""
    rows, columns = panel_shape(count)
    # The gaps of many rows must leave room for what lies between them.
    row_gap = min(ROW_GAP, 0.4 / rows)
    width = (1 - COLUMN_GAP * (columns - 1)) / columns
    height = (1 - row_gap * (rows - 1)) / rows
    panels = []
    for index in range(count):
        row, column = divmod(index, columns)
        left = column * (width + COLUMN_GAP)
        top = 1 - row * (height + row_gap)
        number = str(index + 1) if index else ""
        panels.append(
            Panel(
                f"x{number}",
                f"y{number}",
                (left, min(left + width, 1)),
                (max(top - height, 0), top),
                column == 0,
                index + columns >= count,
            )
        )
    return panels


def panel_axes(
    panels: Sequence[Panel], xaxis: Part, yaxis: Part, y_title: str, *, own_y: bool = False
) -> Part:
    """Axes of all `panels` for a layout; numbers stand at the left and below the lowest ones.

    Args:
        own_y: whether each has an axis of its own for values of other sizes.
    """
    axes: Part = {}
    for panel in panels:
        axes[f"xaxis{panel.x[1:]}"] = {
            **xaxis,
            "domain": panel.x_domain,
            "anchor": panel.y,
            "showticklabels": panel.is_lowest,
            **({} if panel.x == "x" else {"matches": "x"}),
        }
        axes[f"yaxis{panel.y[1:]}"] = {
            **yaxis,
            "domain": panel.y_domain,
            "anchor": panel.x,
            "showticklabels": panel.is_left or own_y,
            "title": {"text": y_title if panel.is_left else ""},
            **({} if panel.y == "y" or own_y else {"matches": "y"}),
        }
    return axes


def panel_title(panel: Panel, text: str) -> Part:
    """`text` above `panel`."""
    return {
        "x": sum(panel.x_domain) / 2,
        "y": panel.y_domain[1],
        "xref": "paper",
        "yref": "paper",
        "text": text,
        "showarrow": False,
        "xanchor": "center",
        "yanchor": "bottom",
        "font": {"size": 12},
    }


def panels_layout(
    panels: Sequence[Panel], titles: Sequence[str], axes: Part, below: str, **more: Any
) -> go.Layout:
    """Layout of panels with a title above each, a legend above all and `below` under them.

    Args:
        axes: of all panels (`panel_axes`).
        more: whatever else the layout has.
    """
    return layout(
        "",
        "",
        **axes,
        margin={"l": 56, "r": 12, "t": 48, "b": 64},
        legend={"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top"},
        annotations=[
            *(panel_title(panel, title) for panel, title in zip(panels, titles, strict=True)),
            below_panels(below),
        ],
        **more,
    )


def below_panels(text: str) -> Part:
    """`text` below all panels and the numbers of their axes."""
    return {
        "x": 0.5,
        "y": 0,
        "xref": "paper",
        "yref": "paper",
        "yshift": -20,
        "text": text,
        "showarrow": False,
        "xanchor": "center",
        "yanchor": "top",
    }

"""The plane of the toy game: adaptability as colour, two boundaries, the margin, the samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from app.charts.ablation.labels import SEQUENCE
from app.charts.style import G_COLOUR, P_COLOUR, Q_COLOUR, Part, layout

# Upon the colours of the map these are told apart on a light and a dark page alike.
BLACK, WHITE = "#000000", "#ffffff"
# H' of a coarse Q is ragged: stronger lines around its islands would hide the map.
FAINT = "rgba(255, 255, 255, 0.5)"
SHORTEST_AXIS = 10


def plane_figure(
    axis: np.ndarray,
    adaptability: np.ndarray,
    p_lead: np.ndarray,
    q_lead: np.ndarray,
    samples: np.ndarray,
    inside: np.ndarray,
    margin: tuple[float, float],
) -> go.Figure:
    """A map of the plane; a click on it has the place's `x` and `y`.

    Args:
        axis: `(n,)`, coordinates along x and along y.
        adaptability: `(n, n)` within [0, 1], rows of equal y.
        p_lead, q_lead: `(n, n)`, whose zeros are P's and Q's boundaries.
        samples: `(B, 2)`.
        inside: `(B,)`, which samples lie inside the margin.
        margin: its two ends on the axis of adaptability.
    """
    low, high = margin
    place = {"x": axis, "y": axis}
    return go.Figure(
        [
            {
                "type": "heatmap",
                **place,
                "z": adaptability,
                "zmin": 0,
                "zmax": 1,
                "colorscale": SEQUENCE,
                # The page's template would have the theme's colours take its place.
                "autocolorscale": False,
                "colorbar": {
                    "title": {"text": "adaptability", "side": "right"},
                    "tickvals": [0, low, high, 1],
                    "ticktext": ["0: agree", f"{low:g}", f"{high:g}", "1: disagree"],
                    "thickness": 14,
                },
                "hovertemplate": "(%{x:.1f}, %{y:.1f})<br>adaptability %{z:.2f}<extra></extra>",
            },
            _line(place, adaptability, low, FAINT, "solid", 1),
            _line(place, adaptability, high, FAINT, "solid", 1),
            _line(place, p_lead, 0, BLACK, "solid", 4),
            _line(place, q_lead, 0, WHITE, "dash", 2.5),
            _entry("P's border, black", "solid", 4),
            _entry("Q's, white", "dash", 2.5),
            _entry("margin", "solid", 1),
            _samples(samples[inside], "circle", "sample inside"),
            _samples(samples[~inside], "x", "outside"),
        ],
        layout(
            "x",
            "y",
            xaxis={"range": [axis[0], axis[-1]], "zeroline": False, "showgrid": False},
            yaxis={"range": [axis[0], axis[-1]], "zeroline": False, "showgrid": False},
            hovermode="closest",
            margin={"l": 44, "r": 8, "t": 28, "b": 40},
            legend={
                "orientation": "h",
                "x": 0,
                "y": 1.01,
                "yanchor": "bottom",
                "font": {"size": 11},
                "entrywidth": 0,
            },
        ),
    )


def _line(place: Part, values: np.ndarray, at: float, colour: str, dash: str, width: float) -> Part:
    """The line on which `values` are `at`."""
    return {
        "type": "contour",
        **place,
        "z": values,
        "contours": {"start": at, "end": at, "size": 1, "coloring": "none"},
        "line": {"color": colour, "dash": dash, "width": width, "smoothing": 0.6},
        "showscale": False,
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _entry(name: str, dash: str, width: float) -> Part:
    """An entry of the legend in a colour that shows on the page, where the line's own may not.

    So the name has to say the line's own.
    """
    return {
        "type": "scatter",
        "x": [None],
        "y": [None],
        "mode": "lines",
        "name": name,
        "line": {"color": P_COLOUR, "dash": dash, "width": width},
    }


def _samples(samples: np.ndarray, symbol: str, name: str) -> Part:
    return {
        "type": "scatter",
        "x": samples[:, 0] if len(samples) else [None],
        "y": samples[:, 1] if len(samples) else [None],
        "mode": "markers",
        "name": name,
        "marker": {
            "symbol": symbol,
            "size": 10,
            "color": G_COLOUR,
            "line": {"width": 1.5, "color": WHITE},
        },
        "hoverinfo": "skip",
    }


def score_figure(disagreement: Sequence[float], goal: float) -> go.Figure:
    """How much of the plane P and Q disagree on, in percent, at the start and after each lesson."""
    lessons = list(range(len(disagreement)))
    return go.Figure(
        [
            {
                "type": "scatter",
                "x": lessons,
                "y": disagreement,
                "mode": "lines+markers",
                "line": {"color": Q_COLOUR},
                "showlegend": False,
                "hovertemplate": "after %{x}: %{y:.1f} %<extra></extra>",
            },
            {
                "type": "scatter",
                "x": [0, max(SHORTEST_AXIS, lessons[-1])],
                "y": [goal, goal],
                "mode": "lines",
                "name": f"the goal: {goal:.1f} %",
                "line": {"color": P_COLOUR, "dash": "dash"},
                "hoverinfo": "skip",
            },
        ],
        layout(
            "times that Q has learned",
            "disagree (%)",
            xaxis={"range": [-0.3, max(SHORTEST_AXIS, lessons[-1]) + 0.3], "tickformat": "d"},
            yaxis={"rangemode": "tozero"},
        ),
    )

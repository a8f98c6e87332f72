"""Rounding to a few bits: a number's staircase, a filter's weights, a network's accuracy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from adadfq_core.lessons.numbers import Rounding
from app.charts.lessons.room import MARGIN, small_layout
from app.charts.style import G_COLOUR, P_COLOUR, Q_COLOUR, Part

# Beyond this many levels their lines would be one grey area.
MOST_LINES = 32
_BINS = 60


def staircase_figure(
    x: np.ndarray, y: np.ndarray, number: float, snapped: float, words: Mapping[str, str]
) -> go.Figure:
    """The staircase `y(x)` and one number's way: up from `number`, then across to `snapped`.

    Args:
        words: "in", "out", "exact", "stairs", "yours".
    """
    reach = float(np.abs(x).max())
    ends = [-reach, reach]
    axis: Part = {"range": ends, "zeroline": True}
    return go.Figure(
        [
            {
                "type": "scatter",
                "x": ends,
                "y": ends,
                "mode": "lines",
                "name": words["exact"],
                "line": {"color": P_COLOUR, "width": 1.2, "dash": "dot"},
                "hoverinfo": "skip",
            },
            {
                "type": "scatter",
                "x": x,
                "y": y,
                "mode": "lines",
                "name": words["stairs"],
                "line": {"color": Q_COLOUR, "width": 2},
                "hovertemplate": "%{x:.3f} → %{y:.3f}<extra></extra>",
            },
            {
                "type": "scatter",
                "x": [number, number, -reach],
                "y": [-reach, snapped, snapped],
                "mode": "lines+markers",
                "name": words["yours"],
                "line": {"color": G_COLOUR, "width": 2, "dash": "dash"},
                "marker": {"size": [0, 11, 0], "symbol": "diamond", "color": G_COLOUR},
                "hovertemplate": f"{number:.2f} → {snapped:.3f}<extra></extra>",
            },
        ],
        small_layout(words["in"], words["out"], xaxis=axis, yaxis=axis),
    )


def weights_figure(rounding: Rounding, words: Mapping[str, str]) -> go.Figure:
    """Histogram of weights upwards, of what rounding makes of them downwards, levels as lines.

    Args:
        words: "axis", "count", "before", "after".
    """
    reach = 1.06 * float(max(np.abs(rounding.before).max(), np.abs(rounding.allowed).max()))
    edges = np.linspace(-reach, reach, _BINS + 1)
    before, _ = np.histogram(rounding.before, edges)
    # A bar a level: bins would put two levels into one and leave others empty.
    values, after = np.unique(rounding.after, return_counts=True)
    step = float(np.diff(rounding.allowed).min())
    top, bottom = 1.1 * float(before.max()), 1.1 * float(after.max())
    shapes = [
        {
            "type": "line",
            "x0": level,
            "x1": level,
            "y0": 0.5,
            "y1": 1,
            "yref": "paper",
            "line": {"width": 1, "dash": "dot", "color": Q_COLOUR},
        }
        for level in (rounding.allowed if len(rounding.allowed) <= MOST_LINES else ())
    ]
    bar: Part = {"type": "bar", "hovertemplate": "%{x:.3f}: %{customdata}<extra></extra>"}
    return go.Figure(
        [
            {
                **bar,
                "x": (edges[1:] + edges[:-1]) / 2,
                "y": before / top,
                "width": edges[1] - edges[0],
                "customdata": before,
                "name": words["before"],
                "marker": {"color": P_COLOUR},
            },
            {
                **bar,
                "x": values,
                "y": -after / bottom,
                "width": min(max(0.5 * step, 0.006 * reach), 0.06 * reach),
                "customdata": after,
                "name": words["after"],
                "marker": {"color": Q_COLOUR},
            },
        ],
        small_layout(
            words["axis"],
            words["count"],
            xaxis={"range": [-reach, reach]},
            # Both halves have a scale of their own: a level holds many bins' weights.
            yaxis={"range": [-1, 1], "showticklabels": False, "zeroline": True, "showgrid": False},
            margin=MARGIN | {"l": 36},
            barmode="overlay",
            shapes=shapes,
        ),
    )


def bits_figure(
    top1: float, tried: Mapping[int, float], bits: int, words: Mapping[str, str]
) -> go.Figure:
    """Accuracy in percent of the numbers of bits that were tried, with P's as a line.

    Args:
        top1: P's.
        tried: by number of bits; holds `bits`, the chosen one.
        words: "bits", "accuracy", "float", "tried", "chosen".
    """
    known = sorted(tried)
    ends = [1.5, 8.5]
    line: Part = {
        "type": "scatter",
        "x": ends,
        "y": [top1, top1],
        "mode": "lines",
        "name": words["float"],
        "line": {"color": P_COLOUR, "width": 1.5, "dash": "dash"},
        "hoverinfo": "skip",
    }
    points: list[Part] = [
        {
            "type": "scatter",
            "x": chosen,
            "y": [tried[number] for number in chosen],
            "mode": "markers+text",
            "name": name,
            "text": [f"{tried[number]:.1f}" for number in chosen],
            "textposition": "bottom center",
            "marker": {"symbol": symbol, "size": size, "color": Q_COLOUR},
            "hovertemplate": "%{x}: %{y:.1f} %<extra></extra>",
        }
        for chosen, name, symbol, size in (
            ([number for number in known if number != bits], words["tried"], "circle", 8),
            ([bits], words["chosen"], "diamond", 13),
        )
    ]
    return go.Figure(
        [line, *points],
        small_layout(
            words["bits"],
            words["accuracy"],
            xaxis={"range": ends, "tickvals": list(range(2, 9))},
            yaxis={"range": [0, 108], "tickvals": [0, 25, 50, 75, 100]},
        ),
    )

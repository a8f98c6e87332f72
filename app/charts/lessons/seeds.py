"""Results of a few seeds: every run, their mean and the interval that it lies in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from adadfq_core.lessons.seeds import interval
from app.charts.style import P_COLOUR, layout


def seeds_figure(
    results: Mapping[str, Sequence[float]],
    colours: Sequence[str],
    count: int,
    ends: tuple[float, float],
) -> go.Figure:
    """The first `count` results of each setting; with two or more, their mean and its interval.

    Args:
        results: settings' names, and top-1 in percent of each seed.
        colours: one a setting.
        ends: of the upright axis: fixed, so that intervals that shrink are seen to shrink.
    """
    traces = []
    for place, (name, values) in enumerate(results.items()):
        seen = values[:count]
        found = interval(seen)
        traces.append(
            {
                "type": "scatter",
                "x": [place - 0.16] * len(seen),
                "y": seen,
                "mode": "markers",
                "name": "one run",
                "showlegend": place == 0,
                "marker": {"symbol": "circle-open", "size": 8, "color": P_COLOUR},
                "hovertemplate": f"{name}<br>%{{y:.2f}} %<extra></extra>",
            }
        )
        if count > 1:
            half = found.high - found.mean
            traces.append(
                {
                    "type": "scatter",
                    "x": [place],
                    "y": [found.mean],
                    "mode": "markers",
                    "name": "mean and 95 % interval",
                    "showlegend": False,
                    "marker": {"symbol": "diamond", "size": 10, "color": colours[place]},
                    "error_y": {"type": "data", "array": [half], "thickness": 3, "width": 10},
                    "hovertemplate": f"{name}<br>mean %{{y:.2f}} ± {half:.2f} %<extra></extra>",
                }
            )
    entry = {
        "type": "scatter",
        "x": [None],
        "y": [None],
        "mode": "markers",
        "name": "mean and 95 % interval",
        "marker": {"symbol": "diamond", "size": 10, "color": P_COLOUR},
    }
    return go.Figure(
        [*traces, entry],
        layout(
            "",
            "top-1 of Q (%)",
            xaxis={
                "tickvals": list(range(len(results))),
                "ticktext": list(results),
                "range": [-0.5, len(results) - 0.5],
                "zeroline": False,
            },
            yaxis={"range": ends},
            margin={"l": 56, "r": 12, "t": 28, "b": 24},
        ),
    )

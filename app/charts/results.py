"""What each method loses against P at each number of bits, beside the paper's loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from adadfq_core.results.rows import Row
from app.charts.ablation.bits import ROOM, error_bars, shift_of
from app.charts.ablation.labels import group_look
from app.charts.style import Part, layout, literal, say_empty


def loss_figure(rows: Sequence[Row]) -> go.Figure:
    """Loss against P in points, with the deviation over seeds; the paper's hollow and dotted.

    Args:
        rows: of one network, of which those without any number are left out.
    """
    known = [row for row in rows if np.isfinite(row.loss)]
    if not known:
        figure = go.Figure(layout=layout("bits of weights and activations", "loss (points)"))
        say_empty(figure, "no run of this network has ended yet")
        return figure
    methods = list(dict.fromkeys(row.method for row in rows))
    traces: list[Part] = []
    for index, method in enumerate(methods):
        shift = shift_of(index, len(methods))
        own = [row for row in known if row.method == method]
        if own:
            traces += _method(method, own, shift, *group_look(index))
    bits = sorted({row.bits for row in known})
    return go.Figure(
        traces,
        layout(
            "bits of weights and activations",
            "loss against P (points of top-1)",
            xaxis={"range": [bits[0] - ROOM, bits[-1] + ROOM], "tickvals": bits, "zeroline": False},
            yaxis={"rangemode": "tozero"},
            hovermode="closest",
        ),
    )


def _method(name: str, rows: Sequence[Row], shift: float, colour: str, symbol: str) -> list[Part]:
    shown = literal(name)
    own: Part = {
        "type": "scatter",
        "x": [row.bits + shift for row in rows],
        "y": [row.loss for row in rows],
        "error_y": error_bars([row.deviation for row in rows]),
        "mode": "lines+markers",
        "line": {"color": colour, "width": 2},
        "marker": {"color": colour, "symbol": symbol, "size": 8},
        "name": shown,
        "legendgroup": shown,
        "text": [_told(row) for row in rows],
        "hovertemplate": "%{text}<extra></extra>",
    }
    stated = [(row.bits + shift, row.paper) for row in rows if row.paper is not None]
    if not stated:
        return [own]
    paper: Part = {
        "type": "scatter",
        "x": [x for x, _ in stated],
        "y": [each.loss for _, each in stated],
        "mode": "lines+markers",
        "line": {"color": colour, "width": 1.5, "dash": "dot"},
        "marker": {"color": colour, "symbol": f"{symbol}-open", "size": 9},
        "name": f"{shown}, the paper's",
        "legendgroup": shown,
        "text": [
            f"the paper's {shown} on {each.network}: {each.loss:.2f} points" for _, each in stated
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }
    return [own, paper]


def _told(row: Row) -> str:
    deviation = f" ± {row.deviation:.2f}" if np.isfinite(row.deviation) else ""
    count = len(row.measured)
    return (
        f"{literal(row.method)}, {row.bits} bits: {row.loss:.2f}{deviation} points behind P "
        f"({count} seed{'s' if count > 1 else ''})"
    )

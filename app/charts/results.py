"""What each method loses against P at each number of bits, beside the paper's loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from adadfq_core.results.paper import PaperResult
from adadfq_core.results.rows import Row
from app.charts.ablation.bits import error_bars
from app.charts.ablation.labels import group_look
from app.charts.ablation.panels import panel_axes, panels_layout, place_panels
from app.charts.style import Part, layout, literal, say_empty


def loss_figure(rows: Sequence[Row]) -> go.Figure:
    """Loss against P in points, with the deviation over seeds; the paper's is hollow.

    Each number of bits has a panel and an axis of its own: what 3 bits cost hides the others.

    Args:
        rows: of one network, of which those without any number are left out.
    """
    known = [row for row in rows if np.isfinite(row.loss)]
    if not known:
        figure = go.Figure(layout=layout("bits of weights and activations", "loss (points)"))
        say_empty(figure, "no run of this network has ended yet")
        return figure
    methods = list(dict.fromkeys(row.method for row in rows))
    widths = sorted({row.bits for row in known})
    panels = place_panels(len(widths))
    traces: list[Part] = []
    for panel, bits in zip(panels, widths, strict=True):
        own = [row for row in known if row.bits == bits]
        # The paper's number beside more than one row is drawn at the first.
        stated = {row.paper: row for row in reversed(own) if row.paper is not None}
        for row in own:
            place = methods.index(row.method)
            traces.append(_measured(row, place) | panel.axes)
            if row.paper is not None and stated[row.paper] is row:
                traces.append(_stated(row, row.paper, place) | panel.axes)
    # In the order of the methods, each once.
    traces.sort(key=lambda trace: trace["legendrank"])
    named: set[str] = set()
    for trace in traces:
        trace["showlegend"] = trace["name"] not in named
        named.add(trace["name"])
    axes = panel_axes(
        panels,
        {"range": [-0.7, len(methods) - 0.3], "tickvals": [], "zeroline": False},
        {"rangemode": "tozero", "nticks": 6},
        "loss against P (points of top-1)",
        own_y=True,
    )
    titles = [f"{bits} bits" for bits in widths]
    figure = go.Figure(traces, panels_layout(panels, titles, axes, "", hovermode="closest"))
    # Nothing else stands below, and above there is no room for three lines of names.
    figure.update_layout(legend={"y": 0, "yanchor": "bottom"}, margin={"t": 24, "b": 84})
    return figure


def _measured(row: Row, place: int) -> Part:
    """What a method loses, at `place` of the axis of methods."""
    return {
        **_mark(row, place, row.loss),
        "error_y": error_bars([row.deviation]),
        "name": literal(row.method),
        "text": [_told(row)],
    }


def _stated(row: Row, paper: PaperResult, place: int) -> Part:
    """What the paper's loses, beside it."""
    mark = _mark(row, place, paper.loss)
    shown = literal(row.method)
    return {
        **mark,
        "marker": {
            **mark["marker"],
            "symbol": f"{mark['marker']['symbol']}-open",
            "line": {"width": 2},
        },
        "name": f"{shown}, the paper's",
        "text": [f"the paper's {shown} on {paper.network}: {paper.loss:.2f} points"],
    }


def _mark(row: Row, place: int, loss: float) -> Part:
    colour, symbol = group_look(place)
    return {
        "type": "scatter",
        "x": [place],
        "y": [loss],
        "mode": "markers",
        "marker": {"color": colour, "symbol": symbol, "size": 9},
        "legendrank": place,
        "hovertemplate": "%{text}<extra></extra>",
    }


def _told(row: Row) -> str:
    deviation = f" ± {row.deviation:.2f}" if np.isfinite(row.deviation) else ""
    count = len(row.measured)
    return (
        f"{literal(row.method)}, {row.bits} bits: {row.loss:.2f}{deviation} points behind P "
        f"({count} seed{'s' if count > 1 else ''})"
    )

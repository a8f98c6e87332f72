"""Top-1 of Q against P over the run."""

from __future__ import annotations

import plotly.graph_objects as go

from app.charts.style import P_COLOUR, Q_COLOUR, layout, mark_changes, say_empty


def accuracy_figure(
    iterations: list[int],
    top1_q: list[float],
    top1_p: float | None,
    total: int,
    changes: list[tuple[int, str]],
) -> go.Figure:
    """Q's top-1 in percent at `iterations`, the first being the calibrated Q, and P's as a line."""
    figure = go.Figure(layout=layout("iteration", "top-1 (%)"))
    figure.update_xaxes(range=[0, total])
    if not top1_q:
        say_empty(figure, "measured first at the end of the warm-up")
        return figure
    if top1_p is not None:
        figure.add_scatter(
            x=[0, total],
            y=[top1_p, top1_p],
            mode="lines",
            name="P (full precision)",
            line={"color": P_COLOUR, "dash": "dash"},
        )
    figure.add_scatter(
        x=iterations,
        y=top1_q,
        mode="lines+markers",
        name="Q (quantized)",
        line={"color": Q_COLOUR},
        hovertemplate="iteration %{x}: %{y:.2f} %<extra></extra>",
    )
    mark_changes(figure, changes)
    return figure

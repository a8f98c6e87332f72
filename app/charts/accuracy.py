"""Top-1 of Q against P over the run."""

from __future__ import annotations

import plotly.graph_objects as go

from app.charts.style import BESIDE_COLOUR, P_COLOUR, Q_COLOUR, layout, mark_changes, say_empty


def accuracy_figure(
    iterations: list[int],
    top1_q: list[float],
    top1_p: float | None,
    total: int,
    changes: list[tuple[int, str]],
    beside: tuple[str, list[int], list[float]] | None = None,
) -> go.Figure:
    """Q's top-1 in percent at `iterations`, the first being the calibrated Q, and P's as a line.

    `beside` is another run to compare with: its name, iterations and top-1.
    """
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
    if beside is not None:
        name, others, top1 = beside
        figure.add_scatter(
            x=others,
            y=top1,
            mode="lines+markers",
            name=name,
            line={"color": BESIDE_COLOUR, "dash": "dot"},
            hovertemplate="iteration %{x}: %{y:.2f} %<extra></extra>",
        )
    mark_changes(figure, changes)
    return figure

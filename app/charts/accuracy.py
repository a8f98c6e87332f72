"""Top-1 of Q against P over the run."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from app.charts.style import (
    BESIDE_COLOUR,
    P_COLOUR,
    Q_COLOUR,
    Part,
    change_marks,
    layout,
    literal,
    say_empty,
)


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
    if not top1_q:
        figure = go.Figure(layout=layout("iteration", "top-1 (%)"))
        say_empty(figure, "measured first at the end of the warm-up")
        return figure
    lines = [_measured(iterations, top1_q, "Q (quantized)", {"color": Q_COLOUR})]
    if top1_p is not None:
        lines.insert(
            0,
            {
                "type": "scatter",
                "x": [0, total],
                "y": [top1_p, top1_p],
                "mode": "lines",
                "name": "P (full precision)",
                "line": {"color": P_COLOUR, "dash": "dash"},
            },
        )
    if beside is not None:
        name, others, top1 = beside
        lines.append(
            _measured(others, top1, literal(name), {"color": BESIDE_COLOUR, "dash": "dot"})
        )
    return go.Figure(
        lines,
        layout("iteration", "top-1 (%)", xaxis={"range": [0, total]}, **change_marks(changes)),
    )


def _measured(iterations: Sequence[int], top1: Sequence[float], name: str, line: Part) -> Part:
    return {
        "type": "scatter",
        "x": iterations,
        "y": top1,
        "mode": "lines+markers",
        "name": name,
        "line": line,
        "hovertemplate": "iteration %{x}: %{y:.2f} %<extra></extra>",
    }

"""The terms of the generator's loss over the run."""

from __future__ import annotations

import plotly.graph_objects as go

from app.charts.style import layout, mark_changes

TERMS = {
    "loss_g": ("L_G", "#d97706"),
    "loss_bns": ("L_BNS", "#7c3aed"),
    "loss_ds": ("L_ds", "#dc2626"),
    "loss_as": ("L_as", "#2563eb"),
    "loss_margin": ("L_margin", "#0d9488"),
}


def losses_figure(steps: dict[str, list[float]], changes: list[tuple[int, str]]) -> go.Figure:
    """Loss terms in nats on a logarithmic axis; `steps` has a list a name and "iteration"."""
    figure = go.Figure(layout=layout("iteration", "loss (nats, log scale)"))
    figure.update_yaxes(type="log", dtick=1, exponentformat="power")
    for name, (symbol, colour) in TERMS.items():
        # A logarithm has no place for 0: such points are gaps.
        values = [value if value > 0 else None for value in steps[name]]
        figure.add_scatter(
            x=steps["iteration"],
            y=values,
            mode="lines",
            name=symbol,
            line={"color": colour, "width": 1.5},
        )
    mark_changes(figure, changes)
    return figure

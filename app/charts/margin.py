"""Histogram of H' of the latest samples with the margin drawn on it."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from app.charts.style import MARGIN_FILL, OVER_COLOUR, Q_COLOUR, UNDER_COLOUR, layout

# So that the paper's boundaries, 0.1 and 0.8, fall between two bins.
BINS = 20
# Room above the highest bar for the boundaries' names, as a share of its height.
HEADROOM = 0.14


def margin_figure(h_prime: np.ndarray, lower: float, upper: float) -> go.Figure:
    """Counts of H' `(n,)`, coloured by where they lie to [`lower`, `upper`], which is shaded."""
    figure = go.Figure(
        layout=layout(
            "H'   (0: P and Q disagree, under-fitting  ·  1: they agree, over-fitting)",
            "samples",
            barmode="stack",
            legend_traceorder="normal",
            bargap=0.05,
        )
    )
    figure.update_xaxes(range=[0, 1])
    regions = (
        ("under", h_prime < lower, UNDER_COLOUR),
        ("inside", (h_prime >= lower) & (h_prime <= upper), Q_COLOUR),
        ("over", h_prime > upper, OVER_COLOUR),
    )
    edges = np.linspace(0, 1, BINS + 1)
    # A bin that a boundary cuts holds bars of two colours, stacked: the counts stay exact.
    centres = (edges[:-1] + edges[1:]) / 2
    heights = np.zeros(BINS)
    for name, chosen, colour in regions:
        counts, _ = np.histogram(h_prime[chosen], bins=edges)
        heights += counts
        figure.add_bar(
            x=centres,
            y=counts,
            width=1 / BINS,
            name=f"{name}: {int(chosen.sum())}",
            marker={"color": colour},
        )
    figure.update_yaxes(autorangeoptions={"include": [heights.max() * (1 + HEADROOM)]})
    figure.add_vrect(x0=lower, x1=upper, fillcolor=MARGIN_FILL, line_width=0, layer="below")
    for value, symbol, side in ((lower, "λ_l", "left"), (upper, "λ_u", "right")):
        figure.add_vline(x=value, line={"width": 1.5, "dash": "dash", "color": Q_COLOUR})
        figure.add_annotation(
            x=value,
            y=1,
            yref="paper",
            text=f"{symbol} = {value:g}",
            showarrow=False,
            xanchor=side,
            yanchor="top",
        )
    return figure

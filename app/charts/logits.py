"""P's and Q's logits for one image, before and after Q's move."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from app.charts.style import P_COLOUR, Q_COLOUR, Q_FAINT_COLOUR, layout, literal

# Beyond this many classes only those that either network finds likeliest are shown.
MOST_CLASSES = 20


def logits_figure(
    p: np.ndarray, q_before: np.ndarray, q_after: np.ndarray, classes: Sequence[str]
) -> go.Figure:
    """Grouped bars of three logit vectors `(C,)`, all relative to their own mean.

    A softmax does not see a constant added to all logits, and the constant would hide the rest.
    """
    shown = np.arange(len(p))
    if len(p) > MOST_CLASSES:
        likeliest = np.argsort(-np.maximum(p - p.mean(), q_after - q_after.mean()))
        shown = np.sort(likeliest[:MOST_CLASSES])
    figure = go.Figure(
        layout=layout(
            "class",
            "logit − mean logit",
            # Names that look like numbers or dates stay names.
            xaxis={"type": "category"},
            barmode="group",
            bargap=0.25,
        )
    )
    for name, values, colour in (
        ("P", p, P_COLOUR),
        ("Q before", q_before, Q_FAINT_COLOUR),
        ("Q after", q_after, Q_COLOUR),
    ):
        figure.add_bar(
            x=[literal(classes[index]) for index in shown],
            y=(values - values.mean())[shown],
            name=name,
            marker={"color": colour},
            hovertemplate="%{x}: %{y:.3f}<extra>" + name + "</extra>",
        )
    return figure

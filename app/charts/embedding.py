"""UMAP of synthetic against real features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from app.charts.style import class_colours, layout, say_empty


def embedding_figure(
    real: dict[str, np.ndarray] | None,
    synthetic: dict[str, np.ndarray] | None,
    classes: Sequence[str],
) -> go.Figure:
    """Real features as dots, synthetic ones as diamonds, both in the colour of their class.

    Each of `real` and `synthetic` has "positions" `(n, 2)` and "labels" `(n,)`; synthetic also
    "adaptability" `(n,)`.
    """
    figure = go.Figure(layout=layout("UMAP 1", "UMAP 2"))
    if real is None and synthetic is None:
        say_empty(figure, "fitted once on real features, then kept")
        return figure
    colours = np.array(class_colours(len(classes)))
    names = np.array(classes)
    for name, part, marker in (
        ("real", real, {"symbol": "circle", "size": 4, "opacity": 0.35}),
        ("synthetic", synthetic, {"symbol": "diamond", "size": 8, "line": {"width": 1}}),
    ):
        if part is None:
            continue
        labels = part["labels"]
        figure.add_scattergl(
            x=part["positions"][:, 0],
            y=part["positions"][:, 1],
            mode="markers",
            name=name,
            marker={**marker, "color": list(colours[labels])},
            text=list(names[labels]),
            hovertemplate="%{text}<extra>" + name + "</extra>",
        )
    return figure

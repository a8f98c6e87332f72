"""UMAP of synthetic against real features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from app.charts.style import Part, class_colours, layout, say_empty


def embedding_figure(
    real: dict[str, np.ndarray] | None,
    synthetic: dict[str, np.ndarray] | None,
    classes: Sequence[str],
) -> go.Figure:
    """Real features as dots, synthetic ones as diamonds, both in the colour of their class.

    Each of `real` and `synthetic` has "positions" `(n, 2)` and "labels" `(n,)`; synthetic also
    "adaptability" `(n,)`.
    """
    if real is None and synthetic is None:
        figure = go.Figure(layout=layout("UMAP 1", "UMAP 2"))
        say_empty(figure, "fitted once on real features, then kept")
        return figure
    names = np.array(classes)
    colours = _by_label(len(classes))
    return go.Figure(
        [
            {
                "type": "scattergl",
                "x": part["positions"][:, 0],
                "y": part["positions"][:, 1],
                "mode": "markers",
                "name": name,
                "marker": {**marker, **colours, "color": part["labels"]},
                "text": list(names[part["labels"]]),
                "hovertemplate": "%{text}<extra>" + name + "</extra>",
            }
            for name, part, marker in (
                ("real", real, {"symbol": "circle", "size": 4, "opacity": 0.35}),
                ("synthetic", synthetic, {"symbol": "diamond", "size": 8, "line": {"width": 1}}),
            )
            if part is not None
        ],
        layout("UMAP 1", "UMAP 2"),
    )


def _by_label(count: int) -> Part:
    """Colours of `count` classes as a scale of steps: labels are sent instead of colour names."""
    steps = [
        [place / count, colour]
        for index, colour in enumerate(class_colours(count))
        for place in (index, index + 1)
    ]
    return {"colorscale": steps, "cmin": -0.5, "cmax": count - 0.5, "showscale": False}

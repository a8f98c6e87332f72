"""UMAP of synthetic against real features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from app.charts.style import class_scale, layout, literal, say_empty


def embedding_figure(
    real: dict[str, np.ndarray] | None,
    synthetic: dict[str, np.ndarray] | None,
    classes: Sequence[str],
    *,
    expected: bool = True,
) -> go.Figure:
    """Real features as dots, synthetic ones as diamonds, both in the colour of their class.

    Without either it says whether a map is still to come (`expected`).

    Each of `real` and `synthetic` has "positions" `(n, 2)` and "labels" `(n,)`; synthetic also
    "adaptability" `(n,)`.
    """
    if real is None and synthetic is None:
        figure = go.Figure(layout=layout("UMAP 1", "UMAP 2"))
        say_empty(
            figure,
            "fitted once on real features, then kept"
            if expected
            else "embed_every = 0: this run makes no map; the Inspect page does",
        )
        return figure
    names = np.array([literal(name) for name in classes])
    colours = class_scale(len(classes))
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

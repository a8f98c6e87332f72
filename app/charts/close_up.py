"""One sample up close: what P and Q say of it, and the two distributions that the game is about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from adadfq_core.inspection.close_up import CloseUp
from app.charts.style import OVER_COLOUR, P_COLOUR, Q_COLOUR, UNDER_COLOUR, Part, layout, literal

# Of more classes only those that carry most of either distribution are drawn.
MOST_CLASSES = 12


def top_figure(sample: CloseUp, classes: Sequence[str]) -> go.Figure:
    """P's and Q's likeliest classes with their shares in percent, side by side.

    A class that only one of the two has among its likeliest has a bar of that network alone.
    """
    shares = {name: dict(top) for name, top in (("P", sample.top_p), ("Q", sample.top_q))}
    labels = sorted(
        {label for top in shares.values() for label in top},
        key=lambda label: -max(top.get(label, 0.0) for top in shares.values()),
    )
    return go.Figure(
        [
            {
                "type": "bar",
                "orientation": "h",
                "y": [literal(classes[label]) for label in labels],
                "x": [100 * top[label] if label in top else None for label in labels],
                "name": name,
                "marker": {"color": colour},
                "hovertemplate": "%{y}: %{x:.1f} %<extra>" + name + "</extra>",
            }
            for (name, top), colour in zip(shares.items(), (P_COLOUR, Q_COLOUR), strict=True)
        ],
        layout(
            "share (%)",
            "",
            xaxis={"range": [0, 100]},
            yaxis={"type": "category", "autorange": "reversed", "automargin": True},
            barmode="group",
            bargap=0.25,
            margin={"l": 8, "r": 12, "t": 28, "b": 44},
        ),
    )


def distributions_figure(sample: CloseUp, classes: Sequence[str]) -> go.Figure:
    """`p_ds` and `p_as` over the classes in percent; the class asked of G is marked."""
    drawn = _largest(sample)
    names = [literal(classes[label]) for label in drawn]
    marks: list[Part] = []
    if sample.label in drawn:
        marks.append(
            {
                "x": names[drawn.index(sample.label)],
                "y": 1,
                "yref": "paper",
                "yanchor": "bottom",
                "text": "asked of G ▾",
                "showarrow": False,
            }
        )
    return go.Figure(
        [
            {
                "type": "bar",
                "x": names,
                "y": 100 * values[drawn],
                "name": name,
                "marker": {"color": colour},
                "hovertemplate": "%{x}: %{y:.1f} %<extra>" + name + "</extra>",
            }
            for name, values, colour in (
                ("p<sub>ds</sub>, disagreement", sample.p_ds, UNDER_COLOUR),
                ("p<sub>as</sub>, agreement", sample.p_as, OVER_COLOUR),
            )
        ],
        layout(
            "",
            "share (%)",
            # Names that look like numbers or dates stay names.
            xaxis={"type": "category"},
            barmode="group",
            bargap=0.25,
            margin={"l": 48, "r": 12, "t": 64, "b": 44},
            legend={"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top"},
            annotations=marks,
        ),
    )


def _largest(sample: CloseUp) -> list[int]:
    """The classes to draw, in their order."""
    largest = np.argsort(-np.maximum(sample.p_ds, sample.p_as), kind="stable")[:MOST_CLASSES]
    return sorted({*largest.tolist(), sample.label})

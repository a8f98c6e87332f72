"""Histogram of H' of the latest samples with the margin drawn on it."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from app.charts.style import (
    BESIDE_COLOUR,
    OVER_COLOUR,
    Q_COLOUR,
    UNDER_COLOUR,
    Part,
    layout,
    literal,
    margin_marks,
)

# So that the paper's boundaries, 0.1 and 0.8, fall between two bins.
BINS = 20
AXIS = (0.0, 1.0)
# Room above the highest bar for the boundaries' names, as a share of its height.
HEADROOM = 0.14


def margin_figure(
    h_prime: np.ndarray,
    lower: float,
    upper: float,
    beside: tuple[str, np.ndarray] | None = None,
) -> go.Figure:
    """Histogram of H' `(n,)`, coloured by where samples lie to [`lower`, `upper`].

    `beside` is another run to compare with: its name and H' `(m,)` of its samples, drawn as an
    outline. As n and m may differ, heights are then shares of each run's own samples in percent;
    else they are counts.
    """
    compared = beside is not None
    scale = _percent_of_one(h_prime) if compared else 1
    edges = np.linspace(*AXIS, BINS + 1)
    # A bin that a boundary cuts holds bars of two colours, stacked: the counts stay exact.
    regions = (
        ("under", h_prime < lower, UNDER_COLOUR),
        ("inside", (h_prime >= lower) & (h_prime <= upper), Q_COLOUR),
        ("over", h_prime > upper, OVER_COLOUR),
    )
    traces: list[Part] = []
    heights = np.zeros(BINS)
    for name, chosen, colour in regions:
        counts, _ = np.histogram(h_prime[chosen], bins=edges)
        heights += counts * scale
        traces.append(
            {
                "type": "bar",
                "x": (edges[:-1] + edges[1:]) / 2,
                "y": counts * scale,
                "width": 1 / BINS,
                "name": f"{name}: {int(chosen.sum())}",
                "marker": {"color": colour},
            }
        )
    highest = heights.max()
    if beside is not None:
        name, others = beside
        counts, _ = np.histogram(others, bins=edges)
        shares = counts * _percent_of_one(others)
        highest = max(highest, shares.max())
        traces.append(_outline(edges, shares, literal(name)))
    return go.Figure(
        traces,
        layout(
            "H'   (0: P and Q disagree, under-fitting  ·  1: they agree, over-fitting)",
            "samples (%)" if compared else "samples",
            xaxis={"range": AXIS},
            yaxis={
                "rangemode": "tozero",
                "autorangeoptions": {"include": [highest * (1 + HEADROOM)]},
            },
            barmode="stack",
            legend_traceorder="normal",
            bargap=0.05,
            **margin_marks(lower, upper, AXIS),
        ),
    )


def bar_ends(x: float) -> tuple[float, float]:
    """Both ends of the bar whose middle is at `x`, in units of H'."""
    width = (AXIS[1] - AXIS[0]) / BINS
    place = round((x - AXIS[0]) / width - 0.5)
    return round(AXIS[0] + place * width, 6), round(AXIS[0] + (place + 1) * width, 6)


def _percent_of_one(samples: np.ndarray) -> float:
    """The share of one sample in percent."""
    return 100 / max(1, len(samples))


def _outline(edges: np.ndarray, heights: np.ndarray, name: str) -> Part:
    """A stepped line over the bins, with one point a bin to hover at."""
    return {
        "type": "scatter",
        "x": [edges[0], *(edges[:-1] + edges[1:]) / 2, edges[-1]],
        "y": [heights[0], *heights, heights[-1]],
        "mode": "lines",
        "name": name,
        # Half-way between two centres: at the edge of the bins.
        "line": {"color": BESIDE_COLOUR, "width": 1.5, "dash": "dot", "shape": "hvh"},
        "hovertemplate": "%{y:.1f} %",
    }

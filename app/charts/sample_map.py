"""Samples among real images on a map of features, flat or in space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from adadfq_core.inspection.sample_table import answer_name
from app.charts.style import (
    CLASS_PALETTE,
    G_COLOUR,
    P_COLOUR,
    Part,
    class_scale,
    layout,
    literal,
    say_empty,
)

COLOURINGS = ("class", "source", "adaptability", "iteration", "P and Q agree")
"""What colours can tell."""

# From strong agreement to strong disagreement, and from early to late: light to dark, so that both
# are read without telling hues apart.
_SEQUENCE = "Viridis"
AGREE_COLOUR, DIFFER_COLOUR = CLASS_PALETTE[0], CLASS_PALETTE[6]


@dataclass(frozen=True, eq=False)
class RealPoints:
    """Real images on the map: positions `(N, k)` and classes `(N,)`."""

    positions: np.ndarray
    labels: np.ndarray


def sample_map_figure(
    rows: pd.DataFrame,
    positions: np.ndarray,
    real: RealPoints,
    classes: Sequence[str],
    colouring: str,
    method: str,
) -> go.Figure:
    """Samples as diamonds among real images as dots, in two or three coordinates.

    Args:
        rows: of the table of samples (`inspection.sample_table`), one for each sample.
        positions: `(n, k)`, k 2 or 3, of `rows`.
        real: in the same coordinates.
        colouring: one of `COLOURINGS`; real images keep their class' colour where that is told,
            and are grey otherwise.
        method: names the axes.

    Returns:
        A figure whose samples carry (iteration, place) as `customdata`, real images nothing.
    """
    flat = positions.shape[1] == 2 if len(positions) else real.positions.shape[1] == 2
    axes = [f"{method} {index + 1}" for index in range(2 if flat else 3)]
    if not len(positions) and not len(real.positions):
        figure = go.Figure(layout=layout(*axes[:2]))
        say_empty(figure, "nothing to place on the map")
        return figure
    names = [literal(name) for name in classes]
    real_marker: Part = {"size": 4 if flat else 2, "opacity": 0.35, "color": P_COLOUR}
    if colouring == "class":
        real_marker |= {"color": real.labels, **class_scale(len(classes))}
    traces = [
        _points(
            real.positions,
            "real",
            {"symbol": "circle", **real_marker},
            [names[label] for label in real.labels],
            None,
        ),
        _points(
            positions,
            "synthetic",
            {
                "symbol": "diamond",
                "size": 7 if flat else 4,
                "line": {"width": 0.5, "color": P_COLOUR},
                **_colours(rows, classes, colouring),
            },
            _told(rows, names),
            rows[["iteration", "place"]].to_numpy().tolist(),
        ),
    ]
    if flat:
        return go.Figure(traces, layout(*axes, hovermode="closest"))
    scene = dict(
        zip(("xaxis", "yaxis", "zaxis"), ({"title": {"text": a}} for a in axes), strict=True)
    )
    return go.Figure(traces, layout("", "", scene=scene, margin={"l": 0, "r": 0, "t": 28, "b": 0}))


def _points(
    positions: np.ndarray,
    name: str,
    marker: Part,
    texts: list[str],
    customdata: list[list[int]] | None,
) -> Part:
    trace: Part = {
        "type": "scattergl" if positions.shape[1] == 2 else "scatter3d",
        "mode": "markers",
        "name": name,
        "marker": marker,
        "text": texts,
        "hovertemplate": "%{text}<extra>" + name + "</extra>",
        **dict(zip("xyz", positions.T, strict=False)),
    }
    return trace if customdata is None else {**trace, "customdata": customdata}


def _colours(rows: pd.DataFrame, classes: Sequence[str], colouring: str) -> Part:
    if colouring == "class":
        return {"color": rows["class_index"].to_numpy(), **class_scale(len(classes))}
    if colouring == "source":
        return {"color": G_COLOUR}
    if colouring == "P and Q agree":
        return {
            "color": rows["agree"].to_numpy().astype(int),
            "colorscale": [
                [0, DIFFER_COLOUR],
                [0.5, DIFFER_COLOUR],
                [0.5, AGREE_COLOUR],
                [1, AGREE_COLOUR],
            ],
            "cmin": -0.5,
            "cmax": 1.5,
            "colorbar": {"tickvals": [0, 1], "ticktext": ["differ", "agree"], "thickness": 12},
        }
    column = {"adaptability": "adaptability", "iteration": "iteration"}[colouring]
    bounds: Part = {"cmin": 0, "cmax": 1} if column == "adaptability" else {}
    return {
        "color": rows[column].to_numpy(dtype=float),
        "colorscale": _SEQUENCE,
        "colorbar": {"title": {"text": colouring}, "thickness": 12},
        **bounds,
    }


def _told(rows: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    return [
        f"asked of G: <b>{classes[asked]}</b>, iteration {iteration}"
        f"<br>P: {answer_name(p, classes)} · Q: {answer_name(q, classes)}"
        f"<br>adaptability {adaptability:.3f}"
        for asked, iteration, p, q, adaptability in zip(
            *(
                rows[column].tolist()
                for column in ("class_index", "iteration", "p_class", "q_class", "adaptability")
            ),
            strict=True,
        )
    ]

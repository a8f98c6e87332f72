"""One sample's four distributions as bars, and its place on the H' axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from adadfq_core.lessons.logits import Judged
from app.charts.lessons.room import MARGIN, small_layout
from app.charts.style import (
    AGREEMENT_END,
    CLASS_PALETTE,
    DISAGREEMENT_END,
    G_COLOUR,
    OVER_FITTING,
    P_COLOUR,
    UNDER_FITTING,
    margin_marks,
)

_AXIS = (-0.12, 1.12)


def distributions_figure(
    judged: Judged, classes: Sequence[str], words: Mapping[str, str]
) -> go.Figure:
    """Four groups of bars, a bar a class, each with its class and its share in percent.

    Args:
        classes: three names.
        words: "share", and the groups' names "p", "q", "p_ds", "p_as".
    """
    groups = [words[name] for name in ("p", "q", "p_ds", "p_as")]
    shares = [judged.p, judged.q, judged.p_ds, judged.p_as]
    return go.Figure(
        [
            {
                "type": "bar",
                "x": groups,
                "y": [100 * share[index] for share in shares],
                "name": name,
                "text": [f"{name}<br>{100 * share[index]:.0f} %" for share in shares],
                "textposition": "outside",
                "textangle": 0,
                "cliponaxis": False,
                "constraintext": "none",
                "marker": {"color": CLASS_PALETTE[index]},
                "hovertemplate": f"{name}: %{{y:.1f}} %<extra></extra>",
            }
            for index, name in enumerate(classes)
        ],
        small_layout(
            "",
            words["share"],
            yaxis={"range": [0, 125], "tickvals": [0, 50, 100]},
            margin=MARGIN | {"t": 8},
            barmode="group",
            bargap=0.2,
            showlegend=False,
        ),
    )


def place_figure(judged: Judged, lower: float, upper: float, words: Mapping[str, str]) -> go.Figure:
    """The sample and the batch's other ones on the H' axis, with the margin.

    Args:
        words: "axis", "others", "yours".
    """
    marks = margin_marks(lower, upper, _AXIS)
    return go.Figure(
        [
            {
                "type": "scatter",
                "x": judged.others,
                "y": [0] * len(judged.others),
                "mode": "markers",
                "name": words["others"],
                "marker": {"symbol": "circle-open", "size": 10, "color": P_COLOUR},
                "hovertemplate": "H' %{x:.3f}<extra></extra>",
            },
            {
                "type": "scatter",
                "x": [judged.h_prime],
                "y": [0],
                "mode": "markers+text",
                "name": words["yours"],
                "text": [f"<b>{judged.h_prime:.2f}</b>"],
                "textposition": "top center",
                "marker": {"symbol": "diamond", "size": 16, "color": G_COLOUR},
                "hovertemplate": "H' %{x:.3f}<extra></extra>",
            },
        ],
        small_layout(
            words["axis"],
            "",
            xaxis={
                "range": _AXIS,
                "tickvals": [0, 0.5, 1],
                "ticktext": [
                    f"◀ {DISAGREEMENT_END}<br>{UNDER_FITTING}",
                    "0.5",
                    f"{AGREEMENT_END} ▶<br>{OVER_FITTING}",
                ],
                "zeroline": False,
            },
            yaxis={"range": [-1, 1.4], "visible": False},
            margin=MARGIN | {"l": 12},
            **marks,
        ),
    )

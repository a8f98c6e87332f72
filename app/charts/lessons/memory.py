"""What BatchNorm remembers: a layer's channels, and `L_BNS` of a few batches on one axis."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from adadfq_core.lessons.memory import Recall
from app.charts.lessons.room import MARGIN, small_layout
from app.charts.style import BNS_COLOUR, G_COLOUR, P_COLOUR, Q_COLOUR, Part

# Of the room between two channels: how far the two marks lie from its middle.
_BESIDE = 0.18
# Of more channels the marks are small, so that they stay apart.
_FEW_CHANNELS = 32
# Height of the row of the reader's batch, and depth of that of the other ones.
_ROW = 0.45
_SYMBOLS = ("square", "triangle-up")


def channels_figure(recall: Recall, words: Mapping[str, str]) -> go.Figure:
    """Mean as a mark and one standard deviation to either side as a line, for each channel.

    Args:
        words: "channel", "value", "stored", "seen".
    """
    channels = np.arange(1, len(recall.stored_mean) + 1)
    size = 7 if len(channels) <= _FEW_CHANNELS else 4
    marks: list[Part] = [
        {
            "type": "scatter",
            "x": channels + aside,
            "y": mean,
            "mode": "markers",
            "name": name,
            "marker": {"symbol": symbol, "size": size, "color": colour},
            "error_y": {"type": "data", "array": std, "width": 0, "thickness": 2, "color": colour},
            "customdata": np.stack([channels, std], axis=1),
            "hovertemplate": (
                words["channel"] + " %{customdata[0]:d}: %{y:.2f} ± %{customdata[1]:.2f}"
                "<extra>" + name + "</extra>"
            ),
        }
        for name, mean, std, aside, symbol, colour in (
            (words["stored"], recall.stored_mean, recall.stored_std, -_BESIDE, "square", P_COLOUR),
            (words["seen"], recall.seen_mean, recall.seen_std, _BESIDE, "circle", G_COLOUR),
        )
    ]
    return go.Figure(
        marks,
        small_layout(
            words["channel"],
            words["value"],
            xaxis={"range": [0.4, len(channels) + 0.6]},
            yaxis={"zeroline": True},
        ),
    )


def belief_figure(
    loss: float, others: Mapping[str, float], limit: float, words: Mapping[str, str]
) -> go.Figure:
    """`L_BNS` of the reader's batch and of named `others` on one logarithmic axis; `limit` a line.

    Args:
        words: "axis", "yours", "limit".
    """
    values = np.array([loss, *others.values()])
    names = [*others]
    ends = [float(np.log10(values.min())) - 0.3, float(np.log10(values.max())) + 0.3]
    marks: list[Part] = [
        {
            "type": "scatter",
            "x": [value],
            "y": [-_ROW],
            "mode": "markers",
            "name": name,
            "marker": {"symbol": _SYMBOLS[index], "size": 11, "color": P_COLOUR},
            "hovertemplate": f"{name}: %{{x:.3g}}<extra></extra>",
        }
        for index, (name, value) in enumerate(zip(names, others.values(), strict=True))
    ]
    yours: Part = {
        "type": "scatter",
        "x": [loss],
        "y": [_ROW],
        "mode": "markers+text",
        "name": words["yours"],
        "text": [f"<b>{loss:.3f}</b>"],
        "textposition": "middle left",
        "marker": {"symbol": "diamond", "size": 16, "color": G_COLOUR},
        "hovertemplate": f"{words['yours']}: %{{x:.3g}}<extra></extra>",
    }
    reached: Part = {
        "type": "rect",
        "x0": 10 ** ends[0],
        "x1": limit,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "fillcolor": BNS_COLOUR,
        "opacity": 0.12,
        "line": {"width": 0},
        "layer": "below",
    }
    edge: Part = {
        "type": "line",
        "x0": limit,
        "x1": limit,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": {"width": 1.5, "dash": "dash", "color": Q_COLOUR},
    }
    name: Part = {
        "x": np.log10(limit),
        "y": 0,
        "yref": "paper",
        "text": words["limit"],
        "showarrow": False,
        "xanchor": "right",
        "yanchor": "bottom",
        "xshift": -4,
    }
    return go.Figure(
        [*marks, yours],
        small_layout(
            words["axis"],
            "",
            xaxis={"type": "log", "range": ends, "tickvals": [0.001, 0.01, 0.1, 1]},
            yaxis={"range": [-1, 1], "visible": False},
            margin=MARGIN | {"l": 12},
            shapes=[reached, edge],
            annotations=[name],
        ),
    )

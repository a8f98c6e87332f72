"""What a quantized network takes: room on disk, and time for a batch."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from adadfq_core.export.cost import Cost
from adadfq_core.export.latency import LatencyRow
from app.charts.style import P_COLOUR, Q_COLOUR, Q_FAINT_COLOUR, Part, layout
from app.export.words import size_text

_COLOURS = (P_COLOUR, Q_FAINT_COLOUR, Q_COLOUR)
# Of the drawing's width: between the charts of two batch sizes.
_GAP = 0.1
# Beyond the longest bar, for the text at its end.
_ROOM = 1.25


def size_figure(cost: Cost) -> go.Figure:
    """Bytes of the weights in float, at a byte each and packed, and how many times smaller."""
    rows = (
        ("32-bit float", cost.float_bytes),
        ("a byte a weight", cost.byte_bytes),
        ("packed", cost.packed_bytes),
    )
    texts = [
        size_text(size)
        + (f", {cost.float_bytes / size:.1f} times smaller" if size != cost.float_bytes else "")
        for _, size in rows
    ]
    return go.Figure(
        [
            {
                "type": "bar",
                "orientation": "h",
                "y": [name for name, _ in rows],
                "x": [size for _, size in rows],
                "text": texts,
                "textposition": "outside",
                "cliponaxis": False,
                "marker": {"color": list(_COLOURS)},
                "hovertemplate": "%{y}: %{x:,} bytes<extra></extra>",
            }
        ],
        layout(
            "",
            "",
            # Each bar says its size, in the unit that suits it.
            xaxis={"range": [0, cost.float_bytes * _ROOM], "visible": False},
            yaxis={"autorange": "reversed", "automargin": True, "ticksuffix": "  "},
            showlegend=False,
            bargap=0.35,
            margin={"l": 8, "r": 12, "t": 12, "b": 12},
        ),
    )


def latency_figure(rows: Sequence[LatencyRow]) -> go.Figure:
    """Milliseconds a batch of each model by threads, a chart for each batch size side by side.

    Bars are medians; the lines at their ends reach from the 10th to the 90th percentile.
    """
    names = list(dict.fromkeys(row.name for row in rows))
    batches = list(dict.fromkeys(row.batch for row in rows))
    width = (1 - _GAP * (len(batches) - 1)) / len(batches)
    traces: list[Part] = []
    axes: Part = {}
    titles: list[Part] = []
    for place, batch in enumerate(batches):
        number = "" if place == 0 else str(place + 1)
        start = place * (width + _GAP)
        axes[f"xaxis{number}"] = {
            "domain": [start, start + width],
            "anchor": f"y{number}",
            "type": "category",
        }
        axes[f"yaxis{number}"] = {
            "anchor": f"x{number}",
            "title": {"text": "ms" if place == 0 else ""},
            "rangemode": "tozero",
        }
        titles.append(
            {
                "x": start,
                "y": 1,
                "xref": "paper",
                "yref": "paper",
                "xanchor": "left",
                "yanchor": "bottom",
                "text": "one image" if batch == 1 else f"{batch} images at once",
                "showarrow": False,
            }
        )
        for name, colour in zip(names, _COLOURS, strict=False):
            drawn = [row for row in rows if (row.name, row.batch) == (name, batch)]
            traces.append(
                {
                    "type": "bar",
                    "x": [f"{row.threads} thread{'s' * (row.threads != 1)}" for row in drawn],
                    "y": [row.milliseconds for row in drawn],
                    "error_y": {
                        "type": "data",
                        "array": [row.high - row.milliseconds for row in drawn],
                        "arrayminus": [row.milliseconds - row.low for row in drawn],
                        "thickness": 1,
                        "color": P_COLOUR,
                        "width": 3,
                    },
                    "name": name,
                    "legendgroup": name,
                    "showlegend": place == 0,
                    "marker": {"color": colour},
                    "xaxis": f"x{number}",
                    "yaxis": f"y{number}",
                    "hovertemplate": "%{y:.2f} ms<extra>" + name + "</extra>",
                }
            )
    return go.Figure(
        traces,
        {
            **layout("", "", barmode="group", bargap=0.3, annotations=titles),
            **axes,
            "margin": {"l": 48, "r": 12, "t": 64, "b": 28},
            "legend": {"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top"},
        },
    )

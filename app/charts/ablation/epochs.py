"""H' over the epochs, one small chart a group of runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.charts.ablation.panels import (
    Group,
    Panel,
    panel_axes,
    panels_layout,
    place_panels,
)
from app.charts.h_prime_bands import MARGIN_NAME, NARROW_FILL, WIDE_FILL
from app.charts.style import (
    AGREEMENT_END,
    DISAGREEMENT_END,
    H_PRIME_COLOUR,
    MARGIN_FILL,
    OVER_COLOUR,
    OVER_FITTING,
    Q_COLOUR,
    UNDER_COLOUR,
    UNDER_FITTING,
    Part,
    layout,
    say_empty,
    tinted,
)


def epochs_figure(groups: Sequence[tuple[Group, pd.DataFrame]]) -> go.Figure:
    """Median, 25-75 % and 10-90 % of H' in each epoch, and the margin, one panel a group.

    Args:
        groups: each with its samples' quantiles by epoch (`ablation.h_prime.h_prime_by_epoch`).
    """
    known = [(group, table.dropna()) for group, table in groups]
    last = max((table["epoch"].max() for _, table in known if len(table)), default=0)
    if not last:
        figure = go.Figure(layout=layout("epoch", "H'"))
        say_empty(figure, "drawn from the first iteration on")
        return figure
    panels = place_panels(len(known))
    traces: list[Part] = []
    shapes: list[Part] = []
    for panel, (group, table) in zip(panels, known, strict=True):
        in_legend = {"showlegend": panel.x == "x"}
        traces += [trace | in_legend | panel.axes for trace in _bands(group, table)]
        shapes += _margin(group, panel)
    margin_entry = {
        "type": "scatter",
        "x": [None],
        "y": [None],
        "mode": "lines",
        "line": {"color": Q_COLOUR, "width": 1.5, "dash": "dash"},
        "name": MARGIN_NAME,
        "hoverinfo": "skip",
    }
    axes = panel_axes(
        panels,
        {"range": [0.5, last + 0.5], "nticks": 5, "zeroline": False},
        {"range": [0, 1], "tickvals": [0, 0.5, 1], "zeroline": False},
        "H'",
    )
    return go.Figure(
        [*traces, margin_entry],
        panels_layout(
            panels,
            [group.name for group, _ in known],
            axes,
            _words(),
            hovermode="closest",
            shapes=shapes,
        ),
    )


def epochs_frame(groups: Sequence[tuple[Group, pd.DataFrame]]) -> pd.DataFrame:
    """What `epochs_figure` draws, a row an epoch of each group, with its margin."""
    return pd.concat(
        [
            table.assign(group=group.name, lambda_l=group.lower, lambda_u=group.upper)[
                ["group", "lambda_l", "lambda_u", *table.columns]
            ]
            for group, table in groups
        ],
        ignore_index=True,
    )


def _bands(group: Group, table: pd.DataFrame) -> list[Part]:
    epoch = table["epoch"].to_numpy()
    outline = np.concatenate([epoch, epoch[::-1]])
    bands = [
        {
            "type": "scatter",
            "x": outline,
            "y": np.concatenate([table[low], table[high][::-1]]),
            "mode": "lines",
            "line": {"width": 0},
            "fill": "toself",
            "fillcolor": fill,
            "name": name,
            "legendgroup": name,
            "hoverinfo": "skip",
        }
        for low, high, fill, name in (
            ("q10", "q90", WIDE_FILL, "10–90 %"),
            ("q25", "q75", NARROW_FILL, "25–75 %"),
        )
    ]
    texts = [
        f"{group.name}<br>epoch {row.epoch}: median {row.q50:.3f}<br>"
        f"25–75 %: {row.q25:.3f} to {row.q75:.3f}<br>10–90 %: {row.q10:.3f} to {row.q90:.3f}"
        for row in table.itertuples()
    ]
    median = {
        "type": "scatter",
        "x": epoch,
        "y": table["q50"].to_numpy(),
        # One point makes no line.
        "mode": "lines" if len(table) > 1 else "markers",
        "line": {"color": H_PRIME_COLOUR, "width": 2},
        "marker": {"color": H_PRIME_COLOUR},
        "name": "median",
        "legendgroup": "median",
        "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
        "customdata": [list(group.run_ids)] * len(table),
    }
    return [*bands, median]


def _margin(group: Group, panel: Panel) -> list[Part]:
    place = {"xref": f"{panel.x} domain", "yref": panel.y, "x0": 0, "x1": 1}
    line = {"color": Q_COLOUR, "width": 1.5, "dash": "dash"}
    area = {"type": "rect", "fillcolor": MARGIN_FILL, "line": {"width": 0}, "layer": "below"}
    return [
        {**area, **place, "y0": group.lower, "y1": group.upper},
        *(
            {"type": "line", "line": line, **place, "y0": boundary, "y1": boundary}
            for boundary in (group.lower, group.upper)
        ),
    ]


def _words() -> str:
    high = tinted("▲", OVER_COLOUR, f"{AGREEMENT_END}, {OVER_FITTING}")
    low = tinted("▼", UNDER_COLOUR, f"{DISAGREEMENT_END}, {UNDER_FITTING}")
    return f"epoch<br><span style='font-size:11px'>{high}  ·  {low}</span>"

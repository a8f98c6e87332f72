"""Q's loss over the epochs on G's images and on real ones, one small chart a group of runs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from app.charts.ablation.panels import Group, panel_axes, panels_layout, place_panels
from app.charts.style import P_COLOUR, Q_COLOUR, Part, layout, say_empty

_TRAINING, _TEST = "training: G's images", "test: real images"


def losses_figure(groups: Sequence[tuple[Group, pd.DataFrame]]) -> go.Figure:
    """Training and test loss of Q by epoch, one panel a group, each on an axis of its own.

    Args:
        groups: each with its losses by epoch (`ablation.q_loss.q_loss_by_epoch`).
    """
    known = [(group, table) for group, table in groups if len(table)]
    if not known:
        figure = go.Figure(layout=layout("epoch", "Q's loss (nats)"))
        say_empty(figure, "drawn from Q's first move on")
        return figure
    panels = place_panels(len(known))
    traces: list[Part] = []
    for panel, (group, table) in zip(panels, known, strict=True):
        in_legend = {"showlegend": panel.x == "x"}
        traces += [trace | in_legend | panel.axes for trace in _lines(group, table)]
    # Losses of different methods are of different sizes: what compares is both lines of a panel.
    title = "L<sub>Q</sub> (nats)"
    axes = panel_axes(panels, {"nticks": 5}, {"nticks": 5}, title, own_y=True)
    titles = [group.name for group, _ in known]
    return go.Figure(traces, panels_layout(panels, titles, axes, "epoch", hovermode="x unified"))


def losses_frame(groups: Sequence[tuple[Group, pd.DataFrame]]) -> pd.DataFrame:
    """What `losses_figure` draws, a row an epoch of each group."""
    return pd.concat(
        [table.assign(group=group.name)[["group", *table.columns]] for group, table in groups],
        ignore_index=True,
    )


def _lines(group: Group, table: pd.DataFrame) -> list[Part]:
    test = table.dropna(subset=["test"])
    return [
        _line(table["epoch"], table["training"], _TRAINING, group, Q_COLOUR, "lines"),
        _line(test["epoch"], test["test"], _TEST, group, P_COLOUR, "lines+markers"),
    ]


def _line(
    epochs: pd.Series, values: pd.Series, name: str, group: Group, colour: str, mode: str
) -> Part:
    return {
        "type": "scatter",
        "x": epochs.to_numpy(),
        "y": values.to_numpy(),
        # One point makes no line.
        "mode": mode if len(epochs) > 1 else "markers",
        "name": name,
        "legendgroup": name,
        "line": {"color": colour, "width": 2},
        "marker": {"color": colour},
        "hovertemplate": "%{y:.4g}",
        "customdata": [list(group.run_ids)] * len(epochs),
    }

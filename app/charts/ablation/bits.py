"""Accuracy against bits, one line for each preset, what-if or method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from adadfq_core.ablation.names import axes_of
from adadfq_core.ablation.plan import BITS, PRESET, WHAT_IF
from adadfq_core.ablation.tables import TOP1, PlaceState, chosen_cells, ordered, over_seeds
from adadfq_core.errors import InputError
from app.charts.ablation.labels import axis_title, group_look, mean_text, value_name
from app.charts.style import P_COLOUR, Part, layout, say_empty

BITS_AXES = (BITS, "weight_bits", "activation_bits")
LINE_AXES = (PRESET, WHAT_IF, "method")
# Between neighbours' points, in bits: error bars of equal bits stand side by side.
STEP = 0.05
# Beyond the least and the most bits.
ROOM = 0.3


def bits_frame(frame: pd.DataFrame, fixed: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """What `bits_figure` draws, a row a point: last and calibrated top-1 of Q over seeds.

    Args:
        frame: a sweep's table (`ablation.results.results_frame`).
        fixed: the value of each other axis that varies.

    Returns:
        The axis of bits and, if one varies, of `LINE_AXES`; `mean`, `sd`, `n`, `state` and
        `run_ids` (`ablation.tables.over_seeds`), `calibrated` and `top1_p`, means in percent.

    Raises:
        InputError: bits are not an axis of the sweep, or as `ablation.tables.pivot`.
    """
    held = dict(fixed or {})
    axes = _axes(frame, held)
    cells = chosen_cells(frame, axes, TOP1, held)
    rows = over_seeds(cells, axes, TOP1)
    beside = cells.groupby(axes)[["top1_q_calibrated", "top1_p"]].mean()
    beside = beside.rename(columns={"top1_q_calibrated": "calibrated"}).reset_index()
    return rows.merge(beside, on=axes).sort_values(axes[0], kind="stable", ignore_index=True)


def bits_figure(frame: pd.DataFrame, fixed: Mapping[str, Any] | None = None) -> go.Figure:
    """Top-1 of Q against its bits with sd over seeds, calibrated Q dotted and P dashed.

    Points of several lines at equal bits stand side by side. Arguments and errors are those of
    `bits_frame`.
    """
    rows = bits_frame(frame, fixed)
    axis, *by = _axes(frame, dict(fixed or {}))
    known = rows[rows["state"] == PlaceState.MEASURED]
    if not len(known):
        figure = go.Figure(layout=layout(axis_title(axis), "top-1 (%)"))
        say_empty(figure, "drawn from the first finished cell on")
        return figure
    groups = ordered(rows[by[0]]) if by else [None]
    traces: list[Part] = []
    for index, group in enumerate(groups):
        points = known[known[by[0]] == group] if by else known
        name = value_name(group) if by else "Q (quantized)"
        shift = shift_of(index, len(groups))
        traces += _lines(points, axis, name, shift, *group_look(index))
    bits = ordered(rows[axis])
    span = [bits[0] - ROOM, bits[-1] + ROOM]
    entry = {"mode": "lines", "line": {"color": P_COLOUR, "dash": "dot", "width": 1.5}}
    traces += [
        {"type": "scatter", "x": [None], "y": [None], "name": "calibrated, not trained", **entry},
        _of_p(known["top1_p"].mean(), span),
    ]
    return go.Figure(
        traces,
        layout(
            axis_title(axis),
            "top-1 (%)",
            xaxis={"range": span, "tickvals": bits, "zeroline": False},
            hovermode="closest",
        ),
    )


def shift_of(index: int, count: int) -> float:
    """Where the line at `index` of `count` stands beside its number of bits."""
    return STEP * (index - (count - 1) / 2)


def error_bars(deviations: Sequence[float] | np.ndarray) -> Part:
    """Error bars of points; none where the deviation is NaN."""
    return {
        "type": "data",
        "array": np.nan_to_num(np.asarray(deviations, dtype=np.float64)),
        "thickness": 1.5,
        "width": 4,
    }


def _axes(frame: pd.DataFrame, fixed: Mapping[str, Any]) -> list[str]:
    """The axis of bits, and that of lines if one varies."""
    free = [name for name in axes_of(frame) if name not in fixed]
    bits = [name for name in BITS_AXES if name in free]
    if not bits:
        raise InputError(
            f"No bits vary in this sweep; make one of {', '.join(BITS_AXES)} an axis of it."
        )
    lines = [name for name in LINE_AXES if name in free and frame[name].nunique() > 1]
    return [bits[0], *lines[:1]]


def _lines(
    points: pd.DataFrame, axis: str, name: str, shift: float, colour: str, symbol: str
) -> list[Part]:
    x = points[axis].to_numpy(dtype=np.float64)
    shared = {"type": "scatter", "x": x + shift, "legendgroup": name}
    calibrated = {
        **shared,
        "y": points["calibrated"].to_numpy(dtype=np.float64),
        "mode": "lines",
        "line": {"color": colour, "dash": "dot", "width": 1.5},
        "name": f"{name}, calibrated",
        "showlegend": False,
        "hovertemplate": "%{y:.2f} %",
    }
    trained = {
        **shared,
        "y": points["mean"].to_numpy(dtype=np.float64),
        "error_y": error_bars(points["sd"].to_numpy(dtype=np.float64)),
        "mode": "lines+markers",
        "line": {"color": colour, "width": 2},
        "marker": {"color": colour, "symbol": symbol, "size": 8},
        "name": name,
        "text": [
            f"{bits:g} bits: {mean_text(mean, sd, 2)} % (n = {count})"
            for bits, mean, sd, count in zip(
                x, points["mean"], points["sd"], points["n"], strict=True
            )
        ],
        "hovertemplate": "%{text}",
        "customdata": points["run_ids"].tolist(),
    }
    return [calibrated, trained]


def _of_p(top1: float, span: list[float]) -> Part:
    return {
        "type": "scatter",
        "x": span,
        "y": [top1, top1],
        "mode": "lines",
        "name": "P (full precision)",
        "line": {"color": P_COLOUR, "dash": "dash"},
        "hovertemplate": "%{y:.2f} %",
    }

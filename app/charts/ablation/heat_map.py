"""A result over two axes as a heat map: not allowed, failed and not measured are told apart."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale, unlabel_rgb

from adadfq_core.ablation.plan import COMPOUND_AXES
from adadfq_core.ablation.tables import TOP1, Pivot, PlaceState, pivot, pivot_frame, runs_of
from adadfq_core.settings import field
from app.charts.ablation.labels import (
    NOT_MEASURED,
    SEQUENCE,
    STOPPED_EARLY,
    axis_title,
    colour_bar,
    mean_text,
    number,
    place_name,
    refusal,
    seed_texts,
    value_name,
)
from app.charts.style import P_COLOUR, UNDER_COLOUR, Part, layout, say_empty

DARK, LIGHT = "#000000", "#ffffff"
# Rows or columns up to which a cell has room for mean and sd, and for the mean alone.
MOST_WITH_SD, MOST_WITH_MEAN = 7, 14
# Characters a line of the hover text, which may hold a sentence.
HOVER_WIDTH = 60
# Half a side of the paper's outline and of the hatched square, in cells.
INNER, WHOLE = 0.45, 0.5
BEST_MARK, EARLY_MARK = "★", "†"


def heat_map_figure(
    frame: pd.DataFrame,
    x: str,
    y: str,
    value: str = TOP1,
    fixed: Mapping[str, Any] | None = None,
) -> go.Figure:
    """Mean of `value` over seeds by the axes `x` and `y`, one square a place, all of one size.

    The best place has a star, the paper's setting an outline.

    Args:
        frame: a sweep's table (`ablation.results.results_frame`).
        fixed: the value of each other axis that varies.

    Raises:
        InputError: as `ablation.tables.pivot`.
    """
    table = pivot(frame, y, x, value, fixed)
    if not len(table.mean):
        figure = go.Figure(layout=layout(axis_title(x), axis_title(y)))
        say_empty(figure, "the sweep has no cells yet")
        return figure
    places = _places(table)
    coloured = _range(table)
    traces = [
        _squares(table, coloured),
        *_not_allowed(table, places),
        *_marks(places, PlaceState.FAILED, "x", UNDER_COLOUR, "failed"),
        *_marks(places, PlaceState.MISSING, "square-open", P_COLOUR, NOT_MEASURED),
        *_papers_setting(table, coloured),
        _numbers(table, coloured),
        *_entries(table),
    ]
    return go.Figure(
        traces,
        layout(
            axis_title(x),
            axis_title(y),
            xaxis=_axis(table.mean.columns),
            yaxis=_upright_axis(table.mean.index),
            legend={
                "orientation": "h",
                "x": 0,
                "y": 1.02,
                "yanchor": "bottom",
                "itemclick": False,
                "itemdoubleclick": False,
            },
            hovermode="closest",
        ),
    )


def heat_map_frame(
    frame: pd.DataFrame,
    x: str,
    y: str,
    value: str = TOP1,
    fixed: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """What `heat_map_figure` and `surface_figure` draw, one row a place (`tables.pivot_frame`).

    Raises:
        InputError: as `ablation.tables.pivot`.
    """
    return pivot_frame(pivot(frame, y, x, value, fixed))


def _places(table: Pivot) -> dict[PlaceState, list[tuple[int, int]]]:
    """Column and row of all places of each state."""
    found: dict[PlaceState, list[tuple[int, int]]] = {state: [] for state in PlaceState}
    for row, states in enumerate(table.state.to_numpy()):
        for column, state in enumerate(states):
            found[state].append((column, row))
    return found


def _range(table: Pivot) -> tuple[float, float] | None:
    """The results that the colours span, of complete runs if there are any."""
    known = table.mean.where(table.state == PlaceState.MEASURED)
    values = known.to_numpy(dtype=np.float64)
    if not np.isfinite(values).any():
        values = table.mean.to_numpy(dtype=np.float64)
    if not np.isfinite(values).any():
        return None
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _squares(table: Pivot, coloured: tuple[float, float] | None) -> Part:
    places = [[(row, head) for head in table.mean.columns] for row in table.mean.index]
    low, high = coloured or (0, 1)
    return {
        "type": "heatmap",
        "z": table.mean.to_numpy(dtype=np.float64),
        "x": np.arange(table.mean.shape[1]),
        "y": np.arange(table.mean.shape[0]),
        "zmin": low,
        "zmax": high,
        "colorscale": SEQUENCE,
        # The page's template would have the theme's colours take its place.
        "autocolorscale": False,
        "showscale": coloured is not None,
        "colorbar": colour_bar(table.value),
        "xgap": 2,
        "ygap": 2,
        "text": [[_hover_text(table, *place) for place in row] for row in places],
        "hovertemplate": "%{text}<extra></extra>",
        "customdata": [[runs_of(table.cells_at(*place)) for place in row] for row in places],
    }


def _hover_text(table: Pivot, row: Any, head: Any) -> str:
    cells = table.cells_at(row, head)
    lines = [place_name({table.columns: head, table.rows: row})]
    if table.state.loc[row, head] == PlaceState.REFUSED:
        lines.append(refusal(table))
        if not table.is_margin:
            lines += [html.escape(reason, quote=False) for reason in cells["reason"].unique()]
    elif not len(cells):
        lines.append("the sweep has no cell here")
    else:
        if table.count.loc[row, head] > 1:
            mean = mean_text(table.mean.loc[row, head], table.sd.loc[row, head], table.decimals)
            lines.append(f"{mean} (n = {table.count.loc[row, head]})")
        lines += seed_texts(cells, table.value)
    return "<br>".join(part for line in lines for part in textwrap.wrap(line, HOVER_WIDTH))


def _numbers(table: Pivot, coloured: tuple[float, float] | None) -> Part:
    """Mean, and sd where there is room, written on each square in black or white."""
    most = max(table.mean.shape)
    columns, rows, texts, colours = [], [], [], []
    for row, index in enumerate(table.mean.index):
        for column, head in enumerate(table.mean.columns):
            mean, state = table.mean.loc[index, head], table.state.loc[index, head]
            if coloured is None or not np.isfinite(mean) or most > MOST_WITH_MEAN:
                continue
            text = number(mean, table.decimals)
            if state == PlaceState.HALVED:
                text += EARLY_MARK
            if (index, head) in table.best:
                text = f"<b>{BEST_MARK} {text}</b>"
            if most <= MOST_WITH_SD:
                text += _spread_text(table, index, head)
            columns.append(column)
            rows.append(row)
            texts.append(text)
            colours.append(_on(mean, coloured))
    return {
        "type": "scatter",
        "x": columns,
        "y": rows,
        "mode": "text",
        "text": texts,
        "textfont": {"color": colours, "size": 13 if most <= MOST_WITH_SD else 10},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _spread_text(table: Pivot, row: Any, head: Any) -> str:
    """A line below the mean: sd, and the count where it is not that of most places."""
    sd, count = table.sd.loc[row, head], table.count.loc[row, head]
    parts = [f"± {number(sd, table.decimals)}"] if np.isfinite(sd) else []
    if count < table.count.to_numpy().max():
        parts.append(f"n = {count}")
    return f"<br><span style='font-size:11px'>{', '.join(parts)}</span>" if parts else ""


def _on(value: float, coloured: tuple[float, float]) -> str:
    """Black or white, whichever is told better from the colour of `value` (WCAG 2, contrast)."""
    low, high = coloured
    share = min(max((value - low) / (high - low), 0.0), 1.0)
    (colour,) = sample_colorscale(SEQUENCE, [share])
    channels = np.array(unlabel_rgb(colour)) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return DARK if (luminance + 0.05) ** 2 > 0.05 * 1.05 else LIGHT


def _not_allowed(table: Pivot, places: Mapping[PlaceState, list[tuple[int, int]]]) -> list[Part]:
    """Refused squares, hatched: one trace, so that the hatching runs through."""
    refused = places[PlaceState.REFUSED]
    if not refused:
        return []
    return [
        {
            **_outlines(refused, WHOLE),
            "mode": "none",
            "fill": "toself",
            "fillpattern": {
                "shape": "/",
                "size": 7,
                "solidity": 0.25,
                "fgcolor": P_COLOUR,
                "bgcolor": "rgba(124, 134, 150, 0.16)",
            },
            "name": refusal(table),
        }
    ]


def _papers_setting(table: Pivot, coloured: tuple[float, float] | None) -> list[Part]:
    """An outline around the settings' defaults, which are the paper's."""
    place = []
    for axis, values in ((table.columns, table.mean.columns), (table.rows, table.mean.index)):
        default = None if axis in COMPOUND_AXES else field(axis).default
        if default not in values:
            return []
        place.append(values.get_loc(default))
    mean = table.mean.iat[place[1], place[0]]
    on = P_COLOUR if coloured is None or not np.isfinite(mean) else _on(mean, coloured)
    line = {"width": 2, "dash": "dot"}
    outline = _outlines([(place[0], place[1])], INNER)
    # Black or white is lost on one of the themes, so the legend has a line of its own.
    return [
        {**outline, "mode": "lines", "line": {**line, "color": on}, "showlegend": False},
        {**_nowhere("the paper's setting"), "mode": "lines", "line": {**line, "color": P_COLOUR}},
    ]


def _outlines(places: list[tuple[int, int]], half: float) -> Part:
    """Closed outlines of squares, with a gap after each."""
    across = np.array([-half, half, half, -half, -half, np.nan])
    along = np.array([-half, -half, half, half, -half, np.nan])
    return {
        "type": "scatter",
        "x": np.concatenate([column + across for column, _ in places]),
        "y": np.concatenate([row + along for _, row in places]),
        "hoverinfo": "skip",
    }


def _marks(
    places: Mapping[PlaceState, list[tuple[int, int]]],
    state: PlaceState,
    symbol: str,
    colour: str,
    name: str,
) -> list[Part]:
    if not places[state]:
        return []
    columns, rows = zip(*places[state], strict=True)
    return [
        {
            "type": "scatter",
            "x": columns,
            "y": rows,
            "mode": "markers",
            "marker": {"symbol": symbol, "size": 11, "color": colour},
            "name": name,
            "hoverinfo": "skip",
        }
    ]


def _entries(table: Pivot) -> list[Part]:
    """Entries in the legend of what is written in squares."""
    entries = []
    if table.best:
        mark = {"symbol": "star", "size": 11, "color": P_COLOUR}
        entries.append({**_nowhere("best"), "mode": "markers", "marker": mark})
    if (table.state == PlaceState.HALVED).any(axis=None):
        name = f"{EARLY_MARK} {STOPPED_EARLY}"
        entries.append(
            {**_nowhere(name), "mode": "markers", "marker": {"color": "rgba(0, 0, 0, 0)"}}
        )
    return entries


def _nowhere(name: str) -> Part:
    return {"type": "scatter", "x": [None], "y": [None], "name": name, "hoverinfo": "skip"}


def _axis(values: pd.Index) -> Part:
    return {
        "range": [-0.5, len(values) - 0.5],
        "tickvals": list(range(len(values))),
        "ticktext": [value_name(value) for value in values],
        "showgrid": False,
        "zeroline": False,
        "automargin": True,
    }


def _upright_axis(values: pd.Index) -> Part:
    """As `_axis`: numbers rise, texts are read from top to bottom."""
    axis = _axis(values)
    are_texts = any(isinstance(value, str) for value in values)
    return axis | {"range": axis["range"][::-1]} if are_texts else axis

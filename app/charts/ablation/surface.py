"""A result over two axes as a surface in space, as the paper shows it over its margin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from adadfq_core.ablation.names import measure
from adadfq_core.ablation.states import CellStatus
from adadfq_core.ablation.tables import TOP1, Pivot, PlaceState, pivot, runs_of
from adadfq_core.errors import InputError
from app.charts.ablation.labels import (
    SEQUENCE,
    axis_title,
    colour_bar,
    is_log,
    mean_text,
    place_name,
    refusal,
    seed_text,
    seed_texts,
)
from app.charts.style import P_COLOUR, UNDER_COLOUR, Part, layout, say_empty

CAMERA = {"eye": {"x": 1.15, "y": -1.35, "z": 0.75}, "center": {"x": 0, "y": 0, "z": -0.18}}
MOST_TICKS = 8
# Below the lowest result, as a share of the results' span.
FLOOR = 0.12
RIM = 0.03


def surface_figure(
    frame: pd.DataFrame,
    x: str,
    y: str,
    value: str = TOP1,
    fixed: Mapping[str, Any] | None = None,
) -> go.Figure:
    """Mean of `value` over seeds as a height above the axes `x` and `y`, with every seed's result.

    The surface has holes where no seed has come to its end; what is not allowed or failed is
    marked on the floor. The data is `heat_map.heat_map_frame`.

    Args:
        frame: a sweep's table (`ablation.results.results_frame`).
        fixed: the value of each other axis that varies.

    Raises:
        InputError: an axis without numbers, or as `ablation.tables.pivot`.
    """
    table = pivot(frame, y, x, value, fixed)
    for axis, values in ((x, table.mean.columns), (y, table.mean.index)):
        if any(isinstance(one, str | bool) for one in values):
            raise InputError(
                f"{axis} has no numbers to draw a surface over; choose another axis, or the heat "
                "map."
            )
    known = table.mean.where(table.state == PlaceState.MEASURED)
    heights = known.to_numpy(dtype=np.float64)
    if not np.isfinite(heights).any():
        figure = go.Figure(layout=layout("", ""))
        say_empty(figure, "drawn from the first result on")
        return figure
    seeds = table.cells[(table.cells["status"] == CellStatus.FINISHED)].dropna(subset=[value])
    low, high = seeds[value].min(), seeds[value].max()
    span = (high - low) or 1.0
    floor = low - FLOOR * span
    traces = [
        _surface(table, heights),
        _lines(table, heights),
        _seeds(seeds, x, y, value),
        *_not_allowed(table, floor),
        *_failed(table, floor),
    ]
    return go.Figure(
        traces,
        layout(
            "",
            "",
            scene={
                "xaxis": _axis(x, table.mean.columns),
                "yaxis": _axis(y, table.mean.index),
                "zaxis": {
                    "title": {"text": measure(value).title},
                    # What lies on the very edge flickers.
                    "range": [floor - RIM * span, high + RIM * span],
                },
                "aspectmode": "manual",
                "aspectratio": {"x": 1, "y": 1, "z": 0.7},
                "camera": CAMERA,
            },
            margin={"l": 0, "r": 0, "t": 28, "b": 0},
            legend={
                "orientation": "h",
                "x": 0,
                "y": 1.02,
                "yanchor": "bottom",
                "itemsizing": "constant",
            },
        ),
    )


def _surface(table: Pivot, heights: np.ndarray) -> Part:
    places = [[(row, head) for head in table.mean.columns] for row in table.mean.index]
    return {
        "type": "surface",
        "x": table.mean.columns.to_numpy(dtype=np.float64),
        "y": table.mean.index.to_numpy(dtype=np.float64),
        "z": heights,
        "connectgaps": False,
        "colorscale": SEQUENCE,
        # The page's template would have the theme's colours take its place.
        "autocolorscale": False,
        "colorbar": {**colour_bar(table.value), "len": 0.7},
        "opacity": 0.92,
        "lighting": {"ambient": 0.85, "diffuse": 0.35, "specular": 0.05},
        # An array: of lists Plotly would make one text a row.
        "hovertext": np.array([[_place_text(table, *place) for place in row] for row in places]),
        "hovertemplate": "%{hovertext}<extra></extra>",
        "customdata": [[runs_of(table.cells_at(*place)) for place in row] for row in places],
    }


def _lines(table: Pivot, heights: np.ndarray) -> Part:
    """Lines between neighbours, also of places that no square of four joins to the surface."""
    x, y = np.meshgrid(
        table.mean.columns.to_numpy(dtype=np.float64), table.mean.index.to_numpy(dtype=np.float64)
    )
    ends = []
    for values in (x, y, heights):
        along = np.pad(values, ((0, 0), (0, 1)), constant_values=np.nan).ravel()
        across = np.pad(values, ((0, 1), (0, 0)), constant_values=np.nan).T.ravel()
        ends.append(np.concatenate([along, across]))
    return {
        "type": "scatter3d",
        **dict(zip("xyz", ends, strict=True)),
        "mode": "lines",
        "line": {"color": P_COLOUR, "width": 2},
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _place_text(table: Pivot, row: Any, head: Any) -> str:
    mean = mean_text(table.mean.loc[row, head], table.sd.loc[row, head], table.decimals)
    place = place_name({table.columns: head, table.rows: row})
    return f"{place}<br>{mean} (n = {table.count.loc[row, head]})"


def _seeds(seeds: pd.DataFrame, x: str, y: str, value: str) -> Part:
    return {
        "type": "scatter3d",
        "x": seeds[x].to_numpy(dtype=np.float64),
        "y": seeds[y].to_numpy(dtype=np.float64),
        "z": seeds[value].to_numpy(dtype=np.float64),
        "mode": "markers",
        "marker": {"size": 3.5, "color": P_COLOUR, "line": {"width": 0.5, "color": "white"}},
        "name": "one seed",
        "text": [
            f"{place_name({x: cell[x], y: cell[y]})}<br>{seed_text(cell, value)}"
            for cell in seeds.to_dict("records")
        ],
        "hovertemplate": "%{text}<extra></extra>",
        "customdata": [runs_of(seeds.iloc[[place]]) for place in range(len(seeds))],
    }


def _not_allowed(table: Pivot, floor: float) -> list[Part]:
    """A tile on the floor for each refused place, half-way to its neighbours."""
    refused = np.argwhere((table.state == PlaceState.REFUSED).to_numpy())
    if not len(refused):
        return []
    rows, columns = refused.T
    left, right = _edges(table.mean.columns)
    low, high = _edges(table.mean.index)
    first = 4 * np.arange(len(refused))
    return [
        {
            "type": "mesh3d",
            "x": np.stack([left, right, right, left])[:, columns].T.ravel(),
            "y": np.stack([low, low, high, high])[:, rows].T.ravel(),
            "z": np.full(4 * len(refused), floor),
            "i": np.concatenate([first, first]),
            "j": np.concatenate([first + 1, first + 2]),
            "k": np.concatenate([first + 2, first + 3]),
            "color": P_COLOUR,
            "opacity": 0.4,
            "name": refusal(table),
            "showlegend": True,
            "hovertemplate": f"{refusal(table)}<extra></extra>",
        }
    ]


def _edges(values: pd.Index) -> tuple[np.ndarray, np.ndarray]:
    """Where the tile of each of an axis' `values` begins and ends."""
    numbers = values.to_numpy(dtype=np.float64)
    between = (numbers[:-1] + numbers[1:]) / 2
    return np.append(numbers[0], between), np.append(between, numbers[-1])


def _failed(table: Pivot, floor: float) -> list[Part]:
    places = [
        (row, head)
        for row in table.mean.index
        for head in table.mean.columns
        if table.state.loc[row, head] == PlaceState.FAILED
    ]
    if not places:
        return []
    y, x = zip(*places, strict=True)
    cells = [table.cells_at(*place) for place in places]
    return [
        {
            "type": "scatter3d",
            "x": x,
            "y": y,
            "z": [floor] * len(places),
            # Plotly's own cross is a character that many fonts lack.
            "mode": "text",
            "text": ["×"] * len(places),
            "textfont": {"color": UNDER_COLOUR, "size": 24},
            "showlegend": False,
            "hovertext": [
                "<br>".join(
                    [
                        place_name({table.columns: head, table.rows: row}),
                        *seed_texts(group, table.value),
                    ]
                )
                for (row, head), group in zip(places, cells, strict=True)
            ],
            "hovertemplate": "%{hovertext}<extra></extra>",
            "customdata": [runs_of(group) for group in cells],
        },
        {
            "type": "scatter3d",
            "x": [None],
            "y": [None],
            "z": [None],
            "mode": "markers",
            "marker": {"symbol": "x", "color": UNDER_COLOUR},
            "name": "failed",
        },
    ]


def _axis(axis: str, values: pd.Index) -> Part:
    ticks = {"tickvals": values.tolist()} if len(values) <= MOST_TICKS else {}
    return {
        "title": {"text": axis_title(axis)},
        "type": "log" if is_log(axis) else "linear",
        **ticks,
    }

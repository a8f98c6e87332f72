"""All varied settings and the result as parallel coordinates, one line a cell."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from adadfq_core.ablation.names import axes_of, measure
from adadfq_core.ablation.states import CellStatus
from adadfq_core.ablation.tables import TOP1, ordered, runs_of
from adadfq_core.errors import InputError
from app.charts.ablation.labels import colour_bar, is_log, short_name, value_name
from app.charts.style import Part, layout, say_empty

# The part of a uniform scale that is neither lost on white nor on black.
LINE_SCALE = [
    [step / 10, colour]
    for step, colour in enumerate(sample_colorscale("Plasma", np.linspace(0.25, 0.82, 11)))
]
# An axis with more values than these has ticks of Plotly's choice.
MOST_TICKS = 12


def parallel_rows(frame: pd.DataFrame, value: str = TOP1, best: float = 1.0) -> pd.DataFrame:
    """The cells that `parallel_figure` draws, best last: finished, every axis known.

    Args:
        frame: a sweep's table (`ablation.results.results_frame`).
        best: share, above 0 and up to 1, of the cells with a result to keep: the best of them,
            rounded up.

    Raises:
        InputError: an unknown result, or a share that is not allowed.
    """
    if not 0 < best <= 1:
        raise InputError(f"The share {best:g} of best cells must be above 0 and at most 1.")
    lower_is_better = measure(value).lower_is_better
    known = frame[frame["status"] == CellStatus.FINISHED].dropna(subset=[value, *axes_of(frame)])
    kept = math.ceil(best * len(known))
    return known.sort_values(value, ascending=not lower_is_better, kind="stable").tail(kept)


def parallel_figure(rows: pd.DataFrame, value: str = TOP1) -> go.Figure:
    """One upright axis for each setting that varies and one for `value`, which colours the lines.

    Plotly reports no click on such a line; what the reader brushes stays in the browser.

    Args:
        rows: cells of a sweep (`parallel_rows`).

    Raises:
        InputError: an unknown result.
    """
    title = measure(value).title
    varied = [name for name in axes_of(rows) if rows[name].nunique() > 1]
    if not len(rows):
        figure = go.Figure(layout=layout("", ""))
        say_empty(figure, "drawn from the first finished cell on")
        return figure
    results = rows[value].to_numpy(dtype=np.float64)
    return go.Figure(
        [
            {
                "type": "parcoords",
                "dimensions": [
                    *(_dimension(name, rows[name]) for name in varied),
                    {"label": title, "values": results},
                ],
                "line": {
                    "color": results,
                    "colorscale": LINE_SCALE,
                    # The page's template would have the theme's colours take its place.
                    "autocolorscale": False,
                    "showscale": True,
                    "colorbar": colour_bar(value),
                },
                "labelfont": {"size": 13},
                "tickfont": {"size": 11},
                "customdata": [runs_of(rows.iloc[[place]]) for place in range(len(rows))],
            }
        ],
        layout("", "", margin={"l": 64, "r": 24, "t": 56, "b": 28}),
    )


def _dimension(axis: str, values: pd.Series) -> Part:
    """One upright axis: texts at equal distances, numbers in their own or on a log scale."""
    label = short_name(axis)
    distinct = ordered(values)
    if any(isinstance(one, str | bool) for one in distinct):
        codes = {one: code for code, one in enumerate(distinct)}
        return {
            "label": label,
            "values": values.map(codes).to_numpy(dtype=np.float64),
            "tickvals": list(range(len(distinct))),
            "ticktext": [value_name(one) for one in distinct],
            "range": [-0.2, len(distinct) - 0.8],
        }
    log = is_log(axis) and distinct[0] > 0
    drawn = values.to_numpy(dtype=np.float64)
    ticks = np.array(distinct, dtype=np.float64)
    if len(distinct) > MOST_TICKS and not log:
        return {"label": label, "values": drawn}
    if len(distinct) > MOST_TICKS:
        ticks = _between_powers(drawn.min(), drawn.max())
    return {
        "label": f"{label} (log)" if log else label,
        "values": np.log10(drawn) if log else drawn,
        "tickvals": np.log10(ticks) if log else ticks,
        "ticktext": [value_name(float(tick)) for tick in ticks],
    }


def _between_powers(low: float, high: float) -> np.ndarray:
    """1, 2 and 5 times powers of ten from `low` to `high`, and both ends."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    return np.array([step for step in steps if low <= step <= high])

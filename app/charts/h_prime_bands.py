"""H' over the run as bands, with the fraction of samples inside the margin below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from app.charts.style import (
    BESIDE_COLOUR,
    H_PRIME_COLOUR,
    MARGIN_FILL,
    Q_COLOUR,
    Part,
    beside_lines,
    change_marks,
    h_prime_ends,
    layout,
    say_empty,
)

QUANTILES = (0.10, 0.25, 0.75, 0.90)
WIDE_FILL = "rgba(192, 38, 211, 0.16)"
NARROW_FILL = "rgba(192, 38, 211, 0.26)"
# Shares of the height: the fraction inside is a strip below the bands.
STRIP = (0.0, 0.2)
BANDS = (0.33, 1.0)
# The margin jumps where it is changed, in the middle between two bins.
STEPS = "hvh"
MARGIN_NAME = "margin [λ<sub>l</sub>, λ<sub>u</sub>]"


@dataclass(frozen=True)
class HPrimeBins:
    """H' of a run in n bins of iterations; NaN where a bin has no finite H'.

    Attributes:
        width: iterations a bin.
        iteration: `(n,)`, mean iteration of each bin.
        mean: `(n,)`.
        quantiles: `(4, n)`, the levels of `QUANTILES`.
        inside: `(n,)`, fraction of samples inside the margin that was in force for each.
        lower, upper: `(n,)`, the margin in force at the bin's last iteration.
    """

    width: int
    iteration: np.ndarray
    mean: np.ndarray
    quantiles: np.ndarray
    inside: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def bands_columns(bins: HPrimeBins) -> dict[str, np.ndarray]:
    """The numbers behind the bands: columns `(n,)` by their names."""
    levels = {
        f"quantile_{level:g}": values
        for level, values in zip(QUANTILES, bins.quantiles, strict=True)
    }
    return {
        "iteration": bins.iteration,
        "mean": bins.mean,
        **levels,
        "inside": bins.inside,
        "lambda_l": bins.lower,
        "lambda_u": bins.upper,
    }


def bin_h_prime(
    iteration: Sequence[float] | np.ndarray,
    values: Sequence[float] | np.ndarray,
    ends: Sequence[float] | np.ndarray,
    lower: float | np.ndarray,
    upper: float | np.ndarray,
    bins: int,
    known: HPrimeBins | None = None,
) -> HPrimeBins:
    """H' of all iterations so far, in at most `bins` bins.

    The bins are 2^n iterations wide and begin at fixed iterations, so while a run goes on only the
    last one changes, until all double in width.

    Args:
        iteration: `(m,)`, ascending, the first one of a run being 1.
        values: `(k,)`, H' of all samples in the order of iterations; NaN and infinities are left
            out.
        ends: `(m,)`, how many of `values` there are up to and with each iteration.
        lower, upper: the margin, or `(m,)` with the one in force at each iteration.
        bins: at least 1.
        known: what this returned, for the same `bins`, of fewer or as many iterations of the same
            run: its bins but the last are taken over instead of computed anew.
    """
    iterations = np.asarray(iteration, dtype=np.int64)
    samples = np.asarray(values, dtype=np.float64)
    lowers = np.broadcast_to(np.asarray(lower, dtype=np.float64), iterations.shape)
    uppers = np.broadcast_to(np.asarray(upper, dtype=np.float64), iterations.shape)
    width = 1
    while len(iterations) and (iterations[-1] - 1) // width >= bins:
        width *= 2
    firsts = np.flatnonzero(np.diff((iterations - 1) // width, prepend=-1))
    stops = np.append(firsts, len(iterations))[1:]
    offsets = np.concatenate([[0], np.asarray(ends, dtype=np.int64)])

    # Mean, share inside, quantiles.
    table = np.full((2 + len(QUANTILES), len(firsts)), np.nan)
    done = 0
    if known is not None and known.width == width:
        done = max(0, len(known.iteration) - 1)
        table[:, :done] = np.vstack([known.mean, known.inside, known.quantiles])[:, :done]
    for index in range(done, len(firsts)):
        batches = slice(firsts[index], stops[index])
        bounds = offsets[firsts[index] : stops[index] + 1]
        part = samples[bounds[0] : bounds[-1]]
        sizes = np.diff(bounds)
        within = part >= np.repeat(lowers[batches], sizes)
        within &= part <= np.repeat(uppers[batches], sizes)
        finite = np.isfinite(part)
        if finite.any():
            kept = part[finite]
            table[:, index] = kept.mean(), within[finite].mean(), *np.quantile(kept, QUANTILES)
    return HPrimeBins(
        width=width,
        iteration=(iterations[firsts] + iterations[stops - 1]) / 2,
        mean=table[0],
        inside=table[1],
        quantiles=table[2:],
        lower=lowers[stops - 1],
        upper=uppers[stops - 1],
    )


def h_prime_bands_figure(
    bins: HPrimeBins,
    total: int,
    changes: list[tuple[int, str]],
    beside: tuple[str, HPrimeBins] | None = None,
) -> go.Figure:
    """Mean, 10-90 % and 25-75 % of H' over `total` iterations, and the fraction inside the margin.

    `changes` are marked on the iteration axis, which the strip below shares. `beside` is another
    run to compare with: its name, and its bins, of which mean and fraction inside are drawn.
    """
    if not len(bins.iteration):
        figure = go.Figure(layout=layout("iteration", "H'"))
        say_empty(figure, "drawn from the first iteration on")
        return figure
    x = bins.iteration
    traces = [
        _band(x, bins.lower, bins.upper, MARGIN_FILL, MARGIN_NAME, STEPS),
        _band(x, bins.quantiles[0], bins.quantiles[3], WIDE_FILL, "10–90 %"),
        _band(x, bins.quantiles[1], bins.quantiles[2], NARROW_FILL, "25–75 %"),
        _mean(bins, H_PRIME_COLOUR),
        _boundary(x, bins.lower, "λ<sub>l</sub>"),
        _boundary(x, bins.upper, "λ<sub>u</sub>"),
        _inside(bins, Q_COLOUR) | {"fill": "tozeroy", "fillcolor": MARGIN_FILL},
    ]
    if beside is not None:
        name, others = beside
        lines = [_mean(others, BESIDE_COLOUR), _inside(others, BESIDE_COLOUR)]
        traces += beside_lines(name, lines)
    marks = change_marks(changes)
    return go.Figure(
        traces,
        layout(
            "iteration",
            "H'",
            xaxis={"range": [0, total], "anchor": "y2"},
            yaxis={"range": [0, 1], "domain": BANDS, "tickvals": [0, 0.5, 1]},
            yaxis2={
                "range": [0, 100],
                "domain": STRIP,
                "tickvals": [0, 50, 100],
                "title": {"text": "inside (%)"},
            },
            # Above the words at the upper end of H'.
            margin={"l": 56, "r": 12, "t": 44, "b": 44},
            legend={"orientation": "h", "y": 1.06, "yanchor": "bottom", "x": 0},
            hovermode="x unified",
            shapes=marks["shapes"],
            annotations=[
                *h_prime_ends((BANDS[1], "bottom"), (BANDS[0], "top")),
                *marks["annotations"],
            ],
        ),
    )


def _mean(bins: HPrimeBins, colour: str) -> Part:
    return {
        "type": "scatter",
        "x": bins.iteration,
        "y": bins.mean,
        "mode": "lines",
        "name": "mean",
        "line": {"color": colour, "width": 2},
        "hovertemplate": "%{y:.3f}",
    }


def _boundary(x: np.ndarray, values: np.ndarray, name: str) -> Part:
    return {
        "type": "scatter",
        "x": x,
        "y": values,
        "mode": "lines",
        "name": name,
        "line": {"color": Q_COLOUR, "width": 1.5, "dash": "dash", "shape": STEPS},
        "showlegend": False,
        "hovertemplate": "%{y:g}",
    }


def _inside(bins: HPrimeBins, colour: str) -> Part:
    return {
        "type": "scatter",
        "x": bins.iteration,
        "y": 100 * bins.inside,
        "yaxis": "y2",
        "mode": "lines",
        "name": "inside the margin",
        "line": {"color": colour, "width": 1.5},
        "showlegend": False,
        "hovertemplate": "%{y:.0f} %",
    }


def _band(
    x: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    fill: str,
    name: str,
    shape: str = "linear",
) -> Part:
    """The area between two lines, as one closed outline for each stretch without a gap."""
    known = np.isfinite(low) & np.isfinite(high)
    edges = np.flatnonzero(np.diff(known, prepend=False, append=False))
    gap = [np.nan]
    outline_x: list[np.ndarray | list[float]] = []
    outline_y: list[np.ndarray | list[float]] = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        there = slice(start, end)
        outline_x += [x[there], x[there][::-1], gap]
        outline_y += [low[there], high[there][::-1], gap]
    return {
        "type": "scatter",
        "x": np.concatenate([*outline_x, gap])[:-2],
        "y": np.concatenate([*outline_y, gap])[:-2],
        "mode": "lines",
        "line": {"width": 0, "shape": shape},
        "fill": "toself",
        "fillcolor": fill,
        "name": name,
        "hoverinfo": "skip",
    }

"""H' over the run as bands, with the fraction of samples inside the margin below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import plotly.graph_objects as go

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
    layout,
    mark_changes,
    say_empty,
    tinted,
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
        iteration: `(n,)`, mean iteration of each bin.
        mean: `(n,)`.
        quantiles: `(4, n)`, the levels of `QUANTILES`.
        inside: `(n,)`, fraction of samples inside the margin that was in force for each.
        lower, upper: `(n,)`, the margin in force at the bin's last iteration.
    """

    iteration: np.ndarray
    mean: np.ndarray
    quantiles: np.ndarray
    inside: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def bin_h_prime(
    iteration: Sequence[int] | np.ndarray,
    samples: Sequence[Sequence[float]] | np.ndarray,
    lower: float | np.ndarray,
    upper: float | np.ndarray,
    bins: int,
) -> HPrimeBins:
    """H' of all iterations so far, in at most `bins` bins.

    The bins are 2^n iterations wide and begin at fixed iterations, so while a run goes on only the
    last one changes, until all double in width.

    Args:
        iteration: `(m,)`, ascending, the first one of a run being 1.
        samples: H' of each iteration's batch, which may differ in size; NaN and infinities are
            left out.
        lower, upper: the margin, or `(m,)` with the one in force at each iteration.
        bins: at least 1.
    """
    iterations = np.asarray(iteration, dtype=np.int64)
    lowers = np.broadcast_to(np.asarray(lower, dtype=np.float64), iterations.shape)
    uppers = np.broadcast_to(np.asarray(upper, dtype=np.float64), iterations.shape)
    width = 1
    while len(iterations) and (iterations[-1] - 1) // width >= bins:
        width *= 2
    firsts = np.flatnonzero(np.diff((iterations - 1) // width, prepend=-1))
    ends = np.append(firsts, len(iterations))[1:]
    sizes = [len(batch) for batch in samples]
    values = np.fromiter(chain.from_iterable(samples), dtype=np.float64, count=sum(sizes))
    offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    within = (values >= np.repeat(lowers, sizes)) & (values <= np.repeat(uppers, sizes))

    mean, inside = np.full((2, len(firsts)), np.nan)
    quantiles = np.full((len(QUANTILES), len(firsts)), np.nan)
    for index, (first, end) in enumerate(zip(firsts, ends, strict=True)):
        part = slice(offsets[first], offsets[end])
        finite = np.isfinite(values[part])
        if finite.any():
            kept = values[part][finite]
            mean[index] = kept.mean()
            quantiles[:, index] = np.quantile(kept, QUANTILES)
            inside[index] = within[part][finite].mean()
    middles = (iterations[firsts] + iterations[ends - 1]) / 2
    return HPrimeBins(middles, mean, quantiles, inside, lowers[ends - 1], uppers[ends - 1])


def h_prime_bands_figure(bins: HPrimeBins, total: int, changes: list[tuple[int, str]]) -> go.Figure:
    """Mean, 10-90 % and 25-75 % of H' over `total` iterations, and the fraction inside the margin.

    `changes` are marked on the iteration axis, which the strip below shares.
    """
    figure = go.Figure(layout=layout("iteration", "H'"))
    if not len(bins.iteration):
        say_empty(figure, "drawn from the first iteration on")
        return figure
    figure.update_layout(
        xaxis={"range": [0, total], "anchor": "y2"},
        yaxis={"range": [0, 1], "domain": BANDS, "tickvals": [0, 0.5, 1]},
        yaxis2={
            "range": [0, 100],
            "domain": STRIP,
            "tickvals": [0, 50, 100],
            "title": {"text": "inside (%)"},
        },
        hovermode="x unified",
    )
    _band(figure, bins.iteration, bins.lower, bins.upper, MARGIN_FILL, MARGIN_NAME, STEPS)
    _band(figure, bins.iteration, bins.quantiles[0], bins.quantiles[3], WIDE_FILL, "10–90 %")
    _band(figure, bins.iteration, bins.quantiles[1], bins.quantiles[2], NARROW_FILL, "25–75 %")
    figure.add_scatter(
        x=bins.iteration,
        y=bins.mean,
        mode="lines",
        name="mean",
        line={"color": H_PRIME_COLOUR, "width": 2},
        hovertemplate="%{y:.3f}",
    )
    for values, name in ((bins.lower, "λ<sub>l</sub>"), (bins.upper, "λ<sub>u</sub>")):
        figure.add_scatter(
            x=bins.iteration,
            y=values,
            mode="lines",
            name=name,
            line={"color": Q_COLOUR, "width": 1.5, "dash": "dash", "shape": STEPS},
            showlegend=False,
            hovertemplate="%{y:g}",
        )
    figure.add_scatter(
        x=bins.iteration,
        y=100 * bins.inside,
        yaxis="y2",
        mode="lines",
        name="inside the margin",
        line={"color": Q_COLOUR, "width": 1.5},
        fill="tozeroy",
        fillcolor=MARGIN_FILL,
        showlegend=False,
        hovertemplate="%{y:.0f} %",
    )
    for y, anchor, text in (
        (BANDS[1], "bottom", tinted("▲", OVER_COLOUR, f"{AGREEMENT_END}, {OVER_FITTING}")),
        (BANDS[0], "top", tinted("▼", UNDER_COLOUR, f"{DISAGREEMENT_END}, {UNDER_FITTING}")),
    ):
        figure.add_annotation(
            x=1,
            y=y,
            xref="paper",
            yref="paper",
            text=text,
            showarrow=False,
            xanchor="right",
            yanchor=anchor,
            font={"size": 11},
        )
    mark_changes(figure, changes)
    return figure


def _band(
    figure: go.Figure,
    x: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    fill: str,
    name: str,
    shape: str = "linear",
) -> None:
    """The area between two lines, as one closed outline for each stretch without a gap."""
    known = np.isfinite(low) & np.isfinite(high)
    edges = np.flatnonzero(np.diff(known, prepend=False, append=False))
    outline_x: list[float] = []
    outline_y: list[float] = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        there = slice(start, end)
        outline_x += [*x[there], *x[there][::-1], np.nan]
        outline_y += [*low[there], *high[there][::-1], np.nan]
    figure.add_scatter(
        x=outline_x[:-1],
        y=outline_y[:-1],
        mode="lines",
        line={"width": 0, "shape": shape},
        fill="toself",
        fillcolor=fill,
        name=name,
        hoverinfo="skip",
    )

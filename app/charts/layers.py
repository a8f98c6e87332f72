"""Layer by layer: the terms of `L_BNS`, and what Q's activation ranges hold and cut off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from adadfq_core.inspection.layers import BULK, BatchNormMismatch, SiteRanges, ValueRange
from app.charts.style import (
    BNS_COLOUR,
    G_COLOUR,
    P_COLOUR,
    Q_COLOUR,
    UNDER_COLOUR,
    Part,
    layout,
    literal,
    say_empty,
    tinted,
)

MEAN_COLOUR = "#c4b5fd"
BULK_SHARE = f"{100 * (BULK[1] - BULK[0]):g} %"

# Layers whose largest term is this often the middle one share no linear axis.
WIDEST_LINEAR = 200
LONGEST_NAME = 28
# Of a site's values; fewer that are clipped are no reason to name it.
LEAST_CLIPPED = 1e-4
# Heights in pixels.
FEW_ROWS = 30
FEW_ROWS_HEIGHT = 22
MANY_ROWS_HEIGHT = 18
AROUND_ROWS = 140
# Of a row: how far the two sets' lines lie from Q's band in their middle.
BESIDE = 0.28


def mismatch_figure(
    synthetic: Sequence[BatchNormMismatch], real: Sequence[BatchNormMismatch] | None = None
) -> go.Figure:
    """Each layer's term of `L_BNS`, P's first layer on top; the largest is named.

    The bars of both parts are stacked on a linear axis. Where the terms differ too much for one,
    they stand side by side on a logarithmic axis, which has no sums; 0 is a gap there.

    Args:
        synthetic: of generated images (`inspection.layers.batchnorm_mismatch`).
        real: of real images, in the same order, drawn as marks: real images do not match exactly
            either.
    """
    if not synthetic:
        figure = go.Figure(layout=layout("", ""))
        say_empty(figure, "P has no BatchNorm with stored statistics.")
        return figure
    totals = np.array([layer.total for layer in synthetic])
    middle = np.median(totals)
    log = bool(middle > 0 and totals.max() > WIDEST_LINEAR * middle)
    ticks = _shortened([layer.name for layer in synthetic])
    largest = int(np.argmax(np.nan_to_num(totals)))
    if totals[largest] > 0:
        share = 100 * totals[largest] / np.nansum(totals)
        ticks[largest] = tinted("▶", UNDER_COLOUR, f"{ticks[largest]} · {share:.0f} % of the sum")
    texts = [
        f"<b>{literal(layer.name)}</b><br>mean {layer.mean_part:.4g} "
        f"· variance {layer.variance_part:.4g}"
        f"<br>together {layer.total:.4g}"
        for layer in synthetic
    ]
    rows = np.arange(len(synthetic))
    traces: list[Part] = [
        {
            "type": "bar",
            "x": _drawn(values, log),
            "y": rows,
            "orientation": "h",
            "name": name,
            "marker": {"color": colour},
            "hovertext": texts,
            "hoverinfo": "text",
        }
        for name, values, colour in (
            ("mean part", [layer.mean_part for layer in synthetic], MEAN_COLOUR),
            ("variance part", [layer.variance_part for layer in synthetic], BNS_COLOUR),
        )
    ]
    if real:
        traces.append(
            {
                "type": "scatter",
                "x": _drawn([layer.total for layer in real], log),
                "y": rows,
                "mode": "markers",
                "name": "both, real images",
                "marker": {
                    "symbol": "diamond",
                    "size": 8,
                    "color": P_COLOUR,
                    "line": {"width": 1, "color": "white"},
                },
                "hovertext": [
                    f"<b>{literal(layer.name)}</b><br>real images {layer.total:.4g}"
                    for layer in real
                ],
                "hoverinfo": "text",
            }
        )
    scale = "log scale" if log else "squared units of its input"
    return go.Figure(
        traces,
        _rows_layout(
            ticks,
            f"term of L<sub>BNS</sub> ({scale}),<br>mean over layers {totals.mean():.3g}",
            xaxis={"type": "log", "exponentformat": "power"} if log else {},
            barmode="group" if log else "stack",
            bargap=0.25,
        ),
    )


def ranges_figure(sites: Sequence[SiteRanges]) -> go.Figure:
    """What the values at Q's activation sites span, in units of Q's range; values are in the hover.

    The ranges of a network's layers differ tenfold, so each site has the larger of its range's
    two ends at 1 or -1. Thin lines reach from the least to the largest value, thick ones
    between the quantiles `BULK`. The site that clips most of the real values is named, or,
    without real images, most of the generated ones.
    """
    if not sites:
        figure = go.Figure(layout=layout("", ""))
        say_empty(figure, "Q quantizes no activations.")
        return figure
    ticks = _shortened([site.name for site in sites])
    clipped = [(site.real or site.synthetic).clipped or 0.0 for site in sites]
    worst = int(np.argmax(clipped))
    if clipped[worst] >= LEAST_CLIPPED:
        text = f"{ticks[worst]} · {_percent(clipped[worst])} clipped"
        ticks[worst] = tinted("▶", UNDER_COLOUR, text)
    real = [site.real for site in sites]
    drawn: list[tuple[str, str, int, float, list[tuple[float, float] | None]]] = [
        ("Q's range", Q_COLOUR, 5, 0, [site.in_force for site in sites])
    ]
    for name, colour, drop, values in (
        ("real images", P_COLOUR, -BESIDE, real),
        ("generated images", G_COLOUR, BESIDE, [site.synthetic for site in sites]),
    ):
        if any(values):
            whole = [None if v is None else (v.low, v.high) for v in values]
            bulk = [None if v is None else (v.bulk_low, v.bulk_high) for v in values]
            drawn.append((name, colour, 1, drop, whole))
            drawn.append((f"{name}, {BULK_SHARE}", colour, 4, drop, bulk))
    units = np.array([_unit(site) for site in sites])
    texts = np.repeat([_site_text(site) for site in sites], 3)
    return go.Figure(
        [
            {
                "type": "scatter",
                "x": _lines(ranges, units),
                "y": np.repeat(np.arange(len(sites)) + drop, 3),
                "mode": "lines",
                "line": {"color": colour, "width": width},
                "name": name,
                "hovertext": texts,
                "hoverinfo": "text",
            }
            for name, colour, width, drop, ranges in drawn
        ],
        _rows_layout(
            ticks,
            "activation in units of Q's range (1 = its end farther from 0)",
            hovermode="closest",
        ),
    )


def _rows_layout(ticks: list[str], x_title: str, **extra: Any) -> Part:
    """A layout with a row for each of `ticks`, from top to bottom."""
    count = len(ticks)
    row = FEW_ROWS_HEIGHT if count <= FEW_ROWS else MANY_ROWS_HEIGHT
    return layout(
        x_title,
        "",
        yaxis={
            "range": [count - 0.4, -0.6],
            "tickvals": list(range(count)),
            "ticktext": ticks,
            "tickfont": {"size": 11},
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
        },
        height=AROUND_ROWS + row * count,
        margin={"l": 8, "r": 16, "t": 28, "b": 44},
        # Bars on their side are listed from the last to the first otherwise.
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "traceorder": "normal"},
        **extra,
    )


def _lines(ranges: Sequence[tuple[float, float] | None], units: np.ndarray) -> np.ndarray:
    """Both ends of each row's line and a gap, `(3 n,)`; a row without a range stays empty."""
    gap = (np.nan, np.nan)
    ends = np.array([gap if r is None else r for r in ranges]) / units[:, None]
    return np.column_stack([ends, np.full(len(ends), np.nan)]).ravel()


def _shortened(names: Sequence[str]) -> list[str]:
    """Names that fit beside the axis: the end of a layer's path tells the layers apart."""
    return [
        literal(name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :].lstrip('.')}")
        for name in names
    ]


def _drawn(values: Sequence[float], log: bool) -> np.ndarray:
    drawn = np.asarray(values, dtype=np.float64)
    # A logarithm has no place for 0: such points are gaps.
    return np.where(drawn > 0, drawn, np.nan) if log else drawn


def _unit(site: SiteRanges) -> float:
    """What is 1 on the axis: of Q's range, or of the values where Q has no range yet."""
    values = site.real or site.synthetic
    low, high = site.in_force or (values.low, values.high)
    return max(abs(low), abs(high)) or 1.0


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"


def _site_text(site: SiteRanges) -> str:
    lines = [f"<b>{literal(site.name)}</b>"]
    if site.in_force is None:
        lines.append("Q has no range yet")
    else:
        lines.append("Q's range: {:.4g} to {:.4g}".format(*site.in_force))
    if site.real is not None:
        lines.append(f"real: {_span_text(site.real)}")
    lines.append(f"generated: {_span_text(site.synthetic)}")
    return "<br>".join(lines).replace("-", "−")


def _span_text(values: ValueRange) -> str:
    text = (
        f"{values.low:.4g} to {values.high:.4g}, "
        f"{BULK_SHARE} in {values.bulk_low:.4g} to {values.bulk_high:.4g}"
    )
    if values.clipped is not None:
        text += f", {_percent(values.clipped)} clipped"
    return text

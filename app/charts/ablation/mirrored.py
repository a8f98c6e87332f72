"""Histograms of H' of groups of runs, one upwards and one downwards, over the same bins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.charts.ablation.labels import group_look
from app.charts.ablation.panels import (
    Group,
    Panel,
    below_panels,
    panel_axes,
    panel_title,
    place_panels,
)
from app.charts.margin import AXIS, BINS
from app.charts.style import (
    AGREEMENT_END,
    DISAGREEMENT_END,
    OVER_COLOUR,
    OVER_FITTING,
    P_COLOUR,
    UNDER_COLOUR,
    UNDER_FITTING,
    Part,
    layout,
    margin_marks,
    say_empty,
    tinted,
)

UP, DOWN = "▲", "▼"
EDGES = np.linspace(*AXIS, BINS + 1)
# Beyond the highest bar, for the boundaries' names, as a share of its height.
HEADROOM = 0.16
# Percent a tick: the finest that leaves at most so many on a side.
TICK_STEPS = (1, 2, 5, 10, 20, 50)
MOST_TICKS = 4


def mirrored_figure(groups: Sequence[tuple[Group, np.ndarray]]) -> go.Figure:
    """H' of the first group upwards against that of each other one downwards, in percent.

    Two groups make one chart, more of them one small chart for each but the first. Where the two
    margins of a chart differ, each half shows its own.

    Args:
        groups: at least two, each with H' `(n,)` of samples of its runs, n from 1
            (`ablation.h_prime.last_h_prime`).
    """
    if len(groups) < 2 or not all(len(samples) for _, samples in groups):
        figure = go.Figure(layout=layout("H'", "samples (%)"))
        say_empty(figure, "drawn as soon as two groups of runs have samples")
        return figure
    shares = [_percent(samples) for _, samples in groups]
    highest = (1 + HEADROOM) * max(heights.max() for heights in shares)
    panels = place_panels(len(groups) - 1)
    first = groups[0][0]
    traces: list[Part] = []
    shapes: list[Part] = []
    annotations: list[Part] = [below_panels(_ends())]
    for index, (panel, (group, _)) in enumerate(zip(panels, groups[1:], strict=True), start=1):
        traces += [
            _bars(first, shares[0], 0, panel, upwards=True) | {"showlegend": index == 1},
            _bars(group, shares[index], index, panel, upwards=False)
            | {"showlegend": len(panels) == 1},
        ]
        marks = _margins(first, group, panel)
        shapes += marks["shapes"]
        annotations += marks["annotations"]
        if len(panels) > 1:
            title = tinted(DOWN, group_look(index)[0], group.name)
            annotations.append(panel_title(panel, title))
    step = next((step for step in TICK_STEPS if highest / step < MOST_TICKS + 1), TICK_STEPS[-1])
    ticks = [step * place for place in range(-int(highest // step), int(highest // step) + 1)]
    axes = panel_axes(
        panels,
        {"range": AXIS, "tickvals": [0, 0.2, 0.4, 0.6, 0.8, 1], "zeroline": False},
        {
            "range": [-highest, highest],
            "tickvals": ticks,
            "ticktext": [str(abs(tick)) for tick in ticks],
            "zeroline": True,
            "zerolinecolor": P_COLOUR,
        },
        "samples (%)",
    )
    return go.Figure(
        traces,
        layout(
            "",
            "",
            **axes,
            barmode="overlay",
            bargap=0.05,
            hovermode="closest",
            margin={"l": 56, "r": 12, "t": 28 if len(panels) == 1 else 48, "b": 64},
            legend={
                "orientation": "h",
                "x": 0,
                "y": 1,
                "yref": "container",
                "yanchor": "top",
            },
            shapes=shapes,
            annotations=annotations,
        ),
    )


def mirrored_frame(groups: Sequence[tuple[Group, np.ndarray]]) -> pd.DataFrame:
    """What `mirrored_figure` draws, a row a bin of each group: `samples` and `percent` of them."""
    tables = [
        pd.DataFrame(
            {
                "group": group.name,
                "from": EDGES[:-1].round(6),
                "to": EDGES[1:].round(6),
                "samples": np.histogram(samples, bins=EDGES)[0],
                "percent": _percent(samples),
            }
        )
        for group, samples in groups
    ]
    return pd.concat(tables, ignore_index=True)


def _percent(samples: np.ndarray) -> np.ndarray:
    """Share of `samples` in each bin, in percent."""
    counts, _ = np.histogram(samples, bins=EDGES)
    return 100 * counts / max(1, len(samples))


def _bars(group: Group, heights: np.ndarray, look: int, panel: Panel, *, upwards: bool) -> Part:
    return {
        "type": "bar",
        "x": (EDGES[:-1] + EDGES[1:]) / 2,
        "y": heights if upwards else -heights,
        "width": 1 / BINS,
        "name": f"{UP if upwards else DOWN} {group.name}",
        "legendgroup": str(look),
        "marker": {"color": group_look(look)[0]},
        "text": [
            f"{group.name}<br>H' {low:.2f} to {high:.2f}: {height:.1f} %"
            for low, high, height in zip(EDGES[:-1], EDGES[1:], heights, strict=True)
        ],
        "textposition": "none",
        "hovertemplate": "%{text}<extra></extra>",
        "customdata": [list(group.run_ids)] * BINS,
        **panel.axes,
    }


def _margins(above: Group, below: Group, panel: Panel) -> dict[str, list[Part]]:
    """The margin over the whole panel, or of each half its own."""
    margin = (above.lower, above.upper)
    if margin == (below.lower, below.upper):
        return _in_panel(margin_marks(*margin, AXIS), panel, 0, 1)
    halves = [
        _in_panel(margin_marks(*margin, AXIS), panel, 0.5, 1),
        _in_panel(margin_marks(below.lower, below.upper, AXIS), panel, 0.5, 0),
    ]
    return {kind: [part for half in halves for part in half[kind]] for kind in halves[0]}


def _in_panel(
    marks: dict[str, list[Part]], panel: Panel, start: float, end: float
) -> dict[str, list[Part]]:
    """`marks` between two heights of `panel`, as shares of it, with their names at `end`."""
    place = {"xref": panel.x, "yref": f"{panel.y} domain"}
    turned = {"yanchor": "top"} if end > start else {"yanchor": "bottom"}
    return {
        "shapes": [shape | place | {"y0": start, "y1": end} for shape in marks["shapes"]],
        "annotations": [
            name
            | place
            | {"y": end}
            | turned
            | {"yshift": name["yshift"] if end > start else -name["yshift"]}
            for name in marks["annotations"]
        ],
    }


def _ends() -> str:
    low = tinted("◀", UNDER_COLOUR, f"{DISAGREEMENT_END}, {UNDER_FITTING}")
    high = tinted("▶", OVER_COLOUR, f"{AGREEMENT_END}, {OVER_FITTING}")
    return f"H'<br><span style='font-size:11px'>{low}  ·  {high}</span>"
